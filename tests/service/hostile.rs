//! Clients that break the protocol lose their connection. Other clients get their answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, connect};
use super::data::{Data, PATIENCE, Server, despite_stalls, unique};

/// The limits of the service for a header and for a body, and some time for the machine.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(6);

/// No client waits this long because of another one.
const ANSWER_MAX: Duration = Duration::from_secs(5);

fn scene(data: &Data) -> (Server, Client) {
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let terms = json!({"campaign_id": "h", "stock": 1_000_000, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
    (server, admin)
}

/// All calls of a new customer, each answered in time.
fn works(admin: &mut Client, name: &str) {
    let begun = Instant::now();
    let user = format!("{name}-{}", unique());
    let body = json!({"user_id": user, "order_ref": "991"});
    let issued = admin.post("/v1/campaigns/h/issue", &json!({"user_id": user})).must(201);
    admin.post(&format!("/v1/coupons/{}/redeem", issued.field("code")), &body).must(201);
    let took = begun.elapsed();
    assert!(took < ANSWER_MAX, "{user} waited {took:?}");
}

/// Everything that the service sends until it closes, and how long that took.
fn until_closed(mut socket: TcpStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut heard = Vec::new();
    let mut piece = [0; 4096];
    // A reset is a close, too.
    while let Ok(read @ 1..) = socket.read(&mut piece) {
        heard.extend_from_slice(&piece[..read]);
    }
    assert!(begun.elapsed() < PATIENCE, "the connection is still open");
    (String::from_utf8_lossy(&heard).into_owned(), begun.elapsed())
}

#[test]
fn requests_that_make_no_sense() {
    let data = Data::new();
    let (server, mut admin) = scene(&data);
    let post = |rest: &str| format!("POST /v1/sessions HTTP/1.1\r\nHost: x\r\n{rest}");
    let json = "Content-Type: application/json\r\n";
    let many: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(1 << 20));
    // Name, the sent text, whether the sender then closes its side, the status of the answer.
    let rows = [
        ("10,000 headers", post(&format!("{many}\r\n")), false, "431"),
        ("a header of 1 MiB", post(&format!("{long}\r\n")), false, "431"),
        ("not HTTP", "\u{16}\u{3}\u{1}\u{2}\u{0}hello\r\n\r\n".to_owned(), false, "400"),
        ("an invalid length", post("Content-Length: many\r\n\r\n"), false, "400"),
        (
            "two lengths",
            post(&format!("{json}Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello")),
            false,
            "400",
        ),
        (
            "a body that ends half way",
            post(&format!("{json}Content-Length: 100\r\n\r\n{{\"login_id\"")),
            true,
            "400",
        ),
        (
            "a body that stops half way",
            post(&format!("{json}Content-Length: 100\r\n\r\n{{\"login_id\"")),
            false,
            "408",
        ),
        (
            "an invalid chunk",
            post(&format!("{json}Transfer-Encoding: chunked\r\n\r\nzz\r\n")),
            false,
            "400",
        ),
    ];
    for (name, sent, ends, status) in &rows {
        despite_stalls(ANSWER_MAX, || {
            let mut socket = connect(server.address).expect("a connection");
            // It may answer and close before all of it is sent.
            let _ = socket.write_all(sent.as_bytes());
            if *ends {
                let _ = socket.shutdown(Shutdown::Write);
            }
            let (heard, took) = until_closed(socket);
            let found = heard.split(' ').nth(1).unwrap_or("nothing");
            // A client that closes its side in the middle may get no answer, but never a 5xx.
            let fits = found == *status || (found == "nothing" && *name != "10,000 headers");
            assert!(fits, "{name}: want {status}, heard {heard:?}");
            assert!(took < BODY_TIMEOUT * 2 + SLACK, "{name}: closed after {took:?}");
            eprintln!("{name}: {found}, closed after {took:?}");
            works(&mut admin, &name.replace([' ', ','], "-"));
        });
    }
    server.stop();
}

/// One byte a second, and 300 silent connections: the header time-out closes both, and customers
/// get their answers meanwhile.
#[test]
fn slow_and_silent() {
    despite_stalls(HEADER_TIMEOUT, slow_and_silent_once);
}

fn slow_and_silent_once() {
    let data = Data::new();
    let (server, mut admin) = scene(&data);
    let silent: Vec<TcpStream> =
        (0..300).map(|_| connect(server.address).expect("a connection")).collect();
    let closed = AtomicBool::new(false);
    let mut served = 0;
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let begun = Instant::now();
            let mut socket = connect(server.address).expect("a connection");
            for byte in b"GET /healthz HTTP/1.1\r\nHost: couponry.example.com\r\nAccept: */*".iter()
            {
                if socket.write_all(&[*byte]).is_err() || begun.elapsed() > PATIENCE {
                    break;
                }
                // The pause is the point of this client. It ends when the service closes.
                socket.set_read_timeout(Some(Duration::from_secs(1))).expect("time-out");
                match socket.read(&mut [0; 1024]) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
            let took = begun.elapsed();
            closed.store(true, Ordering::SeqCst);
            took
        });
        while !closed.load(Ordering::SeqCst) {
            works(&mut admin, &format!("served-{served}"));
            served += 1;
        }
        let took = slow.join().expect("the slow client");
        assert!(took < HEADER_TIMEOUT + SLACK, "one byte a second was open for {took:?}");
        eprintln!("one byte a second: closed after {took:?}, {served} customers served meanwhile");
    });
    assert!(served > 20, "{served} customers");
    for socket in silent {
        let (heard, _) = until_closed(socket);
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 408"), "{heard:?}");
    }
    works(&mut admin, "afterwards");
    server.stop();
}
