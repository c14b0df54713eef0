//! Notices as signed POSTs: the only place that sends any.
//!
//! The address is the given one, always: no redirect leads elsewhere. A notice is sent with one
//! key and one body however often it is sent, so a receiver that keeps the keys it has seen takes
//! it once.

use std::error::Error;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use engine::{Clock, SystemClock};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use super::notice::Notice;
use super::signature::Secrets;
use crate::failure::CliError;

/// Longest time for one attempt, name look-up to last byte: Standard Webhooks asks for 15 to 30 s.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Most attempts to deliver one notice in one run; the next run goes on.
const ATTEMPTS_MAX: u32 = 5;

/// Pause before the second attempt; each further one is twice as long, up to half of it by chance.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause that a receiver may ask for (`Retry-After`); after more the notice is left to
/// the next run.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Bytes of an answer that are looked at, for the report.
const ANSWER_BYTES: usize = 200;

/// Bytes of an answer read so that its connection can be used again.
const DRAINED_BYTES_MAX: usize = 64 << 10;

/// Where notices are posted to.
pub(crate) struct Webhook {
    url: Url,
    secrets: Secrets,
    client: Client,
    /// No attempt before this moment: the receiver has asked for it.
    quiet_until: Mutex<Instant>,
}

/// What came of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The receiver has it.
    Taken,
    /// The receiver has said no, and why.
    Refused(String),
    /// Nobody knows whether it has it.
    Failed(String),
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Answer { status: u16, retry_after: Option<Duration>, said: String },
    Nothing(String),
}

/// What to do after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    End(Delivery),
    /// Try again after this pause; `for_all` where the receiver has asked for it.
    Again {
        pause: Duration,
        for_all: bool,
    },
}

impl Webhook {
    /// Sends nothing yet. Makes ring the TLS provider of this process unless there is one.
    ///
    /// # Errors
    /// Wrong call for an address that anybody on the way could read, or a bad secret.
    pub(crate) fn new(address: &str, secrets: &str) -> Result<Webhook, CliError> {
        let url =
            checked(address).map_err(|why| CliError::wrong_call(format!("--webhook {why}")))?;
        let secrets = Secrets::read(secrets);
        let secrets =
            secrets.map_err(|why| CliError::wrong_call(format!("the webhook's secret {why}")))?;
        let _earlier_one_stays = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .user_agent(concat!("couponry/", env!("CARGO_PKG_VERSION")))
            .tls_built_in_root_certs(url.scheme() == "https");
        if on_loopback(&url) {
            builder = builder.no_proxy();
        }
        let client = builder.build();
        let client = client.map_err(|error| CliError::new(format!("cannot post: {error}")))?;
        Ok(Webhook { url, secrets, client, quiet_until: Mutex::new(Instant::now()) })
    }

    /// The whole address, which may hold a secret of the receiver.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Delivers a notice, with a bounded number of attempts.
    pub(super) async fn deliver(&self, notice: Notice) -> (Notice, Delivery) {
        for attempt in 1.. {
            tokio::time::sleep_until(self.quiet_until()).await;
            let heard = self.post(&notice).await;
            match next(heard, attempt, chance()) {
                Next::End(delivery) => return (notice, delivery),
                Next::Again { pause, for_all: false } => tokio::time::sleep(pause).await,
                Next::Again { pause, for_all: true } => self.be_quiet(pause),
            }
        }
        unreachable!("the last attempt has an end")
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
            Err(error) => Heard::Nothing(cause(&error)),
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
    let retry_after = retry_after.and_then(|text| pause_of(text, SystemTime::now()));
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    // The status has said it all; what follows is for people.
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

/// Decides; `chance` is any number.
fn next(heard: Heard, attempt: u32, chance: u8) -> Next {
    let (asked, why) = match heard {
        Heard::Answer { status: 200..=299, .. } => return Next::End(Delivery::Taken),
        Heard::Answer { status, retry_after, said } => {
            let why = format!("{status} {said}").trim_end().to_owned();
            match status {
                408 | 409 | 425 | 429 | 500..=599 => (retry_after, why),
                _ => return Next::End(Delivery::Refused(why)),
            }
        }
        Heard::Nothing(why) => (None, why),
    };
    if attempt >= ATTEMPTS_MAX || asked.is_some_and(|pause| pause > RETRY_AFTER_MAX) {
        return Next::End(Delivery::Failed(why));
    }
    match asked {
        Some(pause) => Next::Again { pause, for_all: true },
        None => {
            let longest = FIRST_PAUSE * 2_u32.pow(attempt - 1);
            let pause = longest - longest * u32::from(chance) / (2 * u32::from(u8::MAX));
            Next::Again { pause, for_all: false }
        }
    }
}

/// `Retry-After`: seconds, or a date.
fn pause_of(text: &str, now: SystemTime) -> Option<Duration> {
    match text.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let at = httpdate::parse_http_date(text.trim()).ok()?;
            Some(at.duration_since(now).unwrap_or_default())
        }
    }
}

