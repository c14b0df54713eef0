//! Promises of the embedded store alone: about its file, other processes and the disk.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

#[path = "sqlite/activity.rs"]
mod activity;
#[path = "sqlite/audit.rs"]
mod audit;
#[path = "sqlite/damage.rs"]
mod damage;
#[path = "sqlite/events.rs"]
mod events;
#[path = "sqlite/imported.rs"]
mod imported;
#[path = "sqlite/lists.rs"]
mod lists;
#[path = "sqlite/people.rs"]
mod people;
#[path = "sqlite/redemptions.rs"]
mod redemptions;
#[path = "sqlite/shrink.rs"]
mod shrink;
#[path = "sqlite/writer.rs"]
mod writer;

use std::fs::File;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon::apply::Asker;
use coupon::campaign::{Campaign, CampaignCounts};
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::minted::LAST_DAY;
use coupon::refusal::Refusal;
use futures::future::join_all;
use hot::{CampaignPatch, Emptying, HotError, ImportOutcome, Named, NewCampaign};
use hot_conformance::kit::{
    ACT, ChangeOutcome, Kit, MemoryArchive, NOW, extend, extend_days, give, keys, of, redeem,
    reference, revoke, said, void,
};
use hot_conformance::soundness::contradictions;
use hot_sqlite::{FILE_NAME, OpenError, SqliteHot, SqliteOptions};
use rusqlite::Connection;
use tempfile::TempDir;

const SCHEMA: &str = include_str!("../../../schema/hot.sql");

/// Set in the child process of `acknowledged_is_kept`: the folder that it writes to.
const CHILD_FOLDER: &str = "COUPONRY_TEST_FOLDER";

/// Longer than the machine stops for while it does other things.
const LONG: Duration = Duration::from_secs(300);

/// How long callers wait for a write if it is not to come.
const SHORT: Duration = Duration::from_millis(200);

/// How often something is tried again that a stop of the machine may have spoiled.
const TRIES: usize = 20;

fn options() -> SqliteOptions {
    SqliteOptions { free_min_bytes: 0, write_timeout: LONG, ..SqliteOptions::default() }
}

fn short_options() -> SqliteOptions {
    SqliteOptions { write_timeout: SHORT, ..options() }
}

fn open(folder: &Path, options: SqliteOptions) -> Result<SqliteHot, OpenError> {
    open_beside(folder, Arc::default(), options)
}

fn open_beside(
    folder: &Path,
    archive: Arc<MemoryArchive>,
    options: SqliteOptions,
) -> Result<SqliteHot, OpenError> {
    SqliteHot::open(folder, keys(), archive, options)
}

fn kit_in(folder: &Path, options: SqliteOptions) -> Kit {
    let archive = Arc::<MemoryArchive>::default();
    let hot = open_beside(folder, Arc::clone(&archive), options).unwrap();
    Kit::new(Arc::new(hot), archive)
}

fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join(FILE_NAME)).unwrap()
}

fn tempdir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn schema_of(conn: &Connection) -> Vec<(String, String, Option<String>)> {
    let mut statement =
        conn.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_store_has_the_schema_and_opens_again() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let from_file = Connection::open_in_memory().unwrap();
    from_file.execute_batch(SCHEMA).unwrap();
    assert_eq!(schema_of(&raw(folder.path())), schema_of(&from_file));
    let campaign = kit.draft();
    let code = kit.stocked(&campaign, 1).await.remove(0);
    kit.done(&code, give(&kit.user("ann"), None)).await;
    let before = kit.coupon(&code).await;
    drop(kit);
    let kit = kit_in(folder.path(), options());
    assert_eq!(kit.coupon(&code).await, before);
    assert_eq!(schema_of(&raw(folder.path())), schema_of(&from_file));
}

