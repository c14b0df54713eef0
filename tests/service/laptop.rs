//! Commands over HTTP: what they print where the data is, they print from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use super::data::{Data, Ran, Server};

/// A machine that has the binary, an address and a token, and no data.
struct Laptop<'a> {
    data: &'a Data,
    url: String,
    token: String,
}

impl Laptop<'_> {
    fn new<'a>(data: &'a Data, server: &Server) -> Laptop<'a> {
        let url = format!("http://{}", server.address);
        Laptop { data, url, token: data.token("admin", "cli") }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.data.command(arguments);
        command.env("COUPONRY_DATA", self.data.folder().join("none"));
        command.env("COUPONRY_URL", &self.url).env("COUPONRY_TOKEN", &self.token);
        self.data.run_command(command)
    }

    #[track_caller]
    fn made(&self, arguments: &[&str]) -> Value {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {ran:?}"))
    }
}

/// The lines in any order, without the instant at which something was counted.
fn lines(text: &str) -> Vec<String> {
    let plain = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut object)) => {
            object.remove("counted_at");
            if let Some(campaign) = object.get_mut("campaign").and_then(Value::as_object_mut) {
                campaign.remove("counted_at");
            }
            Value::Object(object).to_string()
        }
        _ => line.to_owned(),
    };
    let mut lines: Vec<String> = text.lines().map(plain).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn over_http() {
    let data = Data::new();
    let server = data.serve();
    let laptop = Laptop::new(&data, &server);
    let create = [
        "campaign",
        "create",
        "--id",
        "spring",
        "--stock",
        "20",
        "--expires-on",
        "2031-12-31",
        "--metadata",
        r#"{"percent": 10}"#,
    ];
    let campaign = laptop.made(&create);
    assert_eq!((&campaign["stock"], &campaign["metadata"]["percent"]), (&json!(20), &json!(10)));
    let again = laptop.run(&create);
    assert!(again.stderr.contains("it was created before"), "{again:?}");
    assert_eq!(laptop.made(&["campaign", "pause", "spring", "--reason", "leaked"])["paused"], true);
    assert_eq!(laptop.made(&["campaign", "resume", "spring"])["paused"], false);
    let more = ["campaign", "generate", "spring", "--count", "5", "--batch", "more"];
    assert_eq!(laptop.made(&more)["count"], 5);

    let issue = ["coupon", "issue", "--campaign", "spring", "--user", "김철수"];
    let code = laptop.made(&issue)["code"].as_str().expect("a code").to_owned();
    let check = ["coupon", "check", &code, "--user", "김철수", "--order", "주문-1"];
    assert_eq!(laptop.made(&check)["redeemable"], true);
    let redeem = ["coupon", "redeem", &code, "--user", "김철수", "--order", "주문-1"];
    let redeemed = laptop.made(&redeem);
    assert_eq!(laptop.made(&redeem), redeemed, "a repeat is the same redemption");
    for (name, replay) in [("there", laptop.run(&redeem)), ("here", data.run(&redeem))] {
        assert!(replay.stderr.contains("an earlier call did this"), "{name}: {replay:?}");
    }
    let cancel =
        ["coupon", "cancel-redemption", &code, "--order", "주문-1", "--reason", "returned"];
    assert_eq!(laptop.made(&cancel)["coupon"]["state"], "issued");
    let extend =
        ["coupon", "extend", &code, "--expires-on", "2032-01-31", "--time-zone", "Asia/Seoul"];
    assert_eq!(laptop.made(&extend)["expires_at"], "2032-01-31T15:00:00.000Z");

    let bearer =
        ["campaign", "create", "--id", "old", "--handout", "bearer", "--expires-on", "2031-12-31"];
    laptop.made(&bearer);
    let file = data.folder().join("old.csv");
    fs::write(&file, "쿠폰,메모\nOLD-0001,a\nOLD-0002,b\nx,c\n").expect("a file");
    let (file, rejects) = (file.display().to_string(), data.folder().join("rejects.csv"));
    let rejected = rejects.display().to_string();
    let import = ["import", &file, "--campaign", "old", "--batch", "a", "--columns", "code:쿠폰"];
    let dry_run = [&import[..], &["--dry-run"]].concat();
    let (here, there) = (data.run(&dry_run), laptop.run(&dry_run));
    assert_eq!((here.code, &here.stdout), (Some(3), &there.stdout), "{there:?}");
    let ran = laptop.run(&[&import[..], &["--rejects", &rejected]].concat());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stdout.contains("imported       2\n") && ran.stdout.contains("rejected       1\n"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("  line 4: \"x,c\": BAD_CODE: "), "the first of them: {ran:?}");
    let rejects = fs::read_to_string(rejects).expect("the rejected lines");
    assert!(rejects.starts_with("line,text,reason,detail\n0,\"쿠폰,메모\",HEADER,"), "{rejects}");

    let codes = data.folder().join("codes.csv");
    fs::write(&codes, "code\nOLD-0001\nOLD-0002\nNONE-9999\n").expect("a file");
    let codes = codes.display().to_string();
    let void = ["coupon", "void", "--file", &codes, "--reason", "printed twice"];
    let voided = laptop.run(&void);
    assert_eq!(voided.code, Some(3), "{voided:?}");
    assert!(
        voided.stdout.contains("OLD-0001,ok,\n") && voided.stdout.contains("NONE-9999,NOT_FOUND,"),
        "{voided:?}"
    );
    assert!(laptop.run(&void).stdout.contains("OLD-0001,replay,\n"), "a second time");

    // What only reads prints the same here and there.
    let today = redeemed["redeemed_at"].as_str().expect("an instant")[..10].to_owned();
    let reads: [&[&str]; 13] = [
        &["campaign", "list"],
        &["campaign", "show", "spring"],
        &["campaign", "show", "nowhere"],
        &["coupon", "show", &code],
        &["coupon", "show", &code, "--user", "bob"],
        &["coupon", "show", "--file", &codes],
        &check,
        &["history", "code", &code],
        &["history", "user", "김철수"],
        &["history", "expires-on", "2031-12-31", "--campaign", "old"],
        &["export", "codes", "--campaign", "spring", "--format", "jsonl"],
        &["export", "coupons", "--campaign", "old"],
        &["export", "redemptions", "--campaign", "spring", "--from", &today, "--to", &today],
    ];
    for read in reads {
        let (here, there) = (data.run(read), laptop.run(read));
        assert_eq!(here.code, there.code, "{read:?}: {here:?} {there:?}");
        assert_eq!(lines(&here.stdout), lines(&there.stdout), "{read:?}: {}", there.stderr);
    }
    let (here, there) = (data.run(&["events"]), laptop.run(&["events"]));
    assert_eq!((&here.stdout, &here.stderr), (&there.stdout, &there.stderr));
    assert!(here.stdout.contains("\"coupon.redeemed\""), "{here:?}");
    let only = ["events", "--type", "coupon.redeemed", "--campaign", "spring"];
    assert_eq!(laptop.run(&only).stdout.lines().count(), 1);
    server.stop();
}

