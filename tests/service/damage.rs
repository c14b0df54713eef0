//! Damage to the cold tier: coupons in hot still work, coupons in cold are 503 and never another
//! answer, `doctor` names the file, `compact` deletes nothing. Once the file is put back everything
//! works, without a restart.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testengines::Engine;

use super::client::{Answer, Client};
use super::data::{Data, Server};
use super::disk::{mount, unmount};
use super::finished::{
    campaign, cold, compact, copy_all, count_in, day_that_is_over, doctor_finds_nothing, exported,
    files, import, issued, left_over, order, redeemed, serve, settled,
};

/// The most archive commits that a partition has before the next one merges them.
const ARCHIVE_COMMITS: usize = 8;
/// The one whose file is damaged.
const DAMAGED: usize = 3;
/// Closed coupons for the ninth archive commit.
const WAITING: usize = 4;

const PARTITION: &str = "coupons/expiry_day=2031-12-31";

/// The file of one archive commit.
fn parquet(cold: &Path) -> PathBuf {
    let archive_commit = format!("{DAMAGED:010}-");
    let of_archive_commit =
        |path: &PathBuf| path.to_str().is_some_and(|it| it.contains(&archive_commit));
    files(&cold.join(PARTITION), ".parquet")
        .into_iter()
        .find(of_archive_commit)
        .expect("the archive commit's file")
}

fn last_entry(cold: &Path) -> PathBuf {
    files(&cold.join("coupons/_delta_log"), ".json").pop().expect("an entry")
}

fn remove_all(cold: &Path) -> PathBuf {
    fs::remove_dir_all(cold).expect("removed");
    cold.to_owned()
}

fn file_in_its_place(cold: &Path) -> PathBuf {
    remove_all(cold);
    fs::write(cold, "no folder").expect("written");
    cold.to_owned()
}

/// Flips a byte in the middle of the first page of the file, which has the codes.
fn flip_a_byte(cold: &Path) -> PathBuf {
    let path = parquet(cold);
    let mut bytes = fs::read(&path).expect("a file");
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().expect("four"));
    let middle = (bytes.len() - footer as usize) / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).expect("written");
    path
}

fn remove_parquet(cold: &Path) -> PathBuf {
    let path = parquet(cold);
    fs::remove_file(&path).expect("removed");
    path
}

fn cut(path: PathBuf, left: impl Fn(u64) -> u64) -> PathBuf {
    let file = OpenOptions::new().write(true).open(&path).expect("a file");
    let length = file.metadata().expect("a size").len();
    file.set_len(left(length)).expect("cut");
    path
}

fn cut_the_footer(cold: &Path) -> PathBuf {
    cut(parquet(cold), |length| length - 100)
}

fn cut_the_entry(cold: &Path) -> PathBuf {
    cut(last_entry(cold), |length| length / 2)
}

fn empty_the_entry(cold: &Path) -> PathBuf {
    cut(last_entry(cold), |_| 0)
}

fn remove_the_entry(cold: &Path) -> PathBuf {
    let path = last_entry(cold);
    fs::remove_file(&path).expect("removed");
    // A missing entry is named by its folder.
    cold.to_owned()
}

/// Which coupons the damage affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    /// All coupons in cold.
    ByAll,
    /// The coupons in that file.
    InFile,
    /// The same, but a service that has read the footer does not need it again.
    InFileOnce,
    /// The coupons of the last commit. A service that has read it may remember it.
    InLastCommit,
}

