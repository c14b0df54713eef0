//! nginx and Caddy of Debian in front of the service, with the configurations of `docs/tls.md` as they are there.
//!
//! A client is `curl` through TLS, with an address of its own on the loopback.

mod front;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use self::front::{ACME, Front, Kind, MAIN, Reply, page};
use super::data::{Data, PATIENCE, Server, wait_until};
use super::finished::{campaign, issued, order};

const MIB: usize = 1 << 20;

/// Addresses of clients, beside the one of the proxy.
const ANN: &str = "127.0.0.2";
const BOB: &str = "127.0.0.3";

/// A header of another address in each spelling, and of other things that a client must not say.
const FORGED: [&str; 7] = [
    "X-Forwarded-For: 127.0.0.9",
    "Forwarded: for=127.0.0.9;proto=http",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: other.example",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Idempotency-Key: key-1",
    "Last-Event-ID: 8a6f",
];

/// The service behind a proxy.
struct Scene {
    front: Front,
    server: Server,
    data: Data,
    /// The token of an admin.
    token: String,
}

impl Scene {
    /// With the settings of the page. `None` if the proxy is not there.
    fn new(kind: Kind, change: impl Fn(String) -> String) -> Option<Scene> {
        kind.program()?;
        let data = Data::new();
        fs::write(data.folder().join("couponry.toml"), page("toml").concat()).expect("settings");
        let server = data.serve();
        let front = Front::start(kind, &data, server.address, change);
        let token = data.token("admin", "root");
        Some(Scene { front, server, data, token })
    }

    /// A request with a token.
    #[track_caller]
    fn ask(&self, path: &str, more: &[&str]) -> Reply {
        let bearer = format!("Authorization: Bearer {}", self.token);
        let address = format!("https://{MAIN}{path}");
        self.front.curl(&[&["-H", &bearer, &address][..], more].concat())
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Reply {
        let body = body.to_string();
        self.ask(path, &["-H", "Content-Type: application/json", "-d", &body])
    }
}

#[test]
fn caddy() {
    behind(Kind::Caddy);
}

#[test]
fn nginx() {
    behind(Kind::Nginx);
}

fn behind(kind: Kind) {
    let Some(scene) = Scene::new(kind, |file| file) else { return };
    campaign(&mut scene.server.client(&scene.token), "spring", 10_000_000_000);
    redeems(&scene);
    counts_clients(&scene);
    follows_events(&scene);
    imports(&scene);
    refuses_files(&scene);
    downloads(&scene);
    signs_in_at_the_console(&scene);
    chooses_spaces(&scene);
    keeps_metrics_and_leads_to_https(&scene);
    let Scene { front, server, .. } = scene;
    let log = front.log();
    assert!(!log.contains("buffered to a temporary file"), "{log}");
    assert!(!server.log().contains("is not in trusted_proxies"), "{}", server.log());
    drop(front);
    server.stop();
}

/// A stream says itself that nginx must not keep its events back.
#[test]
fn nginx_that_buffers() {
    let without = |file: String| file.replace("proxy_buffering off;", "");
    let Some(scene) = Scene::new(Kind::Nginx, without) else { return };
    campaign(&mut scene.server.client(&scene.token), "spring", 1_000);
    follows_events(&scene);
    scene.server.stop();
}

fn redeems(scene: &Scene) {
    let issue = scene.post("/v1/campaigns/spring/issue", &json!({"user_id": "ann"})).must(201);
    assert!(issue.head.starts_with("HTTP/2 "), "{issue:?}");
    assert!(issue.head.to_lowercase().contains("strict-transport-security: max-age="), "{issue:?}");
    let issued: Value = serde_json::from_str(&issue.body).expect("JSON");
    let path = format!("/v1/coupons/{}/redeem", issued["code"].as_str().expect("a code"));
    scene.post(&path, &order("ann", "o1")).must(201);
    scene.post(&path, &order("ann", "o1")).must(200);
    scene.post(&path, &order("ann", "o2")).must(409);
}

/// Wrong passwords count for the address of the client, which it cannot change.
fn counts_clients(scene: &Scene) {
    let right = json!({"login_id": "ann", "password": "correct horse battery"});
    scene.post("/v1/users", &right).must(201);
    let sign_in = |from: &str, headers: &[&str]| {
        let wrong = json!({"login_id": "ann", "password": "wrong horse battery"}).to_string();
        let address = format!("https://{MAIN}/v1/sessions");
        let mut arguments = vec!["--interface", from, "-d", &wrong, &address];
        for header in [&["Content-Type: application/json"], headers].concat() {
            arguments.extend(["-H", header]);
        }
        scene.front.curl(&arguments).status
    };
    let answers: Vec<u16> = (0..6).map(|_| sign_in(ANN, &[])).collect();
    assert_eq!(answers, [401, 401, 401, 401, 401, 429]);
    for forged in [&FORGED[..1], &FORGED[1..2], &FORGED[..2]] {
        assert_eq!(sign_in(ANN, forged), 429, "{forged:?}");
    }
    assert_eq!(sign_in(BOB, &[]), 401, "another client");
    assert_eq!(sign_in("127.0.0.1", &[]), 401, "a client on the machine of the proxy");
}

/// A program that writes lines until it is dropped.
struct Lines {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Lines {
    fn of(mut command: Command) -> Lines {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            let _nobody_reads = out.lines().map_while(Result::ok).try_for_each(|it| tell.send(it));
        });
        Lines { child, lines }
    }

