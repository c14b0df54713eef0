//! The progress of a long command on standard error: a bar on a terminal, elsewhere a line every
//! few seconds.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::thousands;

const LINE_EVERY: Duration = Duration::from_secs(5);

const BAR_EVERY: Duration = Duration::from_millis(200);

/// What a command does, and what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    /// Sends a file: `seen` lines.
    Import,
    /// Exports `done` rows of this name. `seen` counts the coupons read, if not every one is a row.
    Export(&'static str),
    /// Changes coupons: `seen` codes, `done` of them not refused.
    Change,
    /// Moves coupons to cold: `done` of `seen`, first copied, then removed.
    Compact,
    BackUp,
    /// Reads archived coupons: `seen`, `done` of which replaced older ones.
    Reconcile,
    /// Notifies holders: `seen` coupons read, `done` notices sent.
    Notify,
    /// Copies a hot store to another: `done` things read.
    Copy,
    /// Compares two hot stores: `done` things read.
    Compare,
    /// Verifies both tiers: `seen` rows, `done` findings.
    Verify,
    /// Runs a query: `done` rows read, of `seen` in archived files.
    Query,
}

/// Shows the progress of `work` until it is dropped.
pub struct CommandProgress {
    work: WorkKind,
    begun: Instant,
    done: AtomicU64,
    seen: AtomicU64,
    now: Mutex<&'static str>,
    bar: Option<ProgressBar>,
}

impl CommandProgress {
    /// Shows the progress of work on `bytes` bytes, if their number is known. There is no bar if
    /// `rows_shown`: rows on a terminal show progress enough.
    pub fn new(work: WorkKind, bytes: Option<u64>, rows_shown: bool) -> CommandProgress {
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && !rows_shown).then(|| bar(bytes));
        let now = Mutex::default();
        CommandProgress { work, begun: Instant::now(), done: 0.into(), seen: 0.into(), now, bar }
    }

    /// Sets the two counts that [`WorkKind`] describes.
    pub fn set(&self, done: u64, seen: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.seen.store(seen, Ordering::Relaxed);
    }

    /// Says which part of the work is being done.
    pub fn now(&self, part: &'static str) {
        *self.now.lock() = part;
    }

    /// Counts the bytes of a piece of a file, and its lines.
    pub fn read(&self, piece: &[u8]) {
        let lines = piece.iter().filter(|byte| **byte == b'\n').count();
        self.seen.fetch_add(lines as u64, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(piece.len() as u64);
        }
    }

    /// Waits for `work` and shows its progress meanwhile.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let every = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.show(),
                done = &mut work => return done,
            }
        }
    }

    fn show(&self) {
        let (done, seen) = (self.done.load(Ordering::Relaxed), self.seen.load(Ordering::Relaxed));
        let mut sentence = sentence(self.work, done, seen, self.begun.elapsed());
        let part = *self.now.lock();
        if !part.is_empty() {
            sentence = format!("{part}: {sentence}");
        }
        match &self.bar {
            Some(bar) => bar.set_message(sentence),
            // The work continues even if standard error is closed.
            None => drop(writeln!(std::io::stderr(), "{sentence}")),
        }
    }
}

impl Drop for CommandProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(bytes: Option<u64>) -> ProgressBar {
    let template = match bytes {
        Some(_) => "{bar:16} {bytes} of {total_bytes}, {eta} left; {msg}",
        None => "{spinner} {elapsed} {msg}",
    };
    let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(BAR_EVERY);
    bar
}

fn sentence(work: WorkKind, done: u64, seen: u64, elapsed: Duration) -> String {
    let rate = |number: u64| {
        let a_second = u128::from(number) * 1_000 / elapsed.as_millis().max(1);
        thousands(u64::try_from(a_second).unwrap_or(u64::MAX))
    };
    let is_seen = seen > 0;
    let refused = thousands(seen.saturating_sub(done));
    let (done_rate, seen_rate) = (rate(done), rate(seen));
    let (done, seen) = (thousands(done), thousands(seen));
    match work {
        WorkKind::Import => format!("read {seen} lines, {seen_rate}/s"),
        WorkKind::Export(rows) if is_seen => {
            format!("exported {done} {rows}; {seen} coupons read, {seen_rate}/s")
        }
        WorkKind::Export(rows) => format!("exported {done} {rows}, {done_rate}/s"),
        WorkKind::Change => format!("{seen} codes, {refused} of them refused, {seen_rate}/s"),
        WorkKind::Compact => format!("{done} of {seen} coupons of this day"),
        WorkKind::BackUp => format!("copying the store, {} s", elapsed.as_secs()),
        WorkKind::Reconcile => format!("{seen} archived coupons read, {done} replaced older ones"),
        WorkKind::Notify => format!("sent {done} notices, {seen} issued coupons read"),
        WorkKind::Copy => format!("copied {done}, {done_rate}/s"),
        WorkKind::Compare => format!("compared {done}, {done_rate}/s"),
        WorkKind::Verify => format!("read {seen} rows, {done} findings, {seen_rate}/s"),
        WorkKind::Query if is_seen => format!("read {done} of {seen} coupons, {done_rate}/s"),
        WorkKind::Query => format!("read {done} coupons, {done_rate}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        let five = Duration::from_secs(5);
        let cases = [
            (WorkKind::Import, 0, 1_200_000, "read 1,200,000 lines, 240,000/s"),
            (WorkKind::Export("codes"), 50_000, 0, "exported 50,000 codes, 10,000/s"),
            (
                WorkKind::Export("redemptions"),
                7,
                50_000,
                "exported 7 redemptions; 50,000 coupons read, 10,000/s",
            ),
            (WorkKind::Change, 90, 100, "100 codes, 10 of them refused, 20/s"),
            (WorkKind::Notify, 1_200, 50_000, "sent 1,200 notices, 50,000 issued coupons read"),
            (WorkKind::Copy, 50_000, 50_000, "copied 50,000, 10,000/s"),
            (WorkKind::Verify, 0, 50_000, "read 50,000 rows, 0 findings, 10,000/s"),
        ];
        for (work, done, seen, want) in cases {
            assert_eq!(sentence(work, done, seen, five), want);
        }
        assert_eq!(
            sentence(WorkKind::Import, 0, 0, Duration::ZERO),
            "read 0 lines, 0/s",
            "at once"
        );
    }
}
