//! Power cuts at random moments of recorded runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use testengines::{CC, may_run, times};

use super::check::Checker;
use super::dice::Dice;
use super::disk::Disk;
use super::journal::{self, Step};
use super::known::Known;
use super::shim::Shim;
use super::workload;
use super::world::scratch;

/// Power cuts of a run, in CI, and of one recorded run at most.
const CUTS: usize = 60;
const CUTS_IN_CI: usize = 150;
const CUTS_OF_A_RUN: usize = 500;
/// Recorded runs at least.
const RUNS_MIN: usize = 2;

/// Folders that are checked at the same time.
const CHECKERS: usize = 2;

/// One of so many folders is also compacted.
const COMPACTED_EVERY: usize = 8;

/// Failures that are kept and printed.
const KEPT_MAX: usize = 5;

/// A variable that is a number.
fn number<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

/// The seed of this run, which another run can be given.
pub(super) fn seed() -> u64 {
    number("COUPONRY_SEED", 1)
}

#[test]
fn power_cuts() {
    if !may_run("power", CC, Shim::can_be_built()) {
        return;
    }
    let (seed, cuts) = (seed(), number("COUPONRY_CUTS", times(CUTS, CUTS_IN_CI)));
    if let Ok(journal) = std::env::var("COUPONRY_JOURNAL") {
        return replayed(Path::new(&journal), seed, cuts);
    }
    let (begun, runs) = (Instant::now(), cuts.div_ceil(CUTS_OF_A_RUN).max(RUNS_MIN));
    for run in 0..runs {
        let seed = seed + run as u64;
        let world = workload::recorded(seed);
        let steps = world.recorder.steps();
        let recorded = begun.elapsed();
        let failed = cut_at_random(&steps, seed, cuts.div_ceil(runs));
        if !failed.is_empty() {
            let kept = kept(&format!("journal-{seed}"));
            fs::copy(world.recorder.journal(), &kept).expect("the journal is kept");
            report(&failed, &steps, seed, &kept);
        }
        eprintln!(
            "power: run {run}: {} steps recorded after {recorded:?}, {} cuts checked after {:?}",
            steps.len(),
            cuts.div_ceil(runs),
            begun.elapsed()
        );
    }
    eprintln!("power: seed {seed}, {cuts} cuts in {runs} runs, 0 violations");
}

/// The cuts of a journal that was kept, or one of them.
fn replayed(journal: &Path, seed: u64, cuts: usize) {
    let steps = journal::steps(&fs::read(journal).expect("COUPONRY_JOURNAL is a file"));
    let only: usize = number("COUPONRY_CUT", usize::MAX);
    let all = moments(&steps, seed, cuts.max(only.saturating_add(1).min(CUTS_OF_A_RUN)));
    let chosen = all.into_iter().filter(|cut| only == usize::MAX || cut.nth == only).collect();
    let failed = cut_at(&steps, seed, chosen);
    if !failed.is_empty() {
        report(&failed, &steps, seed, journal);
    }
}

/// A power cut: its number, and how many steps come before it.
#[derive(Clone, Copy)]
struct Cut {
    nth: usize,
    at: usize,
}

/// A folder that is not as it must be.
pub(super) struct Violation {
    cut: Cut,
    why: String,
    lost: Vec<String>,
}

/// Chooses moments: anywhere, just after something was acknowledged, and beside syncs and names.
/// The nth moment does not depend on how many there are.
fn moments(steps: &[Step], seed: u64, count: usize) -> Vec<Cut> {
    let those = |is: fn(&Step) -> bool| -> Vec<usize> {
        (0..steps.len()).filter(|at| is(&steps[*at])).map(|at| at + 1).collect()
    };
    let notes = those(|step| matches!(step, Step::Note(_)));
    let edges =
        those(|step| !matches!(step, Step::Write { .. } | Step::Truncate { .. } | Step::Note(_)));
    let moment = |nth: usize| {
        let mut dice = Dice::of(seed, 2 * nth as u64 + 1);
        let at = match dice.below(4) {
            0 | 1 => 1 + dice.below(steps.len()),
            2 if !notes.is_empty() => notes[dice.below(notes.len())],
            _ => edges[dice.below(edges.len())].saturating_sub(dice.below(2)).max(1),
        };
        Cut { nth, at }
    };
    let mut cuts: Vec<Cut> = (0..count).map(moment).collect();
    cuts.sort_by_key(|cut| cut.at);
    cuts
}

