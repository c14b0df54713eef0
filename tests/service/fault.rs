//! A sync that fails: the outcome is unknown, and a repeat of the request tells it.

use serde_json::{Value, json};
use testengines::{CC, may_run};

use super::client::Client;
use super::data::Data;
use super::shim::Shim;

fn redeemed(admin: &mut Client, code: &str) -> Vec<String> {
    let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
    let events = coupon["events"].as_array().expect("events");
    let redeemed = events.iter().filter(|event| event["kind"] == "redeemed");
    redeemed.map(|event| event["reference"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn outcome_unknown() {
    if !may_run("fault", CC, Shim::can_be_built()) {
        return;
    }
    let data = Data::new();
    let shim = Shim::build(data.folder());
    let token = data.token("admin", "root");
    let mut server = data.serve_with(|command| shim.load_into(command));
    let mut admin = server.client(&token);
    let terms = json!({"campaign_id": "fault", "stock": 10, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
    let issue = |user: &str| json!({"user_id": user});
    for (name, restart) in [("repeated at once", false), ("repeated after kill -9", true)] {
        let (user, other) = (format!("u-{restart}"), format!("v-{restart}"));
        let path = "/v1/campaigns/fault/issue";
        let code = admin.post(path, &issue(&user)).must(201).field("code");
        let redeem = format!("/v1/coupons/{code}/redeem");
        let order = json!({"user_id": user, "order_ref": "991"});
        shim.fail();
        // Twice: a second failure must have the same answer as the first.
        for nth in ["the first", "the second"] {
            let unknown = admin.post(&redeem, &order);
            let told = format!("{name}: {nth}: {}", unknown.text());
            assert_eq!(
                (unknown.status, unknown.field("code").as_str()),
                (503, "OUTCOME_UNKNOWN"),
                "{told}"
            );
            assert_eq!(unknown.field("retry"), "same", "{told}");
        }
        let unknown = admin.post(path, &issue(&other)).refused(503, "OUTCOME_UNKNOWN");
        assert!(unknown.header("retry-after").is_some(), "{name}");
        let read = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
        assert_eq!(read["code"].as_str(), Some(code.as_str()), "{name}: reads succeed");
        shim.heal();
        if restart {
            server.kill();
            server = data.serve_with(|command| shim.load_into(command));
            admin = server.client(&token);
        }
        let last = admin.post(&redeem, &order);
        assert!(last.is_good(), "{name}: {}", last.text());
        assert_eq!(last.json()["order_ref"], "991", "{name}");
        assert_eq!(redeemed(&mut admin, &code), ["991"], "{name}");
        let another = json!({"user_id": user, "order_ref": "992"});
        admin.post(&redeem, &another).refused(409, "ALREADY_REDEEMED");
        let issued = admin.post(path, &issue(&other));
        assert!(issued.is_good(), "{name}: {}", issued.text());
        let again = admin.post(path, &issue(&other)).must(200);
        assert_eq!(again.field("code"), issued.field("code"), "{name}");
    }
    let counts: Value = admin.get("/v1/campaigns/fault").must(200).json();
    assert_eq!((&counts["issued"], &counts["redeemed"]), (&json!(2), &json!(2)), "{counts}");
    server.stop();
    // Every answer after the fault is on the disk, not only in memory.
    let server = data.serve();
    let counts = server.client(&token).get("/v1/campaigns/fault").must(200).json();
    assert_eq!((&counts["issued"], &counts["redeemed"]), (&json!(2), &json!(2)), "{counts}");
    server.stop();
}
