//! A proxy that fails some of its requests, as a network and a busy store do.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::environment;

/// How long a request without an answer is held, if the client does not give up before.
const HELD: Duration = Duration::from_secs(20);

/// One read fails in this many times the number of writes.
const READS_TO_WRITES: u64 = 8;

/// The fault of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It gets no answer. The server does not see it.
    Stalled,
    /// 500. The server does not see it.
    InternalError,
    /// 503, slow down. The server does not see it.
    SlowDown,
    /// The connection is cut in the middle of the request. The server does not see it.
    CutUpload,
    /// The connection is cut in the middle of the answer.
    CutDownload,
    /// The server does the request, and the connection is cut before the answer.
    LostAnswer,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 6] = [
        Fault::Stalled,
        Fault::InternalError,
        Fault::SlowDown,
        Fault::CutUpload,
        Fault::CutDownload,
        Fault::LostAnswer,
    ];
}

/// A proxy on loopback. It runs until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<ProxyState>,
}

struct ProxyState {
    server: SocketAddr,
    /// One of this many writes fails. 0: none.
    one_in: AtomicU64,
    random: Mutex<u64>,
    requests: AtomicU64,
    done: [AtomicU64; Fault::ALL.len()],
    over: AtomicBool,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Proxy({})", self.address)
    }
}

impl Proxy {
    /// In front of `server`. It fails no request at first.
    ///
    /// # Panics
    /// If there is no port.
    pub fn before(server: SocketAddr, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(ProxyState {
            server,
            one_in: AtomicU64::new(0),
            random: Mutex::new(seed | 1),
            requests: AtomicU64::new(0),
            done: Default::default(),
            over: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of_listener.over.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&of_listener);
                // The client notices that its connection is closed.
                thread::spawn(move || shared.serve(client).ok());
            }
        });
        Proxy { address, shared }
    }

    /// From now on one of `writes` writes fails, and one of eight times as many reads, because
    /// there are many more reads. 0: none.
    pub fn spoil_one_in(&self, writes: u64) {
        self.shared.one_in.store(writes, Ordering::SeqCst);
    }

    /// The number of requests.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How often each kind of fault happened.
    pub fn faults(&self) -> Vec<(Fault, u64)> {
        let done = self.shared.done.iter().map(|done| done.load(Ordering::SeqCst));
        Fault::ALL.into_iter().zip(done).collect()
    }

    /// The variables with which a process finds it.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

/// One message: its head, and its body of the length in the head.
struct HttpMessage {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl ProxyState {
    /// One request on a connection, which is closed after it.
    fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        let mut client = client;
        let head = head(&mut from)?;
        if head.is_empty() {
            return Ok(());
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let length = length(&head).unwrap_or(0);
        let method = head.split(|byte| *byte == b' ').next().unwrap_or_default().to_vec();
        let fault = self.fault(&method, length);
        if fault == Some(Fault::CutUpload) {
            let mut half = vec![0; length / 2];
            from.read_exact(&mut half)?;
            return client.shutdown(Shutdown::Both);
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        match fault {
            Some(Fault::Stalled) => {
                client.set_read_timeout(Some(HELD))?;
                // Nothing more comes. This ends when the client closes.
                let _ = from.read(&mut [0]);
                return client.shutdown(Shutdown::Both);
            }
            Some(Fault::InternalError) => {
                return refuse(&mut client, "500 Internal Server Error", "InternalError");
            }
            Some(Fault::SlowDown) => {
                return refuse(&mut client, "503 Slow Down", "SlowDown");
            }
            _ => {}
        }
        let answer = self.ask(&method, HttpMessage { head, body })?;
        match fault {
            Some(Fault::LostAnswer) => {}
            Some(Fault::CutDownload) => {
                client.write_all(&answer.head)?;
                client.write_all(&answer.body[..answer.body.len() / 2])?;
            }
            _ => {
                client.write_all(&answer.head)?;
                client.write_all(&answer.body)?;
            }
        }
        client.shutdown(Shutdown::Both)
    }

    /// The fault of this request, of those that are possible for its kind.
    fn fault(&self, method: &[u8], length: usize) -> Option<Fault> {
        let is_read = method == b"GET" || method == b"HEAD";
        let one_in = self.one_in.load(Ordering::SeqCst) * if is_read { READS_TO_WRITES } else { 1 };
        let number = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            *random
        };
        if one_in == 0 || !(number >> 20).is_multiple_of(one_in) {
            return None;
        }
        let fits = |fault: &Fault| match fault {
            Fault::Stalled | Fault::InternalError | Fault::SlowDown => true,
            Fault::CutUpload => length > 1,
            Fault::CutDownload => method == b"GET",
            Fault::LostAnswer => !is_read,
        };
        let fitting: Vec<usize> =
            (0..Fault::ALL.len()).filter(|at| fits(&Fault::ALL[*at])).collect();
        let at = fitting[(number >> 40) as usize % fitting.len()];
        self.done[at].fetch_add(1, Ordering::SeqCst);
        Some(Fault::ALL[at])
    }

    /// The answer of the server, which says that the connection ends.
    fn ask(&self, method: &[u8], request: HttpMessage) -> std::io::Result<HttpMessage> {
        let mut server = TcpStream::connect(self.server)?;
        server.write_all(&closing(&request.head))?;
        server.write_all(&request.body)?;
        let mut from = BufReader::new(server);
        let head = head(&mut from)?;
        let mut body = Vec::new();
        if method != b"HEAD" {
            // The server closes after the answer, in whatever way it gives the length.
            from.read_to_end(&mut body)?;
        }
        Ok(HttpMessage { head: closing(&head), body })
    }
}

fn refuse(client: &mut TcpStream, status: &str, code: &str) -> std::io::Result<()> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>by the \
         proxy</Message></Error>"
    );
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )?;
    client.shutdown(Shutdown::Both)
}

/// Everything up to and with the empty line.
fn head(from: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let line = from.read_until(b'\n', &mut head)?;
        if line <= 2 {
            return Ok(head);
        }
    }
}

/// The lines of a head, each with its end.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split_inclusive(|byte| *byte == b'\n')
}

fn is_named(line: &[u8], name: &str) -> bool {
    let begin = line.get(..name.len()).unwrap_or_default();
    begin.eq_ignore_ascii_case(name.as_bytes())
}

fn length(head: &[u8]) -> Option<usize> {
    let line = lines(head).find(|line| is_named(line, "content-length:"))?;
    str::from_utf8(&line["content-length:".len()..]).ok()?.trim().parse().ok()
}

/// The head with `Connection: close`, and no other header about the connection.
fn closing(head: &[u8]) -> Vec<u8> {
    let mut closing = Vec::with_capacity(head.len() + 32);
    for line in lines(head) {
        if line == b"\r\n" {
            closing.extend_from_slice(b"Connection: close\r\n");
        }
        if !is_named(line, "connection:") {
            closing.extend_from_slice(line);
        }
    }
    closing
}
