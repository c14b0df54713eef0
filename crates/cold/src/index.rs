//! The holder index: whole coupons in the order of their holders, so that a person's list reads a
//! few row groups, however many expiry days and files there are.
//!
//! It is a third table, made from the committed files of `coupons` and nothing else: it may lag
//! behind, it may be removed as a whole, and the next merge makes it again. Its files lie in
//! levels, as in a log-structured merge tree. What comes in is a file of level 0; from level 1 on
//! the ranges of holders of a level's files are disjoint, and each level is ten times as large as
//! the one before it. So a person is in at most one file of each level, and a row is rewritten a
//! bounded number of times a level.
//!
//! Its commits stand in one line: each carries the transaction id `holder_index` with the number
//! after the last one, and whoever finds the number taken has lost and begins again. A commit that
//! completes a partition also carries that partition's transaction id with the number up to which
//! the index has it. Until then a list reads the files of `coupons_by_holder` behind that number.
//! Rows of a merge that was killed come in again; of equal rows one stays.

mod plan;
mod write;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::Day;

use crate::bounds::may_hold;
use crate::cursor::{Cursor, Reading};
use crate::error::ColdError;
use crate::files::{ReadError, footer_bytes};
use crate::holders::HolderEntry;
use crate::log::{Change, Ended, LiveFile, TableVersion, Written};
use crate::names::{self, Origin};
use crate::schema::HOLDER_INDEX;
use crate::store::{ColdFile, ColdStore, Inner};
use crate::{bounds, decode};
use write::IndexWriter;

/// Coupons that are sorted in memory, about a kilobyte each with their events.
const CHUNK_ROWS: usize = 32_768;

/// Rows handed to the writer at a time.
const PIECE: usize = 2_048;

/// A row of the index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) day: Day,
    pub(crate) coupon: Coupon,
}

type Key<'a> = (Option<&'a UserId>, Day, &'a Code);

impl Row {
    /// What the rows of a file ascend by.
    pub(crate) fn key(&self) -> Key<'_> {
        (self.coupon.holder(), self.day, self.coupon.code())
    }
}

/// What a call of [`ColdStore::merge_holders`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HolderMerge {
    /// Coupons that came into the index.
    pub taken_in: u64,
    /// Rows that were written, those among them that were in the index before.
    pub written: u64,
    /// Commits that were made.
    pub commits: u64,
    /// Whether the index has everything and is in order. Otherwise the limit was reached, or
    /// another process merges at the same time: call again.
    pub is_done: bool,
}

impl ColdStore {
    /// Brings the holder index up to what `coupons` has, and merges its files where that is due.
    /// Ends when about `rows_max` rows have been written; at the most it goes beyond that by the
    /// new coupons of one partition, or by one merge, which is some twenty files of
    /// [`crate::Options::index_file_bytes`]. Takes memory for 32,768 coupons. Safe to repeat, to
    /// kill, and to race with others: one of them gets through, and the files of the others are
    /// swept.
    ///
    /// Call it after the passes of a run, until [`HolderMerge::is_done`] or the run's time is over.
    /// A list is right without it, and reads two ranges for each file that is waiting.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also where there is no table `coupons`; [`ColdError::Full`],
    /// [`ColdError::Damaged`], where it is a partition's after all others were taken in. What was
    /// committed before stays.
    pub async fn merge_holders(&self, rows_max: u64) -> Result<HolderMerge, ColdError> {
        self.inner.index.create().await?;
        let mut done = HolderMerge::default();
        let mut unread = Unread::default();
        while done.written < rows_max {
            let known = self.inner.index.newest().await?;
            if let Some(merge) = plan::due(known.files(names::INDEX), self.index_file_bytes()) {
                if !self.merge_index(&known, &merge, &mut done).await? {
                    return Ok(done);
                }
                continue;
            }
            match self.take_in(&known, rows_max, &mut done, &mut unread).await? {
                Intake::Went => {}
                Intake::Lost => return Ok(done),
                Intake::Nothing => match unread.first {
                    Some(error) => return Err(error),
                    None => {
                        done.is_done = true;
                        return Ok(done);
                    }
                },
            }
        }
        Ok(done)
    }

