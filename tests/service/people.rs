//! A person is forgotten by the whole service: both tiers, and every file of the data folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coupon::calendar::format_instant;
use coupon::time::Millis;
use serde_json::{Value, json};
use testbucket::{BUCKET, Kind};
use testengines::{CC, may_run};

use super::client::{Client, Dice};
use super::data::{Data, Server, wait_until};
use super::finished::{campaign, compact, doctor_finds_nothing, exported, issued, order};
use super::shim::{Clock, Shim};

/// Seconds.
const DAY: i64 = 86_400;

/// Nothing else has it.
const ZOE: &str = "zoe.weit@example.org";

/// The files below a folder in which a text is.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            let has = bytes.windows(text.len()).any(|some| some == text.as_bytes());
            found.extend(has.then(|| path.display().to_string()));
        }
    }
    found
}

/// A coupon that is redeemed, one that is issued, and a refused attempt. Returns the first.
fn lives(data: &Data, admin: &mut Client) -> String {
    let redeemed = issued(admin, "c", ZOE);
    let redeem = format!("/v1/coupons/{redeemed}/redeem");
    admin.post(&redeem, &order(ZOE, &format!("{ZOE}/1"))).must(201);
    issued(admin, "d", ZOE);
    admin.post(&redeem, &order(ZOE, "2")).refused(409, "ALREADY_REDEEMED");
    data.token("user", ZOE);
    redeemed
}

fn erasure(admin: &mut Client, id: &str) -> Value {
    admin.get(&format!("/v1/erasures/{id}")).must(200).json()
}

/// What is known of the person, over HTTP and by the command, as a document and as a file.
fn told(data: &Data, admin: &mut Client, archived: &str) {
    let path = format!("/v1/people/{ZOE}");
    let known = admin.get(&path).must(200).json();
    let records = known["records"].as_array().expect("records");
    let of = |kind: &str| records.iter().filter(|it| it["kind"] == kind).count();
    assert_eq!([of("coupon"), of("attempt")], [2, 1], "{known}");
    assert_eq!(of("audit"), 2, "a token was made, and somebody asks: {known}");
    let is_archived = |it: &&Value| it["value"]["code"] == *archived;
    let coupon = &records.iter().find(is_archived).expect("the archived one")["value"];
    assert_eq!((&coupon["tier"], &coupon["state"]), (&json!("cold"), &json!("redeemed")));
    assert_eq!(coupon["events"].as_array().map(Vec::len), Some(2), "{coupon}");

    let lines = admin.get_csv(&path).must(200).text();
    let lines: Vec<&str> = lines.lines().collect();
    let event = |line: &&&str| line.starts_with("event,") && line.contains(archived);
    assert_eq!(lines.iter().filter(event).count(), 2, "{lines:?}");
    let shown = data.run(&["person", "show", ZOE]);
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    // A command has no refused attempts, and the audit has one question more.
    let kinds = |known: &Value, kind: &str| {
        let records = known["records"].as_array().expect("records");
        records.iter().filter(|it| it["kind"] == kind).cloned().collect::<Vec<_>>()
    };
    assert_eq!(kinds(&shown, "coupon"), kinds(&known, "coupon"));
}

/// A server without the feed, which tells whoever follows of a person who was erased, and keeps the name for that long.
fn serve(data: &Data, is_compacting: bool) -> Server {
    data.serve_with(|command| {
        command.env("COUPONRY_EVENTS_KEEP", "0");
        if !is_compacting {
            command.args(["--compact-every", "0"]);
        }
    })
}

#[test]
fn no_file_names_an_erased_person() {
    forgets(&Data::new(), &[]);
}

/// A bucket of versitygw is a folder.
#[test]
fn no_object_names_an_erased_person() {
    let Some(server) = testbucket::Server::start(Kind::Versitygw) else { return };
    let location = format!("s3://{BUCKET}/cold");
    forgets(&Data::on_bucket(&location, server.environment()), &[server.bucket()]);
}

