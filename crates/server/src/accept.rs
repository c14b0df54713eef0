//! The accept loop: the only place where sockets become requests. HTTP/1.1.
//!
//! `axum::serve` keeps silent connections for ever and its shutdown has no deadline. Here a
//! connection has [`ListenerLimits::header_timeout`] to send a whole header, [`ListenerLimits::idle_timeout`] to
//! begin the next (more for a known client), and at shutdown [`ListenerLimits::drain`] to finish. The
//! extractors limit slow *bodies* (`BODY_TIMEOUT` of `api`). One peer has a share of the places; if
//! none is left, the loop closes the connection that has waited for its client the longest.

mod bodies;
mod connections;
mod door;
mod limits;
mod stream;
mod unread;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HOST};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tower::ServiceExt;

pub use self::connections::ConnectionState;
pub use self::limits::{ListenerLimits, PER_PEER_MAX};

use self::bodies::{IncomingBody, OutgoingBody, discard};
use self::connections::{ConnectionRegistry, ConnectionSlot};
use self::door::AdmissionGate;
use self::limits::{BUFFER_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, KEEP_ALIVE_SLACK};
use self::stream::TimedStream;

/// How much later hyper would close a connection than [`TimedStream`], which looks twice.
const AFTER_TIMED: Duration = Duration::from_secs(60);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// At shutdown, how long connections are still listened to. A request that was sent before may lie
/// unread in the kernel; hyper's own graceful end closes its connection as an idle one.
const LAST_CALL: Duration = Duration::from_millis(200);

/// At shutdown, how long connections are still taken: many turns of the runtime.
const LAST_ACCEPT: Duration = Duration::from_millis(50);

/// How long to wait for connections that were cut off: they end at their next await.
const CUT_OFF_WAIT: Duration = Duration::from_secs(1);

/// What a request gets that names more than one host.
pub type TwoHostsAnswer = fn(&Request<Body>) -> Response;

/// Whether the service stops. Long answers look at it and end.
#[derive(Clone, Debug, Default)]
pub struct ShutdownFlag(Arc<AtomicBool>);

impl ShutdownFlag {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were not done at the deadline. The outcome of their requests is unknown
    /// to their clients.
    pub cut_off: usize,
}

/// Serves `app` on `listener` until `stop`; then closes the listener, lets requests under way
/// finish for [`ListenerLimits::drain`], and cuts off the rest.
///
/// Each request carries `ConnectInfo<SocketAddr>` of its peer in its extensions.
///
/// # Errors
/// None once it serves: a failed accept is logged and tried again. Only a `listener` that does
/// not know its own address fails.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    two_hosts: TwoHostsAnswer,
    limits: ListenerLimits,
    stop: impl Future<Output = ()>,
) -> io::Result<DrainReport> {
    let local = listener.local_addr()?;
    let http = http(&limits);
    let mut door = AdmissionGate::new(ConnectionRegistry::new(limits.clone()));
    let live = GracefulShutdown::new();
    let closing = ShutdownFlag::default();
    let mut tasks = JoinSet::new();
    let limits = Arc::new(limits);
    let take = |tasks: &mut JoinSet<()>, (stream, peer, slot): (TcpStream, _, ConnectionSlot)| {
        let stream = TimedStream::new(stream, Arc::clone(&slot.seat), &limits);
        let app = (app.clone(), two_hosts, closing.clone(), Arc::clone(&limits));
        tasks.spawn(connection(http.clone(), app, stream, peer, live.watcher(), slot));
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = tasks.join_next() => log_panic(ended),
            accepted = door.accept(&listener) => take(&mut tasks, accepted),
        }
    }
    // Those that the kernel has let in already. Only a turn of the runtime tells of them, so that a
    // look that does not wait misses some.
    let mut last_accept = std::pin::pin!(tokio::time::sleep(LAST_ACCEPT));
    loop {
        tokio::select! {
            biased;
            () = &mut last_accept => break,
            accepted = door.accept(&listener) => take(&mut tasks, accepted),
        }
    }
    drop(listener);
    closing.set();
    let last_call = LAST_CALL.min(limits.drain);
    tokio::time::sleep(last_call).await;
    tracing::info!(%local, connections = tasks.len(), "closing: no new connections");
    Ok(drain(live, tasks, limits.drain).await)
}