    /// Waits for the next line that begins so.
    fn next_with(&self, begin: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("waited for {begin:?}: {error}"));
            if line.starts_with(begin) {
                return line;
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command of the page shows each event when it happens, and the stream goes on.
fn follows_events(scene: &Scene) {
    let on_page = page("sh").into_iter().find(|it| it.contains("/v1/events")).expect("a command");
    // nginx holds back what is short from clients with HTTP/1.1 only.
    for version in ["--http1.1", "--http2"] {
        let newest = scene.ask("/v1/events?after=newest", &[]).must(200);
        let newest: Value = serde_json::from_str(&newest.body).expect("JSON");
        let cursor = newest["next_cursor"].as_str().expect("a cursor");
        let command = on_page.replace("after=newest", &format!("after={cursor}"));
        let command = command.replace("curl ", &format!("exec curl {version} "));
        let mut shell = scene.front.client("sh");
        shell.arg("-c").arg(command).env("TOKEN", &scene.token);
        let mut stream = Lines::of(shell);
        let mut admin = scene.server.client(&scene.token);
        for nth in ["first", "second"] {
            let user = format!("{nth}{version}");
            issued(&mut admin, "spring", &user);
            let data = stream.next_with("data:");
            assert!(data.contains(&format!("\"user_id\":\"{user}\"")), "{data}");
        }
        let ended = stream.child.try_wait().expect("wait");
        assert!(ended.is_none(), "{version}: the stream has ended: {ended:?}");
    }
}

/// Lines of a half of a file: 4.7 MB.
const HALF: usize = 1_500;

fn half(nth: usize) -> String {
    let memo = "m".repeat(3_072);
    (0..HALF).map(|line| format!("LONG{nth}{line:05},2031-12-31,{memo}\n")).collect()
}

/// A file that is much longer than what a proxy takes by itself is imported while it arrives.
fn imports(scene: &Scene) {
    let mut admin = scene.server.client(&scene.token);
    let bearer = format!("Authorization: Bearer {}", scene.token);
    let path = "/v1/campaigns/spring/batches?batch_id=long&ignore=memo";
    let address = format!("https://{MAIN}{path}");
    let mut curl = scene.front.client("curl");
    curl.args(["-sSi", "-X", "POST", "-T", "-", "-H", &bearer, "-H", "Content-Type: text/csv"]);
    curl.arg(&address).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut uploading = curl.spawn().expect("curl");
    let mut file = uploading.stdin.take().expect("piped");
    let begin = format!("code,expires_at,memo\n{}", half(0));
    file.write_all(begin.as_bytes()).expect("the first half");
    let batch = "/v1/campaigns/spring/batches/long";
    wait_until("the begin of the file", || admin.get(batch).status == 200);
    file.write_all(half(1).as_bytes()).expect("the rest");
    drop(file);
    let output = uploading.wait_with_output().expect("curl");
    let reply = Reply::read(&String::from_utf8_lossy(&output.stdout)).must(201);
    let batch: Value = serde_json::from_str(&reply.body).expect("JSON");
    assert_eq!(batch["imported"], 2 * HALF, "{batch}");
}

/// The client gets the problem, also if couponry knows it before the proxy has sent the file.
fn refuses_files(scene: &Scene) {
    let file = scene.data.folder().join("refused.csv");
    fs::write(&file, format!("code,expires_at,memo\n{}", half(0))).expect("a file");
    let file = format!("@{}", file.to_str().expect("UTF-8"));
    // It is the first bytes that decide, so once is not enough.
    for nth in 0..10 {
        for version in ["--http1.1", "--http2"] {
            let csv = "Content-Type: text/csv";
            let path = "/v1/campaigns/nowhere/batches?ignore=memo";
            let reply =
                scene.ask(path, &[version, "-H", csv, "-H", "Expect:", "--data-binary", &file]);
            assert_eq!(reply.status, 404, "{nth}, {version}: {reply:?}");
            assert!(reply.body.contains("\"code\":\"NOT_FOUND\""), "{nth}, {version}: {reply:?}");
        }
    }
}

/// The codes of a campaign that has more of them than anybody downloads begin to arrive at once.
fn downloads(scene: &Scene) {
    let mut curl = scene.front.client("curl");
    let bearer = format!("Authorization: Bearer {}", scene.token);
    curl.args(["-sSN", "-H", &bearer, &format!("https://{MAIN}/v1/campaigns/spring/codes")]);
    let mut child = curl.stdout(Stdio::piped()).spawn().expect("curl");
    let mut begin = vec![0; MIB];
    let read = child.stdout.take().expect("piped").read_exact(&mut begin);
    let _has_ended = child.kill();
    child.wait().expect("curl");
    read.unwrap_or_else(|error| panic!("{error}: {}", scene.front.log()));
    assert!(begin.starts_with(b"code\n"), "{:?}", &begin[..100]);
}

/// The cookie of a session is only for https, also where a client says that it comes by http.
fn signs_in_at_the_console(scene: &Scene) {
    let origin = format!("https://{MAIN}");
    let ran =
        scene.data.run(&["console", "--role", "admin", "--name", "mina", "--address", &origin]);
    let (_, link) = ran.stdout.trim().split_once("link=").expect("a link");
    let jar = scene.data.folder().join("cookies");
    let jar = jar.to_str().expect("UTF-8");
    let link = format!("link={link}");
    let from = format!("Origin: {origin}");
    let mut form = vec!["-c", jar, "-H", &from, "-H", FORGED[2]];
    for field in [&link, "name=mina", "password=correct horse battery"] {
        form.extend(["--data-urlencode", field]);
    }
    let address = format!("{origin}/console/welcome");
    form.push(&address);
    let welcome = scene.front.curl(&form).must(303);
    let head = welcome.head.to_lowercase();
    let cookie = head.lines().find(|line| line.starts_with("set-cookie: __host-couponry_session="));
    let cookie = cookie.unwrap_or_else(|| panic!("no cookie: {head}"));
    assert!(cookie.contains("; secure") && cookie.contains("; httponly"), "{cookie}");
    let campaigns = format!("{origin}/console/campaigns");
    let page = scene.front.curl(&["-b", jar, "-H", FORGED[2], &campaigns]).must(200);
    assert!(page.body.contains("spring"), "{page:?}");
    scene.front.curl(&[&campaigns]).must(303);
}

fn chooses_spaces(scene: &Scene) {
    let ran = scene.data.run(&["token", "--role", "admin", "--space", "acme"]);
    let acme = format!("Authorization: Bearer {}", ran.stdout.trim());
    let main = format!("Authorization: Bearer {}", scene.token);
    for (host, token, want) in
        [(ACME, &acme, 200), (ACME, &main, 401), (MAIN, &acme, 401), (MAIN, &main, 200)]
    {
        let address = format!("https://{host}/v1/campaigns");
        let reply = scene.front.curl(&["-H", token, "-H", FORGED[3], &address]);
        assert_eq!(reply.status, want, "{host}: {reply:?}");
    }
}

fn keeps_metrics_and_leads_to_https(scene: &Scene) {
    for path in
        ["/metrics", "/metrics?x=1", "//metrics", "/%6detrics", "/x/../metrics", "/metrics/"]
    {
        let reply = scene.ask(path, &["--path-as-is"]);
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert!(!reply.body.contains("couponry_"), "{path}: {reply:?}");
    }
    let command = page("sh").into_iter().find(|it| it.contains("/metrics")).expect("a command");
    let output = scene.front.client("sh").arg("-c").arg(command).output().expect("sh");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "HTTP/2: 404\n");
    let plain = scene.front.curl(&[&format!("http://{MAIN}/console")]).must(308);
    let leads = format!("location: https://{MAIN}");
    assert!(plain.head.to_lowercase().contains(&leads), "{plain:?}");
}

/// Answers everybody, and hands the heads of requests on.
fn recorder() -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (tell, heads) = mpsc::channel();
    let record = |socket: TcpStream, tell: mpsc::Sender<String>| {
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|bytes| bytes > 0) {
            if head.ends_with("\r\n\r\n") {
                let _nobody_listens = tell.send(std::mem::take(&mut head));
                let _has_gone = reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        }
    };
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            thread::spawn(move || record(socket, tell));
        }
    });
    (address, heads)
}

