//! A receiver of webhooks on this machine, which answers as the test says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Longest wait for something to arrive: a busy machine stalls for some seconds.
const WAIT: Duration = Duration::from_secs(60);

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) at: Instant,
    /// How it was answered.
    pub(crate) status: Option<u16>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.headers))
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }
}

/// What a receiver does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Status(u16),
    /// With one more line in its head.
    With(u16, String),
    /// After a time.
    Slow(Duration, u16),
    /// Says nothing for ever.
    Hang,
    /// Ends the connection.
    Close,
    /// A body of so many bytes.
    Long(u16, usize),
}

type Decide = Box<dyn Fn(&Seen, usize) -> Answer + Send + Sync>;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    news: Notify,
    decide: Mutex<Arc<Decide>>,
}

/// A receiver; it ends with this value.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Answers each request as `decide` says; it gets the number of requests before.
    pub(crate) async fn start(
        decide: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static,
    ) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            news: Notify::new(),
            decide: Mutex::new(Arc::new(Box::new(decide))),
        });
        let mine = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&mine)));
            }
        });
        Receiver { address, shared, task }
    }

    /// One that accepts everything.
    pub(crate) async fn good() -> Receiver {
        Receiver::start(|_, _| Answer::Status(204)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    /// From now on, answers otherwise.
    pub(crate) fn change(&self, decide: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) {
        *self.shared.decide.lock().unwrap() = Arc::new(Box::new(decide));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The ids of what was accepted, in the order in which they came, without repeats.
    pub(crate) fn accepted(&self) -> Vec<String> {
        let mut known = BTreeSet::new();
        let good = |seen: &Seen| seen.status.is_some_and(|status| status < 300);
        let seen = self.seen();
        let ids = seen.iter().filter(|seen| good(seen)).map(|seen| seen.id().to_owned());
        ids.filter(|id| known.insert(id.clone())).collect()
    }

    /// Waits until so many different events were accepted.
    pub(crate) async fn accepts(&self, count: usize) -> Vec<String> {
        self.until(&format!("{count} accepted"), |receiver| receiver.accepted().len() >= count)
            .await;
        self.accepted()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn sees(&self, count: usize) -> Vec<Seen> {
        self.until(&format!("{count} requests"), |receiver| receiver.seen().len() >= count).await;
        self.seen()
    }

    async fn until(&self, what: &str, is_there: impl Fn(&Receiver) -> bool) {
        let deadline = Instant::now() + WAIT;
        loop {
            let news = self.shared.news.notified();
            if is_there(self) {
                return;
            }
            let late = tokio::time::timeout_at(deadline, news).await.is_err();
            assert!(!late || is_there(self), "no {what}, only {:?}", self.seen().len());
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    while let Some((mut seen, length)) = request(&mut stream, &mut buffer).await {
        buffer.drain(..length);
        let decide = Arc::clone(&shared.decide.lock().unwrap());
        let answer = decide(&seen, shared.seen.lock().unwrap().len());
        seen.status = match &answer {
            Answer::Status(status)
            | Answer::With(status, _)
            | Answer::Slow(_, status)
            | Answer::Long(status, _) => Some(*status),
            Answer::Hang | Answer::Close => None,
        };
        shared.seen.lock().unwrap().push(seen);
        shared.news.notify_waiters();
        let head = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"),
            Answer::With(status, line) => {
                format!("HTTP/1.1 {status} X\r\n{line}\r\ncontent-length: 3\r\n\r\nwhy")
            }
            Answer::Slow(pause, status) => {
                tokio::time::sleep(pause).await;
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")
            }
            Answer::Long(status, bytes) => {
                let body = "x".repeat(bytes);
                format!("HTTP/1.1 {status} X\r\ncontent-length: {bytes}\r\n\r\n{body}")
            }
            Answer::Hang => std::future::pending().await,
            Answer::Close => return,
        };
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request, and its length in the buffer.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(Seen, usize)> {
    loop {
        if let Some(found) = parsed(buffer) {
            return Some(found);
        }
        let mut piece = [0; 4_096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => buffer.extend_from_slice(&piece[..length]),
        }
    }
}

fn parsed(buffer: &[u8]) -> Option<(Seen, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(buffer).unwrap() {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return None,
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let body = buffer.get(head..head + length)?;
    let line = format!("{} {}", request.method.unwrap(), request.path.unwrap());
    let seen = Seen { line, headers, body: text(body), at: Instant::now(), status: None };
    Some((seen, head + length))
}
