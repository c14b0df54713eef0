//! Deleting files and log entries that no reader needs any more.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use coupon::time::{Day, Millis};
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::error::Result;
use crate::local::STAGING_AGE_MAX;
use crate::log::{DeltaTable, TableVersion, actions};
use crate::names::{self, FileOrigin};
use crate::store::{ColdStore, ColdStoreInner};

const READS_MAX: usize = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    pub files: u64,
    pub bytes: u64,
}

impl ColdStore {
    /// Deletes the files of all tables that are in no commit and cannot come into one: files that a
    /// merge replaced more than [`crate::ColdOptions::retention`] before `now`, and files whose archive
    /// commit was made without them. Lists every folder. Ignores files that couponry did not name.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also if there is no table; [`ColdError::Damaged`]. What was
    /// deleted before the error stays deleted.
    pub async fn sweep(&self, now: Millis) -> Result<SweepReport> {
        let mut swept = SweepReport::default();
        for table in self.inner.tables().await? {
            self.sweep_table(table, now, &mut swept).await?;
        }
        self.sweep_staging(before(now, STAGING_AGE_MAX)).await?;
        Ok(swept)
    }

    /// Deletes the files of all tables that no commit has and that may name a person of a pending erasure, as their
    /// names say. They have no retention. In a folder, also deletes the files that writers began before `now` and did
    /// not end. Lists every folder.
    ///
    /// Returns the partitions of which a writer may still commit such a file, too. The next archive commit there takes
    /// its number: make one without files, bring the side table up to it, and call this again.
    ///
    /// # Errors
    /// As [`ColdStore::sweep`].
    pub async fn sweep_erased(&self, now: Millis) -> Result<(SweepReport, BTreeSet<Day>)> {
        let (mut swept, mut open) = (SweepReport::default(), BTreeSet::new());
        let index = &self.inner.index;
        for table in self.inner.tables().await? {
            self.sweep_behind(table, &mut swept, &mut open).await?;
        }
        if open.remove(&names::INDEX) {
            self.commit_no_files().await?;
            self.sweep_behind(index, &mut swept, &mut open).await?;
        }
        self.sweep_staging(now).await?;
        Ok((swept, open))
    }

    async fn sweep_behind(
        &self,
        table: &DeltaTable,
        swept: &mut SweepReport,
        open: &mut BTreeSet<Day>,
    ) -> Result<()> {
        let set = self.known_erasures();
        let (mut unused, known) = self.unused(table).await?;
        unused.retain(|(_, origin)| !set.behind(origin.through).is_empty());
        if !unused.is_empty() {
            // Fails if an entry is damaged: the files that it added would look like files of no commit.
            removed_since(self, table, Millis(i64::MIN)).await?;
        }
        for (object, origin) in unused {
            match may_come(origin, &known) {
                true => drop(open.insert(origin.day)),
                false => self.remove(&object, swept).await?,
            }
        }
        Ok(())
    }

    /// Deletes what writers staged in a folder before an instant.
    async fn sweep_staging(&self, before: Millis) -> Result<()> {
        let location = &self.inner.location;
        let Some(local) = &location.folder else { return Ok(()) };
        let before = UNIX_EPOCH + Duration::from_millis(before.0.max(0).unsigned_abs());
        let swept = local.sweep_staging(before).await;
        swept.map_err(|error| location.failed("sweeping staged files", error))
    }

    /// As [`ColdStore::sweep`], for the holder index alone, between the merges of a long run.
    pub async fn sweep_index(&self, now: Millis) -> Result<SweepReport> {
        let mut swept = SweepReport::default();
        if self.inner.index.newest_if_any().await?.is_some() {
            self.sweep_table(&self.inner.index, now, &mut swept).await?;
        }
        Ok(swept)
    }

    async fn sweep_table(
        &self,
        table: &DeltaTable,
        now: Millis,
        swept: &mut SweepReport,
    ) -> Result<()> {
        let options = &self.inner.options;
        let (mut over, known) = self.unused(table).await?;
        over.retain(|(_, origin)| !may_come(*origin, &known));
        if over.is_empty() {
            // The usual case. The log need not be read for it.
            return Ok(());
        }
        let retention = options.retention.min(table.schema.retention_max);
        let kept = removed_since(self, table, before(now, retention)).await?;
        for (object, _) in over {
            if !kept.contains(within(table, &object.location)) {
                self.remove(&object, swept).await?;
            }
        }
        Ok(())
    }