#[test]
fn a_newer_file_is_refused_by_name() {
    let folder = tempdir();
    drop(open(folder.path(), options()).unwrap());
    let conn = raw(folder.path());
    conn.execute("UPDATE setting SET value = '7.4.1' WHERE name = 'written_by'", []).unwrap();
    conn.pragma_update(None, "user_version", 9).unwrap();
    let refused = open(folder.path(), options()).err().unwrap();
    let newer = matches!(&refused, OpenError::Newer { found: 9, needs } if needs == "7.4.1");
    assert!(newer && refused.to_string().contains("couponry 7.4.1 or later"), "{refused}");
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 9, "the file does not change");
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let folder = tempdir();
    let conn = raw(folder.path());
    conn.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    let refused = open(folder.path(), options()).err().unwrap();
    assert!(matches!(refused, OpenError::Foreign(_)), "{refused}");
    assert_eq!(schema_of(&conn).len(), 1);
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");

    let folder = tempdir();
    let letter = "Dear reader, this is no database. ".repeat(40);
    std::fs::write(folder.path().join(FILE_NAME), &letter).unwrap();
    let refused = open(folder.path(), options()).err().unwrap();
    assert!(matches!(refused, OpenError::Sqlite(_)), "{refused}");
    assert_eq!(std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap(), letter);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_another_program_are_found() {
    let tampers = [
        "UPDATE coupon SET state = 1 WHERE state = 2",
        "UPDATE coupon SET state = 0 WHERE state = 3",
        "UPDATE coupon SET holder = 'eve' WHERE state = 2",
        "UPDATE coupon SET expires_at = 1 << 41 WHERE state = 2",
        "UPDATE coupon SET ended_at = ended_at + 1 WHERE state = 2",
        "UPDATE coupon SET history_full = 1 WHERE state = 2",
        "UPDATE coupon SET record = x'ff' WHERE state = 2",
        "UPDATE coupon SET number = number + (77 << 37) WHERE state = 2",
        "UPDATE batch SET made_at = made_at + 1",
        "DELETE FROM coupon WHERE state = 2",
        "DELETE FROM coupon WHERE state = 0",
        "DELETE FROM claim",
        "UPDATE claim SET indexed = 1",
        "UPDATE coupon SET indexed = 1 - indexed WHERE state = 2",
        "UPDATE campaign SET redeemed = redeemed + 1",
        "UPDATE campaign SET stock = stock + 1",
        "UPDATE campaign SET spent = spent + 1",
        "UPDATE batch SET count = count - 1",
        "UPDATE campaign SET cold_redeemed = cold_redeemed + 1",
        "UPDATE campaign SET cold_void = cold_void - 1",
        "DELETE FROM archived_marker",
    ];
    for tamper in tampers {
        let folder = tempdir();
        let kit = kit_in(folder.path(), options());
        let campaign = kit.draft();
        let codes = kit.stocked(&campaign, 3).await;
        let imported = kit.imported(&campaign, 2).await;
        let ann = kit.user("ann");
        kit.done(&codes[0], give(&ann, None)).await;
        kit.done(&codes[0], redeem(&ann, "1")).await;
        kit.done(&codes[1], void()).await;
        kit.done(&imported[0], void()).await;
        let evicted = kit.hot.evict(campaign.expiry_day(), vec![(imported[0].clone(), 2)]).await;
        assert_eq!(evicted.unwrap(), 1);
        kit.is_sound().await;
        let changed = raw(folder.path()).execute(tamper, []).unwrap();
        assert!(changed > 0, "{tamper}");
        let found = contradictions(&*kit.hot).await;
        assert!(!found.faults.is_empty(), "{tamper}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_enters_a_closing_partition() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let closing = kit.draft();
    let codes = kit.stocked(&closing, 2).await;
    let ann = kit.user("ann");
    kit.done(&codes[0], give(&ann, None)).await;
    // It expires on the day before that of `closing`.
    let early = Campaign {
        expires_at: closing.expiry_day().start(),
        valid_days: Some(1),
        per_user_limit: Some(9),
        ..kit.draft()
    };
    let code = kit.stocked(&early, 1).await.remove(0);
    let batch = kit.open_import(&early).await;
    let close = |day: i32| {
        let sql = "UPDATE partition_plan SET closing = 1 WHERE expiry_day = ?1";
        assert_eq!(raw(folder.path()).execute(sql, [day]).unwrap(), 1);
    };
    close(closing.expiry_day().0);

    let closed = Refusal::ExpiryDayClosed;
    let line = hot::ImportLine {
        expires_at: closing.expires_at,
        ..kit.line(&early, &kit.code(), ImportedState::Available)
    };
    let imported = kit.import(&early, &batch, vec![line.clone()]).await;
    assert_eq!(imported, [ImportOutcome::Refused(closed)]);
    assert_eq!(kit.find(&line.code).await, None, "and has no directory entry");
    assert_eq!(kit.said(&code, extend(closing.expires_at)).await, ChangeOutcome::Refused(closed));
    assert_eq!(kit.coupon(&code).await.version(), 0);
    let mint = kit.hot.mint(&closing.id, kit.order_of(1), &ACT).await.unwrap();
    assert_eq!(mint, Named::Refused(closed));
    let new = Campaign { expires_at: closing.expires_at, ..kit.draft() };
    let new = NewCampaign { campaign: new, created_as: String::new(), first_batch: None };
    assert_eq!(kit.hot.create_campaign(new, &ACT).await.unwrap(), Named::Refused(closed));
    // Coupons in the partition can still change, and may leave it.
    kit.done(&codes[0], redeem(&ann, "1")).await;
    kit.done(&codes[1], extend_days(&closing, 1)).await;

    // An extension within the coupon's own open partition does not look at the day of its new end.
    kit.done(&code, give(&ann, None)).await;
    let short = kit.coupon(&code).await.expires_at();
    let later = short.plus_days(1);
    let plan = "INSERT INTO partition_plan VALUES (?1, 12, 0, 1, 0, 0, 0, 0)";
    raw(folder.path()).execute(plan, [coupon::time::Day::expiry_day_of(later).0]).unwrap();
    kit.done(&code, extend(later)).await;
    kit.is_sound().await;
}

/// Two stores on one folder, as in two processes, both make progress and lose nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_on_one_file() {
    const EACH: u64 = 1_000;
    /// Tasks of each store.
    const TASKS: u64 = 8;
    /// Writes of the other store while a caller of one store waits: nine for each write of its own.
    const OTHER_WRITES_MAX: u64 = 9 * TASKS;
    let folder = tempdir();
    let kits = [0, 1].map(|_| Arc::new(kit_in(folder.path(), options())));
    let campaign = kits[0].draft();
    kits[0].stocked(&campaign, 2 * EACH).await;
    // Each task holds the one of its store while it issues.
    let issuing = [Arc::new(()), Arc::new(())];
    let writers = (0..2 * TASKS).map(|n| {
        let side = n as usize % 2;
        let (kit, other) = (Arc::clone(&kits[side]), Arc::clone(&kits[1 - side]));
        let (issues, issue) = (Arc::clone(&issuing[side]), Arc::downgrade(&issuing[1 - side]));
        let campaign = campaign.clone();
        tokio::spawn(async move {
            let mut done = Vec::new();
            for _ in 0..EACH / TASKS {
                let user = kit.user(&format!("user-{n}"));
                let before = other.hot.gauge().writes;
                let issued = kit.issue_at(NOW, &campaign.id, &user, reference("r")).await;
                assert_eq!(said(&issued), ChangeOutcome::Accepted);
                let other_writes = other.hot.gauge().writes - before;
                done.push((side, other_writes, of(&issued).code().clone()));
            }
            drop(issues);
            // The other store does not get the file to itself.
            while issue.strong_count() > 0 {
                kit.hot.touch(NOW).await.unwrap();
            }
            done
        })
    });
    let writers: Vec<_> = writers.collect();
    drop(issuing);
    let done: Vec<_> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    for side in [0, 1] {
        let of_side = done.iter().filter(|(its, ..)| *its == side);
        let mut other_writes: Vec<u64> = of_side.map(|(_, writes, _)| *writes).collect();
        other_writes.sort();
        // A stop of the machine spoils a few of them.
        let median = other_writes[other_writes.len() / 2];
        assert!(median <= OTHER_WRITES_MAX, "store {side} makes progress: {median}");
    }
    let mut codes: Vec<Code> = done.into_iter().map(|(.., code)| code).collect();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len() as u64, 2 * EACH, "each coupon is issued once");
    for kit in &kits {
        let counts = kit.counts(&campaign).await;
        assert_eq!(
            counts,
            CampaignCounts { stock: 2 * EACH, issued: 2 * EACH, ..CampaignCounts::default() }
        );
        let late = kit.issue_at(NOW, &campaign.id, &kit.user("late"), None).await;
        assert_eq!(said(&late), ChangeOutcome::Refused(Refusal::SoldOut));
        kit.is_sound().await;
    }
}

