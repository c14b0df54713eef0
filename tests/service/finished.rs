//! Finished coupons for a test, and the folder in which they are archived.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::client::{Client, Dice};
use super::data::{Data, Ran, Server, Watch, unique};

/// Header of the files that the tests import.
pub(super) const HEADER: &str =
    "code,valid_from,expires_at,state,user_id,issued_at,redeemed_at,order_ref\n";

/// Days that are over on every machine, one after the other.
pub(super) fn day_that_is_over(nth: usize) -> String {
    let (month, day) = (nth / 28, nth % 28);
    format!("{}-{:02}-{:02}", 2020 + month / 12, 1 + month % 12, 1 + day)
}

/// A line under [`HEADER`] of a coupon that was never redeemed and expired on `day`.
pub(super) fn left_over(code: &str, day: &str) -> String {
    format!("{code},2019-01-01,{day},,,,,\n")
}

/// A campaign whose redemptions are closed at once, in a partition that is open for years.
pub(super) fn campaign(admin: &mut Client, id: &str, stock: usize) {
    let terms = json!({"campaign_id": id, "stock": stock, "expires_on": "2031-12-31",
        "cancel_days": 0, "extend_days": 0, "per_user_limit": 1});
    admin.post("/v1/campaigns", &terms).must(201);
}

/// Issues a coupon to `user`. Returns its code.
#[track_caller]
pub(super) fn issued(admin: &mut Client, campaign: &str, user: &str) -> String {
    let path = format!("/v1/campaigns/{campaign}/issue");
    admin.post(&path, &json!({"user_id": user})).must(201).field("code")
}

/// The body with which `user` redeems for `order`.
pub(super) fn order(user: &str, order: &str) -> Value {
    json!({"user_id": user, "order_ref": order})
}

/// Issues coupons to `PREFIX-0`, `PREFIX-1` and so on, who redeem them for `order-PREFIX-N`.
pub(super) fn redeemed(
    admin: &mut Client,
    campaign: &str,
    prefix: &str,
    count: usize,
) -> Vec<String> {
    let one = |nth: usize| {
        let user = format!("{prefix}-{nth}");
        let code = issued(admin, campaign, &user);
        let body = order(&user, &format!("order-{user}"));
        admin.post(&format!("/v1/coupons/{code}/redeem"), &body).must(201);
        code
    };
    (0..count).map(one).collect()
}

/// Imports lines under [`HEADER`], by the command. All must be accepted.
#[track_caller]
pub(super) fn import(data: &Data, campaign: &str, batch: &str, lines: &str) {
    let path = data.folder().join(format!("{campaign}-{batch}.csv"));
    fs::write(&path, format!("{HEADER}{lines}")).expect("a file to import");
    let path = path.to_str().expect("UTF-8");
    let ran = data.run(&["import", path, "--campaign", campaign, "--batch", batch]);
    assert_eq!(ran.code, Some(0), "import of {batch}: {ran:?}");
}

