//! A machine that dies: Litestream copies the store to a bucket beside `serve`, and another machine goes on.
//! `volume` has what needs no Litestream: a volume that is moved, and what `restore --adopt` refuses.
//!
//! The configuration is that of docs/operations.md, unchanged.

mod volume;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use coupon::calendar::parse_instant;
use engine::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testbucket::{BUCKET, Kind};
use testengines::Engine;

use super::client::Client;
use super::data::{Data, Server, wait_until};
use super::downloads::python_with;
use super::finished::{
    campaign, compact, copy_all, doctor_finds_nothing, exported, import, order, redeemed, serve,
};
use super::verify::verify;

const REQUIREMENTS: &str = include_str!("litestream/requirements.txt");
const PAGE: &str = include_str!("../../docs/operations.md");

/// Callers who redeem as fast as they are answered.
const CALLERS: usize = 4;

/// How long they do, and Litestream copies: it looks every half second, and uploads every second.
const LOAD: Duration = Duration::from_secs(6);

/// What docs/deployments.md says of what is lost.
const LOST_MAX_MS: i64 = 2_000;

fn now() -> i64 {
    SystemClock.now().0
}

/// A redemption, and when its answer was there.
struct Acknowledged {
    code: String,
    at: i64,
}

/// What callers were told, until the service did not answer any more.
#[derive(Default)]
struct Told {
    redeemed: Vec<Acknowledged>,
    /// The longest time that this machine let a thread wait, in milliseconds.
    stall: i64,
}

/// Redeems while `work` works, and until the service does not answer or `work` has ended.
fn under_load(server: &Server, token: &str, prefix: &str, work: impl FnOnce()) -> Told {
    const NAP: Duration = Duration::from_millis(5);
    let (told, ended) = (Mutex::new(Told::default()), AtomicBool::new(false));
    let redeem = |client: &mut Client, user: &str| {
        let body = serde_json::json!({"user_id": user});
        let issued = client.try_call("POST", "/v1/campaigns/c/issue", Some(&body)).ok()?;
        let code = issued.must(201).field("code");
        let path = format!("/v1/coupons/{code}/redeem");
        client.try_call("POST", &path, Some(&order(user, user))).ok()?.must(201);
        Some(code)
    };
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (told, ended, mut client) = (&told, &ended, server.client(token));
            scope.spawn(move || {
                for nth in 0.. {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let Some(code) = redeem(&mut client, &format!("{prefix}-{caller}-{nth}"))
                    else {
                        return;
                    };
                    let mut told = told.lock().expect("lock");
                    told.redeemed.push(Acknowledged { code, at: now() });
                }
            });
        }
        scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                let begun = Instant::now();
                sleep(NAP);
                let late = begun.elapsed().saturating_sub(NAP);
                let mut told = told.lock().expect("lock");
                told.stall = told.stall.max(i64::try_from(late.as_millis()).expect("short"));
            }
        });
        work();
        ended.store(true, Ordering::SeqCst);
    });
    told.into_inner().expect("lock")
}

/// Litestream on one machine.
struct Litestream<'a> {
    program: PathBuf,
    data: &'a Data,
    child: Option<Child>,
}

impl<'a> Litestream<'a> {
    fn on(program: &std::path::Path, data: &'a Data) -> Litestream<'a> {
        let block = PAGE.split("```yaml\n# litestream.yml\n").nth(1).expect("a configuration");
        let config = block.split("```").next().expect("its end");
        fs::write(data.folder().join("litestream.yml"), config).expect("a file");
        Litestream { program: program.to_owned(), data, child: None }
    }

    fn log(&self) -> PathBuf {
        self.data.folder().join("litestream.log")
    }

    /// It finds the bucket where couponry finds its own.
    fn command(&self, action: &str) -> Command {
        let environment = self.data.command(["help"]);
        let ours = environment.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut command = Command::new(&self.program);
        command.args([action, "-config", "litestream.yml"]);
        command.envs(ours).env("BUCKET", BUCKET).env_remove("AWS_CA_BUNDLE");
        command.current_dir(self.data.folder()).stdin(Stdio::null());
        command
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a file");
        let mut command = self.command("replicate");
        command.args(["-log-level", "debug"]);
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        self.child = Some(command.spawn().expect("litestream starts"));
    }

    fn freeze(&self) {
        let child = Pid::from_child(self.child.as_ref().expect("it runs"));
        kill_process(child, Signal::STOP).expect("it runs");
    }

    fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    /// What it did with the hot store: the fields of each line of its log that has `words`.
    fn said(&self, words: &str) -> Vec<BTreeMap<String, String>> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines = log.lines().filter(|it| it.contains("db=hot.db") && it.contains(words));
        let fields = |line: &str| {
            let fields = line.split(' ').filter_map(|it| it.split_once('='));
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        lines.map(fields).collect()
    }

    /// When it began to read the newest part of the log that is in the bucket: that part has all that was
    /// durable at that time. 0 before the first upload.
    fn newest_read(&self) -> i64 {
        let uploaded = self.said("level=0 minTXID");
        let Some(newest) = uploaded.iter().filter_map(|it| it.get("maxTXID")).max() else {
            return 0;
        };
        let reads = self.said("msg=sync ");
        let read = reads.iter().rfind(|it| it.get("txid") == Some(newest)).expect("its read");
        parse_instant(&read["time"]).expect("an instant").0
    }

    /// Why it copied the whole store: the first word of each reason, and nothing for the first copy.
    fn snapshots(&self) -> Vec<String> {
        let copies = self.said("snap=true");
        copies.into_iter().map(|mut it| it.remove("reason").unwrap_or_default()).collect()
    }

    fn restore(&self) {
        for database in ["hot.db", "records.db"] {
            let done = self.command("restore").arg(self.data.path().join(database)).output();
            let done = done.expect("litestream starts");
            assert!(done.status.success(), "{database}: {done:?}");
        }
    }
}

impl Drop for Litestream<'_> {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            let lines = ["level=WARN", "level=ERROR", "snap=true"].map(|it| self.said(it));
            eprintln!("--- litestream: {lines:?}");
        }
    }
}

