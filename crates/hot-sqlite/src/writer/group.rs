//! The writer thread: one transaction, one sync and one commit for a group of jobs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hot::HotError;
use router::KeyRing;
use rusqlite::Connection;

use super::queue::{QueueCloser, WriteJob, WriterState, micros, next_group};
use crate::failure::{at_commit, before_commit, caught, not_now};
use crate::fair_file_lock::FairFileLock;
use crate::schema::{SCHEMA_VERSION, version};
use crate::txn::{CachedRows, Txn, bound, roll_back};

pub(crate) struct WriterContext {
    pub(crate) conn: Connection,
    pub(crate) file_lock: FairFileLock,
    pub(crate) folder: PathBuf,
    /// With fewer free bytes nothing is written.
    pub(crate) free_min: u64,
    pub(crate) tells: bool,
    pub(crate) statements: Arc<AtomicU64>,
    pub(crate) keys: KeyRing,
}

/// Commits group after group, until the queue is closed and empty.
pub(super) fn work(shared: &WriterState, desk: &WriterContext) {
    let _closing = QueueCloser(shared);
    let seen = CachedRows::of_writer(&desk.statements, &desk.keys, desk.tells);
    let mut expected = 1;
    while let Some(mut group) = next_group(shared, expected) {
        expected = group.len();
        if let Err(why) = free_space(&desk.folder, desk.free_min) {
            group.retain(|job| job.take());
            group.into_iter().for_each(|job| job.answer(Err(HotError::Full(why.clone()))));
            continue;
        }
        shared.health().busy_since = Some(Instant::now());
        write_group(shared, desk, &seen, group);
        shared.ended();
    }
}

fn write_group(
    shared: &WriterState,
    desk: &WriterContext,
    seen: &CachedRows,
    mut group: Vec<Box<dyn WriteJob>>,
) {
    // It is released after the commit and before the answers, so that other processes may write
    // while callers read theirs.
    let entered = desk.file_lock.enter();
    // After the wait for the lock: callers that gave up meanwhile were told that nothing happened.
    group.retain(|job| job.take());
    if let Err(error) = &entered {
        let why = error.to_string();
        shared.committed(Some(why.clone()));
        return group
            .into_iter()
            .for_each(|job| job.answer(Err(HotError::Unavailable(why.clone().into()))));
    }
    // Each round answers at least one job.
    while !group.is_empty() {
        match commit_all(shared, desk, seen, &mut group) {
            Ok(()) => {
                drop(entered);
                // Before the answers: a caller that has one must find the store writable.
                shared.committed(None);
                return group.into_iter().for_each(|job| job.answer(Ok(())));
            }
            // The group was rolled back. The other jobs run again without this one.
            Err(GroupFailure::Job { at, error }) => {
                tracing::error!(error = %error, "a transaction failed");
                group.remove(at).answer(Err(error));
            }
            Err(GroupFailure::All(error)) => {
                tracing::error!(error = %error, jobs = group.len(), "a commit failed");
                shared.committed(Some(error.to_string()));
                return group.into_iter().for_each(|job| job.answer(Err(again(&error))));
            }
        }
    }
}

/// Why a group failed. All of it was rolled back.
enum GroupFailure {
    /// One job failed; that says nothing about the others.
    Job { at: usize, error: HotError },
    /// No job can be done at the moment.
    All(HotError),
}

impl GroupFailure {
    fn of_job(at: usize, error: rusqlite::Error) -> GroupFailure {
        let is_of_one = not_now(&error).is_some();
        match before_commit(error) {
            error @ (HotError::Damaged(_) | HotError::Cold(_)) => GroupFailure::Job { at, error },
            error if is_of_one => GroupFailure::Job { at, error },
            error => GroupFailure::All(error),
        }
    }
}

fn commit_all(
    shared: &WriterState,
    desk: &WriterContext,
    seen: &CachedRows,
    jobs: &mut [Box<dyn WriteJob>],
) -> Result<(), GroupFailure> {
    let conn = &desk.conn;
    bound(conn, "BEGIN IMMEDIATE").map_err(|error| GroupFailure::All(before_commit(error)))?;
    // Inside the transaction: no other release can upgrade the store before it commits.
    let ended = not_upgraded(conn).and_then(|()| run_all(shared, conn, seen, jobs));
    if ended.is_err() {
        roll_back(conn);
        // Numbers that it gave to names are gone with it.
        seen.forget_all();
        return ended;
    }
    seen.forget_transaction();
    shared.commits.fetch_add(1, Ordering::Relaxed);
    shared.writes.fetch_add(jobs.len() as u64, Ordering::Relaxed);
    Ok(())
}

/// Refuses to write if a newer release has upgraded the store since this process opened it: rows of
/// this release would lack what the newer one has added.
fn not_upgraded(conn: &Connection) -> Result<(), GroupFailure> {
    match version(conn) {
        Ok(SCHEMA_VERSION) => Ok(()),
        Ok(found) => Err(GroupFailure::All(HotError::Unavailable(
            format!(
                "another release has upgraded the hot store to schema version {found}, this one \
                 knows {SCHEMA_VERSION}: stop this process, and start the new release"
            )
            .into(),
        ))),
        Err(error) => Err(GroupFailure::All(before_commit(error))),
    }
}

fn run_all(
    shared: &WriterState,
    conn: &Connection,
    seen: &CachedRows,
    jobs: &mut [Box<dyn WriteJob>],
) -> Result<(), GroupFailure> {
    let txn = Txn::new(conn, seen);
    for (at, job) in jobs.iter_mut().enumerate() {
        caught(|| job.run(&txn)).map_err(|error| GroupFailure::of_job(at, error))?;
    }
    // What the jobs collected (counts, for example) must be in their commit.
    txn.flush().map_err(|error| GroupFailure::All(before_commit(error)))?;
    let begun = Instant::now();
    bound(conn, "COMMIT").map_err(|error| GroupFailure::All(at_commit(error)))?;
    shared.sync_micros.fetch_add(micros(begun.elapsed()), Ordering::Relaxed);
    Ok(())
}

/// The same error again, for the next caller of the group.
fn again(error: &HotError) -> HotError {
    let text = error.to_string();
    match error {
        HotError::Unavailable(_) => HotError::Unavailable(text.into()),
        HotError::Overloaded { waiting } => HotError::Overloaded { waiting: *waiting },
        HotError::Full(why) => HotError::Full(why.clone()),
        HotError::Unknown(_) => HotError::Unknown(text.into()),
        HotError::Cold(_) => HotError::Cold(text.into()),
        HotError::Damaged(why) => HotError::Damaged(why.clone()),
    }
}

/// Fewest free bytes, whatever the setting is: the pages of one small group.
const FREE_LEAST: u64 = 64 << 10;

/// The error is a sentence that says why there is no room to write.
pub(crate) fn free_space(folder: &Path, free_min: u64) -> Result<(), String> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| error.to_string())?;
    if stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(format!("{} is mounted read-only", folder.display()));
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < free_min.max(FREE_LEAST) {
        let mib = |bytes: u64| bytes >> 20;
        return Err(format!(
            "{} has {} MiB free, couponry writes from {} MiB on",
            folder.display(),
            mib(free),
            mib(free_min)
        ));
    }
    Ok(())
}
