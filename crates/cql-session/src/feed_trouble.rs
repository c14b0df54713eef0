//! What a process cannot read of the event feed, and when it may go on without it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So often and so long readers of this process try before something is put aside: longer than a node needs to restart
/// its connections, and shorter than an operator takes to look.
const TRIES_BEFORE: u32 = 5;
const TRIED_FOR: Duration = Duration::from_secs(30);

/// After so long without a row that cannot be judged the next one is tried anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Rows that a process puts aside in two minutes, the time of a run, at most: some 80 a second. If the store answers
/// nobody, readers wait for it.
const MOVED_MAX: usize = 10_000;
const RUN_TIME: Duration = Duration::from_secs(128);

/// What this process could not read or judge.
#[derive(Default)]
pub struct FeedTrouble {
    now: Mutex<Option<TroubleTries>>,
    /// Rows and partitions of rows that this process has put aside.
    pub rows: AtomicU64,
    /// The partition that was tried last, and when the next may be.
    pub taken: tokio::sync::Mutex<Option<((i64, i32), Instant)>>,
}

struct TroubleTries {
    tries: u32,
    began: Instant,
    last: Instant,
    run_began: Instant,
    rows: usize,
}

impl FeedTrouble {
    /// Whether so many rows, or partitions of rows, may be put aside now.
    pub fn allows(&self, count: usize) -> bool {
        let mut tries = self.now.lock();
        let now = Instant::now();
        let known = tries.take().filter(|it| now - it.last < FORGOTTEN_AFTER);
        let new = TroubleTries { tries: 0, began: now, last: now, run_began: now, rows: 0 };
        let it = tries.insert(known.unwrap_or(new));
        (it.tries, it.last) = (it.tries.saturating_add(1), now);
        if now - it.run_began >= RUN_TIME {
            (it.run_began, it.rows) = (now, 0);
        }
        let is_long = it.tries >= TRIES_BEFORE && now - it.began >= TRIED_FOR;
        let allows = is_long && it.rows + count <= MOVED_MAX;
        if allows {
            it.rows += count;
            self.rows.fetch_add(count as u64, Ordering::Relaxed);
        }
        allows
    }
}