/// If one process changes a campaign, a batch or a partition, a reader of another process sees it
/// at once, although it remembers terms between read transactions.
#[tokio::test(flavor = "multi_thread")]
async fn terms_changed_by_another_process() {
    let folder = tempdir();
    let archive = Arc::<MemoryArchive>::default();
    let [here, there] = [0, 1].map(|_| {
        let hot = open_beside(folder.path(), Arc::clone(&archive), options()).unwrap();
        Kit::new(Arc::new(hot), Arc::clone(&archive))
    });
    let campaign = there.draft();
    let code = there.stocked(&campaign, 1).await.remove(0);
    let touched = there.done(&code, give(&there.user("ann"), None)).await;
    let batch = touched.genesis().batch.clone();
    let seen = async || {
        let snapshot = here.see(&code).await.unwrap();
        (snapshot.campaign.name.clone(), snapshot.campaign.paused, snapshot.batch_paused)
    };
    let name = campaign.name.clone();
    assert_eq!(seen().await, (name.clone(), false, false));
    let pause = |paused| CampaignPatch { paused: Some(paused), ..CampaignPatch::default() };
    for paused in [true, false] {
        there.hot.patch_campaign(&campaign.id, pause(paused), &ACT).await.unwrap();
        assert_eq!(seen().await, (name.clone(), paused, false), "the campaign: {paused}");
        there.hot.pause_batch(&campaign.id, &batch, !paused, &ACT).await.unwrap();
        assert_eq!(seen().await, (name.clone(), paused, !paused), "the batch: {}", !paused);
        there.hot.pause_batch(&campaign.id, &batch, false, &ACT).await.unwrap();
    }
    // By hand, or by a process of another release.
    raw(folder.path()).execute("UPDATE campaign SET name = 'Another'", []).unwrap();
    assert_eq!(seen().await.0, "Another");
    let dry_run = async || {
        let found = here.found(&code).await;
        let change = here.change(void(), Asker::Shop, NOW);
        said(&here.hot.dry_run(&found, change).await.unwrap())
    };
    assert_eq!(dry_run().await, ChangeOutcome::Accepted);
    let day = campaign.expiry_day();
    assert!(there.hot.seal(day, there.time_to_seal(day).await).await.unwrap());
    assert_eq!(dry_run().await, ChangeOutcome::Refused(Refusal::ExpiryDayClosed), "the seal");
    here.is_sound().await;
}

