//! After SIGTERM the service answers accepted requests and accepts no new ones. One folder has one
//! service.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, Lost, at_once, connect};
use super::data::{Data, PATIENCE, Server, despite_stalls, wait_until};

const CLIENTS: usize = 32;

/// Rounds of SIGTERM under load.
const ROUNDS: usize = 5;

/// More time than the service needs to accept what the kernel has accepted, and to read it. If it
/// stalls then, it loses requests, and takes longer than this to end.
const STALLED: Duration = Duration::from_secs(1);

/// The time that running requests get.
const DRAIN: Duration = Duration::from_secs(10);

/// The same, and some for the machine.
const DRAIN_AND_MORE: Duration = Duration::from_secs(15);

#[test]
fn sigterm_under_load() {
    let data = Data::new();
    let token = data.token("admin", "root");
    let mut server = data.serve();
    let terms = json!({"campaign_id": "load", "stock": 1_000_000, "expires_on": "2031-12-31"});
    server.client(&token).post("/v1/campaigns", &terms).must(201);
    let (mut round, mut good) = (0, 0);
    while good < ROUNDS {
        assert!(round < 2 * ROUNDS, "{good} of {round} rounds without a stall");
        let (asked, stopping) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (address, lost_before) = (server.address, Mutex::new(Vec::new()));
        let began_to_stop = Mutex::new(None::<Instant>);
        let kept = at_once(CLIENTS + 1, |nth| {
            if nth == CLIENTS {
                wait_until("load", || asked.load(Ordering::SeqCst) > 200);
                stopping.store(true, Ordering::SeqCst);
                *began_to_stop.lock().expect("lock") = Some(Instant::now());
                server.terminate();
                return Vec::new();
            }
            let mut client = Client::new(address, &token);
            let mut kept = Vec::new();
            for n in 0.. {
                if nth % 2 == 1 {
                    // Half of them connect each time: connections that the kernel accepted are
                    // answered, too.
                    client = client.again();
                }
                let user = format!("u{round}-{nth}-{n}");
                let body = json!({"user_id": user});
                let sent = client.send("POST", "/v1/campaigns/load/issue", Some(&body));
                let before = !stopping.load(Ordering::SeqCst);
                asked.fetch_add(1, Ordering::SeqCst);
                let heard = sent.map_err(Lost::NotSent);
                match heard.and_then(|()| client.receive().map_err(Lost::NoAnswer)) {
                    Ok(answer) if answer.is_good() => kept.push((user, answer.field("code"))),
                    // The service had closed this silent connection.
                    Ok(_) | Err(_) if before && client.is_late() => client = client.again(),
                    Ok(answer) => drop(answer.must(201)),
                    Err(lost) => {
                        if before && matches!(lost, Lost::NoAnswer(_)) {
                            lost_before.lock().expect("lock").push(lost.to_string());
                        }
                        break;
                    }
                }
            }
            kept
        });
        let status = server.ended();
        let lost = lost_before.into_inner().expect("lock");
        let took = began_to_stop.into_inner().expect("lock").expect("SIGTERM").elapsed();
        let stalled = !lost.is_empty() && took >= STALLED;
        assert!(stalled || lost.is_empty(), "round {round}: sent before SIGTERM: {lost:?}");
        good += usize::from(!stalled);
        assert_eq!(status.code(), Some(0), "round {round}: {}", server.log());
        assert!(connect(address).is_err(), "round {round}: still listening");
        server = data.serve();
        let admin = server.client(&token);
        let kept: Vec<(String, String)> = kept.into_iter().flatten().collect();
        assert!(kept.len() > 100, "round {round}: {} answers", kept.len());
        at_once(4, |nth| {
            let mut admin = admin.again();
            for (user, code) in kept.iter().skip(nth).step_by(4) {
                let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
                assert_eq!(coupon["holder"], user.as_str(), "round {round}");
            }
        });
        round += 1;
    }
    server.stop();
}

