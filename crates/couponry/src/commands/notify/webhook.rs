//! Posts notices to an address, signed.
//!
//! Follows no redirect, so every notice goes to the address that was named. A notice has the same
//! key and body in every attempt, so a receiver that remembers keys accepts it once.

mod retry;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use api::outbound;
use engine::{Clock, SystemClock};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use tokio::time::Instant;
use webhooks::Secrets;

use super::notice::Notice;
use crate::failure::{CliError, no_answer};
use retry::{Heard, Next};

/// Longest attempt, from the name look-up to the last byte: Standard Webhooks asks for 15 to 30 s.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of an answer that the report shows.
const ANSWER_BYTES: usize = 200;

/// Most bytes of an answer that are read, so that the connection can be used again.
const DRAINED_BYTES_MAX: usize = 64 << 10;

pub(super) struct Webhook {
    url: Url,
    secrets: Secrets,
    client: Client,
    /// The receiver asked for no attempt before this moment.
    quiet_until: Mutex<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Taken,
    /// The receiver refused it, and why.
    Refused(String),
    /// The notice may or may not have arrived, and why.
    Failed(String),
}

impl Webhook {
    /// Sends nothing yet. Makes ring the TLS provider of this process, if there is none.
    ///
    /// # Errors
    /// Usage: an address over which others could read the notices, or a bad secret.
    pub(super) fn new(address: &str, secrets: &str) -> Result<Webhook, CliError> {
        let url = outbound::checked(address)
            .map_err(|why| CliError::usage(format!("the webhook's address {why}")))?;
        let secrets = Secrets::read(secrets);
        let secrets =
            secrets.map_err(|why| CliError::usage(format!("the webhook's secret {why}")))?;
        let client = outbound::client(&url, TIMEOUT)
            .user_agent(concat!("couponry/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|error| CliError::new(format!("cannot post: {error}")))?;
        Ok(Webhook { url, secrets, client, quiet_until: Mutex::new(Instant::now()) })
    }

    /// May contain a secret of the receiver.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Delivers a notice, with a bounded number of attempts.
    pub(super) async fn deliver(&self, notice: Notice) -> (Notice, Delivery) {
        for attempt in 1.. {
            tokio::time::sleep_until(self.quiet_until()).await;
            let heard = self.post(&notice).await;
            match retry::next(heard, attempt, webhooks::chance()) {
                Next::End(delivery) => return (notice, delivery),
                Next::Again { pause, for_all: false } => tokio::time::sleep(pause).await,
                Next::Again { pause, for_all: true } => self.be_quiet(pause),
            }
        }
        unreachable!("the last attempt ends the delivery")
    }

    async fn post(&self, notice: &Notice) -> Heard {
        let timestamp = SystemClock.now().0 / 1_000;
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", &notice.id)
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.secrets.sign(&notice.id, timestamp, &notice.line))
            .body(notice.line.clone());
        match request.send().await {
            Ok(answer) => heard(answer).await,
            Err(error) => Heard::Nothing(no_answer(&error, TIMEOUT)),
        }
    }

    fn quiet_until(&self) -> Instant {
        *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn be_quiet(&self, pause: Duration) {
        let mut until = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Instant::now() + pause);
    }
}

async fn heard(mut answer: Response) -> Heard {
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
    let retry_after = retry_after.and_then(|text| webhooks::retry_after(text, SystemTime::now()));
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    // The body is only for people.
    while let Ok(Some(piece)) = answer.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > DRAINED_BYTES_MAX {
            break;
        }
    }
    body.truncate(ANSWER_BYTES);
    let said: String = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).collect();
    Heard::Answer { status, retry_after, said }
}
