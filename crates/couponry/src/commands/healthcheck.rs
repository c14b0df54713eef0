//! `couponry healthcheck`: checks that a service answers, for containers and load balancers.

use std::net::SocketAddr;
use std::time::Duration;

use api::outbound::{self, BadAddress};
use reqwest::Url;

use crate::failure::{CliError, Ended, Result, cause};
use crate::output;
use crate::settings::Settings;

/// Longest wait for the answer: a healthy service answers in a millisecond.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn run(settings: &Settings) -> Result<Ended> {
    let url = match &settings.url.value {
        Some(url) => asked(url).map_err(|why| settings.url.unusable(format!("it {why}")))?,
        None => asked(&address(&settings.listen.value))
            .map_err(|why| settings.listen.unusable(format!("it {why}")))?,
    };
    let client = outbound::client(&url, TIMEOUT).no_proxy().build();
    let client =
        client.map_err(|error| CliError::new(format!("cannot make the request: {error}")))?;
    let answer = client.get(url.clone()).send().await.map_err(|error| {
        let why = match error.is_timeout() {
            true => format!("no answer within {} s", TIMEOUT.as_secs()),
            false => cause(&error),
        };
        CliError::new(format!("FAIL {url}: {why}"))
    })?;
    match answer.status() {
        status if status.is_success() => output::done(&format!("ok {url}: {}", status.as_u16())),
        status => Err(CliError::new(format!("FAIL {url}: it answers {status}"))),
    }
}

/// What is requested of a service.
fn asked(service: &str) -> Result<Url, BadAddress> {
    let mut url = outbound::parsed(service)?;
    if url.path() == "/" {
        url.set_path("/healthz");
    }
    Ok(url)
}

/// The address of a service that listens on `listen`. One that listens on every address also listens on loopback.
pub(crate) fn address(listen: &str) -> String {
    match listen.parse::<SocketAddr>() {
        Ok(SocketAddr::V4(v4)) if v4.ip().is_unspecified() => {
            format!("http://127.0.0.1:{}", v4.port())
        }
        Ok(SocketAddr::V6(v6)) if v6.ip().is_unspecified() => format!("http://[::1]:{}", v6.port()),
        Ok(_) | Err(_) => format!("http://{listen}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let cases = [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/healthz"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080/healthz"),
            ("[::]:8080", "http://[::1]:8080/healthz"),
            ("[::1]:8080", "http://[::1]:8080/healthz"),
            ("localhost:8080", "http://localhost:8080/healthz"),
        ];
        for (listen, want) in cases {
            assert_eq!(asked(&address(listen)).unwrap().as_str(), want);
        }
    }

    #[test]
    fn urls() {
        let cases = [
            ("http://shop:8080", Some("http://shop:8080/healthz")),
            ("http://shop:8080/", Some("http://shop:8080/healthz")),
            ("http://shop:8080/readyz", Some("http://shop:8080/readyz")),
            ("https://shop", Some("https://shop/healthz")),
            ("ftp://shop", None),
            ("shop", None),
        ];
        for (text, want) in cases {
            let found = asked(text).ok();
            assert_eq!(found.as_ref().map(Url::as_str), want, "{text}");
        }
    }
}