/// An upload and a list that run at the moment of SIGTERM.
#[test]
fn long_requests_are_finished() {
    despite_stalls(DRAIN, long_requests_are_finished_once);
}

fn long_requests_are_finished_once() {
    const LINES: usize = 4_000;
    const CODES: usize = 40_000;
    let data = Data::new();
    let token = data.token("admin", "root");
    let mut server = data.serve();
    let terms = json!({"campaign_id": "long", "stock": CODES, "expires_on": "2031-12-31"});
    server.client(&token).post("/v1/campaigns", &terms).must(201);
    let stop = |server: &Server| {
        server.terminate();
        wait_until("the listener's end", || connect(server.address).is_err());
    };
    let file = (0..LINES).map(|n| {
        if n == LINES / 2 {
            stop(&server);
        }
        format!("IN{n:06},,2031-12-31\n")
    });
    let path = "/v1/campaigns/long/batches?batch_id=in";
    let answer = server.client(&token).upload(path, file, None).expect("sent").expect("an answer");
    assert_eq!(answer.must(201).json()["imported"], LINES);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    server = data.serve();
    let mut admin = server.client(&token);
    let batch = admin.get("/v1/campaigns/long/batches/in").must(200).json();
    assert_eq!(batch["imported"], LINES, "{batch}");
    admin.send("GET", "/v1/campaigns/long/codes", None).expect("sent");
    let mut lines = 0;
    let answer = admin.receive_into(|piece| {
        if lines == 0 {
            stop(&server);
        }
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
    });
    answer.expect("the whole list").must(200);
    assert_eq!(lines, CODES + 1);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
}

/// The service ends within its limit, whatever clients do.
#[test]
fn ends_within_its_limit() {
    let request = |rest: &str| format!("POST /v1/sessions HTTP/1.1\r\nHost: x\r\n{rest}");
    let rows = [
        ("a silent connection", String::new(), Duration::from_secs(3)),
        ("half a header", request("Content-Ty"), DRAIN_AND_MORE),
        (
            "half a body",
            request("Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"login"),
            DRAIN_AND_MORE,
        ),
    ];
    let data = Data::new();
    for (name, sent, limit) in rows {
        despite_stalls(limit, || {
            let mut server = data.serve();
            let mut socket = connect(server.address).expect("a connection");
            socket.write_all(sent.as_bytes()).expect("sent");
            // Once another connection is answered, the first one has been accepted too.
            server.client("").get("/healthz").must(200);
            let begun = Instant::now();
            server.terminate();
            let status = server.ended();
            let took = begun.elapsed();
            assert_eq!(status.code(), Some(0), "{name}: {}", server.log());
            assert!(took < limit, "{name}: took {took:?}");
            eprintln!("shutdown with {name}: {took:?}");
        });
    }
}

#[test]
fn one_folder_one_service() {
    let data = Data::new();
    let mut server = data.serve();
    let begun = Instant::now();
    let second = data.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another `couponry serve`"), "{second:?}");
    assert!(second.stderr.contains(&data.path().display().to_string()), "{second:?}");
    assert!(server.is_running(), "the first one ended");
    let mut admin = server.client(&data.token("admin", "root"));
    let terms = json!({"stock": 1, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
    server.kill();
    data.serve().stop();
}

#[test]
fn one_address_one_service() {
    let (data, other) = (Data::new(), Data::new());
    let server = data.serve();
    let address = server.address.to_string();
    let port = format!("`ss -ltnp 'sport = :{}'`", server.address.port());
    let rows: [(&str, &[&str], &str); 2] = [
        ("serve", &["serve", "--listen", &address], "--listen"),
        ("a receiver", &["webhook", "listen", "--on", &address], "--on"),
    ];
    for (name, arguments, flag) in rows {
        let second = other.run(arguments);
        assert_eq!(second.code, Some(1), "{name}: {second:?}");
        for part in [&address, "another process", flag, &port] {
            assert!(second.stderr.contains(part), "{name}: {part}: {second:?}");
        }
    }
    server.stop();
}
