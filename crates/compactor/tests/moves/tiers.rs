//! What it costs to archive a partition in many runs, on real stores with every size a thousandth
//! of the real one or less.

use std::collections::BTreeSet;

use cold::{ColdOptions, ColdStore};
use compactor::{ClosedPolicy, CompactionSettings};
use coupon::time::Day;
use hot::Partitions;

use super::runs_at_most::runs_at_most;
use super::stores::{Act, Frozen, Steps};
use super::world::{
    Cast, Ground, SETTINGS, World, ago, cold_options, copied, now, open_partition, over_partition,
    prepared, spent,
};
use crate::place;

/// Runs of the compactor. Each archives as many coupons as one commit takes.
const RUNS: usize = 45;
const ROWS: usize = 40;

/// Merges start with few runs, so that all levels occur.
const PARTITION_FILES_MAX: usize = 3;

/// Runs that have a line in the printed table.
const TOLD: [usize; 5] = [1, 6, 16, 31, RUNS];

/// Rows of a file. A merged run has several files.
const FILE_ROWS: u64 = 100;

async fn runs(cold: &ColdStore, day: Day) -> usize {
    let files = cold.partition(day).await.unwrap().files;
    files.iter().map(cold::ColdFile::archive_commit).collect::<BTreeSet<_>>().len()
}

/// In any number of runs each coupon is written at most three times, hot reads its row at most
/// twice and evicts it once, and the files stay few.
#[tokio::test]
async fn many_runs_write_each_coupon_a_few_times() {
    let disk = place::folder();
    let world = World::open(disk.path());
    let settings = CompactionSettings {
        partition_files_max: PARTITION_FILES_MAX,
        closed_archive_commit_max: ROWS,
        ..SETTINGS
    };
    let options = ColdOptions { file_rows_max: FILE_ROWS, ..cold_options() };
    let campaign = world.campaign("open", open_partition()).await;
    let steps = Steps::none();
    let compactor = steps.compactor_of(&world, settings, options);
    let mut cast = Cast { codes: Vec::new(), campaigns: vec![campaign.id.clone()] };
    let (mut archived, mut written) = (0, 0);
    println!("| runs | rows archived | rows written | ratio | runs of files |");
    println!("|---|---|---|---|---|");
    for run in 1..=RUNS {
        let closed = (0..ROWS).map(|nth| spent(ago(60), &nth.to_string())).collect();
        cast.codes.extend(world.imported(&campaign, &format!("R{run:02}"), closed).await);
        let report = compactor.run(now(), ClosedPolicy::Now).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        archived += report.copied();
        written += report.partitions.iter().map(|partition| partition.rows).sum::<u64>();
        assert_eq!(archived, (run * ROWS) as u64, "run {run}");
        assert!(written <= 3 * archived, "run {run}: {written} rows written of {archived}");
        let runs = runs(&world.cold, open_partition()).await;
        let most = runs_at_most(run as u64, PARTITION_FILES_MAX);
        assert!(runs <= most, "run {run}: {runs} of {most}");
        if TOLD.contains(&run) {
            let ratio = written as f64 / archived as f64;
            println!("| {run} | {archived} | {written} | {ratio:.2} | {runs}, at most {most} |");
        }
    }
    let counts = steps.counts();
    assert_eq!(counts.evicted.len(), RUNS * ROWS);
    assert!(counts.evicted.values().all(|times| *times == 1), "evicted once: {counts:?}");
    assert!(counts.read.values().all(|times| *times <= 2), "read twice at most: {counts:?}");
    // The end of the partition, with a few coupons that were not redeemed.
    let unsold = vec![coupon::imported::ImportedState::Available; ROWS];
    cast.codes.extend(world.imported(&campaign, "UNSOLD", unsold).await);
    cast.codes = cast.codes.into_iter().step_by(17).collect();
    let before = world.census(&cast).await;
    let later = open_partition().end().plus_days(40);
    let report = compactor.run(later, ClosedPolicy::Now).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    archived += report.copied();
    written += report.partitions.iter().map(|partition| partition.rows).sum::<u64>();
    let left = runs(&world.cold, open_partition()).await;
    println!("the end: {written} rows written of {archived}, {left} runs");
    assert_eq!(archived, ((RUNS + 1) * ROWS) as u64);
    assert!(written <= 3 * archived, "at the end: {written} rows written of {archived}");
    let counts = steps.counts();
    assert!(counts.read.values().all(|times| *times <= 2), "read twice at most: {counts:?}");
    world.is_settled(later, &before, &cast, "the end").await;
}