    /// The files of a table that couponry named and that are not live, and a version of the table.
    async fn unused(
        &self,
        table: &DeltaTable,
    ) -> Result<(Vec<(ObjectMeta, FileOrigin)>, Arc<TableVersion>)> {
        // Listed first: a file that is committed between the two requests is live.
        let listed = self.inner.location.list(&table.folder()).await?;
        let known = table.newest().await?;
        let unused = listed.into_iter().filter_map(|object| {
            let path = within(table, &object.location);
            let origin = names::origin(path).filter(|it| !known.is_live(it.day, path))?;
            Some((object, origin))
        });
        Ok((unused.collect(), known))
    }

    async fn remove(&self, object: &ObjectMeta, swept: &mut SweepReport) -> Result<()> {
        self.inner.location.remove(&object.location).await?;
        swept.files += 1;
        swept.bytes += object.size;
        Ok(())
    }

    /// Deletes the entries of all logs that are older than [`crate::ColdOptions::log_retention`] and
    /// that a later checkpoint contains. Versions before that checkpoint can no longer be read.
    /// Deletes the oldest first, so that what remains is always a valid log.
    pub async fn cut_logs(&self, now: Millis) -> Result<SweepReport> {
        let ColdStoreInner { location, options, .. } = &*self.inner;
        // A sweep reads entries within the retention of files.
        let since = before(now, options.log_retention.max(options.retention));
        let mut swept = SweepReport::default();
        for table in self.inner.tables().await? {
            let log = location.list(&table.log_folder()).await?;
            let Some(first) = first_kept(&log, since) else { continue };
            // The version that remains must be readable without the deleted entries.
            table.at(first).await?;
            // `list` sorts by name, so the oldest entry goes first.
            for object in log {
                if names::log_object(&object.location).is_some_and(|(version, _)| version < first) {
                    self.remove(&object, &mut swept).await?;
                }
            }
        }
        Ok(swept)
    }
}

/// Until somebody takes its number, the writer of a file may still commit it.
fn may_come(origin: FileOrigin, known: &TableVersion) -> bool {
    origin.archive_commit > known.archive_commit(origin.day)
}

/// The newest version that has a checkpoint and was written before `since`.
fn first_kept(log: &[ObjectMeta], since: Millis) -> Option<u64> {
    let is_old = |meta: &ObjectMeta| meta.last_modified.timestamp_millis() < since.0;
    let (mut old, mut checkpoints) = (HashSet::new(), Vec::new());
    for meta in log {
        match names::log_object(&meta.location) {
            Some((version, "json")) if is_old(meta) => drop(old.insert(version)),
            Some((version, "checkpoint.parquet")) => checkpoints.push(version),
            _ => {}
        }
    }
    checkpoints.into_iter().filter(|version| old.contains(version)).max()
}

fn before(now: Millis, age: Duration) -> Millis {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Millis(now.0.saturating_sub(age))
}

/// The files that were removed from the table at `since` or later.
async fn removed_since(
    store: &ColdStore,
    table: &DeltaTable,
    since: Millis,
) -> Result<HashSet<String>> {
    let location = &store.inner.location;
    let entries = table.entries().await?.into_iter().filter(|(_, at)| *at >= since);
    let reads = entries.map(|(entry, _)| async move {
        // An entry may be gone because the log was cut. An empty entry is damage: the files that it
        // added would look like files of no commit.
        let Some(text) = location.whole(&entry).await? else { return Ok(Vec::new()) };
        let actions = actions(&text).map_err(|fault| location.damaged(&entry, fault))?;
        let paths = actions.iter().filter_map(|action| action["remove"]["path"].as_str());
        Ok(paths.map(str::to_owned).collect())
    });
    let reads: Vec<_> = reads.collect();
    let removed: Vec<String> = stream::iter(reads).buffer_unordered(READS_MAX).try_concat().await?;
    Ok(removed.into_iter().collect())
}

fn within<'a>(table: &DeltaTable, object: &'a Path) -> &'a str {
    let folder = table.folder();
    let rest = object.as_ref().strip_prefix(folder.as_ref()).unwrap_or_default();
    rest.strip_prefix('/').unwrap_or(rest)
}
