//! Merging files of the holder index into files of one level.

use std::cmp::Ordering;

use super::write::{PIECE, encoder};
use super::{HolderMerge, IndexStop, plan};
use crate::cursor::RowDecoder;
use crate::decode;
use crate::indexed::HolderIndexRow;
use crate::log::TableVersion;
use crate::merge::{RowMerge, VersionedRow};
use crate::names;
use crate::store::{ColdStore, ColdStoreInner};

impl VersionedRow for HolderIndexRow {
    fn order(&self, other: &HolderIndexRow) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn version(&self) -> u64 {
        self.coupon.version()
    }
}

impl ColdStore {
    /// Merges files into files of the target level, each coupon once, and commits them in place of
    /// the old ones.
    pub(super) async fn merge_index(
        &self,
        on: &TableVersion,
        merge: &plan::IndexMerge,
        done: &mut HolderMerge,
    ) -> Result<(), IndexStop> {
        let ColdStoreInner { location, index, .. } = &*self.inner;
        let archive_commit = on.archive_commit(names::INDEX) + 1;
        let mut files = Vec::with_capacity(merge.files.len());
        for file in &merge.files {
            let reading = RowDecoder::all(|batch| decode::indexed(batch, None));
            files.push(self.open_where(index, file, reading, |_| true).await?);
        }
        let mut rows = RowMerge::new(files);
        let encoder = encoder(location, merge.target, archive_commit, self.index_file_bytes());
        let mut piece = Vec::with_capacity(PIECE);
        while let Some(row) = rows.next().await? {
            piece.push(row);
            if piece.len() == PIECE && !encoder.push(std::mem::take(&mut piece)).await {
                break;
            }
        }
        encoder.push(piece).await;
        let added = encoder.finish().await?;
        self.commit_index(on, added, &merge.files, Vec::new(), done).await
    }
}
