//! A k-way merge of rows by code: each code once, in its newest version.
//!
//! All sources share one limit of queued rows: the more sources, the fewer rows of each are read
//! ahead. A heap finds the next source, so the work for a row grows only with the logarithm of
//! their number.

mod source;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;

use crate::{CHUNK, CompactError, Result};
use source::MergeRow;

pub(crate) use source::{MergeSource, keys, picked, residue, rows};

/// Coupons handed to the writer at a time. A few such pieces wait for the writer.
pub(crate) const PIECE: usize = 4_096;

/// Rows queued by all sources of a merge: some 64 MB of ordinary coupons. Each open file takes one
/// undecoded row group in addition.
const QUEUED_ROWS_MAX: usize = 65_536;

/// Rows of one queue, at least. With fewer, the calls to the store would be too many.
const QUEUED_ROWS_MIN: usize = 256;

/// Chunks of hot in memory: the one being merged, the next one, and the one being read.
const HOT_QUEUES: usize = 3;

/// Rows that each source of a merge reads at a time.
pub(crate) fn share(runs: usize, with_hot: bool) -> usize {
    let queues = runs + if with_hot { HOT_QUEUES } else { 0 };
    (QUEUED_ROWS_MAX / queues.max(1)).clamp(QUEUED_ROWS_MIN, CHUNK)
}

/// The next code of each source that has one, and the number of the source.
type NextCodes = BinaryHeap<Reverse<(Code, usize)>>;

struct SourceHead {
    source: MergeSource,
    rows: VecDeque<MergeRow>,
}

pub(crate) struct PartitionMerge {
    day: Day,
    heads: Vec<SourceHead>,
    next: NextCodes,
    /// Sources with rows to write that have not ended.
    writing: usize,
    pub(crate) from_hot: u64,
}

/// What the sources have of one code.
#[derive(Default)]
struct CodeCopies {
    newest: Option<Box<Coupon>>,
    /// The version of an archived marker: cold must have it.
    promised: Option<u64>,
    /// The version in a run that is not rewritten.
    there: Option<u64>,
    in_hot: bool,
}

impl PartitionMerge {
    pub(crate) async fn begin(day: Day, sources: Vec<MergeSource>) -> Result<PartitionMerge> {
        let head = |source| SourceHead { source, rows: VecDeque::new() };
        let heads: Vec<SourceHead> = sources.into_iter().map(head).collect();
        let writing = heads.iter().filter(|head| head.source.writes()).count();
        let mut merge = PartitionMerge { day, heads, next: NextCodes::new(), writing, from_hot: 0 };
        for at in 0..merge.heads.len() {
            merge.enter(at).await?;
        }
        Ok(merge)
    }

    /// Returns the next coupons that no run which stays has in the same or a later version, at most
    /// `limit`; none at the end.
    ///
    /// # Errors
    /// [`CompactError::ArchivedMarkerAlone`] if hot has an archived marker for a coupon that none
    /// of the files has.
    pub(crate) async fn next(&mut self, limit: usize) -> Result<Vec<Coupon>> {
        let mut merged = Vec::with_capacity(limit);
        // Runs that stay have nothing to write: once only they are left, the merge is over.
        while merged.len() < limit && self.writing > 0 {
            let Some(Reverse((code, first))) = self.next.pop() else { break };
            let mut copies = CodeCopies::default();
            self.take(first, &mut copies).await?;
            while self.next.peek().is_some_and(|Reverse((other, _))| *other == code) {
                let Some(Reverse((_, at))) = self.next.pop() else { break };
                self.take(at, &mut copies).await?;
            }
            merged.extend(self.newest(copies, &code)?);
        }
        Ok(merged)
    }

    /// Puts the next row of a source into the heap. A source that has ended is not in the heap any
    /// more.
    async fn enter(&mut self, at: usize) -> Result<()> {
        let head = &mut self.heads[at];
        while head.rows.is_empty() {
            match head.source.next().await? {
                Some(chunk) => head.rows.extend(chunk),
                None => {
                    self.writing -= usize::from(head.source.writes());
                    return Ok(());
                }
            }
        }
        self.next.extend(head.rows.front().map(|row| Reverse((row.code().clone(), at))));
        Ok(())
    }

    /// Takes the first row of a source, and puts its next one into the heap.
    async fn take(&mut self, at: usize, copies: &mut CodeCopies) -> Result<()> {
        let head = &mut self.heads[at];
        let is_hot = head.source.is_hot();
        match head.rows.pop_front() {
            Some(MergeRow::Coupon(coupon)) => {
                copies.in_hot |= is_hot;
                if copies.newest.as_ref().is_none_or(|known| known.version() < coupon.version()) {
                    copies.newest = Some(coupon);
                }
            }
            Some(MergeRow::Promised { version, .. }) => copies.promised = Some(version),
            Some(MergeRow::There { version, .. }) => copies.there = copies.there.max(Some(version)),
            None => {}
        }
        self.enter(at).await
    }