fn cut_at_random(steps: &[Step], seed: u64, count: usize) -> Vec<Violation> {
    cut_at(steps, seed, moments(steps, seed, count))
}

/// Cuts after the last step, `count` times.
pub(super) fn cut_at_end(steps: &[Step], seed: u64, count: usize) -> Vec<Violation> {
    cut_at(steps, seed, (0..count).map(|nth| Cut { nth, at: steps.len() }).collect())
}

/// A rebuilt folder, and the number of things that are known at its moment.
struct Rebuilt {
    cut: Cut,
    folder: PathBuf,
    known: usize,
    lost: Vec<String>,
}

/// The cuts, in the order of their moments. Returns the violations.
fn cut_at(steps: &[Step], seed: u64, cuts: Vec<Cut>) -> Vec<Violation> {
    let (folder, known) = (scratch(), Known::all(steps));
    let (give, take) = sync_channel(CHECKERS);
    let (take, failed) = (Arc::new(Mutex::new(take)), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CHECKERS {
            let (take, known, failed) = (Arc::clone(&take), &known, &failed);
            scope.spawn(move || check_all(&take, known, failed));
        }
        // Only the checkers hold it: if both have panicked, nobody waits for them.
        drop(take);
        let (mut disk, mut done, mut counted) = (Disk::new(), 0, 0);
        for cut in cuts {
            for step in &steps[done..cut.at] {
                disk.apply(step);
                counted += usize::from(matches!(step, Step::Note(_)));
            }
            done = cut.at;
            let folder = folder.path().join(cut.nth.to_string());
            let lost = disk.cut(&mut dice_of(seed, cut), &folder);
            give.send(Rebuilt { cut, folder, known: counted, lost }).expect("a checker");
        }
        drop(give);
    });
    failed.into_inner().expect("lock")
}

fn dice_of(seed: u64, cut: Cut) -> Dice {
    Dice::of(seed, 2 * cut.nth as u64)
}

fn check_all(take: &Mutex<Receiver<Rebuilt>>, known: &[Known], failed: &Mutex<Vec<Violation>>) {
    let checker = Checker::new();
    loop {
        let next = take.lock().expect("lock").recv();
        let Ok(Rebuilt { cut, folder, known: count, lost }) = next else { return };
        let compacts = cut.nth.is_multiple_of(COMPACTED_EVERY);
        if let Err(why) = checker.check(&folder, &known[..count], compacts) {
            failed.lock().expect("lock").push(Violation { cut, why, lost });
        }
        fs::remove_dir_all(&folder).expect("the folder of a cut");
    }
}

/// Something that outlives the test.
pub(super) fn kept(name: &str) -> PathBuf {
    let name = format!("couponry-power-{}-{name}", std::process::id());
    std::env::temp_dir().join(name)
}

/// Rebuilds the folders of the violations where they stay, prints them, and panics.
pub(super) fn report(failed: &[Violation], steps: &[Step], seed: u64, journal: &Path) {
    let journal = journal.display();
    for Violation { cut, why, lost } in failed.iter().take(KEPT_MAX) {
        let mut disk = Disk::new();
        steps[..cut.at].iter().for_each(|step| disk.apply(step));
        let folder = kept(&format!("{seed}-{}", cut.nth));
        // An earlier report of this process may have the same name.
        let _ = fs::remove_dir_all(&folder);
        disk.cut(&mut dice_of(seed, *cut), &folder);
        eprintln!(
            "VIOLATION: seed {seed}, cut {} after step {} of {}: {why}\nwhat the cut has kept:\n  \
             {}\nthe folder: {}\nto repeat it: COUPONRY_JOURNAL={journal} COUPONRY_SEED={seed} \
             COUPONRY_CUT={} cargo test --package=couponry --test power power_cuts",
            cut.nth,
            cut.at,
            steps.len(),
            lost.join("\n  "),
            folder.display(),
            cut.nth,
        );
    }
    panic!("{} power cuts have lost something; seed {seed}", failed.len());
}
