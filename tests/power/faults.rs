//! Each of the first writes and syncs of a start, a group of requests, a checkpoint and a
//! compaction fails once. The process refuses or goes on, and nothing acknowledged is lost: not after a
//! restart, and not by a power cut.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use testengines::{CC, may_run, times};

use super::check::Checker;
use super::client::Client;
use super::cuts::{cut_at_end, kept, report, seed};
use super::data::{Server, Watch, wait_until};
use super::dice::Dice;
use super::finished::{HEADER, campaign};
use super::journal::Step;
use super::known::Known;
use super::shim::Shim;
use super::workload::lines;
use super::world::{World, codes};

/// The calls that fail, from the first one on.
const CALLS_MAX: usize = 200;

/// As many of them fail in one stage, and in CI, unless `COUPONRY_LONG=1` wants all.
const SAMPLE: usize = 6;
const SAMPLE_IN_CI: usize = 10;

/// EIO and ENOSPC.
const ERRORS: [i32; 2] = [5, 28];

/// Power cuts after each fault.
const CUTS: usize = 2;

/// Customers on each of two connections while a call fails, and lines that are imported.
const CUSTOMERS: usize = 12;
const LINES: usize = 1_500;

fn may_fail(stage: &str) -> bool {
    may_run(stage, CC, Shim::can_be_built())
}

/// Which of `calls` fail: all, or a sample that is spread over them.
fn chosen(calls: usize, sample: usize) -> Vec<usize> {
    let (all, mut dice) = (calls.min(CALLS_MAX), Dice::of(seed(), calls as u64));
    if std::env::var("COUPONRY_LONG").is_ok_and(|it| it == "1") || all <= sample {
        return (1..=all).collect();
    }
    let one = |nth: usize| {
        let (from, until) = (nth * all / sample, (nth + 1) * all / sample);
        1 + from + dice.below(until - from)
    };
    (0..sample).map(one).collect()
}

/// Writes and syncs among the steps.
fn calls(steps: &[Step]) -> usize {
    let is_call = |step: &&Step| {
        matches!(step, Step::Write { .. } | Step::Truncate { .. } | Step::SyncBegins { .. })
    };
    steps.iter().filter(is_call).count()
}

/// A fault of one stage: the nth call fails.
struct Fault {
    stage: &'static str,
    nth: usize,
    error: i32,
}

impl Fault {
    /// Arms it. `ending` is how the names of the files end whose calls count.
    fn begin(stage: &'static str, nth: usize, ending: &str, world: &World) -> Fault {
        let error = ERRORS[(nth + usize::try_from(seed()).unwrap_or(0)) % ERRORS.len()];
        let fault = Fault { stage, nth, error };
        // Shown if the test fails.
        eprintln!("faults: {}", fault.name());
        world.recorder.fail(nth, error, ending);
        fault
    }

    fn name(&self) -> String {
        format!("{}: call {} fails with error {}", self.stage, self.nth, self.error)
    }

    /// Ends it. Returns whether the call has failed.
    fn end(&self, world: &World) -> bool {
        world.recorder.heal();
        let steps = world.recorder.steps();
        let failed = steps.iter().find_map(|step| match step {
            Step::Failed { path, call } => Some(format!("{call} of {path}")),
            _ => None,
        });
        eprintln!("faults: that was {}", failed.as_deref().unwrap_or("no call at all"));
        failed.is_some()
    }

    /// Everything acknowledged is on the disk.
    fn nothing_is_lost(&self, world: &World) {
        let steps = world.recorder.steps();
        let failed = cut_at_end(&steps, seed() + self.nth as u64, CUTS);
        if !failed.is_empty() {
            let journal = kept(&format!("{}-{}", self.stage.replace(' ', "-"), self.nth));
            fs::copy(world.recorder.journal(), &journal).expect("the journal is kept");
            eprintln!("{}; the cuts are at the end of {}", self.name(), journal.display());
            report(&failed, &steps, seed() + self.nth as u64, &journal);
        }
    }

    /// The same of the folder as it is.
    fn all_is_well(&self, world: &World) {
        let known = Known::all(&world.recorder.steps());
        let checked = Checker::new().check(&world.root(), &known, true);
        checked.unwrap_or_else(|why| panic!("{}: {why}", self.name()));
    }
}

/// A store with some coupons, not running, and a token for it.
fn template() -> (World, String) {
    let world = World::new(None);
    let token = world.token();
    let server = world.serve();
    let mut client = server.client(&token);
    campaign(&mut client, "c", 100_000);
    for nth in 0..20 {
        world.customer(&mut client, &format!("first-{nth}"), nth % 3 > 0).expect("a coupon");
    }
    world.import("imported-first", &lines(900, 150));
    server.stop();
    (world, token)
}

