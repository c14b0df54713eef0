//! Where the process that posts is in the inbox of an endpoint: which parts it reads, and what it took from them. Pure.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use hot::tables::RecordRow;
use tokio::time::Instant;

/// A part with so many rows that are done with is closed.
const PART_ROWS: usize = 1_000;

/// How long a part is read after it was closed: longer than a call of the store may take.
const CLOSED_FOR: Duration = Duration::from_secs(60);

const CLOSING_MAX: usize = 2;

/// Where the process that posts is in the inbox of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct InboxPlace {
    /// The part that is written to.
    pub(crate) part: i64,
    closing: Vec<ClosingPart>,
    /// Of each part that is read: what was taken from it.
    taken: BTreeMap<i64, TakenRows>,
}

/// A part that nobody should write to any more.
#[derive(Clone, Debug)]
struct ClosingPart {
    part: i64,
    /// Since when the store says so; `None`: it does not yet.
    since: Option<Instant>,
    /// Whether it was read since then.
    is_read: bool,
}

#[derive(Clone, Debug, Default)]
struct TakenRows {
    rows: HashSet<RecordRow>,
    /// If the part was not read to its end: the last row that was looked at.
    after: Option<Vec<u8>>,
}

impl InboxPlace {
    /// One that another process had before: it may have closed parts a moment ago.
    pub(crate) fn after_another(part: i64) -> InboxPlace {
        let closing = |part| ClosingPart { part, since: Some(Instant::now()), is_read: false };
        let before = read_parts(part).filter(|before| *before < part);
        let closing = before.map(closing).collect();
        InboxPlace { part, closing, taken: BTreeMap::new() }
    }

    /// The parts that are to be read: one that is being closed once, and once more at its end. `saved` is the part that
    /// the store names.
    pub(super) fn parts(&mut self, saved: i64) -> Vec<i64> {
        for closing in self.closing.iter_mut().filter(|it| it.part < saved) {
            closing.since.get_or_insert_with(Instant::now);
        }
        let reads = |it: &&ClosingPart| !it.is_read || it.is_over(Instant::now());
        let closing = self.closing.iter().filter(reads).map(|it| it.part);
        closing.chain([self.part]).collect()
    }

    /// The row after which a part is to be read on; `None`: from its beginning.
    pub(super) fn looked_at(&self, part: i64) -> Option<Vec<u8>> {
        self.taken.get(&part).and_then(|taken| taken.after.clone())
    }

    pub(super) fn was_taken(&self, part: i64, row: &RecordRow) -> bool {
        self.taken.get(&part).is_some_and(|taken| taken.rows.contains(row))
    }

    pub(super) fn take(&mut self, part: i64, rows: Vec<RecordRow>, last: Option<Vec<u8>>) {
        let taken = self.taken.entry(part).or_default();
        taken.rows.extend(rows);
        taken.after = last.or(taken.after.take());
    }

    /// Notes that a part was read to its end, which began at `begun`. Returns whether it is to be dropped.
    pub(super) fn is_read(&mut self, part: i64, begun: Instant) -> bool {
        let taken = self.taken.entry(part).or_default();
        taken.after = None;
        let is_full = taken.rows.len() >= PART_ROWS;
        if part == self.part && is_full && self.closing.len() < CLOSING_MAX {
            self.closing.push(ClosingPart { part, since: None, is_read: false });
            self.part = part + 1;
            return false;
        }
        let Some(closing) = self.closing.iter_mut().find(|it| it.part == part) else {
            return false;
        };
        closing.is_read = closing.since.is_some();
        closing.is_over(begun)
    }

    pub(super) fn is_dropped(&mut self, part: i64) {
        self.closing.retain(|closing| closing.part != part);
        self.taken.remove(&part);
    }
}

impl ClosingPart {
    fn is_over(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.duration_since(since) >= CLOSED_FOR)
    }
}

/// The part that is written to, and those before it that may still be read.
pub(super) fn read_parts(part: i64) -> RangeInclusive<i64> {
    part.saturating_sub(CLOSING_MAX as i64).max(0)..=part
}
