//! The wire: one connection that sends a request, already in bytes, and reads its answer.
//!
//! Written by hand because the sender shares its machine with what it measures: a general client
//! takes several times as much. HTTP/1.1, answers with a `Content-Length`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that was idle for this long is opened again: servers close idle connections
/// (couponry after 10 s), and a request sent at that moment would have no answer.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Most headers of an answer.
const HEADERS_MAX: usize = 32;

/// Largest answer, in bytes: a page of a thousand coupons.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Where the server is: `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    address: SocketAddr,
    host: String,
}

/// Why a text is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServerAddress {
    /// Another scheme, or none.
    #[error("a server is http://HOST:PORT, found {0:?}")]
    Form(String),
    /// No such host.
    #[error("{host} is not found: {why}")]
    Unknown {
        /// HOST:PORT.
        host: String,
        /// What the resolver says.
        why: String,
    },
}

impl FromStr for ServerAddress {
    type Err = BadServerAddress;

    fn from_str(text: &str) -> Result<ServerAddress, BadServerAddress> {
        let form = || BadServerAddress::Form(text.to_owned());
        let host = text.strip_prefix("http://").ok_or_else(form)?.trim_end_matches('/');
        if host.is_empty() || host.contains('/') {
            return Err(form());
        }
        let whole = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let unknown = |why: String| BadServerAddress::Unknown { host: whole.clone(), why };
        let found = whole.to_socket_addrs().map_err(|error| unknown(error.to_string()))?.next();
        let address = found.ok_or_else(|| unknown("it has no address".to_owned()))?;
        Ok(ServerAddress { address, host: host.to_owned() })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "http://{}", self.host)
    }
}

/// An answer. Its body is in the buffer of the connection.
#[derive(Clone, Copy, Debug)]
pub struct HttpAnswer<'a> {
    /// 100 to 599.
    pub status: u16,
    /// The body, of the length in its header.
    pub body: &'a [u8],
}

/// A connection that opens when it is needed.
#[derive(Debug)]
pub struct HttpConnection {
    target: Arc<ServerAddress>,
    stream: Option<TcpStream>,
    used_at: Instant,
    buffer: Vec<u8>,
}

impl HttpConnection {
    /// To `target`, not open yet.
    pub fn new(target: Arc<ServerAddress>) -> HttpConnection {
        HttpConnection { target, stream: None, used_at: Instant::now(), buffer: Vec::new() }
    }

    /// Opens it if it is not open, so that the first request does not have to.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.is_none() || self.used_at.elapsed() > IDLE_MAX {
            let stream = TcpStream::connect(self.target.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
            self.used_at = Instant::now();
        }
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Sends a whole request and reads the whole answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP. The outcome of the request is unknown. The
    /// next one is sent on a new connection.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<HttpAnswer<'_>> {
        self.ask_in_parts(request, std::iter::empty()).await
    }

    /// The same with a body that is made while it is sent. `head` has its length.
    pub async fn ask_in_parts(
        &mut self,
        head: &[u8],
        parts: impl Iterator<Item = Vec<u8>>,
    ) -> io::Result<HttpAnswer<'_>> {
        match self.exchange(head, parts).await {
            Ok((status, begin, end)) => {
                self.used_at = Instant::now();
                Ok(HttpAnswer { status, body: &self.buffer[begin..end] })
            }
            Err(error) => {
                self.stream = None;
                Err(error)
            }
        }
    }

    /// The status, and the position of the body in the buffer.
    async fn exchange(
        &mut self,
        head: &[u8],
        parts: impl Iterator<Item = Vec<u8>>,
    ) -> io::Result<(u16, usize, usize)> {
        self.open().await?;
        let HttpConnection { stream: Some(stream), buffer, .. } = self else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        stream.write_all(head).await?;
        for part in parts {
            match stream.write_all(&part).await {
                Ok(()) => {}
                // Refused before all of it was sent: the answer says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        buffer.clear();
        loop {
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(head) = ResponseHead::parse(buffer)? {
                let end = head.bytes + head.body_bytes;
                if end > ANSWER_BYTES_MAX {
                    return Err(io::Error::other(format!("an answer of {end} bytes")));
                }
                while buffer.len() < end {
                    if stream.read_buf(buffer).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                if head.closes {
                    self.stream = None;
                }
                return Ok((head.status, head.bytes, end));
            }
        }
    }

    /// Close it: a late answer must not be taken for the answer to the next request.
    pub fn drop_stream(&mut self) {
        self.stream = None;
    }
}

struct ResponseHead {
    status: u16,
    bytes: usize,
    body_bytes: usize,
    closes: bool,
}

impl ResponseHead {
    /// `None` while it is not complete.
    fn parse(buffer: &[u8]) -> io::Result<Option<ResponseHead>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let bytes = match response.parse(buffer).map_err(io::Error::other)? {
            httparse::Status::Complete(bytes) => bytes,
            httparse::Status::Partial => return Ok(None),
        };
        let value = |name: &str| {
            let found = response.headers.iter().find(|it| it.name.eq_ignore_ascii_case(name));
            found.and_then(|header| str::from_utf8(header.value).ok()).map(str::trim)
        };
        let status = response.code.unwrap_or_default();
        let body_bytes = match value("content-length") {
            Some(length) => length.parse().map_err(io::Error::other)?,
            None if status == 204 => 0,
            None => return Err(io::Error::other("an answer without Content-Length")),
        };
        let closes = value("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        Ok(Some(ResponseHead { status, bytes, body_bytes, closes }))
    }
}

/// The head of a request, with the empty line.
pub fn head(
    to: &mut Vec<u8>,
    target: &ServerAddress,
    token: &str,
    request_line: fmt::Arguments<'_>,
    body: Option<(&str, usize)>,
) {
    use io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(to, "{request_line} HTTP/1.1\r\nhost: {}\r\n", target.host);
    if !token.is_empty() {
        let _ = write!(to, "authorization: Bearer {token}\r\n");
    }
    if let Some((kind, length)) = body {
        let _ = write!(to, "content-type: {kind}\r\ncontent-length: {length}\r\n");
    }
    to.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (text, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("http://127.0.0.1", "127.0.0.1"),
        ] {
            let target: ServerAddress = text.parse().expect(text);
            assert_eq!(target.host, host, "{text}");
        }
        for text in ["127.0.0.1:8080", "https://127.0.0.1", "http://", "http://127.0.0.1:1/v1"] {
            assert!(
                matches!(text.parse::<ServerAddress>(), Err(BadServerAddress::Form(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn heads() {
        let whole = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\nConnection: Close\r\n\r\nhello";
        for cut in 0..whole.len() - 5 {
            assert!(ResponseHead::parse(&whole[..cut]).expect("no error").is_none(), "{cut}");
        }
        let head = ResponseHead::parse(whole).expect("HTTP").expect("whole");
        assert_eq!((head.status, head.body_bytes, head.closes), (201, 5, true));
        assert_eq!(&whole[head.bytes..], b"hello");
        assert!(ResponseHead::parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_err(), "no HTTP");
        assert!(ResponseHead::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "no length");
    }
}
