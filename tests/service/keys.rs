//! Keys that are added and retired while the service runs.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::data::{Data, wait_until};

/// The ids of the keys of a kind, the newest last.
fn ids(data: &Data, kind: &str) -> Vec<String> {
    let listed = data.run(&["key", "list"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let of_kind = listed.stdout.lines().filter(|line| line.starts_with(kind));
    of_kind.map(|line| line.split_whitespace().nth(1).expect("an id").to_owned()).collect()
}

#[test]
fn a_running_service_sees_new_and_retired_keys() {
    let data = Data::new();
    let server = data.serve();
    let old = data.token("admin", "root");
    let mut with_old = server.client(&old);
    with_old.get("/v1/campaigns").must(200);

    assert_eq!(data.run(&["key", "add", "--kind", "token"]).code, Some(0));
    let mut with_new = server.client(&data.token("admin", "root"));
    wait_until("a token of the new key is accepted", || {
        with_new.get("/v1/campaigns").status == 200
    });
    with_old.get("/v1/campaigns").must(200);
    let first = ids(&data, "token").remove(0);
    assert_eq!(data.run(&["key", "retire", &first]).code, Some(0));
    wait_until("a token of the retired key is refused", || {
        with_old.get("/v1/campaigns").status == 401
    });
    with_new.get("/v1/campaigns").must(200);

    assert_eq!(data.run(&["key", "add", "--kind", "code"]).code, Some(0));
    let create = ["campaign", "create", "--id", "c", "--stock", "3", "--expires-on", "2031-12-31"];
    let made = data.run(&create);
    assert_eq!(made.code, Some(0), "{made:?}");
    let issued = data.run(&["coupon", "issue", "--campaign", "c", "--user", "ann"]);
    assert_eq!(issued.code, Some(0), "{issued:?}");
    let issued: Value = serde_json::from_str(&issued.stdout).expect("a coupon");
    let path = format!("/v1/coupons/{}", issued["code"].as_str().expect("a code"));
    wait_until("a code of the new key is found", || with_new.get(&path).status == 200);
    server.stop();
}

#[test]
fn a_running_service_keeps_a_deleted_key() {
    let data = Data::new();
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let terms = json!({"campaign_id": "c", "stock": 3, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
    let issued = admin.post("/v1/campaigns/c/issue", &json!({"user_id": "ann"})).must(201).json();
    let path = format!("/v1/coupons/{}", issued["code"].as_str().expect("a code"));
    let id = ids(&data, "code").remove(0);
    let key = data.path().join(format!("keys/code-{id}.key"));
    fs::rename(&key, data.folder().join("aside")).expect("the key is moved away");
    wait_until("the log reports it", || server.log().contains("is gone from"));
    admin.get(&path).must(200);
    fs::rename(data.folder().join("aside"), &key).expect("the key is put back");
    server.signal(Signal::HUP);
    wait_until("the keys are read again", || server.log().contains("the keys were read again"));
    admin.get(&path).must(200);
    server.stop();
}