    /// The coupon to write of these copies, if any.
    fn newest(&mut self, copies: CodeCopies, code: &Code) -> Result<Option<Coupon>> {
        let CodeCopies { newest, promised, there, in_hot } = copies;
        let version = newest.as_ref().map(|coupon| coupon.version());
        // Cold has lost a coupon of which hot has only the marker: emptying hot would hide that.
        if version.max(there) < promised {
            return Err(CompactError::ArchivedMarkerAlone {
                day: self.day,
                code: code.to_string(),
            });
        }
        // A run that stays has this version: a killed run committed it and did not empty hot.
        let newer = newest.filter(|_| version > there);
        self.from_hot += u64::from(in_hot && newer.is_some());
        Ok(newer.map(|coupon| *coupon))
    }

    #[cfg(test)]
    fn queued(&self) -> usize {
        self.heads.iter().map(|head| head.rows.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cold::{ColdOptions, ColdStore, CommitOutcome};
    use coupon::calendar::Zone;
    use coupon::coupon::Genesis;
    use coupon::time::Millis;

    use super::*;
    use crate::tiers;

    const DAY: Day = Day(20_818);

    fn coupon(nth: usize) -> Coupon {
        Coupon::untouched(Genesis {
            code: format!("C{nth:07}").parse().unwrap(),
            campaign: "one".parse().unwrap(),
            batch: "one".parse().unwrap(),
            valid_from: Millis(0),
            expires_at: DAY.end(),
            zone: Zone::utc(),
            created_at: Millis(0),
        })
    }

    async fn commit(cold: &ColdStore, coupons: Vec<Coupon>) {
        let on = cold.partition(DAY).await.unwrap();
        let mut writer = cold.writer(DAY, on.archive_commit + 1, 0, &[]).await.unwrap();
        writer.push(coupons).await.unwrap();
        let files = writer.finish().await.unwrap();
        let ended = cold.commit(&on, on.archive_commit + 1, &files, &[], u64::MAX).await.unwrap();
        assert!(matches!(ended, CommitOutcome::Done { .. }), "{ended:?}");
    }

    async fn store() -> (tempfile::TempDir, Arc<ColdStore>) {
        let disk = tempfile::tempdir().unwrap();
        let cold = Arc::new(ColdStore::on_folder(disk.path(), ColdOptions::default()));
        cold.create().await.unwrap();
        (disk, cold)
    }

    /// Every row once and in order, with no more than the limit in the queues of all runs together.
    /// Runs that each read a full batch would exceed the limit.
    #[tokio::test]
    async fn one_limit_holds_for_all_queues() {
        const RUNS: usize = 28;
        const ROWS: usize = 3_000;
        let (_disk, cold) = store().await;
        for run in 0..RUNS {
            commit(&cold, (0..ROWS).map(|nth| coupon(nth * RUNS + run)).collect()).await;
        }
        let runs = tiers::runs(&cold.partition(DAY).await.unwrap().files);
        assert_eq!(runs.len(), RUNS);
        let share = share(RUNS, false);
        let sources = runs.iter().map(|run| rows(&cold, run, share)).collect();
        let mut merge = PartitionMerge::begin(DAY, sources).await.unwrap();
        let (mut found, mut most) = (0, 0);
        loop {
            let some = merge.next(PIECE).await.unwrap();
            most = most.max(merge.queued());
            if some.is_empty() {
                break;
            }
            for coupon in some {
                assert_eq!(*coupon.code(), *self::coupon(found).code());
                found += 1;
            }
        }
        assert_eq!(found, RUNS * ROWS);
        assert!(most <= QUEUED_ROWS_MAX, "{most} rows queued");
        assert!(most > QUEUED_ROWS_MAX / 2, "the limit is what bounds them: {most}");
    }

    #[test]
    fn shares() {
        let cases = [
            ("hot alone", 0, true, CHUNK),
            ("a few runs", 3, false, CHUNK),
            ("as many as an open partition has", 8, false, 8_192),
            ("with hot", 28, true, 2_114),
            ("more than anybody has", 9_999, false, QUEUED_ROWS_MIN),
        ];
        for (name, runs, with_hot, want) in cases {
            assert_eq!(share(runs, with_hot), want, "{name}");
        }
    }

    /// What is written when some runs are merged and others stay.
    #[tokio::test]
    async fn a_run_that_stays_is_not_written_again() {
        let (_disk, cold) = store().await;
        commit(&cold, (0..10).map(coupon).collect()).await;
        commit(&cold, (5..15).map(coupon).collect()).await;
        let runs = tiers::runs(&cold.partition(DAY).await.unwrap().files);
        let sources = vec![keys(&cold, &runs[0], 4), rows(&cold, &runs[1], 4)];
        let mut merge = PartitionMerge::begin(DAY, sources).await.unwrap();
        let found = merge.next(PIECE).await.unwrap();
        assert_eq!(found, (10..15).map(coupon).collect::<Vec<_>>());
        assert_eq!(merge.next(PIECE).await.unwrap(), []);
    }
}
