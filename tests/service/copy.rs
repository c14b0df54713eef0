//! `couponry copy` from one data folder to another: what can be seen of it without a cluster.

use std::fs;

use rusqlite::Connection;
use serde_json::json;

use super::data::{Data, Ran};

/// A data folder with everything a few calls make; the code of ann's coupon.
fn lived_in(data: &Data) -> String {
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let terms = json!({"campaign_id": "c", "stock": 20, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
    let issued = admin.post("/v1/campaigns/c/issue", &json!({"user_id": "ann"})).must(201).json();
    let code = issued["code"].as_str().expect("a code").to_owned();
    let body = json!({"user_id": "ann", "order_ref": "991"});
    admin.post(&format!("/v1/coupons/{code}/redeem"), &body).must(201);
    server.stop();
    code
}

fn copy(data: &Data, more: &[&str]) -> Ran {
    let from = format!("sqlite:{}", data.path().display());
    let to = format!("sqlite:{}", data.folder().join("other/data").display());
    let arguments = ["copy", "--from", &from, "--to", &to];
    data.run(&[&arguments, more].concat())
}

fn target(data: &Data) -> Data {
    Data::within(&data.folder().join("other"))
}

#[test]
fn to_another_folder() {
    let data = Data::new();
    let code = lived_in(&data);
    let server = data.serve();
    let refused = copy(&data, &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("--live"), "{refused:?}");
    let live = copy(&data, &["--live"]);
    assert_eq!(live.code, Some(0), "{live:?}");
    assert!(live.stdout.contains("1 coupons") && live.stdout.contains("end `serve`"), "{live:?}");
    let mut admin = server.client(&data.token("admin", "root"));
    admin.post("/v1/campaigns/c/issue", &json!({"user_id": "bob"})).must(201);
    server.stop();

    let differs = copy(&data, &["--verify"]);
    assert_eq!(differs.code, Some(1), "{differs:?}");
    assert!(differs.stdout.contains("differ"), "{differs:?}");
    let last = copy(&data, &[]);
    assert_eq!(last.code, Some(0), "{last:?}");
    for said in ["another pass", "2 coupons", "the same", "start `serve` on sqlite:"] {
        assert!(last.stdout.contains(said), "{said}: {last:?}");
    }
    assert!(!last.stdout.contains("differ"), "{last:?}");
    assert_eq!(copy(&data, &["--verify"]).code, Some(0));

    closed(&data);
    let other = target(&data);
    let server = other.serve();
    let mut admin = server.client(&other.token("admin", "root"));
    let body = json!({"user_id": "ann", "order_ref": "991"});
    admin.post(&format!("/v1/coupons/{code}/redeem"), &body).must(200);
    let again = json!({"user_id": "ann", "order_ref": "992"});
    admin.post(&format!("/v1/coupons/{code}/redeem"), &again).refused(409, "ALREADY_REDEEMED");
    for user in 0..18 {
        let user = json!({"user_id": format!("user:{user}")});
        admin.post("/v1/campaigns/c/issue", &user).must(201);
    }
    admin.post("/v1/campaigns/c/issue", &json!({"user_id": "late"})).refused(409, "SOLD_OUT");
    server.stop();
    let used = copy(&data, &[]);
    assert_eq!(used.code, Some(1), "{used:?}");
    assert!(used.stderr.contains("it is the store now"), "{used:?}");
}

/// The source of a copy that has come to its end takes no write.
fn closed(data: &Data) {
    let rows: [(&str, &[&str], i32); 7] = [
        ("serve", &["serve", "--listen", "127.0.0.1:0"], 1),
        ("compact", &["compact"], 1),
        ("an import", &["import", "codes.csv", "--campaign", "c"], 1),
        ("a change", &["campaign", "pause", "c"], 1),
        ("a restore", &["restore"], 1),
        ("a look", &["campaign", "show", "c"], 0),
        ("an export", &["export", "coupons", "--campaign", "c"], 0),
    ];
    fs::write(data.folder().join("codes.csv"), "code\nOLD-0001\n").expect("codes.csv");
    for (name, arguments, code) in rows {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert_eq!(ran.stderr.contains("has moved to sqlite:"), code == 1, "{name}: {ran:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named_and_ends_it() {
    let data = Data::new();
    lived_in(&data);
    let hot = Connection::open(data.path().join("hot.db")).expect("hot.db");
    let code: String =
        hot.query_row("SELECT code FROM coupon", [], |row| row.get(0)).expect("a coupon");
    hot.execute("UPDATE coupon SET record = x'ff'", []).expect("damage");
    drop(hot);
    for arguments in [&["--live"] as &[&str], &[], &["--verify"]] {
        let ran = copy(&data, arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(&format!("row {code} of the table coupons")), "{ran:?}");
    }
}

#[test]
fn a_source_may_be_used_again() {
    let data = Data::new();
    lived_in(&data);
    assert_eq!(copy(&data, &[]).code, Some(0));
    closed(&data);
    let here = format!("sqlite:{}", data.path().display());
    let lift = data.run(&["copy", "--from", &here, "--lift"]);
    assert_eq!(lift.code, Some(0), "{lift:?}");
    assert!(lift.stdout.contains("may be used again"), "{lift:?}");
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    admin.post("/v1/campaigns/c/issue", &json!({"user_id": "bob"})).must(201);
    server.stop();
}

#[test]
fn refusals() {
    let data = Data::new();
    lived_in(&data);
    let nowhere = format!("sqlite:{}", data.folder().join("nowhere").display());
    let here = format!("sqlite:{}", data.path().display());
    let rows: [(&str, [&str; 2], i32, &str); 4] = [
        ("no source", [&nowhere, &here], 1, "no couponry data"),
        ("itself", [&here, &here], 2, "same store"),
        ("no store at all", [&here, "redis://h"], 2, "want sqlite:FOLDER"),
        ("no keyspace", [&here, "cql://h"], 2, "keyspace"),
    ];
    for (name, [from, to], code, said) in rows {
        let ran = data.run(&["copy", "--from", from, "--to", to]);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
    }
    let stranger = target(&data);
    fs::create_dir_all(stranger.folder()).expect("a folder");
    lived_in(&stranger);
    let ran = copy(&data, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("not empty"), "{ran:?}");
}