fn http(limits: &ListenerLimits) -> Builder {
    let mut http = Builder::new();
    // [`TimedStream`] limits headers and pauses, and closes first. But only with a timeout of its own does
    // hyper look at an idle connection again after an answer, which starts the clock of [`TimedStream`].
    let idle = limits.idle_timeout.max(limits.known_idle_timeout).max(limits.proxy_idle_timeout);
    http.timer(TokioTimer::new())
        .header_read_timeout(idle + limits.header_timeout + AFTER_TIMED)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    http
}

async fn connection(
    http: Builder,
    (app, two_hosts, closing, limits): (Router, TwoHostsAnswer, ShutdownFlag, Arc<ListenerLimits>),
    stream: TimedStream,
    peer: SocketAddr,
    watcher: Watcher,
    slot: ConnectionSlot,
) {
    let seat = &slot.seat;
    let (its, limits_of_all) = (Arc::clone(seat), Arc::clone(&limits));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (busy, is_pipelined) = its.request();
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&its));
        request.extensions_mut().insert(closing.clone());
        let (head, body) = request.into_parts();
        let body = IncomingBody::new(body, &head.headers, Arc::clone(&its));
        let request = Request::from_parts(head, Body::new(body));
        let (app, closing) = (app.clone(), closing.clone());
        let (its, limits) = (Arc::clone(&its), Arc::clone(&limits_of_all));
        async move {
            let _turn = if is_pipelined { Some(its.turn().await) } else { None };
            // The other calls are counted by their caller.
            if !its.is_known() || !request.uri().path().starts_with("/v1/") {
                its.stranger_turn().await;
            }
            let other_host = request.headers().get_all(HOST).iter().nth(1).is_some();
            let Ok(mut answer) = match other_host {
                // Whoever is in front may have read the other one.
                true => Ok(two_hosts(&request)),
                false => app.oneshot(request).await,
            };
            let how_long = match closing.is_set() {
                true => Some((CONNECTION, HeaderValue::from_static("close"))),
                false => keep_alive(its.idle_timeout(&limits)).map(|it| (KEEP_ALIVE, it)),
            };
            if let Some((name, value)) = how_long {
                answer.headers_mut().insert(name, value);
            }
            Ok::<_, Infallible>(answer.map(|inner| OutgoingBody { inner, _busy: busy }))
        }
    });
    let served = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Whatever has arrived is read before the place is given up.
        biased;
        served = served => {
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "connection ended early");
            }
        }
        never = discard(seat, &limits) => never,
        () = seat.evicted() => {}
    }
}

fn keep_alive(idle_timeout: Duration) -> Option<HeaderValue> {
    let timeout_s = idle_timeout.saturating_sub(KEEP_ALIVE_SLACK).as_secs();
    let text = (timeout_s > 0).then(|| format!("timeout={timeout_s}"))?;
    HeaderValue::from_str(&text).ok()
}

