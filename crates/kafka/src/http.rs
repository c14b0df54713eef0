//! Requests to couponry, and what its answers mean.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use parking_lot::RwLock;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::ServiceArgs;
use crate::error::{BridgeError, Result};

/// The longest that a request may take, in all. More than the ten seconds after which couponry gives up
/// a write, so its own answer comes first.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that was silent for longer is not used again: couponry closes it after ten seconds.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Bytes of the longest answer that is read: a page of a thousand events with room to spare.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Bytes of the longest token; couponry's own limit is lower.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// The longest `Retry-After` that is honoured, in seconds. It is longer than any of couponry's; a proxy
/// that says more is asked again after this time.
const RETRY_AFTER_SECONDS_MAX: u64 = 900;

pub(crate) struct ApiClient {
    client: Client,
    base: Url,
    token_file: PathBuf,
    token: RwLock<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct ApiReply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Box<RawValue>,
    /// What the body says, unless the status is 2xx.
    pub(crate) problem: Option<ProblemDocument>,
}

/// What a problem document says, as far as it is needed here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ProblemDocument {
    pub(crate) status: u16,
    /// The problem code, such as `ALREADY_REDEEMED`.
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    /// From where to go on, with `CURSOR_GONE`.
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}

/// There is no answer of couponry: the connection broke, or something else answered. Whether the request
/// was executed is not known.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoAnswer(pub(crate) String);

impl ApiReply {
    /// # Errors
    /// It has no problem document, and is not 2xx.
    pub(crate) fn new(
        status: u16,
        retry_after: Option<Duration>,
        body: Box<RawValue>,
    ) -> Result<ApiReply, NoAnswer> {
        let problem = match status {
            200..300 => None,
            _ => {
                let found: Option<ProblemDocument> = serde_json::from_str(body.get()).ok();
                let found = found.filter(|problem| problem.status == status);
                let none = || NoAnswer(format!("status {status} without a problem document"));
                Some(found.ok_or_else(none)?)
            }
        };
        Ok(ApiReply { status, retry_after, body, problem })
    }
}

impl ApiClient {
    pub(crate) fn new(service: &ServiceArgs) -> Result<ApiClient> {
        check(&service.url).map_err(|why| BridgeError::Usage(format!("--url: it {why}")))?;
        // Makes ring the TLS provider unless there is one; a client needs it even for plain http.
        let _earlier_one_stays = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_MAX)
            .redirect(Policy::none())
            .tls_built_in_root_certs(service.url.scheme() == "https");
        let client = if is_loopback(&service.url) { client.no_proxy() } else { client };
        let client = client
            .build()
            .map_err(|error| BridgeError::failed("cannot make an HTTP client", error))?;
        let (base, token_file) = (service.url.clone(), service.token_file.clone());
        let api = ApiClient { client, base, token_file, token: RwLock::default() };
        api.read_token().map_err(|why| BridgeError::Usage(format!("--token-file: {why}")))?;
        Ok(api)
    }

    /// Reads the token again, after a 401.
    pub(crate) fn read_token(&self) -> Result<(), String> {
        let path = self.token_file.display();
        let because = |error: std::io::Error| format!("cannot read {path}: {error}");
        let size = std::fs::metadata(&self.token_file).map_err(because)?.len();
        if size > TOKEN_BYTES_MAX {
            return Err(format!("{path} has {size} bytes, want at most {TOKEN_BYTES_MAX}"));
        }
        let text = std::fs::read_to_string(&self.token_file).map_err(because)?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{path} has no token"));
        }
        *self.token.write() = token.to_owned();
        Ok(())
    }

    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<ApiReply, NoAnswer> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.send(self.client.get(url)).await
    }

    pub(crate) async fn post(&self, path: &[&str], body: &RawValue) -> Result<ApiReply, NoAnswer> {
        let request = self.client.post(self.url(path)).header(CONTENT_TYPE, "application/json");
        self.send(request.body(body.get().to_owned())).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn send(&self, request: RequestBuilder) -> Result<ApiReply, NoAnswer> {
        let token = self.token.read().clone();
        let response = request.bearer_auth(token).send().await;
        let response = response.map_err(|error| NoAnswer(said(&error)))?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let bytes = whole(response).await?;
        let body: Box<RawValue> = serde_json::from_slice(&bytes)
            .map_err(|_| NoAnswer(format!("status {status} without JSON")))?;
        ApiReply::new(status.as_u16(), retry_after, body)
    }
}

/// Refuses an address at which somebody on the way could read the token: the rule of the setting `url` of
/// `couponry`. The reason repeats no password.
fn check(url: &Url) -> Result<(), &'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a password in it, want one without");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err("is open to anybody on the way, want https, or http to this machine"),
        _ => Err("is no address of a server, want https://HOST, or http to this machine"),
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(RETRY_AFTER_SECONDS_MAX)))
}

async fn whole(mut response: Response) -> Result<Vec<u8>, NoAnswer> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| NoAnswer(said(&error)))? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(NoAnswer(format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An error with its causes; the first sentence alone says only that a request failed.
fn said(error: &reqwest::Error) -> String {
    let error: &(dyn Error + 'static) = error;
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let cases = [
            ("https", "https://couponry.example/", ""),
            ("http on loopback", "http://127.0.0.1:8080", ""),
            ("the same, version 6", "http://[::1]:8080", ""),
            ("by name", "http://localhost:8080", ""),
            ("http to another machine", "http://couponry.example/", "open to anybody"),
            ("http to another network", "http://10.0.0.7:8080/", "open to anybody"),
            ("only called so", "http://127.0.0.1.example/", "open to anybody"),
            ("a password", "https://ann:secret@couponry.example/", "has a password"),
            ("a user", "https://ann@couponry.example/", "has a password"),
            ("no server", "mailto:ann@couponry.example", "no address of a server"),
        ];
        for (name, url, want) in cases {
            let found = check(&Url::parse(url).expect("a URL")).err().unwrap_or_default();
            assert!(found.contains(want) && found.is_empty() == want.is_empty(), "{name}: {found}");
        }
    }

    #[test]
    fn replies() {
        let problem = r#"{"status": 409, "code": "HELD", "retry": "later"}"#;
        let cases = [
            ("accepted", 201, r#"{"code": "A"}"#, "201"),
            ("a problem", 409, problem, "HELD"),
            ("of another status", 502, problem, "none"),
            ("other JSON", 503, r#"{"error": "upstream"}"#, "none"),
            ("a redirect", 302, "{}", "none"),
        ];
        for (name, status, body, want) in cases {
            let body = RawValue::from_string(body.to_owned()).expect("JSON");
            let found = match ApiReply::new(status, None, body) {
                Ok(ApiReply { problem: None, status, .. }) => status.to_string(),
                Ok(ApiReply { problem: Some(problem), .. }) => problem.code,
                Err(NoAnswer(_)) => "none".to_owned(),
            };
            assert_eq!(found, want, "{name}");
        }
    }
}
