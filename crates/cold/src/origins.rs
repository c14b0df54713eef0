//! Which archive commit brought a coupon to cold.
//!
//! A merge copies rows that earlier archive commits brought. The column `archived_in` keeps their
//! number, so that a reader of newer rows can skip them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use object_store::path::Path;

use crate::cursor::{RowDecoder, RowQueue};
use crate::decode;
use crate::error::Result;
use crate::live::{ColdFile, LiveFile};
use crate::log::TableVersion;
use crate::names;
use crate::rows::CouponRows;
use crate::store::ColdStore;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchivedSince {
    /// After these archive commits, one for each partition. A partition that is not named is read
    /// from its beginning.
    ArchiveCommits(BTreeMap<Day, u64>),
    /// After this version of the table `coupons`. If the log no longer goes back that far, from the
    /// beginning.
    Version(u64),
}

pub struct ArchivedRows {
    store: ColdStore,
    since: BTreeMap<Day, u64>,
    /// The files that are still to be read, in reverse order: the newest file of each partition
    /// comes first.
    files: Vec<Arc<LiveFile>>,
    open: Option<(Day, CouponRows)>,
}

impl ColdStore {
    /// Reads the coupons that came to cold after `since`, up to the newest version. Skips the files
    /// that have none of them, among them most files that a merge wrote, and leaves out the older
    /// rows of the others.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if there is no table; [`ColdError::Damaged`].
    pub async fn archived(&self, since: ArchivedSince) -> Result<ArchivedRows> {
        let since = match since {
            ArchivedSince::ArchiveCommits(archive_commits) => archive_commits,
            ArchivedSince::Version(version) => self.archive_commits_at(version).await?,
        };
        let known = self.inner.coupons.newest().await?;
        let is_new = |file: &&Arc<LiveFile>| {
            file.newest_archive_commit() > since.get(&file.origin.day).copied().unwrap_or(0)
        };
        let mut files: Vec<Arc<LiveFile>> = known.all().filter(is_new).cloned().collect();
        files.sort_by_key(|file| (file.origin.day, file.origin.archive_commit));
        Ok(ArchivedRows { store: self.clone(), since, files, open: None })
    }

    /// None if the log does not go back that far.
    async fn archive_commits_at(&self, version: u64) -> Result<BTreeMap<Day, u64>> {
        let coupons = &self.inner.coupons;
        let newest = coupons.newest().await?;
        if version >= newest.version {
            return Ok(newest.archive_commits.clone());
        }
        match coupons.at(version).await {
            Ok(TableVersion { archive_commits, .. }) => Ok(archive_commits),
            // The log was cut there, perhaps not completely. Reading everything is always correct.
            Err(error) => {
                tracing::info!(version, error = %error, "an earlier version cannot be read; everything is read");
                Ok(BTreeMap::new())
            }
        }
    }

    /// The last version of `coupons` that was committed at least `by` before `version`, by the
    /// clock of the store; `None` if the log no longer goes back that far.
    pub async fn version_before(&self, version: u64, by: Duration) -> Result<Option<u64>> {
        let entries = self.inner.coupons.entries().await?;
        let number = |entry: &Path| names::log_object(entry).map(|(number, _)| number);
        let at = entries.iter().find(|(entry, _)| number(entry) == Some(version));
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let Some(limit) = at.map(|(_, written)| written.plus_ms(-by)) else { return Ok(None) };
        let before = entries.iter().filter(|(_, written)| *written < limit);
        Ok(before.filter_map(|(entry, _)| number(entry)).max())
    }
}

impl ArchivedRows {
    /// Returns the next coupons, at most 8,192 and all of one partition; `None` after the last one.
    /// If several files have a code, returns it several times, the newest version first.
    pub async fn next(&mut self) -> Result<Option<(Day, Vec<Coupon>)>> {
        loop {
            if let Some((day, rows)) = &mut self.open
                && let Some(coupons) = rows.next().await?
            {
                return Ok(Some((*day, coupons)));
            }
            let Some(file) = self.files.pop() else { return Ok(None) };
            let day = file.origin.day;
            let after = self.since.get(&day).copied().unwrap_or(0);
            let new =
                RowDecoder::all(move |batch, names| decode::coupons_behind(batch, names, after));
            self.open = Some((day, self.store.open(&file, new).await?));
        }
    }
}

/// Reads the replaced files in step with the new one.
pub(crate) struct OriginReader {
    archive_commit: u64,
    /// The code, the version and the archive commit of each row of a replaced file.
    heads: Vec<RowQueue<(Code, u64, u64)>>,
}

impl OriginReader {
    pub(crate) async fn of_files(
        store: &ColdStore,
        archive_commit: u64,
        replaced: &[ColdFile],
    ) -> Result<OriginReader> {
        let mut heads = Vec::with_capacity(replaced.len());
        for file in replaced {
            let reading = RowDecoder::of(&["code", "version", "archived_in"], |batch, _| {
                decode::origins(batch)
            });
            heads.push(RowQueue::new(store.open(&file.live, reading).await?));
        }
        Ok(OriginReader { archive_commit, heads })
    }

    /// The archive commits that brought `coupons` to cold. Codes must ascend, also from call to
    /// call.
    pub(crate) async fn of(&mut self, coupons: &[Coupon]) -> Result<Vec<u64>> {
        let mut archive_commits = Vec::with_capacity(coupons.len());
        for coupon in coupons {
            let mut first = self.archive_commit;
            for head in &mut self.heads {
                // Skips the rows of earlier codes.
                while head.fill().await?
                    && head.rows.pop_front_if(|(code, ..)| *code < *coupon.code()).is_some()
                {
                }
                if let Some((code, version, archive_commit)) = head.rows.front()
                    && code == coupon.code()
                    && *version == coupon.version()
                {
                    first = first.min(*archive_commit);
                }
            }
            archive_commits.push(first);
        }
        Ok(archive_commits)
    }
}
