//! Commits to the holder index.

use std::collections::HashSet;
use std::sync::Arc;

use coupon::time::Day;

use super::{HolderMerge, IndexStop};
use crate::live::{ColdFile, LiveFile, NewFile};
use crate::log::{CommitOutcome, PartitionChange, TableVersion};
use crate::names;
use crate::store::{ColdStore, ColdStoreInner};

impl ColdStore {
    /// Reads the new files back, then commits them.
    pub(super) async fn commit_index(
        &self,
        on: &TableVersion,
        added: Vec<NewFile>,
        removed: &[Arc<LiveFile>],
        covers: Vec<(Day, u64)>,
        done: &mut HolderMerge,
    ) -> Result<(), IndexStop> {
        let ColdStoreInner { location, index, files, .. } = &*self.inner;
        let after = on.archive_commit(names::INDEX);
        for NewFile { file: ColdFile { live }, .. } in &added {
            if let Err(error) = files.check(live).await {
                return Err(index.unread_file(live, error).await.into());
            }
        }
        let rows: u64 = added.iter().map(|new| new.file.rows()).sum();
        let removed: HashSet<String> = removed.iter().map(|file| file.path.clone()).collect();
        let change = PartitionChange {
            day: names::INDEX,
            after,
            archive_commit: after + 1,
            added,
            removed,
            covers,
        };
        match index.commit(change, u64::MAX).await? {
            CommitOutcome::Done { .. } => {
                done.written += rows;
                done.commits += 1;
                Ok(())
            }
            // Otherwise the caller would believe for ever that another process merges.
            CommitOutcome::Taken { archive_commit } if archive_commit <= after => {
                Err(location.unavailable("a commit to the holder index was refused").into())
            }
            CommitOutcome::Taken { .. } | CommitOutcome::Moved { .. } => Err(IndexStop::Lost),
        }
    }
}