/// Erases two persons of one name, one after the other. `beside`: folders that belong to the store, too.
fn forgets(data: &Data, beside: &[PathBuf]) {
    let server = serve(data, false);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 10);
    campaign(&mut admin, "d", 10);
    let bob = issued(&mut admin, "c", "bob");
    let archived = lives(data, &mut admin);
    compact(data, &["--closed-now"]);

    told(data, &mut admin, &archived);
    let erase = format!("/v1/people/{ZOE}/erase");
    let asked = json!({"erasure_id": "ticket", "reason": format!("{ZOE} asked")});
    let begun = admin.post(&erase, &asked).must(202).json();
    let name = begun["name"].as_str().expect("a name").to_owned();
    // At once, in both tiers, though no file of cold is written again.
    let mine = admin.get(&format!("/v1/coupons?user_id={ZOE}")).must(200).json();
    assert_eq!(mine["data"], json!([]));
    let theirs = admin.get(&format!("/v1/coupons?user_id={name}")).must(200).json();
    assert_eq!(theirs["data"].as_array().map(Vec::len), Some(2), "{theirs}");
    let coupon = admin.get(&format!("/v1/coupons/{archived}")).must(200).json();
    assert_eq!((&coupon["holder"], &coupon["tier"]), (&json!(name), &json!("cold")), "{coupon}");

    wait_until("the hot store is done", || erasure(&mut admin, "ticket")["state"] == "archive");
    // From here on it is a new person, whom the compaction leaves alone.
    let new = issued(&mut admin, "c", ZOE);
    let ran = compact(data, &[]);
    assert!(ran.stdout.contains("written again"), "{ran:?}");
    server.stop();
    let server = serve(data, true);
    let mut admin = server.client(&data.token("admin", "root"));
    wait_until("it is finished", || erasure(&mut admin, "ticket")["state"] == "done");
    let coupon = admin.get(&format!("/v1/coupons/{new}")).must(200).json();
    assert_eq!(coupon["holder"], json!(ZOE));

    server.stop();
    // The second person of the name by the command, with a compaction at once.
    let people = data.folder().join("people.csv");
    fs::write(&people, format!("user_id\n{ZOE}\nno name\n")).expect("people.csv");
    let people = people.to_str().expect("a path");
    for _ in 0..2 {
        let file =
            ["person", "erase", "--file", people, "--id", "april", "--reason", "old", "--now"];
        let ran = data.run(&file);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stdout.contains(&format!("{ZOE},april:2,ok")), "{ran:?}");
    }
    let server = serve(data, false);
    let mut admin = server.client(&data.token("admin", "root"));
    wait_until("it is finished", || erasure(&mut admin, "april:2")["state"] == "done");
    server.stop();
    for folder in [&data.path()].into_iter().chain(beside) {
        assert_eq!(files_with(folder, ZOE), Vec::<String>::new());
    }
    doctor_finds_nothing(data, "after two erasures");
    let all = exported(data, "after two erasures");
    assert_eq!(all[&archived]["holder"], json!(name));
    assert_eq!(all[&bob]["holder"], json!("bob"));
}