/// Starts a service whose nth call fails, and stops it if it has started.
fn started(world: &World, name: &str) {
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--compact-every", "0", "--free-min-mib", "0"];
    let mut command = world.data.command(arguments);
    world.recorder.load_failing_into(&mut command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let _watch = Watch::over(&child);
    let mut said = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let is_up = said.any(|line| line.is_ok_and(|line| line.contains("http://")));
    if is_up {
        kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal");
    }
    // Its last lines are not read by anybody else.
    said.for_each(drop);
    let ended = child.wait_with_output().expect("the binary runs");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let codes = if is_up { [Some(0), Some(1)] } else { [Some(1); 2] };
    assert!(codes.contains(&ended.status.code()), "{name}: {}: {stderr}", ended.status);
    assert!(is_up || !stderr.is_empty(), "{name}: it ends without a word");
}

#[test]
fn a_start_with_a_fault() {
    if !may_fail("a start") {
        return;
    }
    let (nothing, (some, _)) = (World::new(None), template());
    for (stage, before, sample) in [("a first start", &nothing, 10), ("a start", &some, 6)] {
        let dry = World::new(Some(before));
        let begun = dry.recorder.steps().len();
        started(&dry, stage);
        for nth in chosen(calls(&dry.recorder.steps()[begun..]), sample) {
            let world = World::new(Some(before));
            let fault = Fault::begin(stage, nth, "-", &world);
            started(&world, &fault.name());
            fault.end(&world);
            let token = world.token();
            let server = world.serve();
            let mut client = server.client(&token);
            if world.known() == 1 {
                campaign(&mut client, "c", 100);
            }
            world.customer(&mut client, "later", true).expect("the disk is well again");
            fault.nothing_is_lost(&world);
            server.stop();
            fault.all_is_well(&world);
        }
    }
}

/// Customers and an import. What is not done must be refused with 503.
fn load(world: &World, server: &Server, token: &str, nth: usize) {
    let refused = |name: &str, why: &str| assert!(why.starts_with("503 "), "{name}: {why}");
    std::thread::scope(|scope| {
        for connection in 0..2 {
            let mut client = server.client(token);
            scope.spawn(move || {
                for customer in 0..CUSTOMERS {
                    let user = format!("u-{connection}-{customer}");
                    if let Err(why) = world.customer(&mut client, &user, true) {
                        refused(&user, &why);
                    }
                }
            });
        }
        scope.spawn(|| {
            let lines = lines(nth, LINES);
            let file = std::iter::once(HEADER.to_owned()).chain(lines.iter().cloned());
            let path = format!("/v1/campaigns/c/batches?batch_id=b{nth}");
            match server.client(token).upload(&path, file, None) {
                Ok(Some(answer)) if answer.is_good() => {
                    world.tell(&Known::Imported { codes: codes(&lines) });
                }
                Ok(Some(answer)) => {
                    refused("the import", &format!("{} {}", answer.status, answer.text()));
                }
                // The service may refuse before all is sent, and then nobody reads its answer.
                Ok(None) | Err(_) => {}
            }
        });
    });
}

/// Customers come until one is served.
fn recovers(world: &World, client: &mut Client) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    wait_until("a service that writes again", || {
        let user = format!("later-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        world.customer(client, &user, true).is_ok()
    });
}

/// A call fails while the service works. `ending` is how the names of the files end that count.
fn fails_at_work(stage: &'static str, ending: &str) {
    let (before, token) = template();
    let nths = chosen(CALLS_MAX, times(SAMPLE, SAMPLE_IN_CI));
    let (all, mut failed) = (nths.len(), 0);
    for nth in nths {
        let world = World::new(Some(&before));
        let server = world.serve();
        let fault = Fault::begin(stage, nth, ending, &world);
        load(&world, &server, &token, nth);
        recovers(&world, &mut server.client(&token));
        failed += usize::from(fault.end(&world));
        fault.nothing_is_lost(&world);
        match nth % 2 {
            0 => server.stop(),
            _ => server.kill(),
        }
        fault.all_is_well(&world);
    }
    eprintln!("faults: {stage}: {failed} of {all} calls have failed");
    assert!(failed * 2 > all, "{stage}: only {failed} of {all} calls have failed");
}

#[test]
fn a_group_with_a_fault() {
    if may_fail("a group") {
        fails_at_work("a group", "-");
    }
}

#[test]
fn a_checkpoint_with_a_fault() {
    // Only a checkpoint writes to this file.
    if may_fail("a checkpoint") {
        fails_at_work("a checkpoint", "/hot.db");
    }
}

#[test]
fn a_compaction_with_a_fault() {
    if !may_fail("a compaction") {
        return;
    }
    let (before, _) = template();
    let compact = |world: &World| {
        let mut command = world.data.command(["compact", "--closed-now"]);
        world.recorder.load_failing_into(&mut command);
        world.data.run_command(command)
    };
    let dry = World::new(Some(&before));
    let begun = dry.recorder.steps().len();
    let ran = compact(&dry);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let sample = times(SAMPLE, SAMPLE_IN_CI);
    for nth in chosen(calls(&dry.recorder.steps()[begun..]), sample) {
        let world = World::new(Some(&before));
        let fault = Fault::begin("a compaction", nth, "-", &world);
        let ran = compact(&world);
        let name = fault.name();
        assert!([Some(0), Some(1), Some(3)].contains(&ran.code), "{name}: {ran:?}");
        assert!(ran.code == Some(0) || !ran.stderr.is_empty(), "{name}: {ran:?}");
        fault.end(&world);
        fault.nothing_is_lost(&world);
        world.must_run(&["compact", "--closed-now"]);
        fault.nothing_is_lost(&world);
        fault.all_is_well(&world);
    }
}
