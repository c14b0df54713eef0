//! Rows of several sources in the order of their codes, each code once in its newest version.
//!
//! One limit holds for the queues of all sources together: the more sources, the fewer rows of each
//! are read ahead. A heap knows which source is next, so the work for a row does not grow with
//! their number.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use cold::{ColdFile, ColdStore, Keys, Rows};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::{HotError, Partitions, Residue};

use crate::tiers::Run;
use crate::{CHUNK, CompactError};

/// Coupons handed to the writer at a time; a few such pieces wait for it.
const PIECE: usize = 4_096;

/// Rows that wait in the queues of all sources of one merge: some 64 MB of ordinary coupons. Each
/// file that is open takes one row group as it was read besides.
const QUEUED_ROWS_MAX: usize = 65_536;

/// Rows of one queue at the least: fewer would make a call to the store for each handful of them.
const QUEUED_ROWS_MIN: usize = 256;

/// Chunks of hot that wait at a time: the one being merged, the next, and one that is being read.
const HOT_QUEUES: usize = 3;

/// Rows that each source of a merge reads at a time.
pub(crate) fn share(runs: usize, with_hot: bool) -> usize {
    let queues = runs + if with_hot { HOT_QUEUES } else { 0 };
    (QUEUED_ROWS_MAX / queues.max(1)).clamp(QUEUED_ROWS_MIN, CHUNK)
}

/// One source, in the order of codes.
pub(crate) enum Source {
    /// A run of the partition, its rows to be written again.
    Rows(Files<Rows>),
    /// A run that stays: it only says what it has.
    Keys(Files<Keys>),
    /// What stands in a sealed partition.
    Residue(Ahead<Residue>),
    /// Coupons picked by their codes.
    Picked(Ahead<Coupon>),
}

/// The files of a run, one after the other.
pub(crate) struct Files<T> {
    cold: Arc<ColdStore>,
    left: VecDeque<ColdFile>,
    open: Option<Box<T>>,
    batch_rows: usize,
}

/// The rows of `run`.
pub(crate) fn rows(cold: &Arc<ColdStore>, run: &Run, batch_rows: usize) -> Source {
    Source::Rows(files(cold, run, batch_rows))
}

/// The codes and versions of `run`.
pub(crate) fn keys(cold: &Arc<ColdStore>, run: &Run, batch_rows: usize) -> Source {
    Source::Keys(files(cold, run, batch_rows))
}

fn files<T>(cold: &Arc<ColdStore>, run: &Run, batch_rows: usize) -> Files<T> {
    let left = run.files.iter().cloned().collect();
    Files { cold: Arc::clone(cold), left, open: None, batch_rows }
}

impl Files<Rows> {
    async fn next(&mut self) -> Result<Option<Vec<Row>>, CompactError> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(rows) = open.next().await?
            {
                let of = |coupon: Coupon| Row::Coupon(Box::new(coupon));
                return Ok(Some(rows.into_iter().map(of).collect()));
            }
            let Some(file) = self.left.pop_front() else { return Ok(None) };
            self.open = Some(Box::new(self.cold.rows_by(&file, self.batch_rows).await?));
        }
    }
}

impl Files<Keys> {
    async fn next(&mut self) -> Result<Option<Vec<Row>>, CompactError> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(keys) = open.next().await?
            {
                let of = |(code, version)| Row::There { code, version };
                return Ok(Some(keys.into_iter().map(of).collect()));
            }
            let Some(file) = self.left.pop_front() else { return Ok(None) };
            self.open = Some(Box::new(self.cold.keys_by(&file, self.batch_rows).await?));
        }
    }
}

/// What is read from hot, one chunk ahead of who uses it: reading and encoding go on at the same
/// time.
pub(crate) struct Ahead<T> {
    chunks: tokio::sync::mpsc::Receiver<Result<Vec<T>, HotError>>,
}

impl<T> Ahead<T> {
    /// The next chunk; the last one is empty. Without it the reader has died, which is not the end
    /// of the partition: what it did not read would be removed uncopied.
    async fn next(&mut self) -> Result<Option<Vec<T>>, CompactError> {
        let died = || HotError::Unavailable("the reader of a partition has died".into());
        let chunk = self.chunks.recv().await.ok_or_else(died)??;
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }
}

/// Everything that stands in a sealed partition.
pub(crate) fn residue(hot: Arc<dyn Partitions>, day: Day, chunk_rows: usize) -> Source {
    let (sender, chunks) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut after = None;
        loop {
            let chunk = hot.residue(day, after.take(), chunk_rows).await;
            after = chunk.as_ref().ok().and_then(|rows| rows.last()).map(|row| row.code().clone());
            let last = after.is_none();
            // Whoever does not listen any more has stopped for a reason of its own.
            if sender.send(chunk).await.is_err() || last {
                return;
            }
        }
    });
    Source::Residue(Ahead { chunks })
}