/// Killed at any step, and begun again, an erasure ends in the same.
#[test]
fn killed_at_any_step() {
    const COUPONS: usize = 100;
    let data = Data::new();
    let token = data.token("admin", "root");
    let server = serve(&data, true);
    let mut admin = server.client(&token);
    let terms = json!({"campaign_id": "many", "stock": 10 * COUPONS, "expires_on": "2031-12-31",
        "per_user_limit": COUPONS});
    admin.post("/v1/campaigns", &terms).must(201);
    server.stop();
    let mut dice = Dice(20_261_130);
    for round in 0..5 {
        let server = serve(&data, true);
        let mut admin = server.client(&token);
        for nth in 0..COUPONS {
            let issue = json!({"user_id": ZOE, "issue_ref": format!("{round}-{nth}")});
            admin.post("/v1/campaigns/many/issue", &issue).must(201);
        }
        let id = format!("round-{round}");
        let asked = json!({"erasure_id": &id, "reason": "asked"});
        let erase = format!("/v1/people/{ZOE}/erase");
        admin.send("POST", &erase, Some(&asked)).expect("sent");
        std::thread::sleep(dice.within(Duration::from_millis(400)));
        server.kill();

        let server = serve(&data, true);
        let mut admin = server.client(&token);
        // It may not have begun.
        admin.post(&erase, &asked).must(202);
        wait_until("the hot store is done", || erasure(&mut admin, &id)["state"] == "archive");
        let mine = admin.get(&format!("/v1/coupons?user_id={ZOE}")).must(200).json();
        assert_eq!(mine["data"], json!([]), "round {round}");
        let name = erasure(&mut admin, &id)["name"].as_str().expect("a name").to_owned();
        let theirs = admin.get(&format!("/v1/coupons?user_id={name}&limit=1000")).must(200).json();
        assert_eq!(theirs["data"].as_array().map(Vec::len), Some(COUPONS), "round {round}");
        server.kill();
    }
    compact(&data, &[]);
    let server = serve(&data, true);
    let mut admin = server.client(&token);
    for round in 0..5 {
        let id = format!("round-{round}");
        wait_until("it is finished", || erasure(&mut admin, &id)["state"] == "done");
    }
    server.stop();
    assert_eq!(files_with(&data.path(), ZOE), Vec::<String>::new());
    doctor_finds_nothing(&data, "after kills");
}

