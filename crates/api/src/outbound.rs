//! Requests to others: which addresses may be asked, and the client that asks them. The keys of an
//! identity provider and `couponry healthcheck` use it.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, Url};
use webhooks::{NameResolver, cause};

/// Of the names that the operator has set, in all stores of this process. Names of webhooks have others.
static NAMES: LazyLock<Arc<NameResolver>> = LazyLock::new(Arc::default);

/// Why an address is not asked. The text is for the operator, and repeats no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("cannot be parsed ({why}), want https://HOST/PATH")]
    Form { why: String },
    /// Addresses are logged, so they have no secret in front of the host.
    #[error("has a password in it, want one without")]
    Password,
    /// `http` to another machine.
    #[error("is open to anybody on the way, want https, or http to this machine")]
    Open,
    #[error("has the scheme {found:?}, want https")]
    Scheme { found: String },
}

/// `address`, if nobody on the way can read what is sent or answer in its place.
pub fn checked(address: &str) -> Result<Url, BadAddress> {
    let url = parsed(address)?;
    if url.scheme() == "http" && !on_loopback(&url) {
        return Err(BadAddress::Open);
    }
    Ok(url)
}

/// `address`, for what has no secrets: whoever is on the way may read it.
///
/// # Errors
/// Any [`BadAddress`] but [`BadAddress::Open`].
pub fn parsed(address: &str) -> Result<Url, BadAddress> {
    let url = Url::parse(address).map_err(|why| BadAddress::Form { why: why.to_string() })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadAddress::Password);
    }
    match url.scheme() {
        "https" | "http" => Ok(url),
        found => Err(BadAddress::Scheme { found: found.to_owned() }),
    }
}

/// The start of a client for `url` alone: it follows no redirect, holds no thread while it resolves a
/// name, and asks this machine without a proxy. Makes ring the TLS provider of this process unless
/// there is one; a client needs it even for plain http.
pub fn client(url: &Url, timeout: Duration) -> ClientBuilder {
    let _earlier_one_stays = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .timeout(timeout)
        .redirect(Policy::none())
        .dns_resolver(Arc::clone(&NAMES))
        .tls_built_in_root_certs(url.scheme() == "https");
    if on_loopback(url) { client.no_proxy() } else { client }
}

fn on_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

#[derive(Debug, thiserror::Error)]
pub enum BodyReadError {
    #[error("the answer broke off ({})", cause(.0))]
    BrokenOff(reqwest::Error),
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
}

/// Reads at most `bytes_max` bytes: a service that is not what it seems could send for ever.
pub async fn whole(mut answer: Response, bytes_max: usize) -> Result<Vec<u8>, BodyReadError> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(BodyReadError::BrokenOff)? {
        if body.len() + piece.len() > bytes_max {
            return Err(BodyReadError::TooLong(bytes_max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let scheme = |found: &str| Some(BadAddress::Scheme { found: found.to_owned() });
        let form = || Some(BadAddress::Form { why: "relative URL without a base".to_owned() });
        let cases = [
            ("https", "https://id.example/keys?key=1", None),
            ("http", "http://id.example/keys", Some(BadAddress::Open)),
            ("http to another network", "http://10.0.0.7/", Some(BadAddress::Open)),
            ("http on loopback", "http://127.0.0.1:9/keys", None),
            ("the same, version 6", "http://[::1]:9/keys", None),
            ("by name", "http://localhost/keys", None),
            ("only called so", "http://127.0.0.1.id.example/keys", Some(BadAddress::Open)),
            ("a file", "file:///etc/passwd", scheme("file")),
            ("another scheme", "ftp://id.example/", scheme("ftp")),
            ("a password", "https://ann:secret@id.example/keys", Some(BadAddress::Password)),
            ("no address", "id.example", form()),
        ];
        for (name, address, want) in cases {
            let bad = checked(address).err();
            assert_eq!(bad, want, "{name}");
            assert!(!bad.is_some_and(|bad| bad.to_string().contains("secret")), "{name}");
        }
    }

    #[tokio::test]
    async fn answers_have_limits() {
        for (name, bytes, is_read) in
            [("none", 0, true), ("the most", 7, true), ("one more", 8, false)]
        {
            let read = whole(axum::http::Response::new(vec![b'x'; bytes]).into(), 7).await;
            assert_eq!(read.ok().map(|body| body.len()), is_read.then_some(bytes), "{name}");
        }
    }
}