/// An empty machine, to which somebody has brought the keys.
fn another(first: &Data, environment: Vec<(String, String)>) -> Data {
    let data = Data::on_bucket(&format!("s3://{BUCKET}/cold"), environment);
    copy_all(&first.path().join("keys"), &data.path().join("keys"));
    data
}

/// Adopts the store that Litestream has restored, and starts the service. `died` is when the machine did.
fn adopted(data: &Data, litestream: &Litestream<'_>, died: Instant) -> Server {
    litestream.restore();
    let restored = died.elapsed();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"] as &[&str], &["compact"]] {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("`couponry restore --adopt`"), "{arguments:?}: {ran:?}");
    }
    let adopting = Instant::now();
    let ran = data.run(&["restore", "--adopt", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("its newest event: 20"), "{ran:?}");
    let server = serve(data);
    let (adopted, back) = (ran.stdout.trim(), restored + adopting.elapsed());
    eprintln!("litestream: restored after {restored:?}, serves after {back:?}; {adopted}");
    server
}

/// The acknowledged redemptions that the store does not have, and how long before `died` the first of them was.
fn lost(data: &Data, told: &Told, died: i64) -> (usize, i64, i64) {
    let there = exported(data, "after the adoption");
    let is_there = |it: &&Acknowledged| {
        there.get(&it.code).is_none_or(|coupon: &Value| coupon["state"] != "redeemed")
    };
    let lost: Vec<i64> = told.redeemed.iter().filter(is_there).map(|it| it.at).collect();
    let (first, newest) = (lost.iter().min().copied(), lost.iter().max().copied());
    (lost.len(), died - first.unwrap_or(died), died - newest.unwrap_or(died))
}

/// Litestream and a bucket, if the machine can have both.
fn engines(suite: &str) -> Option<(PathBuf, testbucket::Server)> {
    let program = Engine::LITESTREAM.found(suite, || python_with("litestream", REQUIREMENTS))?;
    let bucket = testbucket::Server::start(Kind::Versitygw)?;
    Some((program.with_file_name("litestream"), bucket))
}

/// A number in the header of the log, which another one has.
fn log_salt(data: &Data) -> [u8; 8] {
    let log = fs::read(data.path().join("hot.db-wal")).expect("a log");
    log[16..24].try_into().expect("a header")
}

/// It died before it had read the newest changes, and is back while the log that a quiet store began meanwhile is still
/// shorter than what it has read of the old one.
#[test]
fn a_log_that_was_missed() {
    let Some((program, bucket)) = engines("a log that was missed") else { return };
    let first = Data::on_bucket(&format!("s3://{BUCKET}/cold"), bucket.environment());
    let server = serve(&first);
    let mut admin = server.client(&first.token("admin", "root"));
    campaign(&mut admin, "c", 1_000);
    let mut litestream = Litestream::on(&program, &first);
    litestream.start();
    redeemed(&mut admin, "c", "read", 300);
    let read = now();
    redeemed(&mut admin, "c", "newest", 1);
    wait_until("an upload", || litestream.newest_read() > read);

    litestream.freeze();
    // Pages that no later change writes again.
    let lines: String = (0..200).map(|nth| format!("MISSED{nth:03},,,,,,,\n")).collect();
    import(&first, "c", "missed", &lines);
    let salt = log_salt(&first);
    litestream.kill();
    while log_salt(&first) == salt {
        redeemed(&mut admin, "c", &now().to_string(), 1);
    }
    let back = now();
    litestream.start();
    wait_until("an upload", || litestream.newest_read() > back);
    server.kill();
    litestream.kill();
    eprintln!("litestream: copies of the whole store: {:?}", litestream.snapshots());

    let second = another(&first, bucket.environment());
    let server = adopted(&second, &Litestream::on(&program, &second), Instant::now());
    verify(&second, &[]).must_be_clean("adopted");
    let there = exported(&second, "after the adoption");
    let missed = (0..200).filter(|nth| !there.contains_key(&format!("MISSED{nth:03}"))).count();
    assert_eq!(missed, 0, "of the codes that were imported before it died");
    server.stop();
}