/// If others write at the same time, in this process or another, rows are deleted in small parts
/// with a pause after each.
#[tokio::test(flavor = "multi_thread")]
async fn long_work_makes_room() {
    let folder = tempdir();
    let here = kit_in(folder.path(), options());
    let there = kit_in(folder.path(), options());
    let campaign = here.draft();
    here.create(&campaign).await;
    here.imported(&campaign, 2_400).await;
    let day = campaign.expiry_day();
    assert!(here.hot.seal(day, here.time_to_seal(day).await).await.unwrap());
    here.copy_residue(day, 1_000).await;
    let mut so_far = Emptying::default();
    let rows = [
        ("nothing is known of others yet", None, 100),
        ("the seal was a write", None, 100),
        ("alone", None, 400),
        ("a write here, not seen yet", Some(&here), 400),
        ("the write here is seen", None, 100),
        ("alone again", None, 400),
        ("a write elsewhere, not seen yet", Some(&there), 400),
        ("the write elsewhere is seen", None, 100),
    ];
    for (name, writes, want) in rows {
        if let Some(kit) = writes {
            kit.hot.touch(NOW.plus_ms(1 + so_far.removed as i64)).await.unwrap();
        }
        let before = so_far.removed;
        so_far = here.hot.remove_residue(day, so_far).await.unwrap().unwrap();
        assert_eq!(so_far.removed - before, want, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_and_reads_go_on() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = kit.draft();
    let code = kit.stocked(&campaign, 2).await.remove(1);
    let [ann, bob] = kit.users();
    kit.issued(&campaign, &ann, "first").await;
    drop(kit);
    let full = SqliteOptions { free_min_bytes: u64::MAX, ..options() };
    let kit = kit_in(folder.path(), full);
    let why = kit.hot.writable().await.unwrap_err();
    assert!(why.contains("MiB free"), "{why}");
    let found = kit.found(&code).await;
    let change = kit.change(void(), Asker::Shop, NOW);
    let refused = kit.hot.apply(&found, change).await;
    let full = matches!(&refused, Err(HotError::Full(why)) if why.contains("MiB free"));
    assert!(full, "{refused:?}");
    assert!(matches!(kit.hot.touch(NOW).await, Err(HotError::Full(_))));
    assert_eq!(kit.coupon(&code).await.version(), 0, "reads go on, and nothing was written");
    let issue = async |to, name| {
        let change = kit.change(give(to, reference(name)), Asker::Shop, NOW);
        kit.hot.issue(&campaign.id, change).await.map(|applied| said(&applied))
    };
    for _ in 0..2 {
        assert_eq!(issue(&ann, "first").await.unwrap(), ChangeOutcome::Replayed);
        assert!(matches!(issue(&bob, "first").await, Err(HotError::Full(_))));
    }
    drop(kit);
    let kit = kit_in(folder.path(), options());
    kit.done(&code, void()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_that_is_sold_out_leaves_the_writer_alone() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = kit.draft();
    kit.stocked(&campaign, 1).await;
    let [ann, bob] = kit.users();
    let writes = async |to, name, want: ChangeOutcome| {
        let before = kit.hot.gauge().writes;
        assert_eq!(said(&kit.issue(&campaign, to, reference(name)).await), want, "{name}");
        kit.hot.gauge().writes - before
    };
    let sold_out = ChangeOutcome::Refused(Refusal::SoldOut);
    assert_eq!(writes(&ann, "taken", ChangeOutcome::Accepted).await, 1);
    assert_eq!(writes(&bob, "the first one too late", sold_out).await, 1);
    assert_eq!(writes(&bob, "the next ones", sold_out).await, 0);
    assert_eq!(writes(&ann, "taken", ChangeOutcome::Replayed).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_without_the_file_lock_writes_nothing() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 20).await;
    // A second store on the same folder.
    let short = kit_in(folder.path(), short_options()).hot;
    let lock = File::options().write(true).open(folder.path().join("hot.write")).unwrap();
    lock.lock().unwrap();
    let all_wait = async || {
        let begun = Instant::now();
        let asks = codes.iter().map(|code| {
            let (kit, short) = (&kit, &short);
            async move {
                let found = kit.found(code).await;
                short.apply(&found, kit.change(void(), Asker::Shop, NOW)).await
            }
        });
        for answer in join_all(asks).await {
            assert!(matches!(answer, Err(HotError::Unavailable(_))), "{answer:?}");
        }
        begun.elapsed()
    };
    let mut waited = all_wait().await;
    for _ in 1..TRIES {
        if waited >= Duration::from_secs(2) {
            waited = all_wait().await;
        }
    }
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    assert_eq!(kit.coupon(&codes[0]).await.version(), 0, "reads succeed");
    lock.unlock().unwrap();
    // The writer has run every job before this one.
    writer::writes_again(&*short).await;
    for code in &codes {
        assert_eq!(kit.coupon(code).await.version(), 0, "a refused change is never written");
    }
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: 20, ..CampaignCounts::default() }
    );
    kit.done(&codes[0], void()).await;
}

/// A process that is stopped in the middle of a write does not make readers wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_writer_does_not_stop_readers() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let code = kit.stocked(&kit.draft(), 1).await.remove(0);
    drop(kit);
    let write = Connection::open(folder.path().join("hot.db")).unwrap();
    write.execute_batch("BEGIN IMMEDIATE").unwrap();
    let lock = File::options().write(true).open(folder.path().join("hot.write")).unwrap();
    lock.lock().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let of_thread = folder.path().to_owned();
    std::thread::spawn(move || {
        let kit = kit_in(&of_thread, options());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let version = runtime.block_on(kit.coupon(&code)).version();
        drop(kit);
        tell.send(version)
    });
    let read = told.recv_timeout(LONG);
    assert_eq!(read, Ok(0), "opened, read and closed");
    lock.unlock().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_queue_has_an_end() {
    const WAITING_MAX: u64 = 2_048;
    let folder = tempdir();
    let kit = Arc::new(kit_in(folder.path(), options()));
    let lock = File::options().write(true).open(folder.path().join("hot.write")).unwrap();
    lock.lock().unwrap();
    let touch = || {
        let kit = Arc::clone(&kit);
        tokio::spawn(async move { kit.hot.touch(NOW).await })
    };
    let waiting = async |count: u64| {
        let begun = Instant::now();
        while kit.hot.gauge().waiting != count {
            assert!(begun.elapsed() < LONG / 2, "{count} jobs should wait");
            tokio::task::yield_now().await;
        }
    };
    // The writer takes the first and waits for the fair file lock.
    let mut first = pin!(kit.hot.touch(NOW));
    assert!(futures::poll!(&mut first).is_pending());
    waiting(0).await;
    let asked: Vec<_> = (0..WAITING_MAX).map(|_| touch()).collect();
    waiting(WAITING_MAX).await;
    let refused = kit.hot.touch(NOW).await;
    assert!(matches!(refused, Err(HotError::Overloaded { waiting: 2_048 })), "{refused:?}");
    lock.unlock().unwrap();
    first.await.unwrap();
    for touched in join_all(asked).await {
        touched.unwrap().expect("the queued jobs are run");
    }
    kit.hot.touch(NOW).await.unwrap();
}

/// A panic in one caller's transaction is an error of that caller alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_fails_one_caller() {
    let folder = tempdir();
    let kit = Arc::new(kit_in(folder.path(), options()));
    let campaign = Campaign { per_user_limit: Some(100), ..kit.draft() };
    kit.stocked(&campaign, 200).await;
    // No minted code can name this day, so an issue for it panics.
    let beyond = Campaign { expires_at: LAST_DAY.end().plus_days(2), ..kit.draft() };
    kit.create(&beyond).await;
    kit.mint(&beyond, 9).await;
    let asks = (0..100).map(|n| {
        let (kit, good, bad) = (Arc::clone(&kit), campaign.id.clone(), beyond.id.clone());
        tokio::spawn(async move {
            let id = if n % 10 == 5 { bad } else { good };
            let user = kit.user("user");
            let change = kit.change(give(&user, reference("r")), Asker::Shop, NOW);
            (n % 10 == 5, kit.hot.issue(&id, change).await)
        })
    });
    for asked in join_all(asks).await {
        let (bad, answer) = asked.unwrap();
        assert_eq!(answer.is_err(), bad, "{answer:?}");
    }
    assert_eq!(kit.counts(&campaign).await.issued, 90);
    kit.is_sound().await;
}

