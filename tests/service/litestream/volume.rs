//! A volume that another machine mounts, and a store that another tool has put into a folder.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use super::super::data::{Data, Server};
use super::super::finished::{
    Kills, campaign, cold, compact, copy_all, doctor_finds_nothing, issued, order, redeemed, serve,
};
use super::super::verify::verify;
use super::{now, sleep, under_load};

const SEED: u64 = 20_261_127;

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
const ADOPT: [&str; 3] = ["restore", "--adopt", "--yes"];

#[track_caller]
fn refused(data: &Data, arguments: &[&str], code: i32, why: &str) {
    let ran = data.run(arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
    assert!(ran.stderr.contains(why), "{arguments:?}: no {why:?}: {ran:?}");
}

/// On one machine a process holds its volume, also while it is frozen. Nothing of couponry fences two copies of
/// a volume: docs/deployments.md says who must.
#[test]
fn a_volume_that_is_moved() {
    let data = Data::new();
    let server = serve(&data);
    let token = data.token("admin", "root");
    let mut admin = server.client(&token);
    campaign(&mut admin, "c", 1_000_000);
    let unspent = issued(&mut admin, "c", "ann");
    let image = data.folder().join("image");
    let mut stopped = 0;
    let told = under_load(&server, &token, "u", || {
        sleep(Duration::from_secs(1));
        server.signal(Signal::STOP);
        stopped = now();
        copy_all(&data.path(), &image.join("data"));
        for arguments in [SERVE, ADOPT] {
            refused(&data, &arguments, 1, "another `couponry serve`");
        }
        server.signal(Signal::KILL);
    });
    drop(server);
    let before: Vec<_> = told.redeemed.iter().filter(|it| it.at <= stopped).collect();
    assert!(!before.is_empty(), "nothing was redeemed");
    let image = Data::within(&image);
    let begun = Instant::now();
    let servers = [&data, &image].map(serve);
    let took = begun.elapsed();
    for (name, data, server) in [("volume", &data, &servers[0]), ("image", &image, &servers[1])] {
        let mut admin = server.client(&token);
        for it in &before {
            let coupon = admin.get(&format!("/v1/coupons/{}", it.code)).must(200);
            assert_eq!(coupon.field("state"), "redeemed", "{name}: {}", it.code);
        }
        verify(data, &[]).must_be_clean(name);
        // In each of them, and so twice.
        admin.post(&format!("/v1/coupons/{unspent}/redeem"), &order("ann", name)).must(201);
    }
    eprintln!("volume: {} redemptions, none lost; two services started in {took:?}", before.len());
    servers.into_iter().for_each(Server::stop);
}

/// A folder with the store of a backup, which another tool has put there, and with the cold tier of today.
struct Foreign {
    data: Data,
    token: String,
    /// Redeemed and archived after the backup.
    late: Vec<String>,
}

impl Foreign {
    fn new() -> Foreign {
        let data = Data::new();
        let server = serve(&data);
        let token = data.token("admin", "root");
        let mut admin = server.client(&token);
        campaign(&mut admin, "c", 1_000);
        redeemed(&mut admin, "c", "early", 20);
        let late: Vec<_> = (0..20).map(|n| issued(&mut admin, "c", &format!("late-{n}"))).collect();
        compact(&data, &["--closed-now"]);
        let backup = data.folder().join("backup");
        let ran = data.run(&["backup", backup.to_str().expect("UTF-8")]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for (n, code) in late.iter().enumerate() {
            let order = order(&format!("late-{n}"), "1");
            admin.post(&format!("/v1/coupons/{code}/redeem"), &order).must(201);
        }
        compact(&data, &["--closed-now"]);
        server.stop();
        let other = data.folder().join("other/data");
        copy_all(&cold(&data), &other.join("cold"));
        copy_all(&data.path().join("keys"), &other.join("keys"));
        fs::copy(backup.join("hot.db"), other.join("hot.db")).expect("a copy");
        let foreign = Foreign { data, token, late };
        foreign.there().is_foreign();
        foreign
    }

    fn there(&self) -> There {
        There(Data::within(&self.data.folder().join("other")))
    }

    /// Nothing that was archived can be redeemed again.
    fn is_safe(&self, name: &str) {
        let data = self.there().0;
        verify(&data, &[]).must_be_clean(name);
        doctor_finds_nothing(&data, name);
        let server = serve(&data);
        let mut admin = server.client(&self.token);
        for (n, code) in self.late.iter().enumerate() {
            let again = order(&format!("late-{n}"), "2");
            admin
                .post(&format!("/v1/coupons/{code}/redeem"), &again)
                .refused(409, "ALREADY_REDEEMED");
        }
        redeemed(&mut admin, "c", name, 3);
        server.stop();
    }
}

struct There(Data);

impl There {
    /// Every command refuses the store until it is adopted.
    #[track_caller]
    fn is_foreign(&self) {
        for arguments in [&SERVE as &[&str], &["compact"], &["verify"], &["backup", "never"]] {
            refused(&self.0, arguments, 1, "`couponry restore --adopt`");
        }
    }
}

#[test]
fn what_is_not_adopted() {
    let foreign = Foreign::new();
    let there = foreign.there();
    let data = &there.0;
    refused(data, &["restore", "--adopt", "backup"], 2, "cannot be used with");
    refused(data, &["restore", "--adopt", "--hot", "cql://127.0.0.1:9/x"], 2, "no file to adopt");
    refused(data, &ADOPT[..2], 2, "add --yes");
    refused(data, &ADOPT[..2], 2, "redeemed 20; its newest event: 20");
    // The question has opened the store.
    there.is_foreign();
    let within = |name: &str| data.path().join(name);
    swap_indexes(&within("hot.db"));
    refused(data, &ADOPT, 1, "is damaged: ");
    there.is_foreign();
    swap_indexes(&within("hot.db"));
    let aside = |path: &Path| path.with_extension("aside");
    let without = |name: &str, why: &str| {
        fs::rename(within(name), aside(&within(name))).expect("moved");
        refused(data, &ADOPT, 1, why);
        fs::rename(aside(&within(name)), within(name)).expect("back");
    };
    without("hot.db", "there is no couponry data in");
    without("keys", "there are no keys in");
    let keys = fs::read_dir(within("keys")).expect("keys").flatten();
    let names = keys.map(|it| it.file_name().to_string_lossy().into_owned());
    let code = names.into_iter().find(|name| name.starts_with("code-")).expect("a code key");
    without(&format!("keys/{code}"), &format!("put {code} there"));
    there.is_foreign();
    // What is there then is the store of before.
    fs::create_dir(within("restoring")).expect("a folder");
    refused(data, &ADOPT, 1, "was interrupted");
    fs::remove_dir(within("restoring")).expect("removed");
    let ran = data.run(&ADOPT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("20 archived coupons replaced older ones"), "{ran:?}");
    foreign.is_safe("adopted");
    // A store that is in use may be adopted once more: a snapshot of the disk may have replaced it.
    let again = data.run(&ADOPT);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(!within("restore-unfinished").exists());
    foreign.is_safe("again");
}

/// Two indexes with each other's pages, as a copy of pages may leave them; a second call mends it.
fn swap_indexes(store: &Path) {
    let conn = Connection::open(store).expect("a store");
    conn.pragma_update(None, "writable_schema", true).expect("a schema to write");
    let sql = "WITH other AS MATERIALIZED (
                   SELECT sum(rootpage) AS both FROM sqlite_schema
                   WHERE name IN ('batch_by_serial', 'batch_by_expiry')
               )
               UPDATE sqlite_schema SET rootpage = (SELECT both FROM other) - rootpage
               WHERE name IN ('batch_by_serial', 'batch_by_expiry')";
    assert_eq!(conn.execute(sql, []).expect("swapped"), 2);
}

#[test]
fn a_killed_adoption() {
    const ROUNDS: usize = 8;
    let foreign = Foreign::new();
    let there = foreign.there();
    let begun = Instant::now();
    refused(&there.0, &ADOPT[..2], 2, "add --yes");
    let mut kills = Kills::within(2 * begun.elapsed(), SEED);
    while kills.go_on(ROUNDS) {
        let at_work = kills.at_work;
        let moment = kills.kill(&there.0, &ADOPT);
        // Killed before the end, it is refused; or it has ended.
        let ran = there.0.run(&["compact", "--dry-run"]);
        let is_refused = ran.code == Some(1) && ran.stderr.contains("`couponry restore --adopt`");
        let has_ended = ran.code == Some(0) && !there.0.path().join("restore-unfinished").exists();
        assert!(is_refused || has_ended, "killed after {moment:?}, {at_work} at work: {ran:?}");
    }
    eprintln!("adoption: {} of {} killed at work", kills.at_work, kills.rounds);
    assert!(kills.at_work > 0, "each one ended before it was killed");
    let ran = there.0.run(&ADOPT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    foreign.is_safe("killed");
}
