//! Commands beside a running service: each sees the changes of the other.

use std::fs;

use serde_json::{Value, json};

use super::client::Client;
use super::data::{Data, Ran, wait_until};

fn made(data: &Data, arguments: &[&str]) -> Value {
    let ran = data.run(arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {ran:?}"))
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn campaign() {
    let data = Data::new();
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let create =
        ["campaign", "create", "--campaign-id", "c", "--stock", "5", "--expires-on", "2031-12-31"];
    made(&data, &create);
    let again = made(&data, &create);
    let over_http = admin.get("/v1/campaigns/c").must(200).json();
    for field in ["campaign_id", "stock", "expires_at", "created_at", "per_user_limit"] {
        assert_eq!(over_http[field], again[field], "{field}");
    }
    let issue = |admin: &mut Client, user: &str| {
        admin.post("/v1/campaigns/c/issue", &json!({"user_id": user}))
    };
    made(&data, &["campaign", "pause", "c"]);
    issue(&mut admin, "ann").refused(409, "PAUSED");
    made(&data, &["campaign", "resume", "c"]);
    issue(&mut admin, "ann").must(201);
    made(&data, &["campaign", "generate", "c", "--count", "7", "--batch", "more"]);
    let shown = made(&data, &["campaign", "show", "c"]);
    assert_eq!((&shown["stock"], &shown["issued"]), (&json!(12), &json!(1)), "{shown}");
    // The service extends what has a row, although another process has changed the terms.
    let later = made(&data, &["campaign", "extend", "c", "--expires-on", "2032-01-31"]);
    assert_eq!(later["expires_on"], "2032-01-31", "{later}");
    wait_until("the coupon that was issued is extended", || {
        made(&data, &["campaign", "show", "c"])["extension"]["extended"] == 1
    });
    let anns = admin.get("/v1/coupons?user_id=ann").must(200).json();
    assert_eq!(anns["data"][0]["expires_on"], "2032-01-31", "{anns}");
    let list = data.run(&["campaign", "list"]);
    assert!(list.code == Some(0) && list.stdout.contains("\"c\""), "{list:?}");
    let rows: [(&str, &[&str], i32, &str); 5] = [
        ("an earlier end", &["extend", "c", "--expires-on", "2032-01-30"], 1, "NOT_LATER"),
        ("another stock", &["create", "--id", "c", "--expires-on", "2031-12-31"], 1, "NAME_TAKEN"),
        ("no expiry", &["create", "--id", "d"], 2, "expires"),
        ("an unknown campaign", &["show", "nowhere"], 1, "NOT_FOUND"),
        (
            "a batch with another count",
            &["generate", "c", "--count", "8", "--batch", "more"],
            1,
            "NAME_TAKEN",
        ),
    ];
    for (name, arguments, code, word) in rows {
        let arguments: Vec<&str> = ["campaign"].iter().chain(arguments).copied().collect();
        let ran = data.run(&arguments);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(said(&ran).contains(word), "{name}: {ran:?}");
    }
    server.stop();
}

/// What commands did is in the audit, and what was refused is in the attempts, also after a kill.
#[test]
fn who_did_it_and_what_failed() {
    let data = Data::new();
    let token = data.token("admin", "root");
    let server = data.serve();
    let mut admin = server.client(&token);
    let create =
        ["campaign", "create", "--campaign-id", "c", "--stock", "5", "--expires-on", "2031-12-31"];
    made(&data, &create);
    made(&data, &["campaign", "pause", "c", "--reason", "codes leaked"]);
    let refused = json!({"user_id": "ann"});
    admin.post("/v1/campaigns/c/issue", &refused).refused(409, "PAUSED");
    data.token("shop", "till-7");
    assert_eq!(data.run(&["key", "add", "--kind", "code"]).code, Some(0));
    let attempts = "/v1/attempts?problem=PAUSED";
    assert_eq!(admin.get(attempts).must(200).json()["data"][0]["user_id"], "ann");
    server.kill();

    let server = data.serve();
    let mut admin = server.client(&token);
    let audit = admin.get("/v1/audit").must(200).json();
    let entries = audit["data"].as_array().expect("entries");
    let line = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", text("type"), text("actor"), text("reason"))
    };
    let want = [
        "key.added admin:cli -",
        "token.made admin:cli -",
        "campaign.paused admin:cli codes leaked",
        "batch.created admin:cli -",
        "campaign.created admin:cli -",
    ];
    assert_eq!(entries.iter().map(line).collect::<Vec<_>>(), want);
    let made = entries[1]["changes"].as_array().expect("changes");
    assert_eq!(made[1], json!({"field": "user", "from": null, "to": "till-7"}));
    assert_eq!(admin.get(attempts).must(200).json()["data"][0]["user_id"], "ann");
    server.stop();
}

#[test]
fn coupon() {
    let data = Data::new();
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let terms = json!({"campaign_id": "c", "stock": 10, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
    let issue = ["coupon", "issue", "--campaign", "c", "--user", "ann"];
    let issued = made(&data, &issue);
    assert_eq!(issued["code"], made(&data, &issue)["code"], "the same coupon again");
    let code = issued["code"].as_str().expect("a code");
    let hold = json!({"user_id": "ann", "order_ref": "990"});
    admin.post(&format!("/v1/coupons/{code}/hold"), &hold).must(201);
    let redeem = |order: &'static str| -> Vec<&'static str> {
        vec!["redeem", "CODE", "--user", "ann", "--order", order]
    };
    // Name, call, exit code, the message.
    let rows = [
        ("held over HTTP", redeem("991"), 1, "HELD"),
        ("released", vec!["release", "CODE", "--order", "990"], 0, "\"held_until\":null"),
        ("redeemed", redeem("991"), 0, "\"order_ref\":\"991\""),
        ("a replay", redeem("991"), 0, "\"order_ref\":\"991\""),
        ("another order", redeem("992"), 1, "ALREADY_REDEEMED"),
        ("void", vec!["void", "CODE", "--reason", "x"], 1, "ALREADY_REDEEMED"),
        ("cancelled", vec!["cancel-redemption", "CODE", "--order", "991"], 0, "cancelled_at"),
        ("the cancelled order again", redeem("991"), 1, "REDEMPTION_CANCELLED"),
        ("not later", vec!["extend", "CODE", "--expires-on", "2031-12-30"], 1, "NOT_LATER"),
        ("later", vec!["extend", "CODE", "--expires-on", "2032-01-05"], 0, "2032-01-05"),
        ("not the holder", vec!["revoke", "CODE", "--user", "bob"], 1, "NOT_ISSUED"),
        ("revoked", vec!["revoke", "CODE", "--user", "ann"], 0, "\"available\""),
        ("killed", vec!["void", "CODE", "--reason", "x"], 0, "\"void\""),
        ("shown", vec!["show", "CODE"], 0, "\"voided\""),
        ("no such coupon", vec!["show", "NOPE-0000"], 1, "NOT_FOUND"),
    ];
    for (name, arguments, exit, word) in rows {
        let place = |word: &&'static str| if *word == "CODE" { code } else { *word };
        let arguments: Vec<&str> =
            ["coupon"].into_iter().chain(arguments.iter().map(place)).collect();
        let ran = data.run(&arguments);
        assert_eq!(ran.code, Some(exit), "{name}: {ran:?}");
        assert!(said(&ran).contains(word), "{name}: want {word}, {ran:?}");
    }
    let read = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
    assert_eq!(read["state"], "void", "{read}");
    server.stop();
}

#[test]
fn many_codes() {
    let data = Data::new();
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let terms = json!({"campaign_id": "c", "stock": 10, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms).must(201);
    let codes = data.run(&["export", "codes", "--campaign", "c"]).stdout;
    let over_http = admin.get("/v1/campaigns/c/codes").must(200).text();
    assert_eq!(codes, over_http, "codes by command and over HTTP");
    let codes: Vec<&str> = codes.lines().skip(1).collect();
    let file = data.folder().join("codes.csv");
    let path = file.to_str().expect("UTF-8");
    // Name, the lines of the file, exit code, results.
    let rows = [
        ("all of them", vec![codes[0], codes[1]], 0, vec!["ok", "ok"]),
        ("again", vec![codes[0], codes[1]], 0, vec!["replay", "replay"]),
        ("partly", vec![codes[1], codes[2], "NOPE-0000"], 3, vec!["replay", "ok", "NOT_FOUND"]),
        ("none", vec!["NOPE-0000"], 1, vec!["NOT_FOUND"]),
    ];
    for (name, lines, exit, results) in rows {
        fs::write(&file, format!("code\n{}\n", lines.join("\n"))).expect("codes.csv");
        let ran = data.run(&["coupon", "void", "--file", path, "--reason", "a bad print"]);
        assert_eq!(ran.code, Some(exit), "{name}: {ran:?}");
        let found: Vec<&str> =
            ran.stdout.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
        assert_eq!(found, results, "{name}: {ran:?}");
    }
    let exported = data.run(&["export", "coupons", "--campaign", "c", "--format", "jsonl"]);
    let lines: Vec<Value> =
        exported.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3, "{exported:?}");
    assert!(lines.iter().all(|line| line["state"] == "void"), "{exported:?}");
    let left = admin.get("/v1/campaigns/c/codes").must(200).text();
    assert_eq!(left.lines().count(), 1 + 7, "{left}");
    server.stop();
}

/// A file of codes is read as an import reads it: no cell of another column is taken for a code.
#[test]
fn files_of_codes() {
    let data = Data::new();
    data.serve().stop();
    let done = |arguments: &[&str]| {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.stdout
    };
    let create = ["campaign", "create", "--id", "c", "--handout", "bearer"];
    done(&[&create[..], &["--expires-on", "2031-12-31"]].concat());
    let file = data.folder().join("codes.csv");
    let path = file.to_str().expect("UTF-8");
    let codes: Vec<String> = (0..6).map(|nth| format!("CFIL000{nth}")).collect();
    fs::write(&file, format!("code\n{}\n", codes.join("\n"))).expect("a file");
    done(&["import", path, "--campaign", "c", "--batch", "a"]);
    // Name, the file, the codes that are void in the end.
    let rows = [
        ("an inner line", "code,note\nCFIL0000,\"has\nCFIL0001, keep that one\"\n", "0"),
        ("another column", "메모,쿠폰번호\nCFIL0001,CFIL0002\n", "02"),
        ("semicolons", "note;code\nCFIL0001;CFIL0003\n", "023"),
        ("no header", "CFIL0004,CFIL0001\n", "0234"),
        ("results fed back", "code,result,detail\nCFIL0005,ok,\n", "02345"),
    ];
    for (name, text, want) in rows {
        fs::write(&file, text).expect("a file");
        done(&["coupon", "void", "--file", path]);
        let exported = done(&["export", "coupons", "--format", "jsonl"]);
        let exported = exported.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let void = exported.filter(|coupon: &Value| coupon["state"] == "void");
        let mut void: Vec<String> =
            void.map(|coupon| coupon["code"].as_str().expect("a code").replace('-', "")).collect();
        void.sort();
        let found: String = void.iter().filter_map(|code| code.chars().last()).collect();
        assert_eq!(found, want, "{name}");
    }
}

/// A new key signs and mints. The tokens of a retired token key become invalid. Codes stay valid.
#[test]
fn keys() {
    let data = Data::new();
    let server = data.serve();
    let old = data.token("admin", "root");
    let mut admin = server.client(&old);
    let terms = |id: &str| json!({"campaign_id": id, "stock": 2, "expires_on": "2031-12-31"});
    admin.post("/v1/campaigns", &terms("old")).must(201);
    let code = admin.post("/v1/campaigns/old/issue", &json!({"user_id": "ann"})).must(201);
    server.stop();
    let ids = |kind: &str| -> Vec<String> {
        let list = data.run(&["key", "list"]).stdout;
        let rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row.first() == Some(&kind)).map(|row| row[1].to_owned()).collect()
    };
    for kind in ["token", "code"] {
        let before = ids(kind);
        assert_eq!(before.len(), 1, "{kind}: {before:?}");
        let last = data.run(&["key", "retire", &before[0]]);
        assert_ne!(last.code, Some(0), "{kind}: the last one was retired: {last:?}");
        assert_eq!(data.run(&["key", "add", "--kind", kind]).code, Some(0), "{kind}");
        assert_eq!(data.run(&["key", "retire", &before[0]]).code, Some(0), "{kind}");
        assert_eq!(ids(kind).len(), 2, "{kind}: a retired one stays in the list");
    }
    let server = data.serve();
    server.client(&old).get("/v1/campaigns").must(401);
    let mut admin = server.client(&data.token("admin", "root"));
    admin.post("/v1/campaigns", &terms("new")).must(201);
    let order = json!({"user_id": "ann", "order_ref": "991"});
    admin.post(&format!("/v1/coupons/{}/redeem", code.field("code")), &order).must(201);
    for id in ["old", "new"] {
        admin.post(&format!("/v1/campaigns/{id}/issue"), &json!({"user_id": "bob"})).must(201);
    }
    server.stop();
    // The service does not start without a key that a batch names.
    let keys = data.path().join("keys");
    let of_codes = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("code-");
    let entries: Vec<fs::DirEntry> =
        fs::read_dir(&keys).expect("keys").flatten().filter(of_codes).collect();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        let aside = data.folder().join("aside.key");
        fs::rename(entry.path(), &aside).expect("moved");
        let ran = data.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ran.code, Some(1), "{:?}: {ran:?}", entry.path());
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.trim_start_matches("code-").trim_end_matches(".key");
        assert!(ran.stderr.contains(id), "{id} is not named: {ran:?}");
        fs::rename(&aside, entry.path()).expect("moved back");
    }
    let doctor = data.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
}
