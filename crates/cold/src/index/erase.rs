//! Erasing persons from the holder index, and deleting days.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use coupon::time::Day;

use super::intake::CHUNK_ROWS;
use super::plan::IndexMerge;
use super::{HolderMerge, IndexStop};
use crate::bounds::{ColumnBounds, may_hold};
use crate::cursor::RowDecoder;
use crate::decode;
use crate::error::Result;
use crate::live::{LiveFile, NewFile};
use crate::names::{self, FileOrigin};
use crate::store::ColdStore;

impl ColdStore {
    /// Rewrites every file of the holder index that names a person of a pending erasure, each in a commit of its own:
    /// [`HolderMerge::commits`] counts them. Does nothing if the index does not exist. Reads each file once. Safe to repeat
    /// and to kill.
    ///
    /// # Errors
    /// As [`ColdStore::merge_holders`]. If another process commits to the index, that is no error, and
    /// [`HolderMerge::is_done`] is false.
    pub async fn erase_holders(&self) -> Result<HolderMerge> {
        self.rewritten(None).await
    }

    /// Takes the coupons of these days out of the holder index. Otherwise as [`ColdStore::erase_holders`].
    ///
    /// # Errors
    /// As [`ColdStore::erase_holders`].
    pub async fn delete_holders(&self, days: &BTreeSet<Day>) -> Result<HolderMerge> {
        self.rewritten(Some(days)).await
    }

    /// Writes each file again that has a coupon of deleted days, or without them, that names an erased person.
    async fn rewritten(&self, deleted: Option<&BTreeSet<Day>>) -> Result<HolderMerge> {
        let (store, mut done) = (self.pinned(), HolderMerge::default());
        match store.rewrite_files(deleted, &mut done).await {
            Ok(()) => done.is_done = true,
            Err(IndexStop::Lost) => {}
            Err(IndexStop::Cold(error)) => return Err(error),
        }
        Ok(done)
    }

    async fn rewrite_files(
        &self,
        deleted: Option<&BTreeSet<Day>>,
        done: &mut HolderMerge,
    ) -> Result<(), IndexStop> {
        let index = &self.inner.index;
        let mut clean: HashSet<String> = HashSet::new();
        while let Some(known) = index.newest_if_any().await? {
            let mut found = None;
            for file in known.files(names::INDEX) {
                if clean.contains(&file.path) {
                    continue;
                }
                let is_due = match deleted {
                    None => self.persons_in(index, file).await?,
                    Some(days) => self.has_days(file, days).await?,
                };
                if is_due {
                    found = Some(Arc::clone(file));
                    break;
                }
                clean.insert(file.path.clone());
            }
            let Some(file) = found else { break };
            let target = names::level(&file.path).unwrap_or(0);
            // One at a time: the new files are within the range of this one, so the level stays disjoint.
            let merge = IndexMerge { target, files: vec![file] };
            self.merge_index(&known, &merge, deleted, done).await?;
        }
        Ok(())
    }

    async fn has_days(&self, file: &Arc<LiveFile>, days: &BTreeSet<Day>) -> Result<bool> {
        let of_days = days.clone();
        let reading = RowDecoder::of(&["expiry_day"], move |batch, _| {
            let days = decode::days(batch)?;
            let is_there = days.values().iter().any(|day| of_days.contains(&Day(*day)));
            Ok(is_there.then_some(()).into_iter().collect())
        });
        let mut rows = self.open_where(&self.inner.index, file, reading, |_| true).await?;
        Ok(rows.next().await?.is_some())
    }

    /// Takes the number of the next commit, so that no other writer can commit its files under it.
    pub(crate) async fn commit_no_files(&self) -> Result<()> {
        let known = self.inner.index.newest().await?;
        let mut done = HolderMerge::default();
        match self.commit_index(&known, Vec::new(), &[], Vec::new(), &mut done).await {
            // Somebody else took it.
            Ok(()) | Err(IndexStop::Lost) => Ok(()),
            Err(IndexStop::Cold(error)) => Err(error),
        }
    }

    /// Writes the rows of `files` whose holder is erased into files of level 0. Reads those row groups of them that may
    /// have such a row.
    pub(super) async fn renamed(
        &self,
        files: &[Arc<LiveFile>],
        origin: FileOrigin,
    ) -> Result<Vec<NewFile>> {
        let (mut added, mut rows) = (Vec::new(), Vec::new());
        for file in files {
            let names = self.names(file);
            let may = |bounds: &ColumnBounds| {
                let mut users = names.behind().iter().map(|it| it.user.as_str());
                users.any(|user| may_hold(bounds.holder.as_ref(), user))
            };
            let reading = RowDecoder::all(|batch, names| {
                decode::indexed(batch, names, |holder| names.renames(holder))
            });
            let mut renamed = self.open_where(&self.inner.index, file, reading, may).await?;
            while let Some(some) = renamed.next().await? {
                rows.extend(some);
                if rows.len() >= CHUNK_ROWS {
                    added.extend(self.new_files(std::mem::take(&mut rows), origin).await?);
                }
            }
        }
        added.extend(self.new_files(rows, origin).await?);
        Ok(added)
    }
}
