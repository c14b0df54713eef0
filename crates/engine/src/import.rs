//! Imports: reads a file of codes as a stream, in constant memory, and answers for every line.

mod check;
mod dry_run;
mod rejected;
mod repeats;
mod run;
mod stopped;
mod window;

use bytes::Bytes;
use coupon::campaign::{Batch, ImportCounts};
use coupon::ids::{BatchId, CampaignId};
use futures::Stream;

use crate::failure::{Failure, Result, WriteResult};
use crate::{Caller, Engine, Role};
use rejected::header_line;
use run::RunningImport;

pub use crate::failure::ImportStopped;
pub use ::import::{
    ColumnCell, ColumnReader, File, FileError, FileFormat, IgnoredColumns, REJECT_HEADER, TEMPLATE,
    columns, dates, encoding, exports, lines, record, record_cells, said_separator, separators,
    states,
};
pub use dry_run::{
    CheckedLines, DRY_RUN_LOOKUPS_MAX, DRY_RUN_PARSED_MAX, DRY_RUN_REJECTED_MAX, DryRun, ParsedLine,
};
pub(crate) use rejected::RejectReport;
pub use rejected::{REJECTED_KEPT_DAYS, RejectedLine, reject_row};
pub use repeats::REPEATS_MAX;

#[derive(Clone, Debug)]
pub struct ImportRequest {
    pub campaign: CampaignId,
    /// Made here if it is missing.
    pub batch: Option<BatchId>,
    pub format: FileFormat,
    /// Whether lines may name persons who were erased: they are new ones.
    pub again: bool,
}

impl Engine {
    /// Imports every line of `file` into a batch, calls `progress` with the counts as windows are
    /// written, and returns the batch with the counts of its lines. Can be repeated after a broken
    /// stream: lines that were imported are already there.
    ///
    /// # Errors
    /// [`Failure::BadFile`] before any line is imported; [`Failure::BrokenOff`] if the stream ends
    /// in an error, with the lines until then imported; [`Failure::ImportStopped`] if the store
    /// fails, with the counts of what was committed.
    pub async fn import<E: std::fmt::Display>(
        &self,
        caller: &Caller,
        request: ImportRequest,
        file: impl Stream<Item = Result<Bytes, E>> + Unpin,
        progress: impl Fn(ImportCounts) + Sync,
    ) -> Result<WriteResult<Batch>> {
        caller.must_be(&[Role::Admin])?;
        let campaign = self.campaign(caller, &request.campaign).await?.campaign;
        let mut file = File::open(file, request.format.encoding).await?;
        let begin = file.begin(&request.format).await?;
        let id = request.batch.unwrap_or_else(made_batch_id);
        let check = self.line_check(caller, &campaign, begin.header, request.again).await?;
        let opened = WriteResult::of(
            self.hot.open_import(&campaign.id, &id, &self.act(caller, None)).await?,
        )?;
        if let WriteResult::Same(batch) = &opened {
            // Those of an earlier run.
            RejectReport::of(&*self.tables(), &batch.campaign, &batch.id).forget().await?;
        }
        let header = begin.header_text.map(header_line);
        let mut import = RunningImport::begin(self, caller, check, &opened, header);
        let done = import.all(begin.lines, &mut file, &progress).await;
        match done {
            Ok(batch) => {
                progress(batch.import);
                Ok(opened.map(|_| batch))
            }
            Err(Failure::Store(error)) => Err(import.stopped(error).await),
            Err(other) => Err(other),
        }
    }
}

pub(crate) fn made_batch_id() -> BatchId {
    format!("bat_{}", uuid::Uuid::now_v7()).parse().expect("a UUID makes a name")
}
