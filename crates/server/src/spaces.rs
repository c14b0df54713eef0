//! Several stores behind one address: the host that a request names says to which of them it goes.
//!
//! The host only chooses. Who may do what is decided by the chosen store alone, with its own keys and accounts, so
//! that a request with a token of another store is as good as one without.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::response::Response;
use tower::ServiceExt;
use tracing::{Instrument, info_span};

/// What answers the requests to one store.
pub type HttpService = Router;

/// One store beside the main one.
#[derive(Clone, Debug)]
pub struct Space {
    name: Arc<str>,
    open: HttpService,
    closed: HttpService,
    is_closed: Arc<AtomicBool>,
}

impl Space {
    /// `closed` says to everybody that the space cannot be served.
    pub fn new(name: &str, service: HttpService, closed: HttpService) -> Space {
        let is_closed = Arc::new(AtomicBool::new(false));
        Space { name: name.into(), open: service, closed, is_closed }
    }

    /// From now on it cannot be served.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    async fn answer(&self, request: Request) -> Response {
        let service = match self.is_closed.load(Ordering::Relaxed) {
            true => &self.closed,
            false => &self.open,
        };
        let span = info_span!("store", space = &*self.name);
        let Ok(response) = service.clone().oneshot(request).instrument(span).await;
        response
    }
}

/// Answers requests to the hosts of `spaces` there, and all others with `main`.
pub fn by_host(main: HttpService, spaces: Vec<(Vec<String>, Space)>) -> HttpService {
    let of_host = |(hosts, space): (Vec<String>, Space)| {
        hosts.into_iter().map(move |host| (host, space.clone())).collect::<Vec<_>>()
    };
    let of_hosts: HashMap<String, Space> = spaces.into_iter().flat_map(of_host).collect();
    let of_hosts = Arc::new(of_hosts);
    Router::new().fallback(async move |request: Request| {
        match host(&request).and_then(|host| of_hosts.get(&host)) {
            Some(space) => space.answer(request).await,
            None => {
                let Ok(response) = main.clone().oneshot(request).await;
                response
            }
        }
    })
}

/// The host that a request names, in lower case, without its port.
fn host(request: &Request) -> Option<String> {
    // The address of a request comes before the header (RFC 9112, section 3.2.2).
    let host = match request.uri().host() {
        Some(host) => host.to_ascii_lowercase(),
        None => {
            let text = request.headers().get(HOST)?.to_str().ok()?;
            text.parse::<Authority>().ok()?.host().to_ascii_lowercase()
        }
    };
    Some(host.strip_suffix('.').map(str::to_owned).unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn hosts() {
        let cases = [
            ("a name", "/", "acme.example", Some("acme.example")),
            ("a port", "/", "acme.example:8080", Some("acme.example")),
            ("capitals", "/", "Acme.Example", Some("acme.example")),
            ("a dot behind", "/", "acme.example.", Some("acme.example")),
            ("an address of IPv6", "/", "[::1]:80", Some("[::1]")),
            ("the address comes first", "http://b.example/x", "acme.example", Some("b.example")),
            ("a user", "/", "acme.example@b.example", Some("b.example")),
            ("nonsense", "/", "a b", None),
            ("nothing", "/", "", None),
        ];
        for (case, uri, header, want) in cases {
            let request = Request::builder().uri(uri).header(HOST, header).body(Body::empty());
            let found = host(&request.expect("a request"));
            assert_eq!(found.as_deref(), want, "{case}");
        }
    }
}