/// `couponry compact` with `more`, which must succeed.
#[track_caller]
pub(super) fn compact(data: &Data, more: &[&str]) -> Ran {
    let arguments: Vec<&str> = ["compact"].into_iter().chain(more.iter().copied()).collect();
    let ran = data.run(&arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran
}

#[track_caller]
pub(super) fn doctor_finds_nothing(data: &Data, name: &str) {
    let ran = data.run(&["doctor"]);
    assert_eq!(ran.code, Some(0), "{name}: doctor: {}{}", ran.stdout, ran.stderr);
}

/// The numbers of the table that `couponry compact` prints: the columns of each day.
pub(super) fn table(ran: &Ran) -> Vec<Vec<String>> {
    let rows = ran.stdout.lines().filter(|line| line.starts_with("20") && line.contains('-'));
    let cells = |line: &str| line.split_whitespace().map(|cell| cell.replace(',', "")).collect();
    rows.map(cells).collect()
}

/// Every coupon of `couponry export coupons`, by its code, each once.
#[track_caller]
pub(super) fn exported(data: &Data, name: &str) -> BTreeMap<String, Value> {
    let ran = data.run(&["export", "coupons", "--format", "jsonl"]);
    assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
    let mut all = BTreeMap::new();
    for line in ran.stdout.lines() {
        let coupon: Value = serde_json::from_str(line).expect("JSON");
        let code = coupon["code"].as_str().expect("a code").to_owned();
        let twice = all.insert(code, coupon);
        assert!(twice.is_none(), "{name}: {} is there twice", twice.unwrap_or_default());
    }
    all
}

/// How many of them are in `tier`.
pub(super) fn count_in(all: &BTreeMap<String, Value>, tier: &str) -> usize {
    all.values().filter(|coupon| coupon["tier"] == tier).count()
}

pub(super) fn cold(data: &Data) -> PathBuf {
    data.path().join("cold")
}

/// The files below a folder whose names end with `end`, in order.
pub(super) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.to_str().is_some_and(|it| it.ends_with(ending)) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

pub(super) fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry").path();
        let to = to.join(entry.file_name().expect("a name"));
        match entry.is_dir() {
            true => copy_all(&entry, &to),
            false => drop(fs::copy(&entry, &to).expect("a copy")),
        }
    }
}

/// `serve` that does not compact by itself.
pub(super) fn serve(data: &Data) -> Server {
    data.serve_with(|command| {
        command.args(["--compact-every", "0"]);
    })
}

/// A running command, whose output goes to files.
pub(super) struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    pub(super) fn start(data: &Data, arguments: &[&str]) -> Running {
        Running::of(data, data.command(arguments))
    }

    pub(super) fn of(data: &Data, mut command: Command) -> Running {
        let name = unique();
        let path = |kind: &str| data.folder().join(format!("{name}.{kind}"));
        let (stdout, stderr) = (path("out"), path("err"));
        command.stdout(File::create(&stdout).expect("a file"));
        command.stderr(File::create(&stderr).expect("a file"));
        Running { child: command.spawn().expect("the binary starts"), stdout, stderr }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    /// Its standard error so far.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// `kill -9`. Returns whether it was still running.
    pub(super) fn kill(mut self) -> bool {
        let at_work = !self.has_ended();
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        at_work
    }

    pub(super) fn end(mut self) -> Ran {
        let _watch = Watch::over(&self.child);
        let status = self.child.wait().expect("wait");
        let stdout = fs::read_to_string(&self.stdout).unwrap_or_default();
        Ran { code: status.code(), stdout, stderr: self.said() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills commands at random moments of their work.
pub(super) struct Kills {
    dice: Dice,
    /// The time that a command takes at most.
    whole: Duration,
    /// How many commands were started, and how many of them were killed at work.
    pub(super) rounds: usize,
    pub(super) at_work: usize,
}

impl Kills {
    pub(super) fn within(whole: Duration, seed: u64) -> Kills {
        Kills { dice: Dice(seed), whole, rounds: 0, at_work: 0 }
    }

    /// Whether there must be another round. There are more than `wanted` if no command was killed
    /// at work: something may have stalled while the whole time was measured.
    pub(super) fn go_on(&self, wanted: usize) -> bool {
        self.rounds < wanted || (self.at_work == 0 && self.rounds < 3 * wanted)
    }

    /// Starts a command and kills it. Returns the moment.
    pub(super) fn kill(&mut self, data: &Data, arguments: &[&str]) -> Duration {
        let moment = self.dice.within(self.whole);
        let begun = Instant::now();
        let running = Running::start(data, arguments);
        std::thread::sleep(moment);
        self.rounds += 1;
        match running.kill() {
            true => self.at_work += 1,
            false => self.whole = self.whole.min(begun.elapsed()),
        }
        moment
    }
}

/// A coupon without its tier, which may change between two reads.
pub(super) fn settled(coupon: &Value) -> Value {
    let mut coupon = coupon.clone();
    coupon.as_object_mut().expect("an object").remove("tier");
    coupon
}

/// The same for all exported coupons.
pub(super) fn all_settled(all: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    all.iter().map(|(code, coupon)| (code.clone(), settled(coupon))).collect()
}
