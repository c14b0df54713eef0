//! `couponry healthcheck`: checks that a service answers, for containers and load balancers.

use std::net::SocketAddr;
use std::time::Duration;

use api::outbound;
use clap::Args;
use reqwest::Url;

use crate::failure::{CliError, Ended, Result, cause};
use crate::output;
use crate::settings::Settings;

/// Longest wait for the answer: a healthy service answers in a millisecond.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Check that a running service answers
///
/// Requests /healthz at the address that `serve` listens on and prints one line. Reads no data,
/// needs no token, and waits at most 2 seconds.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 it answers 2xx, 1 it answers otherwise or not at all, 2 usage error.

Examples:
  couponry healthcheck
  couponry healthcheck --url http://10.0.0.7:8080

In a Dockerfile:
  HEALTHCHECK CMD [\"couponry\", \"healthcheck\"]")]
pub(crate) struct HealthArgs {
    /// Request this address instead, plain http; without a path /healthz is added
    #[arg(long, value_parser = plain_http)]
    url: Option<Url>,
}

pub(crate) async fn run(settings: &Settings, args: &HealthArgs) -> Result<Ended> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => plain_http(&address(&settings.listen.value)).map_err(CliError::usage)?,
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

fn plain_http(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() != "http" {
        return Err(format!("it has the scheme {:?}, want http", url.scheme()));
    }
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
            assert_eq!(plain_http(&address(listen)).unwrap().as_str(), want);
        }
    }

    #[test]
    fn urls() {
        let cases = [
            ("http://shop:8080", Some("http://shop:8080/healthz")),
            ("http://shop:8080/", Some("http://shop:8080/healthz")),
            ("http://shop:8080/readyz", Some("http://shop:8080/readyz")),
            ("https://shop", None),
            ("shop", None),
        ];
        for (text, want) in cases {
            let found = plain_http(text).ok();
            assert_eq!(found.as_ref().map(Url::as_str), want, "{text}");
        }
    }
}