async fn drain(live: GracefulShutdown, mut tasks: JoinSet<()>, deadline: Duration) -> DrainReport {
    let ended = async {
        tokio::join!(live.shutdown(), async {
            while let Some(ended) = tasks.join_next().await {
                log_panic(ended);
            }
        });
    };
    if timeout(deadline, ended).await.is_ok() {
        return DrainReport { cut_off: 0 };
    }
    while let Some(ended) = tasks.try_join_next() {
        log_panic(ended);
    }
    let cut_off = tasks.len();
    tracing::warn!(cut_off, deadline_ms = deadline.as_millis(), "connections cut off");
    // A handler that blocks its thread does not notice; the process ends without it.
    let _ended_or_not = timeout(CUT_OFF_WAIT, tasks.shutdown()).await;
    DrainReport { cut_off }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "request handler panicked, its connection is closed");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use axum::routing::{get, post};
    use tokio::runtime::Runtime;
    use tokio::sync::{Notify, mpsc, oneshot};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::patient::SECOND_LOOK;
    use crate::peer::TrustedProxies;

    /// Far beyond any limit in these tests, and beyond any stop of the machine: a hang is a
    /// failure, not a wait.
    const PATIENCE: Duration = Duration::from_secs(180);
    const SHORT: Duration = Duration::from_millis(300);

    /// How often a client whose request has to come within [`SHORT`] tries that.
    const TRIES: usize = 50;

    struct Server {
        runtime: Runtime,
        address: SocketAddr,
        stop: Option<oneshot::Sender<()>>,
        running: JoinHandle<io::Result<DrainReport>>,
        /// One message for each request that has reached its handler.
        reached: mpsc::UnboundedReceiver<()>,
        /// Lets `/wait` answer.
        go: Arc<Notify>,
        /// How many bytes of each `/endless` were taken, when it has ended.
        sent: mpsc::UnboundedReceiver<usize>,
    }

    const PIECE: &[u8] = &[b'x'; 8 * 1024];

    /// Bytes of an answer so far, told when it ends.
    struct Sent(usize, mpsc::UnboundedSender<usize>);

    impl Drop for Sent {
        fn drop(&mut self) {
            let _the_test_has_ended = self.1.send(self.0);
        }
    }

    fn two_hosts(_: &Request<Body>) -> Response {
        (StatusCode::BAD_REQUEST, "two hosts").into_response()
    }

    impl Server {
        fn start(limits: ListenerLimits) -> Server {
            let runtime = Runtime::new().unwrap();
            let (stop, stopped) = oneshot::channel::<()>();
            let (tell, reached) = mpsc::unbounded_channel();
            let go = Arc::new(Notify::new());
            let (tell_sent, sent) = mpsc::unbounded_channel();
            let (go_in, tell_body) = (Arc::clone(&go), tell.clone());
            let app =
                Router::new()
                    .route(
                        "/peer",
                        get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
                            peer.to_string()
                        }),
                    )
                    .route(
                        "/let-in",
                        get(
                            |axum::Extension(connection): axum::Extension<Arc<ConnectionState>>| async move {
                                connection.let_in();
                            },
                        ),
                    )
                    .route(
                        "/endless",
                        get(move || async move {
                            let sent = Sent(0, tell_sent);
                            Body::from_stream(futures::stream::unfold(sent, async |mut sent| {
                                sent.0 += PIECE.len();
                                Some((Ok::<_, Infallible>(PIECE), sent))
                            }))
                        }),
                    )
                    // More than any socket buffer holds.
                    .route("/long", get(|| async { vec![b'x'; 64 << 20] }))
                    .route(
                        "/wait",
                        get(move || async move {
                            tell.send(()).unwrap();
                            go_in.notified().await;
                            "done"
                        }),
                    )
                    .route(
                        "/body",
                        post(move |request: axum::extract::Request| async move {
                            tell_body.send(()).unwrap();
                            let read = axum::body::to_bytes(request.into_body(), 1_000).await;
                            read.map(|bytes| bytes.len().to_string())
                                .map_err(|error| error.to_string())
                        }),
                    );
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            let running = runtime.spawn(async move {
                serve(listener, app, two_hosts, limits, async move {
                    let _dropped_is_stop_too = stopped.await;
                })
                .await
            });
            Server { runtime, address, stop: Some(stop), running, reached, go, sent }
        }

        fn connect(&self) -> TcpStream {
            let client = TcpStream::connect(self.address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client
        }

        /// A connection on which `text` was answered. If this thread stops before it has sent it,
        /// the server rightly closes the connection, so this tries again.
        fn answered(&self, text: &str) -> TcpStream {
            for _ in 0..TRIES {
                let mut client = self.connect();
                let sent = client.write_all(text.as_bytes());
                if sent.and_then(|()| client.read_exact(&mut [0; 12])).is_ok() {
                    return client;
                }
            }
            panic!("no answer to {text:?} in {TRIES} tries");
        }

        fn stop(&mut self) {
            self.stop.take().unwrap().send(()).unwrap();
        }

        fn drained(self) -> DrainReport {
            let running = async { timeout(PATIENCE, self.running).await };
            self.runtime.block_on(running).unwrap().unwrap().unwrap()
        }
    }

    fn limits(header_timeout: Duration, drain: Duration) -> ListenerLimits {
        ListenerLimits {
            header_timeout,
            idle_timeout: header_timeout,
            drain,
            ..ListenerLimits::default()
        }
    }

    /// All that comes until the server closes; an error of the socket is the end as well.
    fn rest(client: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        let _reset = client.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn ask(client: &mut TcpStream, text: &str) -> String {
        client.write_all(text.as_bytes()).unwrap();
        rest(client)
    }

    const PEER: &str = "GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[test]
    fn a_request_knows_its_peer() {
        let server = Server::start(limits(PATIENCE, PATIENCE));
        let mut client = server.connect();
        let answer = ask(&mut client, PEER);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with(&client.local_addr().unwrap().to_string()), "{answer}");
    }

    #[test]
    fn a_slow_header_is_cut_off() {
        let server = Server::start(limits(SHORT, PATIENCE));
        for sent in ["", "GET /peer HT", "GET /peer HTTP/1.1\r\nhost: x\r\n"] {
            // The server's time runs from the connection's first moment.
            let started = Instant::now();
            let mut client = server.connect();
            let answer = ask(&mut client, sent);
            let waited = started.elapsed();
            assert!(!answer.contains("200"), "after {sent:?}: {answer}");
            assert!(waited >= SHORT - Duration::from_millis(50), "after {sent:?}: {waited:?}");
            assert!(waited < PATIENCE / 2, "after {sent:?}: {waited:?}");
        }
    }

    #[test]
    fn who_asks_and_never_reads_is_cut_off() {
        let limits = limits(PATIENCE, PATIENCE);
        let few = ListenerLimits { connections_max: 1, write_timeout: SHORT, ..limits };
        let server = Server::start(few);
        let mut deaf = server.connect();
        deaf.write_all(b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        // There is one place, and the deaf one has it.
        let mut next = server.connect();
        let answer = ask(&mut next, PEER);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        drop(deaf);
    }

    /// By itself the kernel takes some megabytes for each.
    #[test]
    fn a_deaf_client_costs_little_memory() {
        let limits = ListenerLimits { write_timeout: SHORT, ..limits(PATIENCE, PATIENCE) };
        let mut server = Server::start(limits);
        let mut deaf = server.connect();
        deaf.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let sent = server.sent.blocking_recv().unwrap();
        assert!(sent < 1 << 20, "{sent} bytes lie in buffers");
        drop(deaf);
    }

    #[test]
    fn of_a_crowd_of_deaf_clients_a_few_may_stay() {
        let limits = ListenerLimits {
            crowded_write_timeout: SHORT,
            write_timeout: PATIENCE,
            deaf_of_peer_max: 2,
            ..limits(PATIENCE, PATIENCE)
        };
        let mut server = Server::start(limits);
        let mut deaf: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
        for client in &mut deaf {
            client.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        }
        for _ in 0..3 {
            server.sent.blocking_recv().unwrap();
        }
        // Those that stay go on as soon as they read; of the others nothing more than their buffers comes.
        let goes_on = |client: &mut TcpStream| {
            let mut read = vec![0; 1 << 20];
            (0..8).all(|_| client.read_exact(&mut read).is_ok())
        };
        assert_eq!(deaf.iter_mut().filter_map(|it| goes_on(it).then_some(())).count(), 2);
    }

    #[test]
    fn whoever_was_let_in_may_be_idle() {
        let proxy = || "127.0.0.1".parse::<TrustedProxies>().unwrap();
        let cases = [
            ("a good token", TrustedProxies::default(), "/let-in"),
            ("a trusted proxy", proxy(), "/peer"),
        ];
        for (name, trusted_proxies, path) in cases {
            let limits = ListenerLimits {
                idle_timeout: SHORT,
                known_idle_timeout: PATIENCE,
                proxy_idle_timeout: PATIENCE,
                trusted_proxies,
                ..limits(PATIENCE, PATIENCE)
            };
            let server = Server::start(limits);
            let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            let mut known = server.answered(&get(path));
            for _ in 0..2 {
                let mut stranger = connect_from("127.0.0.2", server.address);
                stranger.write_all(get("/peer").as_bytes()).unwrap();
                rest(&mut stranger);
            }
            let answer = ask(&mut known, PEER);
            assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{name}: {answer}");
        }
    }

    #[test]
    fn where_every_place_is_taken_strangers_go_first() {
        let few = ListenerLimits { connections_max: 2, ..limits(PATIENCE, PATIENCE) };
        let server = Server::start(few);
        let mut known = server.answered("GET /let-in HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut stranger = server.answered(&PEER.replace("connection: close\r\n", ""));
        let mut third = server.connect();
        assert!(ask(&mut third, PEER).starts_with("HTTP/1.1 200"));
        rest(&mut stranger);
        let answer = ask(&mut known, PEER);
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "idle for longer: {answer}");
    }

    #[test]
    fn how_long_an_idle_connection_is_kept_is_said() {
        let limits = ListenerLimits::default();
        let (idle, known) =
            (limits.idle_timeout - KEEP_ALIVE_SLACK, limits.known_idle_timeout - KEEP_ALIVE_SLACK);
        let server = Server::start(limits);
        assert!(known >= Duration::from_secs(75), "longer than the pools of most clients");
        for (path, want) in [("/peer", idle), ("/let-in", known)] {
            let answer = ask(&mut server.connect(), &PEER.replace("/peer", path));
            let want = format!("keep-alive: timeout={}\r\n", want.as_secs());
            assert!(answer.contains(&want), "{path}: {answer}");
        }
    }

    #[test]
    fn pipelined_requests_of_one_peer_take_turns() {
        let mut server = Server::start(limits(PATIENCE, PATIENCE));
        let two = b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n\
                    GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let mut clients: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.write_all(two).unwrap();
            client.read_exact(&mut [0; 12]).unwrap();
        }
        server.reached.blocking_recv().unwrap();
        for other in ["127.0.0.1", "127.0.0.2"] {
            let mut other = connect_from(other, server.address);
            assert!(ask(&mut other, PEER).starts_with("HTTP/1.1 200"), "others are answered");
        }
        assert!(server.reached.try_recv().is_err(), "two at a time");
        for _ in 0..2 {
            server.go.notify_one();
            server.reached.blocking_recv().unwrap();
        }
        server.go.notify_one();
        for client in &mut clients {
            assert!(rest(client).ends_with("done"));
        }
    }

    /// The head of a request that is refused unread: there is no such method.
    fn unread(body_bytes: usize) -> String {
        format!("POST /peer HTTP/1.1\r\nhost: x\r\ncontent-length: {body_bytes}\r\n\r\n")
    }

    #[test]
    fn the_rest_of_a_body_is_read_up_to_a_limit() {
        const MAX: usize = 1 << 20;
        let limits = ListenerLimits {
            unread_bytes_max: MAX,
            unread_timeout: PATIENCE,
            ..ListenerLimits::default()
        };
        let server = Server::start(limits);
        for (name, bytes, goes_on) in [("as much", MAX, true), ("twice as much", 2 * MAX, false)] {
            let mut client = server.connect();
            client.write_all(unread(bytes).as_bytes()).unwrap();
            let _reset = client
                .write_all(&vec![b'x'; bytes])
                .and_then(|()| client.write_all(PEER.as_bytes()));
            let answer = rest(&mut client);
            assert_eq!(answer.contains("HTTP/1.1 200"), goes_on, "{name}: {answer}");
        }
    }

    #[test]
    fn a_trickle_of_a_body_that_nobody_reads_ends() {
        let server =
            Server::start(ListenerLimits { unread_timeout: SHORT, ..limits(PATIENCE, PATIENCE) });
        let mut client = server.answered(&unread(1 << 20));
        let started = Instant::now();
        while client.write_all(b"x").is_ok() {
            assert!(started.elapsed() < PATIENCE / 2, "it still takes more");
            std::thread::sleep(SHORT / 10);
        }
    }

    #[test]
    fn a_body_that_nobody_reads_holds_no_place() {
        let few = ListenerLimits {
            connections_max: 1,
            unread_timeout: PATIENCE,
            ..limits(PATIENCE, PATIENCE)
        };
        let server = Server::start(few);
        let mut first = server.answered(&unread(1 << 20));
        let answer = ask(&mut server.connect(), PEER);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        rest(&mut first);
    }

    /// The time of the next header begins with its first byte, and not within the body before it.
    #[test]
    fn after_a_body_that_nobody_read_a_connection_may_be_idle() {
        let limits = ListenerLimits { idle_timeout: PATIENCE, ..limits(SHORT, PATIENCE) };
        let server = Server::start(limits);
        let mut client = server.answered(&unread(10));
        client.write_all(b"12345").unwrap();
        std::thread::sleep(SHORT);
        client.write_all(b"67890").unwrap();
        std::thread::sleep(SHORT + SECOND_LOOK + SHORT);
        let answer = ask(&mut client, PEER);
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    }

    #[test]
    fn nobody_waits_for_a_body_that_the_client_keeps_back() {
        const BYTES: usize = 4 << 20;
        let limits = ListenerLimits { unread_timeout: PATIENCE, ..ListenerLimits::default() };
        let mut server = Server::start(limits);
        let expects = |head: &str| head.replace("host: x", "host: x\r\nexpect: 100-continue");
        let started = Instant::now();
        let refused = ask(&mut server.connect(), &expects(&unread(BYTES)));
        assert!(refused.starts_with("HTTP/1.1 405"), "{refused}");
        assert!(started.elapsed() < PATIENCE / 2, "it is closed");
        // Of this one the handler reads a little.
        let mut client = server.connect();
        client.write_all(expects(&unread(BYTES).replace("/peer", "/body")).as_bytes()).unwrap();
        let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        client.read_exact(&mut go_on).unwrap();
        assert!(go_on.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&go_on));
        client.write_all(&vec![b'x'; BYTES]).unwrap();
        let answer = ask(&mut client, PEER);
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
        server.reached.blocking_recv().unwrap();
    }

    #[test]
    fn a_request_with_two_hosts_is_refused() {
        let server = Server::start(limits(PATIENCE, PATIENCE));
        let cases =
            [("host: x", "200"), ("host: x\r\nhost: y", "400"), ("host: x\r\nHost: x", "400")];
        for (hosts, want) in cases {
            let answer = ask(&mut server.connect(), &PEER.replace("host: x", hosts));
            assert!(answer.starts_with(&format!("HTTP/1.1 {want}")), "{hosts}: {answer}");
            assert_eq!(answer.contains("two hosts"), want == "400", "{hosts}: {answer}");
        }
    }

    #[test]
    fn an_idle_connection_is_closed_after_its_answer() {
        let server = Server::start(limits(SHORT, PATIENCE));
        let mut client = server.answered("GET /peer HTTP/1.1\r\nhost: x\r\n\r\n");
        let started = Instant::now();
        let answer = rest(&mut client);
        assert!(!answer.contains("HTTP/1.1"), "one answer: {answer}");
        assert!(started.elapsed() < PATIENCE / 2, "it is closed");
    }

    #[test]
    fn between_two_requests_there_is_more_time_than_within_one() {
        let limits = ListenerLimits { idle_timeout: PATIENCE, ..limits(SHORT, PATIENCE) };
        let server = Server::start(limits);
        let kept = PEER.replace("connection: close\r\n", "");
        let mut client = server.answered(&kept);
        // Longer than a header may take, with the second look at it.
        std::thread::sleep(SHORT + SECOND_LOOK + SHORT);
        let answer = ask(&mut client, PEER);
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
        // And a later header is timed from its own first byte.
        let mut client = server.answered(&kept);
        let started = Instant::now();
        ask(&mut client, "GET /pe");
        assert!(started.elapsed() < PATIENCE / 2, "half a header is cut off");
    }

    #[test]
    fn half_a_body_does_not_hold_the_shutdown() {
        let mut server = Server::start(limits(PATIENCE, SHORT));
        let mut client = server.connect();
        let half = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345";
        client.write_all(half.as_bytes()).unwrap();
        server.reached.blocking_recv().unwrap();
        let started = Instant::now();
        server.stop();
        assert_eq!(server.drained(), DrainReport { cut_off: 1 });
        assert!(started.elapsed() < SHORT + CUT_OFF_WAIT + PATIENCE / 2);
        assert_eq!(rest(&mut client), "");
    }

    #[test]
    fn half_a_header_does_not_hold_the_shutdown() {
        let mut server = Server::start(limits(PATIENCE, SHORT));
        let mut client = server.connect();
        client.write_all(b"GET /peer HTTP/1.1\r\nho").unwrap();
        let started = Instant::now();
        server.stop();
        server.drained();
        assert!(started.elapsed() < SHORT + CUT_OFF_WAIT + PATIENCE / 2);
        assert_eq!(rest(&mut client), "");
    }

    #[test]
    fn a_request_under_way_is_answered_and_new_ones_are_refused() {
        let mut server = Server::start(limits(PATIENCE, PATIENCE));
        let mut client = server.connect();
        client.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        server.reached.blocking_recv().unwrap();
        server.stop();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(server.address).is_ok() {
            assert!(Instant::now() < deadline, "still accepts");
        }
        server.go.notify_one();
        let answer = rest(&mut client);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        assert_eq!(server.drained(), DrainReport { cut_off: 0 });
    }

    #[test]
    fn too_many_or_too_large_headers_are_431() {
        let server = Server::start(limits(PATIENCE, PATIENCE));
        let request = |headers: usize| {
            // Two of them are host and connection.
            let more: String = (2..headers).map(|i| format!("x-{i}: 1\r\n")).collect();
            PEER.replace("connection:", &format!("{more}connection:"))
        };
        let sized = |bytes: usize| {
            let big = format!("host: x\r\nbig: {}", "1".repeat(bytes - PEER.len() - 7));
            PEER.replace("host: x", &big)
        };
        let cases = [
            ("100 headers", request(HEADERS_MAX), "HTTP/1.1 200"),
            ("101 headers", request(HEADERS_MAX + 1), "HTTP/1.1 431"),
            ("10,000 headers", request(10_000), "HTTP/1.1 431"),
            ("32 KiB", sized(HEADER_BYTES_MAX), "HTTP/1.1 200"),
            ("a byte more", sized(HEADER_BYTES_MAX + 1), "HTTP/1.1 431"),
            ("70 kB", sized(70_000), "HTTP/1.1 431"),
        ];
        for (name, request, want) in cases {
            let mut client = server.connect();
            // The server may close before it has read it all: then writing fails, or the reset
            // overtakes the answer.
            let _broken_pipe = client.write_all(request.as_bytes());
            let mut first = [0; 12];
            let got = client.read_exact(&mut first).map(|()| first);
            match got {
                Ok(line) => assert_eq!(String::from_utf8_lossy(&line), want, "{name}"),
                Err(error) => assert!(want.ends_with("431"), "{name}: {error}"),
            }
        }
    }

    #[test]
    fn one_connection_too_many_waits_for_a_slot() {
        let limits = ListenerLimits { connections_max: 1, ..limits(PATIENCE, PATIENCE) };
        let mut server = Server::start(limits);
        let mut first = server.connect();
        let wait = b"GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        first.write_all(wait).unwrap();
        server.reached.blocking_recv().unwrap();
        let mut second = server.connect();
        second.write_all(PEER.as_bytes()).unwrap();
        second.set_read_timeout(Some(SHORT)).unwrap();
        assert!(second.read(&mut [0; 1]).is_err(), "answered beside the first");
        second.set_read_timeout(Some(PATIENCE)).unwrap();
        server.go.notify_one();
        assert!(rest(&mut first).ends_with("done"));
        assert!(rest(&mut second).starts_with("HTTP/1.1 200"));
    }

    /// Connections that say nothing, or half of something, are no reason to keep others waiting.
    #[test]
    fn where_every_place_is_taken_the_longest_idle_goes() {
        let half_a_body = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345";
        let served = PEER.replace("connection: close\r\n", "");
        let cases = [
            ("nothing", ""),
            ("half a header", "GET /peer HTTP/1.1\r\nho"),
            ("half a body", half_a_body),
            ("a whole request, answered", &served),
        ];
        for (name, sent) in cases {
            let few = ListenerLimits { connections_max: 2, ..limits(PATIENCE, PATIENCE) };
            let mut server = Server::start(few);
            let mut busy = server.connect();
            busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
            server.reached.blocking_recv().unwrap();
            let mut idle = server.connect();
            idle.write_all(sent.as_bytes()).unwrap();
            if sent == served {
                idle.read_exact(&mut [0; 12]).unwrap();
            } else if sent == half_a_body {
                server.reached.blocking_recv().unwrap();
            }
            let mut third = server.connect();
            let answer = ask(&mut third, PEER);
            assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
            let heard = rest(&mut idle);
            assert!(!heard.contains("HTTP/1.1 400"), "{name} was closed: {heard}");
            server.go.notify_one();
            assert!(rest(&mut busy).ends_with("done"), "{name}: who is served is not closed");
        }
    }

    #[test]
    fn one_peer_has_its_share() {
        let trusted = || "127.0.0.0/8".parse::<TrustedProxies>().unwrap();
        let cases = [("a stranger", TrustedProxies::default(), 2), ("a proxy", trusted(), 5)];
        for (name, trusted_proxies, served) in cases {
            let limits =
                ListenerLimits { per_peer_max: 2, trusted_proxies, ..limits(PATIENCE, PATIENCE) };
            let mut server = Server::start(limits);
            let mut waiting: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
            for client in &mut waiting {
                let wait = b"GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
                let _reset = client.write_all(wait);
            }
            for _ in 0..served {
                server.reached.blocking_recv().unwrap();
            }
            // Another peer: loopback has many addresses.
            let mut other = connect_from("127.0.0.2", server.address);
            let answer = ask(&mut other, PEER);
            assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
            let go = Arc::clone(&server.go);
            let ringing = server.runtime.spawn(async move {
                loop {
                    go.notify_one();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
            let mut done = 0;
            for client in &mut waiting {
                done += usize::from(rest(client).ends_with("done"));
            }
            ringing.abort();
            assert_eq!(done, served, "{name}");
        }
    }

    fn connect_from(address: &str, to: SocketAddr) -> TcpStream {
        let runtime = Runtime::new().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
            socket.connect(to).await.unwrap()
        });
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}