/// The log is restarted, although steady small commits never let a checkpoint copy all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_is_bounded() {
    /// 64 MiB was measured; a slow machine may restart the log later.
    const LOG_MAX: u64 = 100 << 20;
    let mut longest = u64::MAX;
    // If the machine stops the thread that restarts the log, the log becomes longer.
    for _ in 0..TRIES {
        if longest >= LOG_MAX {
            longest = longest_log().await;
        }
    }
    assert!(longest < LOG_MAX, "{} MiB", longest >> 20);
}

/// The length of the log after steady small commits.
async fn longest_log() -> u64 {
    /// Some 2,000 commits; without a restart they make a log of 195 MiB.
    const ISSUES: usize = 8_000;
    let folder = tempdir();
    let kit = Arc::new(kit_in(folder.path(), options()));
    let campaign = kit.draft();
    kit.stocked(&campaign, ISSUES as u64).await;
    let writers = (0..4).map(|_| {
        let (kit, id) = (Arc::clone(&kit), campaign.id.clone());
        let log = folder.path().join(format!("{FILE_NAME}-wal"));
        tokio::spawn(async move {
            let mut longest = 0;
            for _ in 0..ISSUES / 4 {
                let issued = kit.issue_at(NOW, &id, &kit.user("user"), None).await;
                assert_eq!(said(&issued), ChangeOutcome::Accepted);
                longest = longest.max(std::fs::metadata(&log).unwrap().len());
            }
            longest
        })
    });
    join_all(writers).await.into_iter().map(Result::unwrap).max().unwrap()
}