/// Which headers arrive of those that a client sends.
#[test]
fn headers() {
    for kind in [Kind::Caddy, Kind::Nginx].into_iter().filter(|kind| kind.program().is_some()) {
        let data = Data::new();
        let (address, heads) = recorder();
        let front = Front::start(kind, &data, address, |file| file);
        let address = format!("https://{ACME}/v1/campaigns");
        let mut arguments = vec!["--interface", ANN, "-H", "Authorization: Bearer t", &address];
        for header in FORGED {
            arguments.extend(["-H", header]);
        }
        front.curl(&arguments).must(204);
        let is_wanted = |head: &String| head.starts_with("GET /v1/campaigns HTTP/1.1\r\n");
        let head = heads.iter().find(is_wanted).expect("a request").to_lowercase();
        let lines: Vec<&str> = head.lines().collect();
        let host = format!("host: {ACME}");
        for want in [
            host.as_str(),
            &format!("x-forwarded-for: {ANN}"),
            "x-forwarded-proto: https",
            "authorization: bearer t",
            "idempotency-key: key-1",
            "last-event-id: 8a6f",
        ] {
            assert_eq!(lines.iter().filter(|line| **line == want).count(), 1, "{want}: {head}");
        }
        let other =
            |line: &&&str| line.starts_with("x-forwarded-for:") || line.starts_with("host:");
        assert_eq!(lines.iter().filter(other).count(), 2, "{kind:?}: {head}");
        for unwanted in ["\nforwarded:", "127.0.0.9", "traceparent", "connection: close"] {
            assert!(!head.contains(unwanted), "{kind:?}: {unwanted}: {head}");
        }
    }
}

