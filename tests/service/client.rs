//! HTTP/1.1 over a socket, by hand: these tests must know when a request was sent completely, and
//! the retries of a library would hide faults.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::data::{PATIENCE, STORE_TIMEOUT};

/// The service closes a connection that is silent for 5 s at first, or for 10 s later. A connection
/// that was silent for longer than this is not used again.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Most requests of one call.
const TRIES_MAX: usize = 3;

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// A text field. Empty if there is none.
    pub(super) fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// The problem's code, or nothing for a 2xx.
    pub(super) fn problem(&self) -> String {
        if self.is_good() { String::new() } else { self.field("code") }
    }

    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer, if it has this status.
    #[track_caller]
    pub(super) fn must(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The answer, if it is this problem.
    #[track_caller]
    pub(super) fn refused(self, status: u16, code: &str) -> Answer {
        assert_eq!((self.status, self.problem().as_str()), (status, code), "{}", self.text());
        self
    }
}

/// No answer came.
#[derive(Debug)]
pub(super) enum Lost {
    /// The request was not sent completely.
    NotSent(io::Error),
    /// It was sent, so it may have been done.
    NoAnswer(io::Error),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lost::NotSent(error) => write!(f, "the request was not sent: {error}"),
            Lost::NoAnswer(error) => write!(f, "no answer came: {error}"),
        }
    }
}

struct Connection {
    socket: BufReader<TcpStream>,
    used: Instant,
}

/// A caller with a token, on one connection at a time.
pub(super) struct Client {
    address: SocketAddr,
    /// The host that its requests name.
    host: String,
    token: String,
    /// More lines for the heads of its requests.
    headers: String,
    connection: Option<Connection>,
    /// Whether the service may have closed the connection before the last request was sent.
    is_late: bool,
}

impl Client {
    pub(super) fn new(address: SocketAddr, token: &str) -> Client {
        let (host, token) = (address.to_string(), token.to_owned());
        Client { address, host, token, headers: String::new(), connection: None, is_late: false }
    }

    /// The same caller, whose requests name another host.
    pub(super) fn at_host(self, host: &str) -> Client {
        Client { host: host.to_owned(), ..self }
    }

    /// The same caller, whose requests have this line in their heads.
    pub(super) fn with_header(self, line: &str) -> Client {
        Client { headers: format!("{}{line}\r\n", self.headers), ..self }
    }

    /// Another connection of the same caller.
    pub(super) fn again(&self) -> Client {
        Client::new(self.address, &self.token).at_host(&self.host)
    }

