//! Backups have both tiers: what they share with each other and with the data, how many stay, and how
//! everything comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use testengines::{CC, may_run};

use super::super::client::Client;
use super::super::data::{Data, Ran, wait_until};
use super::super::disk::{disk, mount};
use super::super::finished::{
    Kills, Running, all_settled, campaign, cold, compact, day_that_is_over, doctor_finds_nothing,
    exported, files, import, issued, left_over, order, redeemed, serve,
};
use super::super::shim::{Shim, built};
use super::super::verify::verify;
use super::{SEED, elsewhere, is_private, text};

#[track_caller]
fn back_up(data: &Data, folder: &Path, more: &[&str]) -> Ran {
    let arguments = [&["backup", text(folder)], more].concat();
    let ran = data.run(&arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn inode(path: &Path) -> (u64, u64) {
    let about = path.metadata().expect("a file");
    (about.dev(), about.ino())
}

/// Coupons of a holder, as the service lists them.
fn list_of(admin: &mut Client, user: &str) -> BTreeSet<String> {
    let list = admin.get(&format!("/v1/coupons?user_id={user}")).must(200).json();
    let data = list["data"].as_array().expect("a list");
    data.iter().map(|coupon| coupon["code"].as_str().expect("a code").to_owned()).collect()
}

/// Coupons in both tiers. Their codes are issued to ann and redeemed by early-0 to early-4.
fn with_coupons(data: &Data, token: &str) -> String {
    let server = serve(data);
    let admin = &mut server.client(token);
    campaign(admin, "c", 1_000);
    let anns = issued(admin, "c", "ann");
    redeemed(admin, "c", "early", 5);
    import(data, "c", "old", &left_over("LEFTOVER01", &day_that_is_over(0)));
    compact(data, &["--closed-now"]);
    server.stop();
    anns
}

/// The drill: the data folder is lost with both tiers, and the last backup brings both back.
#[test]
fn the_folder_is_lost() {
    let other = disk(400);
    let on_other = other.iter().map(|disk| ("another disk", Some(disk.at.join("backups"))));
    let cases = [("the same disk", None)].into_iter().chain(on_other);
    for (name, backups) in cases {
        let data = Data::new();
        let backups = backups.unwrap_or_else(|| data.folder().join("backups"));
        the_folder_is_lost_with(name, &data, &backups);
    }
}

fn the_folder_is_lost_with(name: &str, data: &Data, backups: &Path) {
    let token = data.token("admin", "root");
    with_coupons(data, &token);
    let (first, second) = (backups.join("1"), backups.join("2"));
    let ran = back_up(data, &first, &[]);
    assert!(ran.stdout.contains("the keys, the cold tier"), "{name}: {ran:?}");
    let server = serve(data);
    redeemed(&mut server.client(&token), "c", "late", 3);
    compact(data, &["--closed-now"]);
    back_up(data, &second, &["--keep", "2"]);
    is_private(&second);
    let tables = ["coupons", "coupons_by_holder"];
    assert_eq!(names(&second.join("cold")), tables, "{name}: what is derived is not copied");
    // A file of rows takes space once.
    let rows = |backup: &Path| -> BTreeMap<PathBuf, (u64, u64)> {
        let folder = backup.join("cold");
        let of_rows = files(&folder, ".parquet").into_iter();
        let of_rows = of_rows.filter(|it| !text(it).contains("_delta_log"));
        of_rows
            .map(|it| (it.strip_prefix(&folder).expect("below it").to_owned(), inode(&it)))
            .collect()
    };
    let (old, new) = (rows(&first), rows(&second));
    assert!(old.len() >= 3 && new.len() > old.len(), "{name}: {old:?} {new:?}");
    assert!(old.iter().all(|(file, inode)| new[file] == *inode), "{name}: copied twice");
    let live = |file: &Path| inode(&cold(data).join(file));
    let of_live = new.iter().filter(|(file, inode)| live(file) == **inode).count();
    let want = if inode(&cold(data)).0 == inode(backups).0 { new.len() } else { 0 };
    assert_eq!(of_live, want, "{name}: a copy on the same disk takes no space");

    let admin = &mut server.client(&token);
    let users = ["ann", "early-0", "late-2"];
    let lists = users.map(|user| list_of(admin, user));
    server.stop();
    let before = all_settled(&exported(data, name));
    fs::remove_dir_all(data.path()).expect("lost");
    let ran = data.run(&["restore", text(&second), "--yes"]);
    assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
    assert!(ran.stderr.contains("has the cold tier of the backup"), "{name}: {ran:?}");
    is_private(&data.path());
    verify(data, &[]).must_be_clean(name);
    doctor_finds_nothing(data, name);
    assert_eq!(all_settled(&exported(data, name)), before, "{name}");
    let server = serve(data);
    let admin = &mut server.client(&token);
    assert_eq!(users.map(|user| list_of(admin, user)), lists, "{name}: without a holder index");
    redeemed(admin, "c", "since", 3);
    compact(data, &["--closed-now"]);
    assert_eq!(users.map(|user| list_of(admin, user)), lists, "{name}: with an index");
    server.stop();
    verify(data, &[]).must_be_clean(name);
    // The copies did not change, and the backup can be used again.
    let again = elsewhere(data, "again");
    assert_eq!(again.run(&["restore", text(&second), "--yes"]).code, Some(0), "{name}");
    assert_eq!(all_settled(&exported(&again, name)), before, "{name}");
    verify(&again, &[]).must_be_clean(name);
}

/// A cold tier that is there is newer than that of the backup, and stays.
#[test]
fn a_cold_tier_that_is_there() {
    let data = Data::new();
    let token = data.token("admin", "root");
    let anns = with_coupons(&data, &token);
    let backup = data.folder().join("backup");
    back_up(&data, &backup, &[]);
    let server = serve(&data);
    let redeem = format!("/v1/coupons/{anns}/redeem");
    server.client(&token).post(&redeem, &order("ann", "1")).must(201);
    compact(&data, &["--closed-now"]);
    server.stop();
    let ran = data.run(&["restore", text(&backup), "--replace", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("has the cold tier of the backup"), "{ran:?}");
    verify(&data, &[]).must_be_clean("restored");
    let server = serve(&data);
    server.client(&token).post(&redeem, &order("ann", "2")).refused(409, "ALREADY_REDEEMED");
    server.stop();
    // Killed between the two tables, or a folder without its log: rows that are there are not deleted.
    fs::remove_dir_all(cold(&data).join("coupons/_delta_log")).expect("removed");
    let rows = files(&cold(&data).join("coupons"), ".parquet");
    let ran = data.run(&["restore", text(&backup), "--replace", "--yes"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(files(&cold(&data).join("coupons"), ".parquet"), rows);
    fs::remove_dir_all(cold(&data).join("coupons")).expect("removed");
    let ran = data.run(&["restore", text(&backup), "--replace", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    verify(&data, &[]).must_be_clean("with the tables of the backup");
}

/// Stops a process before it gives the first file a name with a word in it, by a link or a rename, or
/// after it has deleted the first.
const STOP_SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop(const char *name, const char *at) {
    if (at && strstr(name, at)) {
        close(open(getenv("SHIM_REACHED"), O_CREAT | O_WRONLY, 0600));
        while (access(getenv("SHIM_GO"), F_OK) != 0) usleep(1000);
    }
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    static int (*real)(int, const char *, int, const char *, int);
    if (!real) real = (int (*)(int, const char *, int, const char *, int))dlsym(RTLD_NEXT, "linkat");
    stop(to, getenv("SHIM_NAMED"));
    return real(from_at, from, to_at, to, flags);
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    stop(to, getenv("SHIM_NAMED"));
    return real(from, to);
}

int unlink(const char *path) {
    static int (*real)(const char *);
    if (!real) real = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    int ended = real(path);
    stop(path, getenv("SHIM_DELETED"));
    return ended;
}
"#;

/// A command that was started and has stopped in its middle.
struct Stopped {
    running: Running,
    go: PathBuf,
}

impl Stopped {
    /// `None` if nothing can be built here. `when` is a variable of the shim.
    fn start(data: &Data, arguments: &[&str], (when, at): (&str, &str)) -> Option<Stopped> {
        if !may_run("backup", CC, Shim::can_be_built()) {
            return None;
        }
        let file = |name: &str| data.folder().join(name);
        let (reached, go) = (file("reached"), file("go"));
        let mut command = data.command(arguments);
        command.env("LD_PRELOAD", built(data.folder(), "stop", STOP_SOURCE)).env(when, at);
        command.env("SHIM_REACHED", &reached).env("SHIM_GO", &go);
        let mut running = Running::of(data, command);
        wait_until(at, || {
            assert!(!running.has_ended(), "{arguments:?}, {at}: {}", running.said());
            reached.exists()
        });
        Some(Stopped { running, go })
    }

    fn go_on(self) -> Ran {
        fs::write(&self.go, "").expect("a file");
        self.running.end()
    }
}

/// Compactions between any two steps of a backup: what comes back is one moment of the store, that of
/// the hot store, and each coupon once.
#[test]
fn a_compaction_during_the_backup() {
    // Where the backup stops, and whether its cold tier has what is archived then.
    let cases = [
        ("after the hot store", "hot.db", true),
        // Each log is listed before its first file is copied.
        ("after the list of the side table", "cold/coupons_by_holder/_delta_log/", true),
        ("after both lists", "cold/coupons/_delta_log/", false),
        ("after both logs", "cold/coupons_by_holder/month=", false),
        ("in the files", "cold/coupons/expiry_day=", false),
    ];
    for (name, stop, is_newer) in cases {
        let data = Data::new();
        let token = data.token("admin", "root");
        let anns = with_coupons(&data, &token);
        let backup = data.folder().join("backup");
        let before = exported(&data, name);
        let stop = ("SHIM_NAMED", &*format!("backup.part/{stop}"));
        let Some(stopped) = Stopped::start(&data, &["backup", text(&backup)], stop) else { return };
        let server = serve(&data);
        let admin = &mut server.client(&token);
        admin.post(&format!("/v1/coupons/{anns}/redeem"), &order("ann", "1")).must(201);
        // Of one partition, so that files are merged.
        let bobs: Vec<String> = (0..10)
            .flat_map(|nth| {
                let codes = redeemed(admin, "c", &format!("bob{nth}"), 1);
                compact(&data, &["--closed-now"]);
                codes
            })
            .collect();
        server.stop();
        let ran = stopped.go_on();
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");

        fs::remove_dir_all(data.path()).expect("lost");
        let ran = data.run(&["restore", text(&backup), "--yes"]);
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
        verify(&data, &[]).must_be_clean(name);
        doctor_finds_nothing(&data, name);
        let after = exported(&data, name);
        let is_there = |code: &str| after.get(code).map(|coupon| coupon["state"].clone());
        for (code, coupon) in &before {
            let want =
                if *code == anns && is_newer { json!("redeemed") } else { coupon["state"].clone() };
            assert_eq!(is_there(code), Some(want), "{name}: {code}");
        }
        // A row that is not there is a code of the stock.
        let want = is_newer.then(|| json!("redeemed"));
        assert!(bobs.iter().all(|code| is_there(code) == want), "{name}: {bobs:?}");
        let server = serve(&data);
        let admin = &mut server.client(&token);
        assert_eq!(list_of(admin, "ann"), BTreeSet::from([anns.clone()]), "{name}");
        let want = if is_newer { BTreeSet::from([bobs[9].clone()]) } else { BTreeSet::new() };
        assert_eq!(list_of(admin, "bob9-0"), want, "{name}: a list without a compaction");
        redeemed(admin, "c", "since", 3);
        compact(&data, &["--closed-now"]);
        assert_eq!(list_of(admin, "bob9-0"), want, "{name}");
        server.stop();
        verify(&data, &[]).must_be_clean(name);
    }
}

/// The oldest backups of this store go, after the new one is complete, and nothing else does.
#[test]
fn the_oldest_go() {
    let data = Data::new();
    let token = data.token("admin", "root");
    with_coupons(&data, &token);
    let other = elsewhere(&data, "elsewhere");
    with_coupons(&other, &other.token("admin", "root"));
    let backups = data.folder().join("backups");
    let at = |name: &str| backups.join(name);
    back_up(&other, &at("0-of-another-store"), &[]);
    // Not in the order of their names.
    for name in ["z", "b", "c"] {
        back_up(&data, &at(name), &["--keep", "12"]);
    }
    fs::create_dir(at("1-not-ours")).expect("a folder");
    fs::write(at("1-not-ours").join("hot.db"), "x").expect("a file");
    fs::create_dir(at("not-ours.part")).expect("a folder");
    fs::write(at("not-ours.part").join("hot.db"), "x").expect("a file");
    let refused = data.run(&["backup", text(&at("a")), "--keep", "0"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    // A backup without a part of the data is no reason to delete another.
    fs::rename(cold(&data), data.folder().join("unmounted")).expect("moved");
    let partly = data.run(&["backup", text(&at("a")), "--keep", "1"]);
    assert_eq!(partly.code, Some(3), "{partly:?}");
    assert!(partly.stderr.contains("is NOT in it"), "{partly:?}");
    assert!(at("a").join("hot.db").exists() && !at("a").join("cold").exists());
    fs::rename(data.folder().join("unmounted"), cold(&data)).expect("moved");
    let others = ["0-of-another-store", "1-not-ours", "not-ours.part"];
    let with = |ours: &[&'static str]| {
        let mut all = [&others[..], ours].concat();
        all.sort_unstable();
        all
    };
    assert_eq!(names(&backups), with(&["a", "b", "c", "z"]));
    back_up(&data, &at("d"), &["--keep", "2"]);
    assert_eq!(names(&backups), with(&["a", "d"]), "the last two");
    back_up(&data, &at("e"), &["--keep", "1"]);
    assert_eq!(names(&backups), with(&["e"]));
    back_up(&data, &at("f"), &[]);
    assert_eq!(names(&backups), with(&["e", "f"]), "nothing is deleted that nobody asked for");
    fs::remove_dir_all(data.path()).expect("lost");
    assert_eq!(data.run(&["restore", text(&at("f")), "--yes"]).code, Some(0));
    verify(&data, &[]).must_be_clean("the deleted backups shared its files");
}

/// A disk without room is not filled, and the backups on it stay.
#[test]
fn no_room() {
    let Some(disk) = disk(320) else { return };
    let data = Data::new();
    with_coupons(&data, &data.token("admin", "root"));
    let (first, second) = (disk.at.join("1"), disk.at.join("2"));
    back_up(&data, &first, &["--keep", "1"]);
    let ballast = disk.ballast(80);
    let ran = data.run(&["backup", text(&second), "--keep", "1"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("MiB more, such as by deleting old backups"), "{ran:?}");
    assert_eq!(names(&disk.at), ["1", "ballast"], "{ran:?}");
    fs::remove_file(&ballast).expect("ballast");
    // It is full in the middle: what lies beside the keys is not in the estimate.
    let big = data.path().join("keys/big");
    sparse(&big, 400);
    let ran = data.run(&["backup", text(&second), "--keep", "1", "--free-min-mib", "0"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
    assert_eq!(names(&disk.at), ["1"], "{ran:?}");
    fs::remove_file(&big).expect("removed");
    back_up(&data, &second, &["--keep", "1"]);
    assert_eq!(names(&disk.at), ["2"]);
}

fn sparse(path: &Path, mib: u64) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::File::create(path).and_then(|file| file.set_len(mib << 20)).expect("a file");
}

/// Between two mounts of one file system there are no links, although it is the same device. The unit
/// of systemd has two.
#[test]
fn two_mounts_of_one_disk() {
    let Some(disk) = disk(400) else { return };
    let data = Data::within(&disk.at);
    with_coupons(&data, &data.token("admin", "root"));
    let (backups, mounted) = (disk.at.join("backups"), disk.at.join("mounted"));
    [&backups, &mounted].iter().for_each(|folder| fs::create_dir(folder).expect("a folder"));
    assert!(mount(&["--bind", text(&backups), text(&mounted)]), "root can mount");
    let big = cold(&data).join("coupons/expiry_day=2031-12-31/big.parquet");
    sparse(&big, 200);
    let ran = data.run(&["backup", text(&mounted.join("1"))]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("MiB more"), "{ran:?}");
    assert_eq!(names(&backups), Vec::<String>::new());
    back_up(&data, &backups.join("2"), &[]);
    back_up(&data, &mounted.join("3"), &[]);
    assert_eq!(names(&backups), ["2", "3"]);
    let of = |backup: &str| {
        inode(&backups.join(backup).join("cold/coupons/expiry_day=2031-12-31/big.parquet"))
    };
    assert_eq!(of("2"), inode(&big), "by a link to the file itself");
    assert_eq!(of("3"), of("2"), "by a link to that of the earlier backup");
}

/// A killed backup and a killed deletion leave nothing with the name of a backup that is not one, and
/// nothing at all after the next backup.
#[test]
fn killed_with_older_ones() {
    const ROUNDS: usize = 12;
    let data = Data::new();
    with_coupons(&data, &data.token("admin", "root"));
    let before = all_settled(&exported(&data, "before"));
    let backups = data.folder().join("backups");
    let begun = std::time::Instant::now();
    back_up(&data, &backups.join("0"), &[]);
    let mut kills = Kills::within(begun.elapsed(), SEED);
    while kills.go_on(ROUNDS) {
        let nth = kills.rounds;
        let name = format!("{}", nth + 1);
        let moment = kills.kill(&data, &["backup", text(&backups.join(&name)), "--keep", "1"]);
        let whole: Vec<String> =
            names(&backups).into_iter().filter(|name| !name.ends_with(".part")).collect();
        assert!(!whole.is_empty(), "killed after {moment:?}: no backup is left");
        for backup in whole {
            let other = elsewhere(&data, &format!("round-{nth}-{backup}"));
            let ran = other.run(&["restore", text(&backups.join(&backup)), "--yes"]);
            assert_eq!(ran.code, Some(0), "{backup}, killed after {moment:?}: {ran:?}");
            assert_eq!(all_settled(&exported(&other, &backup)), before, "{backup}: {moment:?}");
        }
    }
    eprintln!("backup --keep: {} of {} killed at work", kills.at_work, kills.rounds);
    assert!(kills.at_work > 0, "each one ended before it was killed");
    back_up(&data, &backups.join("last"), &["--keep", "1"]);
    assert_eq!(names(&backups), ["last"]);
    is_private(&backups);
}

/// A deletion that is killed in its middle leaves no folder that looks like a backup.
#[test]
fn a_killed_deletion() {
    let data = Data::new();
    with_coupons(&data, &data.token("admin", "root"));
    let backups = data.folder().join("backups");
    let at = |name: &str| backups.join(name);
    back_up(&data, &at("old"), &[]);
    let new = at("new");
    let arguments = ["backup", text(&new), "--keep", "1"];
    let stop = ("SHIM_DELETED", "backups/old");
    let Some(stopped) = Stopped::start(&data, &arguments, stop) else { return };
    assert!(stopped.running.kill(), "it was deleting");
    assert_eq!(names(&backups), ["new", "old.part"]);
    back_up(&data, &at("next"), &["--keep", "2"]);
    assert_eq!(names(&backups), ["new", "next"]);
}

/// Two at the same time do not disturb each other.
#[test]
fn while_another_one_is_made() {
    let data = Data::new();
    with_coupons(&data, &data.token("admin", "root"));
    let (slow, quick) = (data.folder().join("slow"), data.folder().join("quick"));
    let stop = ("SHIM_NAMED", "slow.part/cold/");
    let Some(stopped) = Stopped::start(&data, &["backup", text(&slow)], stop) else { return };
    back_up(&data, &quick, &["--keep", "1"]);
    let same = data.run(&["backup", text(&slow)]);
    assert_eq!(same.code, Some(1), "{same:?}");
    assert!(same.stderr.contains("another process makes it"), "{same:?}");
    let ran = stopped.go_on();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for backup in [&slow, &quick] {
        let other = elsewhere(&data, &format!("of-{}", backup.file_name().unwrap().display()));
        assert_eq!(other.run(&["restore", text(backup), "--yes"]).code, Some(0));
        verify(&other, &[]).must_be_clean("restored");
    }
}
