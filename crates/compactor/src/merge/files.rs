//! Sources of a merge in cold: the runs of a partition.

use std::collections::VecDeque;
use std::sync::Arc;

use cold::{CodeRows, ColdFile, ColdStore, CouponRows};

use super::source::{MergeRow, MergeSource};
use crate::CompactError;
use crate::tiers::FileRun;

pub(crate) struct FileChain<T> {
    cold: Arc<ColdStore>,
    left: VecDeque<ColdFile>,
    open: Option<Box<T>>,
    batch_rows: usize,
}

pub(crate) fn rows(cold: &Arc<ColdStore>, run: &FileRun, batch_rows: usize) -> MergeSource {
    MergeSource::Rows(files(cold, run, batch_rows))
}

pub(crate) fn keys(cold: &Arc<ColdStore>, run: &FileRun, batch_rows: usize) -> MergeSource {
    MergeSource::Keys(files(cold, run, batch_rows))
}

fn files<T>(cold: &Arc<ColdStore>, run: &FileRun, batch_rows: usize) -> FileChain<T> {
    let left = run.files.iter().cloned().collect();
    FileChain { cold: Arc::clone(cold), left, open: None, batch_rows }
}

impl FileChain<CouponRows> {
    pub(super) async fn next(&mut self) -> Result<Option<Vec<MergeRow>>, CompactError> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(rows) = open.next().await?
            {
                return Ok(Some(rows.into_iter().map(MergeRow::of).collect()));
            }
            let Some(file) = self.left.pop_front() else { return Ok(None) };
            self.open = Some(Box::new(self.cold.rows_by(&file, self.batch_rows).await?));
        }
    }
}

impl FileChain<CodeRows> {
    pub(super) async fn next(&mut self) -> Result<Option<Vec<MergeRow>>, CompactError> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(keys) = open.next().await?
            {
                let of = |(code, version)| MergeRow::There { code, version };
                return Ok(Some(keys.into_iter().map(of).collect()));
            }
            let Some(file) = self.left.pop_front() else { return Ok(None) };
            self.open = Some(Box::new(self.cold.keys_by(&file, self.batch_rows).await?));
        }
    }
}
