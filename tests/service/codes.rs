//! Stock is computed: ten billion coupons cost one small write, and their codes stream out of the
//! cipher.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::data::{Data, despite_stalls, full, wait_until};

const MIB: u64 = 1 << 20;
const TEN_BILLION: u64 = 10_000_000_000;

/// The data is at rest when it has not changed for this time.
const QUIET: Duration = Duration::from_millis(300);

#[test]
fn stream_in_flat_memory() {
    let count: u64 = if full() { 10_000_000 } else { 200_000 };
    if !full() {
        eprintln!("codes: {count}; 10,000,000 with COUPONRY_FULL=1 or in release");
    }
    let data = Data::new();
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    for (id, stock) in [("few", 1_000), ("many", count)] {
        let terms = json!({"campaign_id": id, "stock": stock, "expires_on": "2031-12-31"});
        admin.post("/v1/campaigns", &terms).must(201);
    }
    // Untouched codes only: one that was issued is not in the list.
    let issued = admin.post("/v1/campaigns/few/issue", &json!({"user_id": "ann"})).must(201);
    let few = admin.get("/v1/campaigns/few/codes").must(200).text();
    let codes: HashSet<&str> = few.lines().skip(1).collect();
    assert_eq!((few.lines().next(), codes.len()), (Some("code"), 999));
    assert!(!codes.contains(issued.field("code").as_str()), "an issued code is in the list");
    let before = server.resident_most();
    let begun = Instant::now();
    admin.send("GET", "/v1/campaigns/many/codes", None).expect("sent");
    let (mut lines, mut bytes) = (0_u64, 0_u64);
    let answer = admin.receive_into(|piece| {
        lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes += piece.len() as u64;
    });
    answer.expect("the whole list").must(200);
    let took = begun.elapsed();
    assert_eq!(lines, count + 1, "a header and the codes");
    assert_eq!(bytes, 5 + count * 20, "16 characters, three hyphens and the line's end");
    let more = server.resident_most() - before;
    eprintln!("codes: {count} in {took:?}, {} MiB more resident", more / MIB);
    assert!(more < 16 * MIB, "{} MiB more resident", more / MIB);
    server.stop();
}

#[test]
fn ten_billion() {
    despite_stalls(QUIET, ten_billion_once);
}

fn ten_billion_once() {
    let data = Data::new();
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let mut make = |id: &str, stock: u64| {
        let terms = json!({"campaign_id": id, "stock": stock, "expires_on": "2031-12-31"});
        let begun = Instant::now();
        let made = admin.post("/v1/campaigns", &terms).must(201);
        let took = begun.elapsed();
        assert_eq!(made.json()["stock"], stock);
        took
    };
    // The first one of all also opens files.
    make("one", 1);
    let before = quiet(&data);
    let took = make("billions", TEN_BILLION);
    let grown = quiet(&data).saturating_sub(before);
    let issued = admin.post("/v1/campaigns/billions/issue", &json!({"user_id": "ann"}));
    issued.must(201);
    server.stop();
    let at_rest = data.bytes().saturating_sub(before);
    eprintln!("ten billion: made in {took:?}, {grown} bytes more, {at_rest} at rest");
    assert!(took < Duration::from_secs(1), "made in {took:?}");
    assert!(grown < 64 << 10, "{grown} bytes more");
    assert!(at_rest < 64 << 10, "{at_rest} bytes more at rest, with one issued");
}

/// The size of the data once it no longer changes: the checkpointer looks every 50 ms.
fn quiet(data: &Data) -> u64 {
    let (mut last, mut since) = (data.bytes(), Instant::now());
    wait_until("a quiet moment", || {
        let now = data.bytes();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > QUIET
    });
    last
}