/// The coupons of `codes`, which are in order, that are still closed at `now`.
pub(crate) fn picked(hot: Arc<dyn Partitions>, day: Day, codes: Vec<Code>, now: Millis) -> Source {
    let (sender, chunks) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for some in codes.chunks(CHUNK) {
            let chunk = hot.closed_coupons(day, some.to_vec(), now).await;
            let failed = chunk.is_err();
            // A chunk of which nothing is left is not the end.
            let has_rows = chunk.as_ref().map_or(true, |rows| !rows.is_empty());
            if has_rows && (sender.send(chunk).await.is_err() || failed) {
                return;
            }
        }
        // Whoever does not listen any more has stopped for a reason of its own.
        let _ = sender.send(Ok(Vec::new())).await;
    });
    Source::Picked(Ahead { chunks })
}

/// One row of a source.
enum Row {
    /// A coupon.
    Coupon(Box<Coupon>),
    /// Hot says that cold has it in this version.
    Promised { code: Code, version: u64 },
    /// A run that stays has it in this version.
    There { code: Code, version: u64 },
}

impl Row {
    fn code(&self) -> &Code {
        match self {
            Row::Coupon(coupon) => coupon.code(),
            Row::Promised { code, .. } | Row::There { code, .. } => code,
        }
    }
}

/// The next code of each source that has one, and which source it is.
type Next = BinaryHeap<Reverse<(Code, usize)>>;

/// A source and what was read of it.
struct Head {
    source: Source,
    rows: VecDeque<Row>,
    ended: bool,
}

impl Head {
    fn is_hot(&self) -> bool {
        matches!(self.source, Source::Residue(_) | Source::Picked(_))
    }

    /// Whether its rows may have to be written.
    fn writes(&self) -> bool {
        !matches!(self.source, Source::Keys(_))
    }

    async fn fill(&mut self) -> Result<(), CompactError> {
        while self.rows.is_empty() && !self.ended {
            let chunk = match &mut self.source {
                Source::Rows(files) => files.next().await?,
                Source::Keys(files) => files.next().await?,
                Source::Residue(rows) => {
                    rows.next().await?.map(|rows| rows.into_iter().map(of_residue).collect())
                }
                Source::Picked(rows) => {
                    let of = |coupon: Coupon| Row::Coupon(Box::new(coupon));
                    rows.next().await?.map(|rows| rows.into_iter().map(of).collect::<Vec<_>>())
                }
            };
            match chunk {
                Some(chunk) => self.rows.extend(chunk),
                None => self.ended = true,
            }
        }
        Ok(())
    }
}

fn of_residue(residue: Residue) -> Row {
    match residue {
        Residue::Coupon(coupon) => Row::Coupon(coupon),
        Residue::ArchivedMarker { code, version } => Row::Promised { code, version },
    }
}

/// All sources together.
pub(crate) struct Merge {
    day: Day,
    heads: Vec<Head>,
    /// The next code of each source that has one; built with the first read.
    next: Option<Next>,
    /// Sources that have something to write and are not at their end.
    writing: usize,
    /// Coupons that came from hot so far.
    pub(crate) from_hot: u64,
}

/// What all sources say of one code.
#[derive(Default)]
struct Copies {
    newest: Option<Box<Coupon>>,
    /// The version that hot promises to be in cold.
    promised: Option<u64>,
    /// The version in a run that stays.
    there: Option<u64>,
    in_hot: bool,
}

impl Merge {
    pub(crate) fn new(day: Day, sources: Vec<Source>) -> Merge {
        let head = |source| Head { source, rows: VecDeque::new(), ended: false };
        let heads: Vec<Head> = sources.into_iter().map(head).collect();
        let writing = heads.iter().filter(|head| head.writes()).count();
        Merge { day, heads, next: None, writing, from_hot: 0 }
    }

    /// Up to [`PIECE`] coupons more that no run which stays has; none at the end.
    ///
    /// # Errors
    /// `ArchivedMarkerAlone` where hot says that cold has a coupon which is in none of the files.
    pub(crate) async fn next(&mut self) -> Result<Vec<Coupon>, CompactError> {
        self.up_to(PIECE).await
    }

    /// Whether there is nothing to write: every row of hot is in a run that stays, in that version
    /// or a later one.
    pub(crate) async fn is_empty(&mut self) -> Result<bool, CompactError> {
        Ok(self.up_to(1).await?.is_empty())
    }