#[test]
fn what_is_refused() {
    let data = Data::new();
    let server = data.serve();
    let laptop = Laptop::new(&data, &server);
    let shared = json!({
        "campaign_id": "shared", "handout": "shared", "shared_code": "SUMMER", "expires_on": "2031-12-31",
    });
    server.client(&data.token("admin", "root")).post("/v1/campaigns", &shared).must(201);
    let rows: [(&str, &[&str], i32, &str); 9] = [
        ("an unknown campaign", &["campaign", "show", "nowhere"], 1, "NOT_FOUND"),
        (
            "one of a batch",
            &["export", "codes", "--campaign", "nowhere", "--batch", "b"],
            1,
            "NOT_FOUND: there is no campaign nowhere",
        ),
        ("a coupon of nobody", &["history", "code", "SUMMER"], 1, "NOT_FOUND: "),
        ("a wrong field", &["campaign", "create", "--id", "a", "--stock", "1"], 2, "expires"),
        ("an unknown code", &["coupon", "show", "7K2M-9QXD-4TRB-H0VE"], 1, "NOT_FOUND"),
        ("work on the data", &["compact"], 2, "works where the data is"),
        ("a second service", &["serve"], 2, "works where the data is"),
        (
            "days of an export",
            &["export", "coupons", "--campaign", "a", "--from", "2026-01-01"],
            2,
            "over HTTP",
        ),
        (
            "a cursor of another store",
            &["events", "--after", "8a6f03b1c2d4e597-1-5be90c17"],
            2,
            "cursor",
        ),
    ];
    for (name, arguments, code, word) in rows {
        let ran = laptop.run(arguments);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(ran.stderr.contains(word), "{name}: {ran:?}");
    }
    let with = |url: &str, token: Option<&str>| {
        let mut command = data.command(["campaign", "list"]);
        command.env("COUPONRY_URL", url);
        if let Some(token) = token {
            command.env("COUPONRY_TOKEN", token);
        }
        data.run_command(command)
    };
    let url = laptop.url.clone();
    let rows = [
        ("no token", with(&url, None), 2, "COUPONRY_TOKEN"),
        ("a wrong token", with(&url, Some("x")), 1, "UNAUTHENTICATED"),
        ("a token for all to read", with("http://coupons.example", Some("x")), 2, "https"),
    ];
    for (name, ran, code, word) in rows {
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(ran.stderr.contains(word), "{name}: {ran:?}");
        assert!(!ran.stderr.contains("none exists"), "{name}: {ran:?}");
    }
    server.stop();
}

