//! Commits to the side table, made from the committed files of `coupons`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use coupon::time::Day;

use super::{HolderRow, REPEATED, of_coupons};
use crate::cursor::{BATCH_ROWS, RowDecoder};
use crate::encoder::NewFiles;
use crate::error::Result;
use crate::live::{ColdFile, NewFile};
use crate::log::{CommitOutcome, PartitionChange};
use crate::names::FileOrigin;
use crate::schema::BY_HOLDER;
use crate::store::{ColdStore, ColdStoreInner};
use crate::{encode, names};

/// How often a commit to the side table begins again because the partition has changed meanwhile.
const HOLDER_TRIES_MAX: usize = 8;

impl ColdStore {
    /// Brings the side table of a partition up to `archive_commit` at least, which must be
    /// committed. Does nothing if it is there already. Safe to repeat, and safe when several
    /// processes do it at once. Holds at most [`crate::ColdOptions::holder_rows_max`] entries in
    /// memory; a larger archive commit is read once for each piece of that size.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if `archive_commit` is not committed; [`ColdError::Full`],
    /// [`ColdError::Damaged`].
    pub async fn commit_holders(&self, day: Day, archive_commit: u64) -> Result<()> {
        let store = &self.pinned();
        let ColdStoreInner { location, by_holder, .. } = &*store.inner;
        for _ in 0..HOLDER_TRIES_MAX {
            let known = by_holder.newest().await?;
            let after = known.archive_commit(day);
            if after >= archive_commit {
                // Its writer may have been killed before it synced the folder.
                return location.settle(&by_holder.log_folder()).await;
            }
            let partition = store.partition(day).await?;
            if partition.archive_commit < archive_commit {
                let what = format!(
                    "archive commit {archive_commit} of {} is not committed",
                    names::iso(day)
                );
                return Err(location.unavailable(what));
            }
            let mut new: BTreeMap<u64, Vec<ColdFile>> = BTreeMap::new();
            for file in partition.files.iter().filter(|file| file.archive_commit() > after) {
                new.entry(file.archive_commit()).or_default().push(file.clone());
            }
            let mut added = Vec::new();
            for (archive_commit, files) in new {
                added.extend(store.write_holders(day, archive_commit, &files).await?);
            }
            let live: BTreeSet<u64> =
                partition.files.iter().map(ColdFile::archive_commit).collect();
            let removed =
                known.files(day).iter().filter(|file| !live.contains(&file.origin.archive_commit));
            let removed = removed.map(|file| file.path.clone()).collect();
            let covers = Vec::new();
            let change = PartitionChange {
                day,
                after,
                archive_commit: partition.archive_commit,
                added,
                removed,
                covers,
            };
            match by_holder.commit(change, u64::MAX).await? {
                CommitOutcome::Done { .. } => return Ok(()),
                CommitOutcome::Taken { .. } | CommitOutcome::Moved { .. } => {}
            }
        }
        Err(location.unavailable(format!("partition {} keeps changing: retry", names::iso(day))))
    }

    /// Writes the files of one archive commit: one file if its entries fit into memory, otherwise
    /// one for each range of holders, so that each holder is in one file.
    async fn write_holders(
        &self,
        day: Day,
        archive_commit: u64,
        files: &[ColdFile],
    ) -> Result<Vec<NewFile>> {
        let mut written = Vec::new();
        for piece in self.pieces(files).await? {
            let mut entries: Vec<HolderRow> = Vec::new();
            for file in files {
                let piece = piece.clone();
                let reading = RowDecoder::of(REPEATED, move |batch, names| {
                    of_coupons(batch, names, day, &piece)
                });
                let mut rows = self.open(&file.live, reading).await?;
                while let Some(held) = rows.next().await? {
                    entries.extend(held);
                    // A holder with very many coupons, or a bad sample, may still exceed the limit.
                    if entries.len() >= self.inner.options.holder_rows_max {
                        let full = std::mem::take(&mut entries);
                        written.extend(self.write_sorted(day, archive_commit, full).await?);
                    }
                }
            }
            if !entries.is_empty() {
                written.extend(self.write_sorted(day, archive_commit, entries).await?);
            }
        }
        Ok(written)
    }

    async fn write_sorted(
        &self,
        day: Day,
        archive_commit: u64,
        mut entries: Vec<HolderRow>,
    ) -> Result<Vec<NewFile>> {
        let location = &self.inner.location;
        let through = self.erasures().set.last;
        let origin = FileOrigin { day, archive_commit, rewrites: 0, through };
        let name = move || names::by_holder_file(origin);
        let mut file = NewFiles::new(location, &BY_HOLDER, BY_HOLDER.group_bytes, name);
        let wrote = location.blocking(move || {
            entries.sort_unstable_by(|a, b| a.key().cmp(&b.key()));
            for entries in entries.chunks(BATCH_ROWS) {
                file.write(to_batch(entries))?;
            }
            file.finish()
        });
        wrote.await?
    }
}

fn to_batch(entries: &[HolderRow]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&HolderRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(entries.iter().map(of)))
    };
    let columns: Vec<ArrayRef> = vec![
        text(|held| held.holder.as_str()),
        text(|held| held.entry.code.as_str()),
        Arc::new(Date32Array::from_iter_values(entries.iter().map(|held| held.entry.day.0))),
        encode::instants(entries.iter().map(|held| Some(held.entry.expires_at))),
        text(|held| held.entry.state),
        encode::longs(entries.iter().map(|held| held.entry.version.cast_signed())),
    ];
    RecordBatch::try_new(BY_HOLDER.to_arrow(), columns)
}
