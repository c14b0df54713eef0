//! Sources of a merge in cold: the runs of a partition.

use std::collections::VecDeque;
use std::sync::Arc;

use cold::{ColdFile, ColdStore, Keys, Rows};

use super::source::{Row, Source};
use crate::CompactError;
use crate::tiers::Run;

pub(crate) struct Files<T> {
    cold: Arc<ColdStore>,
    left: VecDeque<ColdFile>,
    open: Option<Box<T>>,
    batch_rows: usize,
}

pub(crate) fn rows(cold: &Arc<ColdStore>, run: &Run, batch_rows: usize) -> Source {
    Source::Rows(files(cold, run, batch_rows))
}

pub(crate) fn keys(cold: &Arc<ColdStore>, run: &Run, batch_rows: usize) -> Source {
    Source::Keys(files(cold, run, batch_rows))
}

fn files<T>(cold: &Arc<ColdStore>, run: &Run, batch_rows: usize) -> Files<T> {
    let left = run.files.iter().cloned().collect();
    Files { cold: Arc::clone(cold), left, open: None, batch_rows }
}

impl Files<Rows> {
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Row>>, CompactError> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(rows) = open.next().await?
            {
                return Ok(Some(rows.into_iter().map(Row::of).collect()));
            }
            let Some(file) = self.left.pop_front() else { return Ok(None) };
            self.open = Some(Box::new(self.cold.rows_by(&file, self.batch_rows).await?));
        }
    }
}

impl Files<Keys> {
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Row>>, CompactError> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(keys) = open.next().await?
            {
                let of = |(code, version)| Row::There { code, version };
                return Ok(Some(keys.into_iter().map(of).collect()));
            }
            let Some(file) = self.left.pop_front() else { return Ok(None) };
            self.open = Some(Box::new(self.cold.keys_by(&file, self.batch_rows).await?));
        }
    }
}