/// An answer comes after the commit: from then on a reader of another process sees the change.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_comes_after_the_commit() {
    let folder = tempdir();
    let kit = Arc::new(kit_in(folder.path(), options()));
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 400).await;
    let tasks = codes.chunks(50).map(|codes| {
        let (kit, codes, conn) = (Arc::clone(&kit), codes.to_vec(), raw(folder.path()));
        tokio::spawn(async move {
            for code in codes {
                let found = kit.found(&code).await;
                let change = kit.change(void(), Asker::Shop, NOW);
                kit.hot.apply(&found, change).await.unwrap();
                let sql = "SELECT count(*) FROM coupon WHERE code = ?1 AND state = 3";
                let there: i64 = conn.query_row(sql, [code.as_str()], |row| row.get(0)).unwrap();
                assert_eq!(there, 1, "{code}");
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
}

/// Every write that was answered before the process was killed is stored.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_is_kept() {
    let folder = tempdir();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_that_dies", "--ignored", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(!child.status.success(), "the child is killed");
    let said = String::from_utf8(child.stdout).unwrap();
    let codes: Vec<Code> = said
        .lines()
        .filter_map(|line| line.split("kept:").nth(1))
        .map(|code| code.parse().unwrap())
        .collect();
    assert!(codes.len() >= 500, "{} answers before the kill", codes.len());
    let kit = kit_in(folder.path(), options());
    for code in &codes {
        assert_eq!(kit.coupon(code).await.version(), 1, "{code}");
    }
    kit.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "the child of acknowledged_is_kept"]
async fn the_child_that_dies() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let kit = Arc::new(kit_in(Path::new(&folder), options()));
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 5_000).await;
    let tasks = codes.chunks(100).map(|codes| {
        let (kit, codes) = (Arc::clone(&kit), codes.to_vec());
        tokio::spawn(async move {
            for code in codes {
                let found = kit.found(&code).await;
                let change = kit.change(give(&kit.user("ann"), None), Asker::Shop, NOW);
                assert_eq!(
                    said(&kit.hot.apply(&found, change).await.unwrap()),
                    ChangeOutcome::Accepted
                );
                println!("kept:{code}");
                if kit.hot.gauge().writes > 1_000 {
                    std::process::abort();
                }
            }
        })
    });
    join_all(tasks).await;
}

/// A store that is dropped answers the waiting callers, and their changes are stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropped_right_after_the_answers() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = kit.draft();
    let codes = kit.stocked(&campaign, 100).await;
    let asks = codes.iter().map(|code| {
        let kit = &kit;
        async move {
            let found = kit.found(code).await;
            let change = kit.change(give(&kit.user("ann"), None), Asker::Shop, NOW);
            said(&kit.hot.apply(&found, change).await.unwrap())
        }
    });
    let answers = join_all(asks).await;
    drop(kit);
    let kit = kit_in(folder.path(), options());
    assert_eq!(answers, [ChangeOutcome::Accepted; 100]);
    for code in &codes {
        let coupon = kit.coupon(code).await;
        let holder = coupon.holder().cloned().unwrap();
        kit.done(code, revoke(&holder)).await;
    }
    kit.is_sound().await;
}