    #[track_caller]
    pub(super) fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    /// With `Accept: text/csv`.
    #[track_caller]
    pub(super) fn get_csv(&mut self, path: &str) -> Answer {
        let head = format!("{}Accept: text/csv\r\n\r\n", self.head("GET", path));
        let sent = self.socket().and_then(|socket| socket.get_mut().write_all(head.as_bytes()));
        sent.and_then(|()| self.receive()).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    #[track_caller]
    pub(super) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body))
    }

    /// The answer. Asks again if a store did not answer the service in time, because something may
    /// have stalled.
    #[track_caller]
    pub(super) fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        for nth in 1.. {
            let begun = Instant::now();
            match self.try_call(method, path, body) {
                Ok(answer) => {
                    let is_given_up = answer.status == 503
                        && begun.elapsed() >= STORE_TIMEOUT
                        && ["STORE_UNAVAILABLE", "COLD_UNAVAILABLE"]
                            .contains(&answer.problem().as_str());
                    if !is_given_up || nth == TRIES_MAX {
                        return answer;
                    }
                }
                Err(lost) => panic!("{method} {path}: {lost}"),
            }
        }
        unreachable!("the last try returns")
    }

    /// The answer to one request. A request that was sent late, to a connection that the service
    /// had closed by then, is sent once more: the service did not read it.
    pub(super) fn try_call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Lost> {
        let heard = self.try_once(method, path, body);
        if !self.is_late || heard.as_ref().is_ok_and(|answer| answer.status != 408) {
            return heard;
        }
        self.connection = None;
        match heard {
            // The service may also have ended after it read the request.
            Err(lost @ Lost::NoAnswer(_)) => self.try_once(method, path, body).map_err(|_| lost),
            Ok(_) | Err(Lost::NotSent(_)) => self.try_once(method, path, body),
        }
    }

    fn try_once(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Lost> {
        self.send(method, path, body).map_err(Lost::NotSent)?;
        self.receive().map_err(Lost::NoAnswer)
    }

    /// Whether the last request was sent so late that the service may have closed the connection
    /// before, because it was silent.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Sends a complete request. [`Client::receive`] reads its answer.
    pub(super) fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> io::Result<()> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_some() { "Content-Type: application/json\r\n" } else { "" };
        let head = self.head(method, path);
        let request = format!("{head}{kind}Content-Length: {}\r\n\r\n{text}", text.len());
        let sent = self.socket().and_then(|socket| socket.get_mut().write_all(request.as_bytes()));
        let silent = self.connection.as_ref().map(|it| it.used.elapsed());
        self.is_late = silent.is_some_and(|it| it >= IDLE_MAX);
        if sent.is_err() {
            self.connection = None;
        }
        sent
    }

    /// The answer to the sent request.
    pub(super) fn receive(&mut self) -> io::Result<Answer> {
        let mut body = Vec::new();
        let mut answer = self.receive_into(|piece| body.extend_from_slice(piece))?;
        answer.body = body;
        Ok(answer)
    }

    /// Reads an answer and hands its body on, piece by piece.
    pub(super) fn receive_into(&mut self, take: impl FnMut(&[u8])) -> io::Result<Answer> {
        let Some(mut connection) = self.connection.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (answer, more) = read_answer(&mut connection.socket, take)?;
        connection.used = Instant::now();
        self.connection = more.then_some(connection);
        Ok(answer)
    }

    /// Sends a file in pieces, and closes the connection after `pieces` if that is given.
    pub(super) fn upload(
        &mut self,
        path: &str,
        file: impl Iterator<Item = String>,
        pieces: Option<usize>,
    ) -> io::Result<Option<Answer>> {
        let head = self.head("POST", path);
        let socket = self.socket()?.get_mut();
        let head = format!("{head}Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n");
        socket.write_all(head.as_bytes())?;
        for (nth, piece) in file.enumerate() {
            if pieces == Some(nth) {
                self.connection = None;
                return Ok(None);
            }
            write!(socket, "{:x}\r\n{piece}\r\n", piece.len())?;
        }
        socket.write_all(b"0\r\n\r\n")?;
        self.receive().map(Some)
    }

    fn head(&self, method: &str, path: &str) -> String {
        let Client { host, token, headers, .. } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{headers}"
        )
    }

    fn socket(&mut self) -> io::Result<&mut BufReader<TcpStream>> {
        let fresh = self.connection.take().filter(|it| it.used.elapsed() < IDLE_MAX);
        let connection = match fresh {
            Some(connection) => connection,
            None => {
                let used = Instant::now();
                Connection { socket: BufReader::new(connect(self.address)?), used }
            }
        };
        Ok(&mut self.connection.insert(connection).socket)
    }
}

/// A socket with time limits.
pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// An answer, and whether the connection may be used again.
fn read_answer(from: &mut impl BufRead, mut take: impl FnMut(&[u8])) -> io::Result<(Answer, bool)> {
    let first = read_line(from)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let answer = Answer { status, headers, body: Vec::new() };
    if answer.header("transfer-encoding").is_some() {
        loop {
            let line = read_line(from)?;
            let length = usize::from_str_radix(&line, 16).map_err(io::Error::other)?;
            pass_on(from, length, &mut take)?;
            read_line(from)?;
            if length == 0 {
                break;
            }
        }
    } else {
        let length = answer.header("content-length").and_then(|text| text.parse().ok());
        pass_on(from, length.unwrap_or(0), &mut take)?;
    }
    let more = answer.header("connection") != Some("close");
    Ok((answer, more))
}

/// A line without its end. The end of the connection in the middle is an error.
fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(io::Error::other)
}

fn pass_on(from: &mut impl Read, length: usize, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut left = length;
    let mut piece = [0; 16 * 1024];
    while left > 0 {
        let most = left.min(piece.len());
        let read = from.read(&mut piece[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        take(&piece[..read]);
        left -= read;
    }
    Ok(())
}

/// Random numbers that are the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A duration within a span.
    pub(super) fn within(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.below(1 + span.as_micros() as u64))
    }

    /// The next number below `bound` (splitmix64).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Does `work` in `count` threads that start at the same time. Returns their results.
pub(super) fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let begin = |nth| {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(nth)
            })
        };
        let threads: Vec<_> = (0..count).map(begin).collect();
        threads.into_iter().map(|it| it.join().expect("a client")).collect()
    })
}
