//! Commits to the holder index.

use std::collections::HashSet;
use std::sync::Arc;

use coupon::time::Day;

use super::HolderMerge;
use crate::bounds::Bounds;
use crate::error::ColdError;
use crate::files::footer_bytes;
use crate::log::{Change, Ended, LiveFile, TableVersion, Written};
use crate::names::{self, Origin};
use crate::schema::HOLDER_INDEX;
use crate::store::{ColdStore, Inner};

impl ColdStore {
    /// Reads the new files back, then commits them. Returns `false` if another process has
    /// committed to the index.
    pub(super) async fn commit_index(
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
}

fn as_live(written: &Written, origin: Origin) -> LiveFile {
    LiveFile {
        schema: &HOLDER_INDEX,
        path: written.path.clone(),
        origin,
        rows: written.rows,
        footer_bytes: footer_bytes(&HOLDER_INDEX, written.bytes),
        bytes: written.bytes,
        bounds: Bounds::default(),
    }
}