/// The number behind a word.
fn number(text: &str, word: &str) -> u64 {
    let rest = text.split_once(word).map(|(_, rest)| rest).unwrap_or_default();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {word:?}: {text}"))
}

/// Who ended the connection of these two ports first.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Proxy,
    Couponry,
}

/// The connections to a port of this machine, by the other port: whether they are open, or who ended them.
fn connections_to(port: u16) -> Vec<(u16, Option<Ended>)> {
    // Who ends a connection first is in FIN_WAIT1, FIN_WAIT2 and TIME_WAIT, the other one never.
    const ENDS: [&str; 3] = ["04", "05", "06"];
    let table = fs::read_to_string("/proc/net/tcp").expect("the connections of this machine");
    let port_of = |text: &str| {
        text.split_once(':').and_then(|(_, it)| u16::from_str_radix(it, 16).ok()).unwrap_or(0)
    };
    let row = |line: &str| -> Option<(u16, Option<Ended>)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, remote, state) =
            (port_of(words.get(1)?), port_of(words.get(2)?), words.get(3)?);
        match (local == port, remote == port, ENDS.contains(state)) {
            (true, _, true) => Some((remote, Some(Ended::Couponry))),
            (_, true, true) => Some((local, Some(Ended::Proxy))),
            (_, true, false) if *state == "01" => Some((local, None)),
            _ => None,
        }
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// The proxy ends an idle connection first, also one on which nobody has shown a token. Afterwards a request gets an
/// answer.
#[test]
fn idle_connections() {
    // Longer than couponry keeps a connection of a stranger, and no longer than it must be.
    const SHORTER_S: u64 = 15;
    let mut waiting = Vec::new();
    for (kind, word) in [(Kind::Caddy, "keepalive "), (Kind::Nginx, "keepalive_timeout ")] {
        let page_s = number(&kind.configuration(), word);
        let shorter = |file: String| {
            file.replace(&format!("{word}{page_s}s"), &format!("{word}{SHORTER_S}s"))
        };
        let Some(scene) = Scene::new(kind, shorter) else { continue };
        let port = scene.server.address.port();
        scene.front.curl(&[&format!("https://{MAIN}/healthz")]).must(200);
        let open: Vec<u16> =
            connections_to(port).into_iter().filter(|it| it.1.is_none()).map(|it| it.0).collect();
        assert_eq!(open.len(), 1, "{kind:?} uses its connection again");
        waiting.push((kind, page_s, scene, open[0]));
    }
    for (kind, page_s, scene, client) in waiting {
        let mut ended = None;
        wait_until("the end of an idle connection", || {
            let all = connections_to(scene.server.address.port());
            ended = all.into_iter().find_map(|(port, ended)| ended.filter(|_| port == client));
            ended.is_some()
        });
        assert_eq!(ended, Some(Ended::Proxy), "{kind:?}");
        scene.ask("/v1/campaigns", &[]).must(200);
        let direct = scene.server.client("").get("/healthz").must(200);
        let kept_s = number(direct.header("keep-alive").expect("for how long"), "timeout=");
        assert!(page_s < kept_s, "{kind:?} keeps it for {page_s} s, couponry for {kept_s} s");
    }
}
