//! Backup and restore: a backup has every change acknowledged before it, and a restored backup
//! never redeems again a coupon that was archived after it.

mod both_tiers;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::client::{Client, at_once};
use super::data::{Data, Ran, STORE_TIMEOUT, Server, despite_stalls, wait_until};
use super::finished::{
    HEADER, Kills, campaign, cold, compact, copy_all, day_that_is_over, doctor_finds_nothing,
    exported, files, import, issued, left_over, order, redeemed, serve,
};
use super::visitor::Visitor;

const SEED: u64 = 20_270_101;

/// Another folder to restore to.
fn elsewhere(data: &Data, name: &str) -> Data {
    let folder = data.folder().join(name);
    fs::create_dir(&folder).expect("a folder");
    Data::within(&folder)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Only the owner may read the folders and files.
fn is_private(folder: &Path) {
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => is_private(&path),
            false => assert_eq!(mode(&path), 0o600, "{}", path.display()),
        }
    }
}

#[test]
fn beside_a_busy_serve() {
    despite_stalls(STORE_TIMEOUT, beside_a_busy_serve_once);
}

fn beside_a_busy_serve_once() {
    const WRITERS: usize = 4;
    let data = Data::new();
    let server = serve(&data);
    let token = data.token("admin", "root");
    campaign(&mut server.client(&token), "c", 1_000_000);
    let (acknowledged, ended) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let before = AtomicUsize::new(0);
    let backup = data.folder().join("backup");
    at_once(WRITERS + 1, |nth| {
        if nth == WRITERS {
            let count = || acknowledged.lock().expect("lock").len();
            wait_until("some redemptions", || count() > 200);
            before.store(count(), Ordering::SeqCst);
            let ran = data.run(&["backup", text(&backup)]);
            ended.store(true, Ordering::SeqCst);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert!(
                ran.stdout.contains("the hot store")
                    && ran.stdout.contains("nothing is archived yet")
            );
            return;
        }
        let mut client = Client::new(server.address, &token);
        for n in 0.. {
            if ended.load(Ordering::SeqCst) {
                break;
            }
            let user = format!("u{nth}-{n}");
            let code = issued(&mut client, "c", &user);
            client.post(&format!("/v1/coupons/{code}/redeem"), &order(&user, "1")).must(201);
            acknowledged.lock().expect("lock").push((code, user));
        }
    });
    let (acknowledged, before) = (acknowledged.into_inner().expect("lock"), before.into_inner());
    eprintln!(
        "backup: {before} redemptions before it, {} while it ran",
        acknowledged.len() - before
    );
    is_private(&backup);
    assert_eq!(files(&backup, ".key").len(), 2, "a code key and a token key");

    let other = elsewhere(&data, "other");
    let ran = other.run(&["restore", text(&backup), "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let modes =
        |path: &str| other.path().join(path).metadata().expect("there").permissions().mode();
    assert_eq!(modes("") & 0o777, 0o700);
    assert_eq!(modes("hot.db") & 0o777, 0o600);
    doctor_finds_nothing(&other, "restored");
    let restored = serve(&other);
    // The keys are in the backup: the token is valid there.
    let mut admin = restored.client(&token);
    for (code, user) in &acknowledged[..before] {
        let redeem = format!("/v1/coupons/{code}/redeem");
        let replay = admin.post(&redeem, &order(user, "1")).must(200);
        assert_eq!(replay.field("user_id"), *user);
    }
    restored.stop();
    server.stop();
}

/// Existing data is not overwritten.
#[test]
fn refusals() {
    let data = Data::new();
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 10);
    redeemed(&mut admin, "c", "u", 3);
    let folder = data.folder();
    let (taken, backup) = (folder.join("taken"), folder.join("backup"));
    fs::create_dir(&taken).expect("a folder");
    fs::write(taken.join("precious"), "x").expect("a file");
    let way = folder.join("way.part");
    fs::create_dir(&way).expect("a folder");
    fs::write(way.join("precious"), "x").expect("a file");
    let (taken, good) = (text(&taken), text(&backup));
    let nothing = folder.join("nothing");
    let first = data.run(&["backup", good]);
    assert_eq!(first.code, Some(0), "{first:?}");
    // Name, call, exit code, the message.
    let rows: [(&str, &[&str], i32, &str); 9] = [
        ("somebody's folder in the way", &["backup", "way"], 1, "no unfinished backup"),
        ("a folder that is there", &["backup", taken], 1, "is there already"),
        ("a backup that is there", &["backup", good], 1, "is there already"),
        ("no data", &["backup", "new", "--data", text(&nothing)], 1, "no couponry data"),
        ("no folder", &["backup"], 2, "DIR"),
        ("no backup", &["restore", taken], 1, "no hot.db in"),
        ("over data", &["restore", good], 1, "--replace"),
        ("while serve runs", &["restore", good, "--replace"], 1, "another `couponry serve`"),
        ("while serve runs, no folder", &["restore"], 1, "another `couponry serve`"),
    ];
    for (name, arguments, code, word) in rows {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(ran.stderr.contains(word), "{name}: {ran:?}");
    }
    for folder in [Path::new(taken), &way] {
        assert_eq!(files(folder, ""), [folder.join("precious")]);
    }
    assert!(!nothing.exists() && !folder.join("new").exists());
    // `serve` is not affected.
    redeemed(&mut admin, "c", "v", 3);
    assert_eq!(exported(&data, "after the refusals").len(), 6);
    let aside = |data: &Data| {
        let entries = fs::read_dir(data.path()).expect("data").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("replaced-")).collect::<Vec<_>>()
    };
    server.stop();
    let lock = fs::File::create(data.path().join("compact.lock")).expect("a file");
    lock.lock().expect("as a compaction does");
    let ran = data.run(&["restore", good, "--replace", "--yes"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("a compaction works on"), "{ran:?}");
    drop(lock);
    let asked = data.run(&["restore", good, "--replace"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    for said in [
        "backup, at 20",
        "Z: campaigns 1, issued coupons 0, redeemed 3\n",
        "data, at 20",
        "Z: campaigns 1, issued coupons 0, redeemed 6\n",
        "old passwords are good again",
        "add --yes",
    ] {
        assert!(asked.stderr.contains(said), "{said}: {}", asked.stderr);
    }
    assert_eq!(aside(&data), Vec::<String>::new());
    fs::rename(backup.join("backup.toml"), backup.join("backup.txt")).expect("renamed");
    let old = data.run(&["restore", good, "--replace"]);
    assert!(old.stderr.contains("an earlier release made it"), "{old:?}");
    fs::rename(backup.join("backup.txt"), backup.join("backup.toml")).expect("renamed");

    let own = data.run(&["restore", text(&data.path()), "--replace", "--yes"]);
    assert!(own.stderr.contains("is a data folder and no backup"), "{own:?}");

    let ran = data.run(&["restore", good, "--replace", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let aside = aside(&data);
    assert_eq!(aside.len(), 1, "{aside:?}");
    let aside = data.path().join(&aside[0]);
    assert!(aside.join("hot.db").exists(), "{:?}", files(&aside, ""));
    assert_eq!(files(&aside, ".key").len(), 2, "{:?}", files(&aside, ""));
    assert_eq!(exported(&data, "restored").len(), 3);
    doctor_finds_nothing(&data, "restored");
}

/// A session does not come back to life, and `restore` says who may sign in.
#[test]
fn sessions_of_before_a_restore() {
    let data = Data::new();
    let server = serve(&data);
    let eva = Visitor::enrolled(&data, server.address, "eva");
    assert!(eva.get(server.address, "/console").starts_with("HTTP/1.1 200"));
    let backup = data.folder().join("backup");
    assert_eq!(data.run(&["backup", text(&backup)]).code, Some(0));
    server.stop();
    let ran = data.run(&["restore", text(&backup), "--replace", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("may sign in, with the passwords of this store: eva"), "{ran:?}");
    let server = serve(&data);
    let answer = eva.get(server.address, "/console");
    assert!(answer.starts_with("HTTP/1.1 303"), "she signs in again: {answer}");
    server.stop();
}

/// A backup is complete under its name or not there, and a killed one does not disturb the next.
#[test]
fn a_killed_backup() {
    const ROUNDS: usize = 8;
    const LINES: usize = 5_000;
    let data = Data::new();
    let server = serve(&data);
    campaign(&mut server.client(&data.token("admin", "root")), "c", 0);
    let lines: String = (0..LINES).map(|n| format!("LINE{n:06},,,issued,user-{n},,,\n")).collect();
    import(&data, "c", "old", &lines);
    let backup = data.folder().join("backup");
    let begun = Instant::now();
    let ran = data.run(&["backup", text(&data.folder().join("first"))]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut kills = Kills::within(begun.elapsed(), SEED);
    while kills.go_on(ROUNDS) {
        let moment = kills.kill(&data, &["backup", text(&backup)]);
        if backup.exists() {
            let other = elsewhere(&data, &format!("round-{}", kills.rounds));
            let ran = other.run(&["restore", text(&backup), "--yes"]);
            assert_eq!(ran.code, Some(0), "killed after {moment:?}: {ran:?}");
            assert_eq!(exported(&other, "restored").len(), LINES, "killed after {moment:?}");
            fs::remove_dir_all(&backup).expect("removed");
        }
    }
    eprintln!("backup: {} of {} killed at work", kills.at_work, kills.rounds);
    assert!(kills.at_work > 0, "each one ended before it was killed");
    let ran = data.run(&["backup", text(&backup)]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let names = fs::read_dir(data.folder()).expect("a folder").flatten();
    let parts = names.filter(|it| it.file_name().to_string_lossy().contains(".part"));
    assert_eq!(parts.count(), 0, "the killed backup is still there");
    is_private(&backup);
    server.stop();
}

/// A store with a backup, and what has been archived since.
struct Moved {
    data: Data,
    token: String,
    backup: PathBuf,
    /// Issued to ann before the backup, redeemed after it.
    anns: String,
    /// Issued to bob and redeemed, both after it.
    bobs: String,
    /// Minted in a campaign that was made after it.
    strange: BTreeSet<String>,
    /// Every archived coupon, as it was read last.
    archived: BTreeSet<String>,
}

fn bare(code: &str) -> String {
    code.replace('-', "")
}

impl Moved {
    fn new() -> Moved {
        let data = Data::new();
        let server = serve(&data);
        let token = data.token("admin", "root");
        let mut admin = server.client(&token);
        campaign(&mut admin, "c", 50);
        let two = json!({"campaign_id": "two", "stock": 50, "expires_on": "2031-12-31",
            "cancel_days": 0, "extend_days": 0, "per_user_limit": 2});
        admin.post("/v1/campaigns", &two).must(201);
        import(&data, "c", "paper", "BEFORE0001,,,,,,,\n");
        let anns = issued(&mut admin, "c", "ann");
        // An archived coupon that the backup knows.
        redeemed(&mut admin, "c", "early", 5);
        compact(&data, &["--closed-now"]);
        let backup = data.folder().join("backup");
        let ran = data.run(&["backup", text(&backup)]);
        assert_eq!(ran.code, Some(0), "{ran:?}");

        admin.post(&format!("/v1/coupons/{anns}/redeem"), &order("ann", "first")).must(201);
        let bobs = redeemed(&mut admin, "c", "bob", 1).remove(0);
        for reference in ["one", "two"] {
            let body = json!({"user_id": "cat", "issue_ref": reference});
            let code = admin.post("/v1/campaigns/two/issue", &body).must(201).field("code");
            let redeem = format!("/v1/coupons/{code}/redeem");
            admin.post(&redeem, &order("cat", reference)).must(201);
        }
        let over = left_over("AFTER0001", &day_that_is_over(0));
        let spent = "AFTER0002,,,redeemed,dan,,2025-01-01T00:00:00Z,paper\n";
        import(&data, "c", "paper", &format!("BEFORE0001,,,,,,,\n{over}{spent}"));
        campaign(&mut admin, "later", 20);
        let strange = redeemed(&mut admin, "later", "eve", 20).into_iter().collect();
        import(&data, "later", "paper", "STRANGE001,,,void,,,,\n");
        compact(&data, &["--closed-now"]);
        let all = exported(&data, "before the restore");
        let in_cold = |coupon: &&Value| coupon["tier"] == "cold";
        let code = |coupon: &Value| bare(coupon["code"].as_str().expect("a code"));
        let archived: BTreeSet<String> = all.values().filter(in_cold).map(code).collect();
        assert_eq!(archived.len(), 5 + 1 + 1 + 2 + 2 + 20 + 1);
        server.stop();
        Moved { data, token, backup, anns, bobs, strange, archived }
    }

    /// Puts the store of the backup in the place of the present one, by hand.
    fn put_back_by_hand(&self) {
        for name in ["hot.db-wal", "hot.db-shm"] {
            let _ = fs::remove_file(self.data.path().join(name));
        }
        fs::copy(self.backup.join("hot.db"), self.data.path().join("hot.db")).expect("copied");
    }

    /// A store that is older than cold refuses to work, and says what to do.
    fn is_refused(&self) {
        for arguments in [&["serve", "--listen", "127.0.0.1:0"] as &[&str], &["compact"]] {
            let ran = self.data.run(arguments);
            assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
            assert!(ran.stderr.contains("`couponry restore`"), "{arguments:?}: {ran:?}");
        }
    }

    /// The message about archived coupons of campaigns that are not in the store.
    fn tells_of_strangers(&self, ran: &Ran, name: &str) {
        assert_eq!(ran.code, Some(3), "{name}: {ran:?}");
        assert!(
            ran.stderr.contains("21 archived coupons are of campaigns made after"),
            "{name}: {ran:?}"
        );
    }

    fn server(&self) -> (Server, Client) {
        let server = serve(&self.data);
        let admin = server.client(&self.token);
        (server, admin)
    }

    /// No archived coupon is available again.
    fn is_safe(&self, name: &str) {
        let (server, mut admin) = self.server();
        for (code, user, first) in
            [(&self.anns, "ann", "first"), (&self.bobs, "bob-0", "order-bob-0")]
        {
            let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
            assert_eq!((&coupon["state"], &coupon["tier"]), (&json!("redeemed"), &json!("cold")));
            let redeem = format!("/v1/coupons/{code}/redeem");
            admin.post(&redeem, &order(user, "second")).refused(409, "ALREADY_REDEEMED");
            let replay = admin.post(&redeem, &order(user, first)).must(200);
            assert_eq!(replay.field("order_ref"), first, "{name}");
        }
        // Limits: one in `c`, which bob had; two in `two`, which bob had, too.
        for (user, code) in [("ann", &self.anns), ("bob-0", &self.bobs)] {
            let again = admin.post("/v1/campaigns/c/issue", &json!({"user_id": user})).must(200);
            assert_eq!(again.field("code"), *code, "{name}: {user}");
        }
        let third = json!({"user_id": "cat", "issue_ref": "three"});
        admin.post("/v1/campaigns/two/issue", &third).refused(409, "LIMIT_PER_USER");
        for reference in ["one", "two"] {
            let body = json!({"user_id": "cat", "issue_ref": reference});
            admin.post("/v1/campaigns/two/issue", &body).must(200);
        }
        self.foreign_codes_are_taken(&mut admin, name);
        self.minted_codes_are_new(&mut admin, name);
        for code in &self.strange {
            let status = admin.get(&format!("/v1/coupons/{code}")).status;
            assert_eq!(status, 404, "{name}: the campaign of {code} is not in the store");
        }
        doctor_finds_nothing(&self.data, name);
        // The store works.
        redeemed(&mut admin, "c", &format!("after-{}", bare(&self.anns)), 3);
        compact(&self.data, &["--closed-now"]);
        doctor_finds_nothing(&self.data, name);
        server.stop();
    }

    fn foreign_codes_are_taken(&self, admin: &mut Client, name: &str) {
        campaign(admin, "new", 0);
        let file = self.data.folder().join("again.csv");
        let codes = ["AFTER0001", "AFTER0002", "STRANGE001"];
        let lines: String = codes.map(|code| format!("{code},,,,,,,\n")).concat();
        fs::write(&file, format!("{HEADER}{lines}")).expect("a file");
        let rejects = self.data.folder().join("rejects.csv");
        let ran = self.data.run(&[
            "import",
            text(&file),
            "--campaign",
            "new",
            "--batch",
            "again",
            "--rejects",
            text(&rejects),
        ]);
        assert!(matches!(ran.code, Some(1 | 3)), "{name}: {ran:?}");
        let rejects = fs::read_to_string(&rejects).expect("rejects");
        for code in codes {
            let line = rejects.lines().find(|line| line.contains(code));
            let line =
                line.unwrap_or_else(|| panic!("{name}: {code} was imported as new: {ran:?}"));
            assert!(line.contains("CODE_TAKEN"), "{name}: {line}");
        }
        assert_eq!(admin.get("/v1/campaigns/new").must(200).json()["stock"], 0, "{name}");
    }

    /// In a campaign of the backup, and in a new one on the same day.
    fn minted_codes_are_new(&self, admin: &mut Client, name: &str) {
        campaign(admin, "fresh", 40);
        let mut minted: Vec<String> = admin
            .get("/v1/campaigns/fresh/codes")
            .must(200)
            .text()
            .lines()
            .skip(1)
            .map(bare)
            .collect();
        assert_eq!(minted.len(), 40, "{name}");
        minted.extend((0..20).map(|n| bare(&issued(admin, "c", &format!("new-{n}")))));
        minted.extend((0..20).map(|n| bare(&issued(admin, "fresh", &format!("new-{n}")))));
        for code in &minted {
            assert!(!self.archived.contains(code), "{name}: {code} was minted a second time");
        }
    }
}

#[test]
fn put_back_by_hand() {
    let moved = Moved::new();
    moved.put_back_by_hand();
    moved.is_refused();
    let ran = moved.data.run(&["restore"]);
    moved.tells_of_strangers(&ran, "by hand");
    let again = moved.data.run(&["restore"]);
    moved.tells_of_strangers(&again, "by hand, again");
    assert!(again.stdout.starts_with("0 archived coupons"), "{again:?}");
    moved.is_safe("by hand");
}

/// What a store knows of the cold tier.
const MARKS: &str = "name IN ('cold_begun', 'cold_committed')";

/// A snapshot whose tables were copied one after the other: the settings are newer than the
/// coupons, and say that the store knows the present cold tier.
#[test]
fn put_back_table_after_table() {
    let moved = Moved::new();
    let path = moved.data.path().join("hot.db");
    let marks: Vec<(String, String)> = {
        let store = rusqlite::Connection::open(&path).expect("the store of today");
        let query = format!("SELECT name, value FROM setting WHERE {MARKS}");
        let mut marks = store.prepare(&query).expect("settings");
        let rows = marks.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("marks");
        rows.collect::<Result<_, _>>().expect("texts")
    };
    assert_eq!(marks.len(), 2, "{marks:?}");
    moved.put_back_by_hand();
    let store = rusqlite::Connection::open(&path).expect("the store of the snapshot");
    for (name, value) in &marks {
        let set = "INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)";
        store.execute(set, [name, value]).expect("a mark of today");
    }
    drop(store);
    let ran = moved.data.run(&["restore"]);
    moved.tells_of_strangers(&ran, "table after table");
    moved.is_safe("table after table");
}

/// A restore that is killed at any moment and repeated until it ends.
#[test]
fn a_killed_restore() {
    const ROUNDS: usize = 8;
    let moved = Moved::new();
    let folder = text(&moved.backup);
    let restore = ["restore", folder, "--replace", "--yes"];
    let begun = Instant::now();
    let ran = moved.data.run(&restore);
    let mut kills = Kills::within(begun.elapsed(), SEED);
    moved.tells_of_strangers(&ran, "at first");
    while kills.go_on(ROUNDS) {
        let moment = kills.kill(&moved.data, &restore);
        // After each kill no process works on a store that is older than cold.
        let ran = moved.data.run(&["compact", "--dry-run"]);
        let words = ["`couponry restore", "no couponry data", "key"];
        let refused = ran.code == Some(1) && words.iter().any(|word| ran.stderr.contains(word));
        assert!(refused || ran.code == Some(0), "killed after {moment:?}: {ran:?}");
    }
    eprintln!("restore: {} of {} killed at work", kills.at_work, kills.rounds);
    assert!(kills.at_work > 0, "each one ended before it was killed");
    let ran = moved.data.run(&restore);
    moved.tells_of_strangers(&ran, "at last");
    moved.is_safe("restored");
}

/// A cold tier that is older than the hot store is refused.
#[test]
fn an_older_cold_tier() {
    let data = Data::new();
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 20);
    redeemed(&mut admin, "c", "early", 2);
    compact(&data, &["--closed-now"]);
    let (old, new) = (data.folder().join("old"), data.folder().join("new"));
    copy_all(&cold(&data), &old);
    let late = redeemed(&mut admin, "c", "late", 2);
    compact(&data, &["--closed-now"]);
    let backup = data.folder().join("backup");
    assert_eq!(data.run(&["backup", text(&backup)]).code, Some(0));
    copy_all(&cold(&data), &new);
    let put = |from: &Path| {
        fs::remove_dir_all(cold(&data)).expect("removed");
        copy_all(from, &cold(&data));
    };
    put(&old);
    let late = format!("/v1/coupons/{}", late[0]);
    admin.get(&late).refused(503, "COLD_UNAVAILABLE");
    for arguments in [&["compact"] as &[&str], &["doctor"]] {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("older copy"), "{arguments:?}: {ran:?}");
    }
    server.stop();
    let ran = data.run(&["restore", text(&backup), "--replace", "--yes"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("older copy"), "{ran:?}");
    // The backup has the newer one.
    fs::remove_dir_all(cold(&data)).expect("removed");
    let ran = data.run(&["restore", text(&backup), "--replace", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    doctor_finds_nothing(&data, "the one of the backup");
    put(&new);
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    assert_eq!(admin.get(&late).must(200).field("tier"), "cold");
    doctor_finds_nothing(&data, "the newer one");
    server.stop();
}
