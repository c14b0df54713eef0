//! One signed POST.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use hot::cause;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use tokio::time::Instant;

use crate::attempt_span::AttemptSpan;
use crate::guard::GuardedResolver;
use crate::signature::Secrets;
use crate::{Options, retry};

/// Most bytes of an answer that are read, so that the connection can be used again. Of a longer one the
/// connection is closed.
const ANSWER_BYTES_MAX: usize = 4 << 10;

const ANSWER_SHOWN: usize = 200;

/// Longest error of a request that the log shows, in characters: the longest name and a sentence. The certificate of a
/// receiver may have a hundred names, all of which would be in it.
const ERROR_SHOWN: usize = 500;

/// Connections to one receiver that stay open.
const IDLE_EACH: usize = 8;

/// For how long they do.
const IDLE_FOR: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptVerdict {
    /// The receiver has it: 2xx.
    Delivered,
    /// It may or may not have it. It may have asked for a pause.
    Failed { asked: Option<Duration> },
    /// It wants nothing any more: 410.
    Gone,
}

/// A failure of which the receiver says nothing.
const FAILED: AttemptVerdict = AttemptVerdict::Failed { asked: None };

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptAnswer {
    pub(crate) verdict: AttemptVerdict,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) duration_ms: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PostedMessage<'a> {
    pub(crate) id: &'a str,
    pub(crate) body: &'a str,
    /// Seconds since 1970.
    pub(crate) timestamp: i64,
}

/// Sends a request, and waits for its answer; the error is why there is none. In a simulation, receivers are functions.
pub type PostCarrier =
    Arc<dyn Fn(RequestBuilder) -> BoxFuture<'static, Result<Response, String>> + Send + Sync>;

pub(crate) struct WebhookPoster {
    client: Client,
    pub(crate) carrier: PostCarrier,
}

impl WebhookPoster {
    /// Makes ring the TLS provider of this process, if there is none.
    pub(crate) fn new(options: &Options) -> Result<WebhookPoster, reqwest::Error> {
        let _earlier_one_stays = rustls::crypto::ring::default_provider().install_default();
        let Options { names, allow_private, .. } = options;
        let resolver = GuardedResolver { names: names.clone(), allow_private: *allow_private };
        let client = Client::builder()
            .user_agent(concat!("couponry/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(resolver))
            // Both would lead past the resolver.
            .no_proxy()
            .redirect(Policy::none())
            .pool_max_idle_per_host(IDLE_EACH)
            .pool_idle_timeout(IDLE_FOR)
            .timeout(options.timeout)
            .build()?;
        Ok(WebhookPoster { client, carrier: over_http(options.timeout) })
    }

    /// Posts a message, once. The guard must have accepted `url`.
    pub(crate) async fn post(
        &self,
        url: Result<Url, String>,
        secrets: &Secrets,
        message: PostedMessage<'_>,
    ) -> AttemptAnswer {
        let begun = Instant::now();
        let (verdict, status, error) = match url {
            Ok(url) => self.send(url, secrets, message).await,
            Err(why) => (FAILED, None, Some(why)),
        };
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        AttemptAnswer { verdict, status, error, duration_ms }
    }

    async fn send(
        &self,
        url: Url,
        secrets: &Secrets,
        message: PostedMessage<'_>,
    ) -> (AttemptVerdict, Option<u16>, Option<String>) {
        let span = AttemptSpan::begin(&url);
        let PostedMessage { id, body, timestamp } = message;
        let mut request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", secrets.sign(id, timestamp, body))
            .body(body.to_owned());
        if let Some(span) = &span {
            request = request.header("traceparent", span.traceparent());
        }
        let (verdict, status, error) = match (self.carrier)(request).await {
            Ok(answer) => heard(answer).await,
            Err(why) => (FAILED, None, Some(why)),
        };
        if let Some(span) = span {
            span.end(status, verdict == AttemptVerdict::Delivered);
        }
        (verdict, status, error)
    }
}

fn over_http(timeout: Duration) -> PostCarrier {
    Arc::new(move |request| {
        Box::pin(async move { request.send().await.map_err(|error| no_answer(error, timeout)) })
    })
}

async fn heard(answer: Response) -> (AttemptVerdict, Option<u16>, Option<String>) {
    let asked = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
    let asked = asked.and_then(|text| retry::retry_after(text, SystemTime::now()));
    let status = answer.status();
    let said = said(answer).await;
    let (verdict, error) = match status.as_u16() {
        200..=299 => (AttemptVerdict::Delivered, None),
        300..=399 => (FAILED, Some(format!("{status}: a redirect, which is not followed"))),
        410 => (AttemptVerdict::Gone, Some(format!("{status} {said}"))),
        _ => (AttemptVerdict::Failed { asked }, Some(format!("{status} {said}"))),
    };
    (verdict, Some(status.as_u16()), error.map(|error| error.trim_end().to_owned()))
}

/// The begin of an answer's body. It is only for people, so whatever goes wrong does not matter.
async fn said(mut answer: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    shown(&String::from_utf8_lossy(&body), ANSWER_SHOWN)
}

/// The begin of a text of a receiver, as a log may show it.
fn shown(text: &str, most: usize) -> String {
    text.chars().filter(|c| !is_control(*c)).take(most).collect()
}

/// Whether a character changes how the text around it is shown: also one that turns its direction.
pub(crate) fn is_control(c: char) -> bool {
    let turns = ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    c.is_control() || c == '\u{61c}' || turns.iter().any(|range| range.contains(&c))
}

/// Why there was no answer, without the URL: it may have a secret of the receiver in it.
fn no_answer(error: reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {timeout:?}");
    }
    shown(&cause(&error.without_url()), ERROR_SHOWN)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::Secret;

    #[test]
    fn what_a_log_shows() {
        let long = "x".repeat(ERROR_SHOWN + 1);
        let cases = [
            ("plain", "쿠폰 ok", "쿠폰 ok"),
            ("lines and colours", "a\r\nb\u{1b}[2J", "ab[2J"),
            ("turned text", "a\u{202e}b\u{2066}c\u{2069}\u{200f}\u{61c}d", "abcd"),
            ("the longest", &long[1..], &long[1..]),
            ("a longer one", &long, &long[1..]),
        ];
        for (name, text, want) in cases {
            assert_eq!(shown(text, ERROR_SHOWN), want, "{name}");
        }
    }

    /// Whatever has checked the URL before: the connection itself goes to no private address.
    #[tokio::test]
    async fn a_name_with_a_private_address_gets_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let secret = Secret::random().unwrap();
        for (allow_private, want) in [(false, "not a public address"), (true, "no answer within")] {
            let timeout = Duration::from_millis(300);
            let poster =
                WebhookPoster::new(&Options { allow_private, timeout, ..Options::default() });
            let message = PostedMessage { id: "e1", body: "{}", timestamp: 1 };
            let secrets = Secrets(vec![secret.clone()]);
            let url = Url::parse(&url).unwrap();
            let answered = poster.unwrap().post(Ok(url), &secrets, message).await;
            let error = answered.error.unwrap();
            assert!(error.contains(want), "{error}");
            assert_eq!(listener.accept().is_ok(), allow_private, "a connection came");
        }
    }
}
