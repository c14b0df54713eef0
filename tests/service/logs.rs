//! What the log says of requests that were refused: enough to find one, and no code.

use std::process::Command;

use serde_json::{Value, json};

use super::data::{Data, wait_until};
use super::finished::{campaign, issued, order};

#[test]
fn a_refused_request_is_one_line() {
    let data = Data::new();
    let server = data.serve_with(|command| {
        command.args(["--log-format", "json"]);
    });
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "spring", 5);
    let code = issued(&mut admin, "spring", "ann");
    let at = |what: &str| format!("/v1/coupons/{code}/{what}");
    admin.post(&at("redeem"), &order("ann", "o1")).must(201);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "--json", r#"{"user_id": "ann", "order_ref": "o2"}"#]);
    curl.arg("-H").arg(format!("Authorization: Bearer {}", data.token("shop", "till")));
    curl.arg("-H").arg(format!("traceparent: 00-{trace}-b7ad6b7169203331-01"));
    curl.arg(format!("http://{}{}", server.address, at("redeem")));
    let answer = data.run_command(curl);
    let refused: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    assert_eq!(refused["code"], "ALREADY_REDEEMED", "{answer:?}");
    let id = refused["request_id"].as_str().expect("an id").to_owned();
    let line = || server.log().lines().find(|line| line.contains(&id)).map(str::to_owned);
    wait_until("its line", || line().is_some());
    let line: Value = serde_json::from_str(&line().expect("it")).expect("JSON");
    let fields = &line["fields"];
    let want = json!({
        "request_id": id, "trace_id": trace, "method": "POST", "status": 409, "code": "ALREADY_REDEEMED",
        "route": "/v1/coupons/{code}/redeem", "message": "refused", "took_ms": fields["took_ms"],
    });
    assert_eq!((fields, &line["level"]), (&want, &json!("INFO")));
    // What was accepted has no line, and no line has a code.
    assert_eq!(server.log().matches("\"refused\"").count(), 1, "{}", server.log());
    assert!(!server.log().contains(&code), "{}", server.log());
    // A flood of bad requests does not fill the disk.
    for nth in 0..2_000 {
        admin.get(&format!("/v1/campaigns/none-{nth}"));
    }
    wait_until("what is missing", || {
        admin.get("/v1/campaigns/none");
        server.log().contains("too many requests were refused or failed")
    });
    server.stop();
}

/// A request that the server failed has one line, with its id and what the store said.
#[test]
fn a_failed_request_has_its_cause() {
    let data = Data::new();
    let server = data.serve();
    campaign(&mut server.client(&data.token("admin", "root")), "spring", 5);
    server.stop();
    // More free space than any disk has.
    let server = data.serve_with(|command| {
        command.args(["--log-format", "json"]).env("COUPONRY_FREE_MIN_MIB", "9000000000");
    });
    let mut admin = server.client(&data.token("admin", "root"));
    let asked = admin.post("/v1/campaigns/spring/issue", &json!({"user_id": "ann"}));
    let id = asked.refused(503, "STORE_FULL").field("request_id");
    let line = || server.log().lines().find(|line| line.contains(&id)).map(str::to_owned);
    wait_until("its line", || line().is_some());
    let line: Value = serde_json::from_str(&line().expect("it")).expect("JSON");
    let fields = &line["fields"];
    assert_eq!((&line["level"], &fields["message"]), (&json!("ERROR"), &json!("failed")));
    assert_eq!(fields["code"], "STORE_FULL", "{line}");
    assert!(fields["cause"].as_str().is_some_and(|cause| cause.contains("free")), "{line}");
    assert_eq!(server.log().matches(&id).count(), 1, "{}", server.log());
    server.stop();
}