/// The name of the damage, the function that does it and returns what `doctor` must name, and the
/// affected coupons.
type Harm = (&'static str, fn(&Path) -> PathBuf, Needed);

const HARMS: [Harm; 8] = [
    ("the folder is gone", remove_all, Needed::ByAll),
    ("a file in its place", file_in_its_place, Needed::ByAll),
    ("a flipped byte", flip_a_byte, Needed::InFile),
    ("a missing file", remove_parquet, Needed::InFile),
    ("a truncated footer", cut_the_footer, Needed::InFileOnce),
    ("a truncated last entry", cut_the_entry, Needed::InLastCommit),
    ("an empty last entry", empty_the_entry, Needed::InLastCommit),
    ("a missing last entry", remove_the_entry, Needed::InLastCommit),
];

impl Needed {
    /// Whether the coupon in the damaged file, and the one of the last commit, cannot be read.
    fn away(self, running: bool) -> [bool; 2] {
        match self {
            Needed::ByAll => [true, true],
            Needed::InFile => [true, false],
            Needed::InFileOnce => [!running, false],
            Needed::InLastCommit => [false, !running],
        }
    }
}

/// A coupon in cold.
struct Archived {
    code: String,
    user: String,
    order: String,
    coupon: Value,
}

impl Archived {
    fn calls(&self, admin: &mut Client) -> [Answer; 3] {
        let at = format!("/v1/coupons/{}", self.code);
        let redeem = format!("{at}/redeem");
        [
            admin.get(&at),
            admin.post(&redeem, &order(&self.user, &self.order)),
            admin.post(&redeem, &order(&self.user, "another")),
        ]
    }

    /// Checks that the coupon has its right answers.
    fn is_right(&self, admin: &mut Client, name: &str) {
        let [coupon, replay, another] = self.calls(admin);
        assert_eq!(settled(&coupon.must(200).json()), self.coupon, "{name}");
        assert_eq!(replay.must(200).field("order_ref"), self.order, "{name}");
        another.refused(409, "ALREADY_REDEEMED");
    }

    /// Checks for 503 with Retry-After, or for the right answer where that is possible.
    fn is_away(&self, admin: &mut Client, must_be: bool, name: &str) {
        let answers = self.calls(admin);
        if !must_be && answers.iter().all(|answer| answer.status != 503) {
            return self.is_right(admin, name);
        }
        for (nth, answer) in answers.into_iter().enumerate() {
            let found = (answer.status, answer.problem());
            let text = answer.text();
            assert_eq!(found, (503, "COLD_UNAVAILABLE".into()), "{name}, {nth}: {text}");
            let wait = answer.header("retry-after").and_then(|it| it.parse::<u64>().ok());
            assert!(wait.is_some_and(|seconds| seconds > 0), "{name}, {nth}: {answer:?}");
        }
    }
}

struct Scene {
    data: Data,
    token: String,
    /// One coupon in the damaged file, one of the last commit.
    archived: [Archived; 2],
    /// In the same partition, closed and not archived yet.
    waiting: Vec<String>,
    kept: PathBuf,
    customers: usize,
}

impl Scene {
    fn new() -> Scene {
        let data = Data::new();
        let token = data.token("admin", "root");
        let server = serve(&data);
        let mut admin = server.client(&token);
        campaign(&mut admin, "c", 100_000);
        let mut archived = Vec::new();
        for archive_commit in 1..=ARCHIVE_COMMITS {
            let users = format!("a{archive_commit}");
            let code = redeemed(&mut admin, "c", &users, 3).remove(1);
            compact(&data, &["--closed-now"]);
            if archive_commit == DAMAGED || archive_commit == ARCHIVE_COMMITS {
                let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
                assert_eq!(coupon["tier"], "cold");
                let (user, order) = (format!("{users}-1"), format!("order-{users}-1"));
                archived.push(Archived { code, user, order, coupon: settled(&coupon) });
            }
        }
        assert_eq!(files(&cold(&data).join(PARTITION), ".parquet").len(), ARCHIVE_COMMITS);
        let waiting = redeemed(&mut admin, "c", "w", WAITING);
        let kept = data.folder().join("kept");
        copy_all(&cold(&data), &kept);
        server.stop();
        let archived = archived.try_into().unwrap_or_else(|_| panic!("two archive commits"));
        Scene { data, token, archived, waiting, kept, customers: 0 }
    }

    /// All checks while the damage is there.
    fn check(&mut self, server: &Server, named: &Path, away: [bool; 2], name: &str) {
        let mut admin = server.client(&self.token);
        self.customers += 1;
        let user = format!("customer-{}", self.customers);
        let code = issued(&mut admin, "c", &user);
        let redeem = format!("/v1/coupons/{code}/redeem");
        admin.post(&redeem, &order(&user, "1")).must(201);
        admin.post(&redeem, &order(&user, "1")).must(200);
        for (archived, away) in self.archived.iter().zip(away) {
            archived.is_away(&mut admin, away, name);
        }

        let doctor = self.data.run(&["doctor"]);
        assert_eq!(doctor.code, Some(1), "{name}: {doctor:?}");
        // Within the cold folder, or the folder itself.
        let root = cold(&self.data);
        let inner = named.strip_prefix(&root).expect("in cold");
        let wanted = if inner.as_os_str().is_empty() { root.as_path() } else { inner };
        let wanted = wanted.to_str().expect("UTF-8");
        let faults: Vec<&str> =
            doctor.stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
        let told = faults.iter().any(|line| line.contains(wanted));
        assert!(told, "{name}: doctor does not name {wanted}: {faults:#?}");

        let ran = self.data.run(&["compact", "--closed-now"]);
        let failed = matches!(ran.code, Some(1 | 3));
        assert!(failed && !ran.stderr.is_empty(), "{name}: {ran:?}");
        for code in self.waiting.iter().chain([&code]) {
            let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
            assert_eq!(coupon["tier"], "hot", "{name}: {ran:?}");
        }
    }

    /// All checks without damage.
    fn is_right(&self, server: &Server, name: &str) {
        let mut admin = server.client(&self.token);
        self.archived.iter().for_each(|archived| archived.is_right(&mut admin, name));
    }

    fn put_back(&self) {
        let cold = cold(&self.data);
        match cold.is_dir() {
            true => fs::remove_dir_all(&cold).expect("removed"),
            false => drop(fs::remove_file(&cold)),
        }
        copy_all(&self.kept, &cold);
    }
}

#[test]
fn hot_still_works_and_nothing_is_lost() {
    let mut scene = Scene::new();
    let mut server = serve(&scene.data);
    for restart in [false, true] {
        for (name, harm, needed) in HARMS {
            let name =
                format!("{name}, {}", if restart { "started afterwards" } else { "running" });
            let named = if restart {
                server.stop();
                let named = harm(&cold(&scene.data));
                server = serve(&scene.data);
                named
            } else {
                // It has read the file that will be damaged.
                scene.is_right(&server, &name);
                harm(&cold(&scene.data))
            };
            scene.check(&server, &named, needed.away(!restart), &name);
            scene.put_back();
            scene.is_right(&server, &format!("{name}, put back"));
        }
    }
    // Nothing was deleted: the waiting archive commit has every coupon.
    let ran = compact(&scene.data, &["--closed-now"]);
    let moved = WAITING + scene.customers;
    assert!(ran.stdout.contains(&format!("{moved} coupons moved to cold")), "{ran:?}");
    let all = exported(&scene.data, "at the end");
    assert_eq!(
        (all.len(), count_in(&all, "cold")),
        (ARCHIVE_COMMITS * 3 + moved, ARCHIVE_COMMITS * 3 + moved)
    );
    scene.is_right(&server, "at the end");
    doctor_finds_nothing(&scene.data, "at the end");
    server.stop();
}

/// A flipped byte at any position, except in the first four bytes, which no reader uses.
#[test]
fn doctor_finds_a_flipped_byte() {
    const BYTES: usize = 16;
    let scene = Scene::new();
    for path in
        [parquet(&cold(&scene.data)), files(&cold(&scene.data), ".parquet").remove(ARCHIVE_COMMITS)]
    {
        let bytes = fs::read(&path).expect("a file");
        let inner = path.strip_prefix(cold(&scene.data)).expect("in cold").to_str().expect("UTF-8");
        for nth in 0..BYTES {
            let at = 4 + (bytes.len() - 5) * nth / (BYTES - 1);
            let mut harmed = bytes.clone();
            harmed[at] ^= 0x01;
            fs::write(&path, harmed).expect("written");
            let doctor = scene.data.run(&["doctor"]);
            let name = format!("{inner}, byte {at} of {}", bytes.len());
            assert_eq!(doctor.code, Some(1), "{name}: {doctor:?}");
            assert!(doctor.stdout.contains(inner), "{name} is not named: {doctor:?}");
        }
        let quick = scene.data.run(&["doctor", "--quick"]);
        assert_eq!(quick.code, Some(0), "it reads no coupons: {quick:?}");
        fs::write(&path, bytes).expect("put back");
    }
    doctor_finds_nothing(&scene.data, "put back");
}

/// A damaged partition does not keep the others in hot.
#[test]
fn other_partitions_are_archived() {
    let scene = Scene::new();
    let server = serve(&scene.data);
    let day = day_that_is_over(0);
    import(&scene.data, "c", "old", &left_over("LEFTOVER1", &day));
    remove_parquet(&cold(&scene.data));
    let ran = scene.data.run(&["compact", "--closed-now"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("2031-12-31"), "it does not say which day: {ran:?}");
    let mut admin = server.client(&scene.token);
    let coupon = admin.get("/v1/coupons/LEFTOVER1").must(200).json();
    assert_eq!(coupon["tier"], "cold", "{ran:?}");
    for code in &scene.waiting {
        let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
        assert_eq!(coupon["tier"], "hot", "{ran:?}");
    }
    server.stop();
}

/// A read-only cold folder: every request is answered, nothing is archived.
#[test]
fn a_read_only_folder() {
    let suite = "an archive that is read-only";
    if !Engine::ROOT.is_asked_for(suite) {
        return;
    }
    let scene = Scene::new();
    let cold = cold(&scene.data);
    let folder = cold.to_str().expect("UTF-8");
    if !mount(&["--bind", folder, folder]) {
        Engine::ROOT.is_missing(suite, "it cannot be mounted");
    }
    let server = serve(&scene.data);
    let read_only = mount(&["-o", "remount,bind,ro", folder]);
    let mut admin = server.client(&scene.token);
    let user = json!({"user_id": "new"});
    let issue = admin.post("/v1/campaigns/c/issue", &user);
    let replay = scene.archived[0].calls(&mut admin);
    let ran = scene.data.run(&["compact", "--closed-now"]);
    let doctor = scene.data.run(&["doctor"]);
    assert!(unmount(&cold), "umount");
    assert!(read_only, "remount");
    issue.must(201);
    assert_eq!(replay.map(|it| it.status), [200, 200, 409]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("cannot be written"), "{ran:?}");
    eprintln!("damage: of a read-only cold folder doctor says {:?}", doctor.code);
    let ran = compact(&scene.data, &["--closed-now"]);
    assert!(ran.stdout.contains("4 coupons moved to cold"), "{ran:?}");
    server.stop();
}