fn chance() -> u8 {
    let mut byte = [0];
    // Without one the pause is the longest.
    let _ = SystemRandom::new().fill(&mut byte);
    byte[0]
}

/// The last error of the chain says why.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", TIMEOUT.as_secs());
    }
    let mut last: &dyn Error = error;
    while let Some(deeper) = last.source() {
        last = deeper;
    }
    last.to_string()
}

fn checked(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|error| format!("is no address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a password in it: the receiver knows us by the signature".into());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if on_loopback(&url) => Ok(url),
        "http" => Err("would send codes for anybody to read: want https (http to this machine \
                       only)"
            .into()),
        other => Err(format!("has scheme {other:?}, want https")),
    }
}

fn on_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn answer(status: u16, retry_after: Option<Duration>) -> Heard {
        Heard::Answer { status, retry_after, said: "why".into() }
    }

    #[test]
    fn after_an_attempt() {
        let taken = Next::End(Delivery::Taken);
        let refused = |status: u16| Next::End(Delivery::Refused(format!("{status} why")));
        let failed = |why: &str| Next::End(Delivery::Failed(why.into()));
        let again = |pause| Next::Again { pause, for_all: false };
        let asked = |pause| Next::Again { pause, for_all: true };
        let nothing = || Heard::Nothing("reset".into());
        let cases = [
            ("taken", answer(200, None), 1, taken.clone()),
            ("taken, without a body", answer(204, None), 5, taken.clone()),
            ("the last of the good", answer(299, None), 1, taken),
            ("a redirect", answer(301, None), 1, refused(301)),
            ("a bad request", answer(400, None), 1, refused(400)),
            ("a bad request that wants a pause", answer(400, Some(SECOND)), 1, refused(400)),
            ("gone", answer(410, None), 1, refused(410)),
            ("a time-out over there", answer(408, None), 1, again(SECOND)),
            ("at work on it", answer(409, None), 1, again(SECOND)),
            ("too early", answer(425, None), 1, again(SECOND)),
            ("too many", answer(429, None), 1, again(SECOND)),
            ("too many, for a time", answer(429, Some(7 * SECOND)), 1, asked(7 * SECOND)),
            ("at once, please", answer(503, Some(Duration::ZERO)), 1, asked(Duration::ZERO)),
            ("the longest pause", answer(503, Some(RETRY_AFTER_MAX)), 1, asked(RETRY_AFTER_MAX)),
            ("a longer one", answer(503, Some(RETRY_AFTER_MAX + SECOND)), 1, failed("503 why")),
            ("an error", answer(500, None), 1, again(SECOND)),
            ("the second time", answer(599, None), 2, again(2 * SECOND)),
            ("the last but one", nothing(), ATTEMPTS_MAX - 1, again(8 * SECOND)),
            ("the last", nothing(), ATTEMPTS_MAX, failed("reset")),
            ("the last, and a pause", answer(429, Some(SECOND)), ATTEMPTS_MAX, failed("429 why")),
        ];
        for (name, heard, attempt, want) in cases {
            assert_eq!(next(heard, attempt, 0), want, "{name}");
        }
        for chance in 0..=u8::MAX {
            let Next::Again { pause, .. } = next(nothing(), 3, chance) else { panic!("an end") };
            assert!((2 * SECOND..=4 * SECOND).contains(&pause), "{chance}: {pause:?}");
        }
    }

    #[test]
    fn pauses() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let cases = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(pause_of(text, now), want.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn addresses() {
        let cases = [
            ("https://shop.example/notices?key=1", true),
            ("http://127.0.0.1:8080/", true),
            ("http://localhost/notices", true),
            ("http://[::1]:9/", true),
            ("http://shop.example/", false),
            ("http://10.0.0.7/", false),
            ("https://ann:secret@shop.example/", false),
            ("ftp://shop.example/", false),
            ("shop.example", false),
        ];
        for (address, good) in cases {
            assert_eq!(checked(address).is_ok(), good, "{address}");
        }
    }
}
