//! Lists of codes: the minted codes of a campaign that have no event, as a stream that the cipher makes.

use std::sync::Arc;

use coupon::campaign::{BATCHES_MAX, Batch, MintedRun};
use coupon::code::{Code, CodeText};
use coupon::ids::{BatchId, CampaignId};
use futures::Stream;
use futures::stream::try_unfold;
use router::openings;

use crate::failure::{Failure, Result, found};
use crate::{AuditEvent, Caller, Engine, Role};

/// Codes minted and looked up at a time: some 10 KB of text and two milliseconds of a core. With
/// eight times as many, a redeem waited four milliseconds for one chunk.
const CHUNK: u64 = 512;

#[derive(Clone, Debug, Default)]
pub struct CodesRequest {
    pub batch: Option<BatchId>,
    /// Only those after this one, in the order of the list.
    pub after: Option<CodeText>,
    pub format: CodesFormat,
}

coupon::words! {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum CodesFormat {
        #[default]
        Csv = "csv",
        Xlsx = "xlsx",
        /// A page to print.
        Sheet = "sheet",
    }
}

/// Where a list of codes stands: the runs left, and the next serial of the first of them.
struct CodeCursor {
    runs: Vec<MintedRun>,
    offset: u64,
    prefix: Option<String>,
}

impl Engine {
    /// Streams the printed codes that have no event, one chunk of lines at a time; each line ends
    /// with `\n`. Only minted codes: whoever imported codes has their list. Enters first that the caller got
    /// them: without the entry there are no codes.
    ///
    /// # Errors
    /// `NotFound` for the campaign or the batch; `Invalid` for an `after` of another campaign.
    pub async fn codes(
        self: Arc<Engine>,
        caller: &Caller,
        campaign: &CampaignId,
        request: CodesRequest,
    ) -> Result<impl Stream<Item = Result<String>> + Send + use<>> {
        caller.must_be(&[Role::Admin])?;
        let terms = self.campaign(caller, campaign).await?.campaign;
        let batches = match &request.batch {
            Some(id) => vec![self.batch(caller, campaign, id).await?],
            None => self.hot.batches(campaign, None, BATCHES_MAX).await?,
        };
        let runs = batches.iter().filter_map(Batch::run).collect();
        let (runs, offset) = self.behind(runs, request.after.as_ref())?;
        let prefix = terms.code_prefix.as_ref().map(ToString::to_string);
        let event =
            AuditEvent::codes_downloaded(campaign, request.batch.as_ref(), request.format.as_str());
        self.record(caller, event).await?;
        Ok(try_unfold(CodeCursor { runs, offset, prefix }, move |progress| {
            let engine = Arc::clone(&self);
            async move { engine.chunk(progress).await }
        }))
    }

    /// The runs from that of `after` on, and the offset of the next serial in the first of them.
    fn behind(
        &self,
        mut runs: Vec<MintedRun>,
        after: Option<&CodeText>,
    ) -> Result<(Vec<MintedRun>, u64)> {
        let Some(after) = after else { return Ok((runs, 0)) };
        let opened = after.minted().and_then(|code| {
            let keys = self.router.keys();
            let mut opened = openings(&keys, &code).filter_map(|(key, minted)| {
                let has = |run: &MintedRun| {
                    run.key == key && run.day == minted.day && run.holds(minted.serial)
                };
                Some((runs.iter().position(has)?, minted.serial))
            });
            opened.next()
        });
        let Some((at, serial)) = opened else {
            return Err(Failure::invalid("after", "is no code of this list"));
        };
        runs.drain(..at);
        let offset = serial - runs[0].first + 1;
        Ok((runs, offset))
    }

    async fn chunk(&self, mut progress: CodeCursor) -> Result<Option<(String, CodeCursor)>> {
        let Some(run) = progress.runs.first().copied() else { return Ok(None) };
        let count = CHUNK.min(run.count - progress.offset);
        let keys = self.router.keys();
        let key = found(keys.iter().find(|key| key.id() == run.key))?;
        let mut codes: Vec<Code> = Vec::with_capacity(count as usize);
        key.mint_run(run.day, run.first + progress.offset, count as usize, &mut |text| {
            codes.push(text.parse().expect("a minted code is a code"));
        });
        let free = self.hot.untouched(run, codes.clone()).await?;
        let prefix = progress.prefix.as_deref();
        let mut lines = String::with_capacity(codes.len() * 24);
        for (code, free) in codes.iter().zip(free) {
            if free {
                lines.push_str(&code.printed(prefix));
                lines.push('\n');
            }
        }
        progress.offset += count;
        if progress.offset == run.count {
            progress.runs.remove(0);
            progress.offset = 0;
        }
        Ok(Some((lines, progress)))
    }
}