    /// Whether `coupons` has all that the holder index was made of. It has not where one of the two
    /// was put back in an earlier state: then lists would leave coupons out, without an end.
    ///
    /// # Errors
    /// [`ColdError::Damaged`] says what to do about it; otherwise as [`ColdStore::version`].
    pub async fn index_fits(&self) -> Result<(), ColdError> {
        let Some(index) = self.inner.index.newest_if_any().await? else { return Ok(()) };
        self.fits(&index, &*self.inner.coupons.newest().await?)
    }

    /// The same of two versions, of which that of the index was looked up first.
    fn fits(&self, index: &TableVersion, coupons: &TableVersion) -> Result<(), ColdError> {
        let is_ahead = |(day, archive_commit): &(&Day, &u64)| {
            **day != names::INDEX && coupons.archive_commit(**day) < **archive_commit
        };
        match index.archive_commits.iter().find(is_ahead) {
            Some((day, _)) => Err(self.ahead(*day)),
            None => Ok(()),
        }
    }

    fn index_file_bytes(&self) -> u64 {
        self.inner.options.index_file_bytes.max(1)
    }

    /// Takes in the new coupons of partitions that are behind, one after the other, until there
    /// are enough for a file.
    async fn take_in(
        &self,
        on: &Arc<TableVersion>,
        rows_max: u64,
        done: &mut HolderMerge,
        unread: &mut Unread,
    ) -> Result<Intake, ColdError> {
        let truth = self.inner.coupons.newest().await?;
        self.fits(on, &truth)?;
        let behind: Vec<(Day, u64)> = truth
            .archive_commits
            .iter()
            .filter(|(day, archive_commit)| {
                on.archive_commit(**day) < **archive_commit && !unread.days.contains(day)
            })
            .map(|(day, archive_commit)| (*day, *archive_commit))
            .collect();
        if behind.is_empty() {
            return Ok(Intake::Nothing);
        }
        let mut intake = Pending { known: Arc::clone(on), rows: Vec::new(), covers: Vec::new() };
        for (day, archive_commit) in behind {
            let after = on.archive_commit(day);
            let newer = |file: &&Arc<LiveFile>| file.newest_archive_commit() > after;
            let mut is_whole = true;
            for file in truth.files(day).iter().filter(newer) {
                match self.take_file(file, after, &mut intake, done).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(Intake::Lost),
                    // One partition that cannot be read does not stop the others. What was read of
                    // it comes in once more when it is whole.
                    Err(error @ ColdError::Damaged { .. }) => {
                        unread.days.insert(day);
                        unread.first.get_or_insert(error);
                        is_whole = false;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            if is_whole {
                intake.covers.push((day, archive_commit));
            }
            let waiting = intake.rows.len();
            if waiting >= CHUNK_ROWS || done.written + waiting as u64 >= rows_max {
                break;
            }
        }
        if intake.rows.is_empty() && intake.covers.is_empty() {
            // None of them could be read: a commit would say nothing.
            return Ok(Intake::Went);
        }
        match self.add_file(&mut intake, done).await? {
            true => Ok(Intake::Went),
            false => Ok(Intake::Lost),
        }
    }

    /// The coupons with a holder that came into a file behind the archive commit `after`.
    async fn take_file(
        &self,
        file: &Arc<LiveFile>,
        after: u64,
        intake: &mut Pending,
        done: &mut HolderMerge,
    ) -> Result<bool, ColdError> {
        let day = file.origin.day;
        let file = ColdFile { live: Arc::clone(file) };
        let held = Reading::all(move |batch| {
            decode::coupons_behind(batch, after).map(|mut coupons| {
                coupons.retain(|coupon| coupon.holder().is_some());
                coupons
            })
        });
        let mut rows = self.open(&file, held).await?;
        loop {
            let coupons = match rows.next().await {
                Ok(Some(coupons)) => coupons,
                Ok(None) => return Ok(true),
                Err(error) => return Err(self.unread(&file, error).await),
            };
            intake.rows.extend(coupons.into_iter().map(|coupon| Row { day, coupon }));
            if intake.rows.len() >= CHUNK_ROWS && !self.add_file(intake, done).await? {
                return Ok(false);
            }
        }
    }

    /// Commits what is pending as a file of level 0, and merges until the level is small again.
    /// Whether the line of commits was still ours.
    async fn add_file(
        &self,
        intake: &mut Pending,
        done: &mut HolderMerge,
    ) -> Result<bool, ColdError> {
        let mut rows = std::mem::take(&mut intake.rows);
        let archive_commit = intake.known.archive_commit(names::INDEX) + 1;
        let count = rows.len() as u64;
        rows.sort_unstable_by(|a, b| {
            a.key().cmp(&b.key()).then(b.coupon.version().cmp(&a.coupon.version()))
        });
        rows.dedup_by(|later, first| later.key() == first.key());
        let writer =
            IndexWriter::new(&self.inner.location, 0, archive_commit, self.index_file_bytes());
        while !rows.is_empty() {
            let later = rows.split_off(rows.len().min(PIECE));
            if !writer.push(std::mem::replace(&mut rows, later)).await {
                break;
            }
        }
        let added = writer.finish().await?;
        let covers = std::mem::take(&mut intake.covers);
        if !self.commit_index(&intake.known, added, &[], covers, done).await? {
            return Ok(false);
        }
        done.taken_in += count;
        intake.known = self.inner.index.newest().await?;
        let file_bytes = self.index_file_bytes();
        while let Some(merge) = plan::due(intake.known.files(names::INDEX), file_bytes) {
            if !self.merge_index(&intake.known, &merge, done).await? {
                return Ok(false);
            }
            intake.known = self.inner.index.newest().await?;
        }
        Ok(true)
    }

    /// Writes the files of `merge` in the order of the index, each coupon once, and commits them
    /// in the place of the old ones.
    async fn merge_index(
        &self,
        on: &TableVersion,
        merge: &plan::Merge,
        done: &mut HolderMerge,
    ) -> Result<bool, ColdError> {
        let Inner { location, index, .. } = &*self.inner;
        let archive_commit = on.archive_commit(names::INDEX) + 1;
        let mut heads = Vec::with_capacity(merge.files.len());
        for file in &merge.files {
            let cursor = self.inner.cursor(index, file, Reading::all(decode::indexed)).await;
            let cursor = cursor.map_err(|error| self.index_gone(file, error))?;
            heads.push(Head { file: Arc::clone(file), cursor, rows: Vec::new().into_iter() });
        }
        let writer =
            IndexWriter::new(location, merge.target, archive_commit, self.index_file_bytes());
        let mut piece = Vec::with_capacity(PIECE);
        while let Some(row) = self.next_row(&mut heads).await? {
            piece.push(row);
            if piece.len() == PIECE && !writer.push(std::mem::take(&mut piece)).await {
                break;
            }
        }
        writer.push(piece).await;
        let added = writer.finish().await?;
        self.commit_index(on, added, &merge.files, Vec::new(), done).await
    }

    /// The next row in its newest version.
    async fn next_row(&self, heads: &mut Vec<Head>) -> Result<Option<Row>, ColdError> {
        let mut at = 0;
        while let Some(head) = heads.get_mut(at) {
            if head.rows.as_slice().is_empty() {
                match head.cursor.next().await {
                    Ok(Some(rows)) => head.rows = rows.into_iter(),
                    Ok(None) => {
                        heads.swap_remove(at);
                    }
                    Err(error) => return Err(self.index_gone(&head.file, error)),
                }
                continue;
            }
            at += 1;
        }
        let least = (0..heads.len()).min_by(|a, b| heads[*a].key().cmp(&heads[*b].key()));
        let Some(mut newest) = least.and_then(|least| heads[least].rows.next()) else {
            return Ok(None);
        };
        for head in heads {
            // A file has a coupon once.
            if head.key() == Some(newest.key())
                && let Some(row) = head.rows.next()
                && row.coupon.version() > newest.coupon.version()
            {
                newest = row;
            }
        }
        Ok(Some(newest))
    }

    /// The index was looked at first, so `coupons` has lost what the index was made of.
    fn ahead(&self, day: Day) -> ColdError {
        let Inner { location, index, .. } = &*self.inner;
        let what = format!(
            "it has more of {} than coupons, which was restored to an earlier state: remove the \
             folder {} while nothing runs",
            names::iso(day),
            index.folder()
        );
        location.damaged(index.log_folder(), what)
    }

    /// A file of the index that cannot be read while it is merged.
    fn index_gone(&self, file: &LiveFile, error: ReadError) -> ColdError {
        let Inner { location, .. } = &*self.inner;
        match error {
            ReadError::Cold(error) => error,
            ReadError::Gone => location.unavailable(format!("{} was merged away", file.path)),
        }
    }

    /// Reads back what was written, then publishes it. Whether it got through.
    async fn commit_index(
        &self,
        on: &TableVersion,
        added: Vec<Written>,
        removed: &[Arc<LiveFile>],
        covers: Vec<(Day, u64)>,
        done: &mut HolderMerge,
    ) -> Result<bool, ColdError> {
        let Inner { index, files, .. } = &*self.inner;
        let after = on.archive_commit(names::INDEX);
        let origin = Origin { day: names::INDEX, archive_commit: after + 1, rewrites: 0 };
        for written in &added {
            let live = Arc::new(as_live(written, origin));
            let checked = files.check(&index.object(&live.path), &live).await;
            checked.map_err(|error| self.index_gone(&live, error))?;
        }
        let rows: u64 = added.iter().map(|file| file.rows).sum();
        let removed: HashSet<String> = removed.iter().map(|file| file.path.clone()).collect();
        let change =
            Change { day: names::INDEX, after, archive_commit: after + 1, added, removed, covers };
        match index.commit(change, u64::MAX).await? {
            Ended::Done { .. } => {
                done.written += rows;
                done.commits += 1;
                Ok(true)
            }
            Ended::Taken { .. } | Ended::Moved { .. } => Ok(false),
        }
    }

    /// A person's coupons in the files of the index at one version.
    pub(crate) async fn indexed(
        &self,
        file: &Arc<LiveFile>,
        holder: &UserId,
        from: Option<Day>,
    ) -> Result<Vec<HolderEntry>, ReadError> {
        let Inner { location, index, files, .. } = &*self.inner;
        let object = index.object(&file.path);
        let footer = files.footer(&object, file).await?;
        let may = |at: &usize| may_hold(footer.groups[*at].bounds.holder.as_ref(), holder.as_str());
        let groups = (0..footer.groups.len()).filter(may).collect();
        let wanted = holder.clone();
        let reading = Reading::all(move |batch| decode::indexed_of(batch, &wanted));
        let footer = Arc::clone(&footer);
        let mut rows = Cursor::new(location, files, object, file, footer, reading, groups);
        let mut entries = Vec::new();
        while let Some(rows) = rows.next().await? {
            let rows = rows.into_iter().filter(|row| from.is_none_or(|from| row.day >= from));
            entries.extend(rows.map(|Row { day, coupon }| HolderEntry {
                code: coupon.code().clone(),
                day,
                expires_at: coupon.expires_at(),
                state: coupon.state().as_str(),
                version: coupon.version(),
                coupon: Some(Box::new(coupon)),
            }));
        }
        Ok(entries)
    }
}

/// How an intake ended.
enum Intake {
    /// Something came in.
    Went,
    /// Somebody else merges.
    Lost,
    /// There is nothing to take in.
    Nothing,
}

/// Partitions that could not be taken in, and why the first of them.
#[derive(Default)]
struct Unread {
    days: BTreeSet<Day>,
    first: Option<ColdError>,
}

/// What has been read and waits for its file.
struct Pending {
    /// The index as it is before that file.
    known: Arc<TableVersion>,
    rows: Vec<Row>,
    /// Partitions of which every new coupon is in a file, with this one.
    covers: Vec<(Day, u64)>,
}

struct Head {
    file: Arc<LiveFile>,
    cursor: Cursor<Row>,
    rows: std::vec::IntoIter<Row>,
}

impl Head {
    fn key(&self) -> Option<Key<'_>> {
        self.rows.as_slice().first().map(Row::key)
    }
}

fn as_live(written: &Written, origin: Origin) -> LiveFile {
    LiveFile {
        schema: &HOLDER_INDEX,
        path: written.path.clone(),
        origin,
        rows: written.rows,
        footer_bytes: footer_bytes(&HOLDER_INDEX, written.bytes),
        bytes: written.bytes,
        bounds: bounds::Bounds::default(),
    }
}