#[test]
fn two_machines_die() {
    let Some((program, bucket)) = engines("two machines that die") else { return };
    let first = Data::on_bucket(&format!("s3://{BUCKET}/cold"), bucket.environment());
    let server = serve(&first);
    let token = first.token("admin", "root");
    let mut admin = server.client(&token);
    campaign(&mut admin, "c", 1_000_000);
    let mut litestream = Litestream::on(&program, &first);
    litestream.start();
    wait_until("the first copy", || !litestream.snapshots().is_empty());
    let archived = redeemed(&mut admin, "c", "archived", 20);

    // Both processes die at the same moment, as their machine does.
    let (mut died, mut copies) = ((Instant::now(), 0), 0);
    let told = under_load(&server, &token, "first", || {
        sleep(LOAD / 2);
        copies = litestream.snapshots().len();
        // Whatever this archives, Litestream copies later than the bucket has it.
        compact(&first, &["--closed-now"]);
        sleep(LOAD / 2);
        died = (Instant::now(), now());
        server.signal(Signal::KILL);
        litestream.kill();
    });
    let seen = newest_cursor(&first, &told);
    drop(server);
    // Only after its own checkpoint is the log restarted, so it needs no other copy of the store. At its start it
    // may need a second one: it begins at the end of a log that may be restarted.
    let (snapshots, checkpoints) =
        (litestream.snapshots(), litestream.said("msg=checkpoint").len());
    assert_eq!(snapshots.len(), copies, "beside the checkpointer of couponry: {snapshots:?}");
    assert!(checkpoints > 2, "{checkpoints} checkpoints of Litestream");
    let (read, (died, died_at)) = (litestream.newest_read(), died);
    drop(litestream);

    let second = another(&first, bucket.environment());
    let mut litestream = Litestream::on(&program, &second);
    let server = adopted(&second, &litestream, died);
    verify(&second, &[]).must_be_clean("adopted");
    doctor_finds_nothing(&second, "adopted");
    let (count, first_lost, newest_lost) = lost(&second, &told, died_at);
    let Told { redeemed: acknowledged, stall } = &told;
    eprintln!(
        "litestream: {} redemptions acknowledged, {count} lost, from {first_lost} ms to {newest_lost} ms before the \
         machine died; the bucket had everything up to {} ms before; the longest stall was {stall} ms; {copies} \
         snapshot, {checkpoints} checkpoints",
        acknowledged.len(),
        died_at - read,
    );
    // Exact, however slow the machine is: what was durable when the uploaded part was read is in it.
    assert!(
        first_lost <= died_at - read,
        "lost {first_lost} ms, read {} ms before",
        died_at - read
    );
    // Slower than this only if the machine was: Litestream waits for a processor some times in each round.
    assert!(died_at - read <= LOST_MAX_MS + 5 * stall, "{} ms, stall {stall} ms", died_at - read);
    let mut admin = server.client(&token);
    for (nth, code) in archived.iter().enumerate() {
        let again = order(&format!("archived-{nth}"), "again");
        admin.post(&format!("/v1/coupons/{code}/redeem"), &again).refused(409, "ALREADY_REDEEMED");
    }
    // Its readers may have seen what did not survive.
    admin.get(&format!("/v1/events?after={seen}")).refused(410, "CURSOR_GONE");

    // The second machine goes on with the same place in the bucket. Litestream is away for a while, and comes back.
    litestream.start();
    wait_until("the first copy", || !litestream.snapshots().is_empty());
    let told = under_load(&server, &token, "second", || {
        sleep(LOAD / 3);
        litestream.kill();
        sleep(LOAD / 3);
        litestream.start();
        sleep(LOAD / 3);
        server.signal(Signal::KILL);
    });
    drop(server);
    // The service alone died, and Litestream copied the rest.
    let (died, size) =
        (Instant::now(), second.path().join("hot.db").metadata().expect("there").len());
    let newest = told.redeemed.iter().map(|it| it.at).max().expect("some");
    wait_until("the rest in the bucket", || {
        litestream.newest_read() > newest || died.elapsed() > LOAD
    });
    let snapshots = litestream.snapshots();
    litestream.kill();
    drop(litestream);

    let third = another(&first, bucket.environment());
    let litestream = Litestream::on(&program, &third);
    let server = adopted(&third, &litestream, died);
    verify(&third, &[]).must_be_clean("adopted again");
    let (count, ..) = lost(&third, &told, now());
    let all = told.redeemed.len();
    eprintln!(
        "litestream: away and back: snapshots of {size} bytes: {snapshots:?}; {count} of {all} redemptions lost"
    );
    assert_eq!(count, 0, "the service alone died");
    server.stop();
}

/// The cursor behind the newest event of a store that nobody serves.
fn newest_cursor(data: &Data, told: &Told) -> String {
    assert!(!told.redeemed.is_empty());
    let server = serve(data);
    let mut admin = server.client(&data.token("admin", "root"));
    let cursor = admin.get("/v1/events?after=newest").must(200).field("next_cursor");
    server.kill();
    cursor
}