/// A coupon for each of many people, in requests of five hundred. The second run changes nothing.
#[test]
fn one_for_each_of_many_people() {
    const PEOPLE: usize = 1_203;
    let data = Data::new();
    let server = data.serve();
    let laptop = Laptop::new(&data, &server);
    let create = ["campaign", "create", "--id", "c", "--stock", "1200"];
    laptop.made(&[&create[..], &["--expires-on", "2031-12-31"]].concat());
    let file = data.folder().join("people.csv");
    let path = file.to_str().expect("UTF-8");
    let mut text = String::from("name,회원번호\n");
    for nth in 0..PEOPLE {
        text.push_str(&format!("Kim,user-{nth}\n"));
    }
    text.push_str("twice,user-0\nno id,no user\nempty,\n");
    fs::write(&file, text).expect("people.csv");
    let command = ["coupon", "issue", "--campaign", "c", "--file", path];
    let mut before = BTreeMap::new();
    for (name, over_http, word) in [("first", true, "ok"), ("again", false, "replay")] {
        let ran = if over_http { laptop.run(&command) } else { data.run(&command) };
        assert_eq!(ran.code, Some(3), "{name}: {ran:?}");
        let mut lines = ran.stdout.lines();
        assert_eq!(lines.next(), Some("user_id,code,result,detail"), "{name}");
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
        let users: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        assert_eq!(users.len(), PEOPLE + 2, "{name}");
        assert!((0..PEOPLE).all(|nth| users[nth] == format!("user-{nth}")), "{name}: in order");
        let of = |result: &str| rows.iter().filter(|row| row[2] == result).count();
        assert_eq!((of("SOLD_OUT"), of("INVALID")), (3, 1), "{name}");
        assert!(of(word) >= 1_200, "{name}");
        let issued = rows.iter().filter(|row| !row[1].is_empty());
        let issued: BTreeMap<String, String> =
            issued.map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
        let codes: BTreeSet<&String> = issued.values().collect();
        assert_eq!((issued.len(), codes.len()), (1_200, 1_200), "{name}: one each");
        assert!(before.is_empty() || before == issued, "{name}: they keep theirs");
        before = issued;
    }
    let rows = [
        ("a user beside the file", vec!["--user", "ann"], "leave --user out"),
        ("a code beside the file", vec!["7K2M-9QXD-4TRB-H0VE"], "cannot be used with"),
    ];
    for (name, more, want) in rows {
        let ran = data.run(&[&command[..], &more].concat());
        assert_eq!(ran.code, Some(2), "{name}: {ran:?}");
        assert!(ran.stderr.contains(want), "{name}: {ran:?}");
    }
    server.stop();
}
