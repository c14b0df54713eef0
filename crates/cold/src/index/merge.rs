//! Merging files of the holder index into files of one level.

use std::sync::Arc;

use super::write::{IndexWriter, PIECE};
use super::{HolderMerge, Key, Row, plan};
use crate::cursor::{Cursor, Reading};
use crate::decode;
use crate::error::ColdError;
use crate::log::{LiveFile, TableVersion};
use crate::names;
use crate::store::{ColdStore, Inner};

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

impl ColdStore {
    /// Merges files into files of the target level, each coupon once, and commits them in place of
    /// the old ones. Returns `false` if another process has committed to the index.
    pub(super) async fn merge_index(
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

    /// The next row of all files; of equal keys the newest version.
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
            // A file has each coupon once.
            if head.key() == Some(newest.key())
                && let Some(row) = head.rows.next()
                && row.coupon.version() > newest.coupon.version()
            {
                newest = row;
            }
        }
        Ok(Some(newest))
    }
}