/// Neither a backup of before the erasure nor a file of the old system brings the person back.
#[test]
fn nothing_brings_them_back() {
    let data = Data::new();
    let server = data.serve();
    let token = data.token("admin", "root");
    let mut admin = server.client(&token);
    campaign(&mut admin, "c", 10);
    let code = issued(&mut admin, "c", ZOE);
    let theirs = issued(&mut admin, "c", "bob");
    let backup = data.folder().join("backup");
    let backup = backup.to_str().expect("a path");
    assert_eq!(data.run(&["backup", backup]).code, Some(0));
    let erase = format!("/v1/people/{ZOE}/erase");
    admin.post(&erase, &json!({"erasure_id": "ticket", "reason": "asked"})).must(202);
    let absent = "/v1/people/nobody/erase";
    admin.post(absent, &json!({"erasure_id": "absent", "reason": "asked"})).must(202);
    let is_settled = |admin: &mut Client, id: &str| erasure(admin, id)["state"] == "archive";
    for id in ["ticket", "absent"] {
        wait_until("the hot store is done", || is_settled(&mut admin, id));
    }
    let name = erasure(&mut admin, "ticket")["name"].clone();
    let told = admin.get("/v1/events?type=person.erased").must(200).json();
    let change = &told["data"][0]["change"]["changes"][0];
    assert_eq!(*change, json!({"field": "user_id", "from": ZOE, "to": name}), "{told}");
    server.stop();
    let ran = data.run(&["restore", backup, "--replace", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("who were erased after the backup: 1"), "{ran:?}");
    assert!(ran.stderr.contains("had not reached the cold tier: absent"), "{ran:?}");

    let server = data.serve();
    let mut admin = server.client(&token);
    wait_until("the hot store is done", || is_settled(&mut admin, "ticket"));
    let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
    assert_eq!(coupon["holder"], name, "under the same name");
    let coupon = admin.get(&format!("/v1/coupons/{theirs}")).must(200).json();
    assert_eq!(coupon["holder"], json!("bob"));
    admin.get("/v1/erasures/absent").refused(404, "NOT_FOUND");
    // Behind all numbers that files of cold may have.
    admin.post("/v1/people/eve/erase", &json!({"erasure_id": "new", "reason": "asked"})).must(202);
    assert_eq!(erasure(&mut admin, "new")["number"], json!(4));

    let file = format!("code,state,user_id\nOLD-0001,issued,{ZOE}\nOLD-0002,issued,bob\n");
    let file = || std::iter::once(file.clone());
    let path = "/v1/campaigns/c/batches?batch_id=old";
    let dry = format!("{path}&dry_run=true");
    let answer = admin.upload(&dry, file(), None).expect("sent").expect("an answer");
    let dry = answer.must(200).json();
    assert_eq!(dry["rejected_lines"][0]["reason"], json!("ERASED"), "{dry}");
    let answer = admin.upload(path, file(), None).expect("sent").expect("an answer");
    let batch = answer.must(201).json();
    assert_eq!((&batch["imported"], &batch["rejected"]), (&json!(1), &json!(1)), "{batch}");
    let again = format!("{path}&again=true");
    let answer = admin.upload(&again, file(), None).expect("sent").expect("an answer");
    assert_eq!(answer.must(200).json()["imported"], json!(1));
    let mine = admin.get(&format!("/v1/coupons?user_id={ZOE}")).must(200).json();
    assert_eq!(mine["data"].as_array().map(Vec::len), Some(1), "a new person: {mine}");
    server.stop();
}

/// Coupons that were kept for long enough are in neither tier any more, and nothing is missing.
#[test]
fn old_days_are_deleted() {
    if !may_run("a wrong clock", CC, Shim::can_be_built()) {
        return;
    }
    let data = Data::new();
    let clock = Clock::build(data.folder());
    let server = data.serve();
    let mut admin = server.client(&data.token("admin", "root"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let ends = format_instant(Millis(now.as_millis() as i64 + 2 * DAY * 1_000));
    let terms = json!({"campaign_id": "old", "stock": 10, "expires_at": ends});
    admin.post("/v1/campaigns", &terms).must(201);
    campaign(&mut admin, "new", 10);
    let [old, new] = ["old", "new"].map(|id| issued(&mut admin, id, ZOE));
    admin.post(&format!("/v1/coupons/{old}/redeem"), &order(ZOE, "1")).must(201);
    let file = format!("code,state,user_id\nOLD-0001,issued,{ZOE}\n");
    let path = "/v1/campaigns/old/batches?batch_id=old";
    let file = || std::iter::once(file.clone());
    admin.upload(path, file(), None).expect("sent").expect("an answer").must(201);
    server.stop();

    let later = |arguments: &[&str]| {
        let mut command = data.command(arguments);
        clock.load_into(&mut command, 400 * DAY);
        data.run_command(command)
    };
    assert_eq!(later(&["compact", "--clock-is-right"]).code, Some(0));
    let too_short = later(&["compact", "--keep-archived", "30d"]);
    assert_eq!(too_short.code, Some(2), "{too_short:?}");
    let asked = later(&["compact", "--dry-run", "--keep-archived", "200d"]);
    assert!(asked.stdout.contains("2 coupons of 1 expiry days would be deleted"), "{asked:?}");
    let ran = later(&["compact", "--keep-archived", "200d"]);
    assert!(ran.stdout.contains("2 coupons of 1 expiry days deleted"), "{ran:?}");
    let verified = later(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");

    let server = data.serve_with(|command| clock.load_into(command, 400 * DAY));
    let token = later(&["token", "--role", "admin", "--user", "root"]);
    let mut admin = server.client(token.stdout.trim());
    for code in [&old, "OLD-0001"] {
        admin.get(&format!("/v1/coupons/{code}")).refused(404, "NOT_FOUND");
    }
    let mine = admin.get(&format!("/v1/coupons?user_id={ZOE}")).must(200).json();
    assert_eq!(mine["data"].as_array().map(Vec::len), Some(1), "{mine}");
    assert_eq!(mine["data"][0]["code"], json!(new));
    let was = admin.get("/v1/campaigns/old").must(200).json();
    assert_eq!((&was["redeemed"], &was["issued"]), (&json!(1), &json!(1)), "{was}");
    let again = "/v1/campaigns/old/batches?batch_id=again&dry_run=true";
    let answer = admin.upload(again, file(), None).expect("sent").expect("an answer");
    let dry = answer.must(200).json();
    assert_eq!(dry["rejected_lines"][0]["reason"], json!("CODE_TAKEN"), "{dry}");
    server.stop();
}