    async fn up_to(&mut self, limit: usize) -> Result<Vec<Coupon>, CompactError> {
        let mut next = match self.next.take() {
            Some(next) => next,
            None => self.begin().await?,
        };
        let mut merged = Vec::with_capacity(limit);
        while merged.len() < limit && self.writing > 0 {
            let Some(Reverse((code, first))) = next.pop() else { break };
            let mut copies = Copies::default();
            self.take(&mut next, first, &mut copies).await?;
            while next.peek().is_some_and(|Reverse((other, _))| *other == code) {
                let Some(Reverse((_, at))) = next.pop() else { break };
                self.take(&mut next, at, &mut copies).await?;
            }
            merged.extend(self.newest(copies, &code)?);
        }
        self.next = Some(next);
        Ok(merged)
    }

    async fn begin(&mut self) -> Result<Next, CompactError> {
        let mut next = BinaryHeap::with_capacity(self.heads.len());
        for at in 0..self.heads.len() {
            self.enter(&mut next, at).await?;
        }
        Ok(next)
    }

    /// Enters the next row of one source.
    async fn enter(&mut self, next: &mut Next, at: usize) -> Result<(), CompactError> {
        let head = &mut self.heads[at];
        head.fill().await?;
        match head.rows.front() {
            Some(row) => next.push(Reverse((row.code().clone(), at))),
            None => self.writing -= usize::from(head.writes()),
        }
        Ok(())
    }

    /// Takes the first row of one source, and enters its next one.
    async fn take(
        &mut self,
        next: &mut Next,
        at: usize,
        copies: &mut Copies,
    ) -> Result<(), CompactError> {
        let head = &mut self.heads[at];
        let is_hot = head.is_hot();
        match head.rows.pop_front() {
            Some(Row::Coupon(coupon)) => {
                copies.in_hot |= is_hot;
                if copies.newest.as_ref().is_none_or(|known| known.version() < coupon.version()) {
                    copies.newest = Some(coupon);
                }
            }
            Some(Row::Promised { version, .. }) => copies.promised = Some(version),
            Some(Row::There { version, .. }) => copies.there = copies.there.max(Some(version)),
            None => {}
        }
        self.enter(next, at).await
    }

    /// The coupon of these copies if it has to be written.
    fn newest(&mut self, copies: Copies, code: &Code) -> Result<Option<Coupon>, CompactError> {
        let Copies { newest, promised, there, in_hot } = copies;
        let version = newest.as_ref().map(|coupon| coupon.version());
        if version.max(there) < promised {
            return Err(CompactError::ArchivedMarkerAlone {
                day: self.day,
                code: code.to_string(),
            });
        }
        let newer = newest.filter(|_| version > there);
        self.from_hot += u64::from(in_hot && newer.is_some());
        Ok(newer.map(|coupon| *coupon))
    }

    /// Rows that wait in the queues.
    #[cfg(test)]
    fn queued(&self) -> usize {
        self.heads.iter().map(|head| head.rows.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use cold::{Committed, Options};
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

    /// One run more.
    async fn commit(cold: &ColdStore, coupons: Vec<Coupon>) {
        let on = cold.partition(DAY).await.unwrap();
        let mut writer = cold.writer(DAY, on.archive_commit + 1).await.unwrap();
        writer.push(coupons).await.unwrap();
        let files = writer.finish().await.unwrap();
        let ended = cold.commit(&on, on.archive_commit + 1, &files, &[]).await.unwrap();
        assert!(matches!(ended, Committed::Done { .. }), "{ended:?}");
    }

    async fn store() -> (tempfile::TempDir, Arc<ColdStore>) {
        let disk = tempfile::tempdir().unwrap();
        let cold = Arc::new(ColdStore::on_folder(disk.path(), Options::default()));
        cold.create().await.unwrap();
        (disk, cold)
    }

    /// Every row once and in order, while the queues of all runs together hold no more than one
    /// limit. Runs that would each read what a file hands out at once hold more than that.
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
        let mut merge = Merge::new(DAY, runs.iter().map(|run| rows(&cold, run, share)).collect());
        let (mut found, mut most) = (0, 0);
        loop {
            let some = merge.next().await.unwrap();
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

    /// What is written where some runs are merged and others stay.
    #[tokio::test]
    async fn a_run_that_stays_is_not_written_again() {
        let (_disk, cold) = store().await;
        commit(&cold, (0..10).map(coupon).collect()).await;
        commit(&cold, (5..15).map(coupon).collect()).await;
        let runs = tiers::runs(&cold.partition(DAY).await.unwrap().files);
        let sources = vec![keys(&cold, &runs[0], 4), rows(&cold, &runs[1], 4)];
        let mut merge = Merge::new(DAY, sources);
        let found = merge.next().await.unwrap();
        assert_eq!(found, (10..15).map(coupon).collect::<Vec<_>>());
        assert!(merge.is_empty().await.unwrap());
    }
}
