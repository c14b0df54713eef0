//! How long a redemption takes while somebody else asks for much. It measures, so it runs only when asked:
//!
//! `cargo test --release -p api --test http -- --ignored --nocapture attacked`
//!
//! Wanted: the p99 beside each attack is at most twice that without. The attackers run on the same machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use engine::Role;
use serde_json::json;
use server::accept::{ListenerLimits, serve};
use tokio::net::TcpListener;

use crate::service::{Service, Shop};

/// Redemptions beside each attack: some hundred of them decide the p99.
const REDEMPTIONS: usize = 4_000;

/// Time for an attack to begin.
const WARM_UP: Duration = Duration::from_secs(2);

/// What one connection of an attacker sends again and again, and whether it reads the answers.
struct Attack {
    name: &'static str,
    connections: usize,
    sent: String,
    reads: bool,
}

fn get(path: &str, token: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\naccept-encoding: gzip\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn redemptions_beside_attacks() {
    let service = Service::new().by_hand();
    service.campaign("c", json!({"stock": 10 * REDEMPTIONS})).await;
    service.campaign("many", json!({"stock": 1_000_000})).await;
    // A wallet of coupons of many campaigns, and a feed in which nothing is of campaign zzz.
    for nth in 0..100 {
        service.campaign(&format!("w{nth}"), json!({})).await;
        service.issued(&format!("w{nth}"), "ann").await;
    }
    let (ann, shop) = (service.token(Role::User, "ann"), service.token(Role::Shop, "till-9"));
    let admin = service.token(Role::Admin, "root");
    let attacks = [
        Attack { name: "nobody", connections: 0, sent: String::new(), reads: false },
        Attack {
            name: "GET /docs, 100 pipelined",
            connections: 60,
            sent: get("/docs", "").repeat(100),
            reads: true,
        },
        Attack {
            name: "lists with expand=campaign",
            connections: 16,
            sent: get("/v1/coupons?limit=100&expand=campaign", &ann),
            reads: true,
        },
        Attack {
            name: "events of campaign zzz",
            connections: 16,
            sent: get("/v1/events?campaign_id=zzz", &shop),
            reads: true,
        },
        Attack {
            name: "deaf downloads",
            connections: 500,
            sent: get("/v1/campaigns/many/codes", &admin),
            reads: false,
        },
    ];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(
        listener,
        service.router(),
        api::two_hosts,
        ListenerLimits::default(),
        std::future::pending(),
    ));
    let mut without = Duration::ZERO;
    for attack in attacks {
        let mut codes = Vec::new();
        for nth in 0..REDEMPTIONS {
            let user = format!("user-{}-{nth}", attack.sent.len());
            codes.push((service.issued("c", &user).await, user));
        }
        let token = service.token(Role::Shop, "till-7");
        let measured =
            tokio::task::spawn_blocking(move || beside(&attack, address, &codes, &token));
        let (name, p50, p99) = measured.await.expect("figures");
        if without.is_zero() {
            without = p99;
        }
        let times = p99.as_secs_f64() / without.as_secs_f64();
        println!("{name:28} p50 {p50:>10.1?} p99 {p99:>10.1?} {times:5.1} times");
    }
    service.get(Shop, "/v1/events?after=newest").await.is("200", "still there");
}

fn beside(
    attack: &Attack,
    address: SocketAddr,
    codes: &[(String, String)],
    token: &str,
) -> (&'static str, Duration, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = (0..attack.connections)
        .map(|_| {
            let (sent, reads, stop) = (attack.sent.clone(), attack.reads, Arc::clone(&stop));
            thread::spawn(move || attacks(address, &sent, reads, &stop))
        })
        .collect();
    if attack.connections > 0 {
        thread::sleep(WARM_UP);
    }
    let mut took: Vec<Duration> = redemptions(address, codes, token);
    took.sort();
    stop.store(true, Ordering::Relaxed);
    for attacker in attackers {
        attacker.join().expect("an attacker ends");
    }
    (attack.name, took[took.len() / 2], took[took.len() * 99 / 100])
}

/// One connection after the other, each for as long as the server keeps it.
fn attacks(address: SocketAddr, sent: &str, reads: bool, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let mut other = stream.try_clone().expect("the same socket");
        other.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        other.set_write_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut bytes = vec![0; 64 * 1024];
                while reads
                    && !stop.load(Ordering::Relaxed)
                    && !matches!(other.read(&mut bytes), Ok(0))
                {}
            });
            let mut at = 0;
            while !(stop.load(Ordering::Relaxed) || (reads && reader.is_finished())) {
                match stream.write(&sent.as_bytes()[at..]) {
                    Ok(bytes) => at = (at + bytes) % sent.len(),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
                if !reads && at == 0 {
                    thread::sleep(Duration::from_millis(100));
                }
            }
            let _closed_already = stream.shutdown(Shutdown::Both);
        });
    }
}

fn redemptions(address: SocketAddr, codes: &[(String, String)], token: &str) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let mut answers = BufReader::new(stream.try_clone().expect("the same socket"));
    let redeem = |(code, user): &(String, String)| {
        let begun = Instant::now();
        let body = json!({"user_id": user, "order_ref": user}).to_string();
        let head = format!(
            "POST /v1/coupons/{code}/redeem HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("a request");
        let (mut line, mut length) = (String::new(), 0);
        answers.read_line(&mut line).expect("an answer");
        while line != "\r\n" {
            let lower = line.to_ascii_lowercase();
            if let Some(bytes) = lower.strip_prefix("content-length: ") {
                length = bytes.trim().parse().expect("a number");
            }
            line.clear();
            answers.read_line(&mut line).expect("a header");
        }
        answers.read_exact(&mut vec![0; length]).expect("a body");
        begun.elapsed()
    };
    codes.iter().map(redeem).collect()
}