/// Another process seals a partition while its closed coupons are being archived.
#[tokio::test]
async fn a_closed_pass_leaves_a_sealed_partition_alone() {
    let (disk, cast) = prepared(Ground::Fresh, 0).await;
    for step in
        ["ask closed_codes", "ask coupons_of", "before evict", "before finish_archive_commit"]
    {
        let disk = copied(disk.path());
        let world = World::open(disk.path());
        let before = world.census(&cast).await;
        let frozen = Frozen::new();
        // The first Closed pass: the work before it only removes rows.
        let steps = Steps::closed(step, frozen.act());
        let compactor = steps.compactor(&world);
        let mut run = tokio::spawn(async move { compactor.run(now(), ClosedPolicy::Now).await });
        frozen.arrives(&mut run).await;
        let later = open_partition().end().plus_days(40);
        assert!(world.hot.seal(open_partition(), later).await.unwrap(), "{step}");
        frozen.thaws();
        let report = run.await.unwrap().unwrap();
        assert!(report.failed.is_empty(), "{step}: {report:?}");
        assert!(
            report.partitions.iter().any(|partition| partition.day == over_partition()),
            "{step}: {report:?}"
        );
        world.shows(&before, &cast, step).await;
        world.compacts(later).await;
        world.is_settled(later, &before, &cast, step).await;
    }
}

/// Hot does not evict the rows of one partition: the other partitions are archived, and the run
/// names the one that was not.
#[tokio::test]
async fn a_partition_that_fails_does_not_stop_the_others() {
    let (disk, cast) = prepared(Ground::Fresh, 0).await;
    let world = World::open(disk.path());
    let before = world.census(&cast).await;
    // Each seal of one of the first partitions has an unknown outcome.
    let seals = std::sync::atomic::AtomicU64::new(0);
    let first = move |step: &str| {
        step == "after seal" && seals.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0
    };
    let steps = Steps::new(first, Act::Fail);
    let now = now();
    let report = steps.compactor(&world).run(now, ClosedPolicy::Now).await.unwrap();
    assert_eq!(report.failed.len(), 1, "{report:?}");
    let done: Vec<Day> = report.partitions.iter().map(|partition| partition.day).collect();
    assert!(done.contains(&open_partition()) && done.contains(&over_partition()), "{done:?}");
    world.compacts(now).await;
    world.is_settled(now, &before, &cast, "the next run").await;
}

/// A store that does not answer ends the run, because each partition would wait for it.
#[tokio::test]
async fn a_store_that_does_not_answer_stops_the_run() {
    let (disk, cast) = prepared(Ground::Fresh, 0).await;
    let world = World::open(disk.path());
    let before = world.census(&cast).await;
    let seals = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = std::sync::Arc::clone(&seals);
    let away = move |step: &str| {
        let is_seal = step == "after seal";
        seen.fetch_add(u64::from(is_seal), std::sync::atomic::Ordering::SeqCst);
        is_seal
    };
    let ended = Steps::new(away, Act::Fail).compactor(&world).run(now(), ClosedPolicy::Now).await;
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(seals.load(std::sync::atomic::Ordering::SeqCst), 3);
    let now = now();
    world.compacts(now).await;
    world.is_settled(now, &before, &cast, "the next run").await;
}
