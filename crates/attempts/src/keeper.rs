//! The thread that writes what callers have put into memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};

use crate::file::{AttemptWork, RefusalSum, Writer};
use crate::{Attempt, Options, QUARTER_MS};

/// Longest time for which an attempt is only in memory.
const WRITE_EVERY: Duration = Duration::from_millis(200);

/// Attempts of one transaction: 5,000 a second, for which a thread works a twentieth of its time.
const WRITTEN_MAX: usize = 1_000;

/// How often old ones are deleted if there are no new ones.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// Longest wait of a reader for what is in memory: on a disk that does not answer it reads without.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Shared {
    waiting: VecDeque<Attempt>,
    sums: BTreeMap<RefusalSum, u64>,
    /// Dropped since the last write.
    dropped: u64,
    /// Of the last `keep`, and of the last that was written, failed to be written, or dropped.
    begun: u64,
    done: u64,
    /// Somebody waits for what is in memory.
    hurry: bool,
    stops: bool,
}

/// Most sums in memory: a campaign has a few. While the file takes no writes, further ones are not counted.
const SUMS_MAX: usize = 10_000;

impl Shared {
    fn count(&mut self, attempt: &Attempt) {
        let quarter = attempt.at.div_euclid(QUARTER_MS);
        for campaign in attempt.campaign.iter().cloned().chain([String::new()]) {
            let sum = RefusalSum { campaign, quarter, problem: attempt.problem.clone() };
            if self.sums.len() < SUMS_MAX || self.sums.contains_key(&sum) {
                *self.sums.entry(sum).or_default() += 1;
            }
        }
    }
}

pub(crate) struct Keeper {
    shared: Mutex<Shared>,
    /// There is something to do.
    work: Condvar,
    /// Something was done.
    progress: Condvar,
    waiting_max: usize,
    forgets: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    pub(crate) fn start(writer: Writer, options: Options) -> std::io::Result<Arc<Keeper>> {
        let keeper = Arc::new(Keeper {
            shared: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            waiting_max: options.waiting_max.max(1),
            forgets: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let mine = Arc::clone(&keeper);
        let thread = std::thread::Builder::new()
            .name("attempts".to_owned())
            .spawn(move || mine.write_all(writer, &options))?;
        *keeper.thread.lock() = Some(thread);
        Ok(keeper)
    }

    pub(crate) fn keep(&self, attempt: Attempt) {
        let mut shared = self.shared.lock();
        shared.begun += 1;
        shared.count(&attempt);
        if shared.waiting.len() >= self.waiting_max {
            shared.waiting.pop_front();
            shared.dropped += 1;
            shared.done += 1;
        }
        shared.waiting.push_back(attempt);
        if shared.waiting.len() == 1 {
            self.work.notify_one();
        }
    }

    pub(crate) fn forget_old(&self, may: bool) {
        self.forgets.store(may, Ordering::Relaxed);
    }

    /// How many were dropped and are not counted in the file yet.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Waits until everything that was kept before is in the file, or for a second.
    pub(crate) fn flush(&self) {
        let mut shared = self.shared.lock();
        let until = shared.begun;
        shared.hurry = true;
        self.work.notify_one();
        let waits = |shared: &mut Shared| shared.done < until && !shared.stops;
        self.progress.wait_while_for(&mut shared, waits, FLUSH_LIMIT);
    }

    /// Writes what is in memory, and ends the thread.
    pub(crate) fn stop(&self) {
        self.shared.lock().stops = true;
        self.work.notify_one();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of refused attempts panicked");
        }
    }

    fn write_all(&self, mut writer: Writer, options: &Options) {
        let (mut has_more, mut failed) = (false, false);
        loop {
            let (work, stops) = self.next(has_more);
            let written = writer.write(&work, now(), options);
            match written {
                Ok(more) => (has_more, failed) = (more, false),
                Err(error) => {
                    // Once for each outage: the next write says it again only after a good one.
                    if !failed {
                        tracing::warn!(error = %error, "refused attempts could not be written");
                    }
                    (has_more, failed) = (false, true);
                }
            }
            let mut shared = self.shared.lock();
            shared.done += work.attempts.len() as u64;
            if failed {
                shared.dropped += work.dropped + work.attempts.len() as u64;
                for (sum, count) in work.sums {
                    *shared.sums.entry(sum).or_default() += count;
                }
            }
            let is_empty = shared.waiting.is_empty();
            drop(shared);
            self.progress.notify_all();
            if stops && (is_empty || failed) {
                return;
            }
        }
    }

    /// What to write next, and whether the log is closed. Waits until there is something, or old ones may
    /// have to be deleted.
    fn next(&self, has_more: bool) -> (AttemptWork, bool) {
        let mut shared = self.shared.lock();
        if !has_more {
            let idle =
                |shared: &mut Shared| shared.waiting.is_empty() && !shared.hurry && !shared.stops;
            self.work.wait_while_for(&mut shared, idle, CLEAN_EVERY);
        }
        // A moment, so that one transaction has those of many callers.
        let alone = |shared: &mut Shared| !shared.hurry && !shared.stops;
        self.work.wait_while_for(&mut shared, alone, WRITE_EVERY);
        let some = shared.waiting.len().min(WRITTEN_MAX);
        let attempts: Vec<Attempt> = shared.waiting.drain(..some).collect();
        if shared.waiting.is_empty() {
            shared.hurry = false;
        }
        let work = AttemptWork {
            attempts,
            sums: std::mem::take(&mut shared.sums),
            dropped: std::mem::take(&mut shared.dropped),
            forgets: self.forgets.load(Ordering::Relaxed),
        };
        (work, shared.stops)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
