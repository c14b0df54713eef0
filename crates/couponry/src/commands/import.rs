//! `couponry import`: imports a file of codes into a campaign.

mod remote;
mod summary;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use clap::Args;
use command_line::{Progress, Work};
use coupon::campaign::{Batch, ImportCounts};
use coupon::ids::{BatchId, CampaignId};
use engine::import::columns::ColumnMap;
use engine::import::dates::DateOrder;
use engine::import::encoding::Encoding;
use engine::import::states::ValueMap;
use engine::import::{FileFormat, Ignore, ImportRequest, TEMPLATE};
use engine::{Engine, Failure, RejectedLine};
use futures::{StreamExt, TryStreamExt};
use tokio_util::io::ReaderStream;

use crate::failure::{CliError, Ended};
use crate::files;
use crate::open::{self, Purpose};
use crate::output::{self, Out};
use crate::remote::Remote;
use crate::settings::Settings;

/// Bytes read at a time: a few thousand lines.
const PIECE: usize = 64 << 10;

/// Rejected lines that the summary shows; --rejects writes all of them.
const SHOWN: usize = 5;

/// Import a file of codes into a campaign
///
/// Reads CSV of any length in constant memory. You can run this while `serve` is running. Prints the
/// batch, how many lines were imported, already there or rejected, and the first five rejected lines
/// with their reasons.
///
/// Always give --batch. If an import is interrupted, run it again with the same --batch. A second
/// import of the same file changes nothing: its lines are already there.
///
/// Finds the columns by the header, in any order. `code` is required. Optional are `valid_from`,
/// `expires_at`, `state`, `user_id`, `issued_at`, `redeemed_at` and `order_ref`. The header may also
/// use the names of other systems, in English or Korean (`coupon_code`, `expiry`, `쿠폰번호`,
/// `만료일`). Without a header the columns are code, valid_from, expires_at. If the first line is
/// neither a header of known columns nor a coupon, refuses the file and imports nothing.
///
/// A date in `valid_from` is the first day on which the coupon can be redeemed; a date in
/// `expires_at` is the last day. Both are days in the time zone of the campaign. If a date is
/// missing, the date of the campaign is used.
///
/// Reads dates in every form that means one day. A column that looks like a state or a use (used, status, 사용여부) must
/// be a column of this list, mapped, or named by --ignore: no used coupon is imported as available. Knows the exports of
/// couponry, Voucherify, Talon.One, Shopify (Matrixify), WooCommerce, Magento and Stripe.
///
/// Recognises UTF-8, CP949 (EUC-KR) and UTF-16, and commas, semicolons or tabs between the cells. Reads workbooks of
/// Excel (.xlsx, at most 8 MiB, one sheet), too.
/// `--dry-run` shows how a file is read and writes nothing.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 every line was imported or already there, 1 refused the file or failed, 2 usage error,
3 rejected some lines.

Examples:
  couponry import codes.csv --campaign spring-2027 --batch partner-a --rejects rejects.csv
  couponry import old.csv --campaign spring-2027 --columns code:1,expires_at:3 --dry-run
  zcat codes.csv.gz | couponry import - --campaign spring-2027 --batch partner-a
  couponry import --template > codes.csv")]
pub(crate) struct ImportFlags {
    /// File to import; `-` for standard input
    #[arg(required_unless_present = "template")]
    file: Option<PathBuf>,
    /// Campaign of the coupons; create it before with `campaign create`
    #[arg(long, value_name = "ID", required_unless_present = "template")]
    campaign: Option<CampaignId>,
    /// Name of the batch: give it, so that you can repeat the import [default: a new id]
    #[arg(long, value_name = "ID")]
    batch: Option<BatchId>,
    /// Write every rejected line to this file, as CSV: line, text, reason, detail
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    rejects: Option<PathBuf>,
    /// Map the columns, by name in the header or by number: `code:1,expires_at:만료일`
    ///
    /// COLUMN:NAME or COLUMN:NUMBER, separated by commas; numbers count from 1. The import skips other
    /// columns. Without --columns, it refuses a file with an unknown column.
    #[arg(long, value_name = "MAP")]
    columns: Option<ColumnMap>,
    /// Skip columns, by name in the header or by number: `메모,4`; `rest` for all that are not known
    ///
    /// `rest` skips no column whose name says a state or a use: name it, or map it with --columns.
    #[arg(long, value_name = "COLUMNS")]
    ignore: Option<Ignore>,
    /// Explain the values of a state: `Y:redeemed,N:available`
    #[arg(long, value_name = "MAP")]
    values: Option<ValueMap>,
    /// Say what comes first in dates like 03/04/2027: `day-first` or `month-first`
    #[arg(long, value_name = "ORDER")]
    dates: Option<DateOrder>,
    /// Encoding of the file, such as cp949, utf-16le or shift_jis [default: detected]
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// Print what an import would do, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print an example file with every column, and exit
    #[arg(long)]
    template: bool,
}

impl ImportFlags {
    fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new("-"))
    }

    /// The request; `None` if no campaign is named, which clap refuses.
    fn request(&self) -> Option<ImportRequest> {
        let format = FileFormat {
            columns: self.columns.clone(),
            encoding: self.encoding,
            ignore: self.ignore.clone().unwrap_or_default(),
            values: self.values.clone().unwrap_or_default(),
            dates: self.dates.unwrap_or_default(),
        };
        let batch = self.batch.clone();
        self.campaign.clone().map(|campaign| ImportRequest { campaign, batch, format })
    }
}

pub(crate) async fn run(settings: &Settings, flags: &ImportFlags) -> Result<Ended, CliError> {
    let (Some(request), false) = (flags.request(), flags.template) else {
        return output::done(TEMPLATE.trim_end());
    };
    if let Some(remote) = Remote::of(settings)? {
        return remote::run(&remote, flags).await;
    }
    let (file, bytes) = files::readable(flags.file()).await?;
    open::with(settings, Purpose::Write, async |engine| {
        // Before the import, so that a file that cannot be written fails at once.
        let rejects = flags.rejects.as_deref().map(Out::file).transpose()?;
        let caller = open::caller();
        let progress = Progress::new(Work::Import, bytes, false);
        let pieces = ReaderStream::with_capacity(file, PIECE).inspect(|piece| {
            progress.read(piece.as_ref().map_or(0, |piece| piece.len()));
        });
        if flags.dry_run {
            let found = progress.during(engine.dry_run_import(&caller, request, pieces)).await;
            drop(progress);
            let found = found.map_err(|failure| cli_error(failure, flags))?;
            output::say(summary::of_dry_run(&found).trim_end())?;
            return Ok(ended(found.counts.rejected));
        }
        let show = |counts: ImportCounts| progress.set(counts.imported, counts.lines);
        let done = progress.during(engine.import(&caller, request, pieces, show)).await;
        drop(progress);
        let batch = done.map_err(|failure| cli_error(failure, flags))?.into_inner();
        let first = first_rejected(engine, &batch).await?;
        output::say(summary::of_import(&batch, &first, flags.rejects.as_deref()).trim_end())?;
        if let Some(out) = rejects {
            write_rejects(engine, &batch, out).await?;
        }
        Ok(ended(batch.import.rejected))
    })
    .await
}

fn ended(rejected: u64) -> Ended {
    if rejected > 0 { Ended::Partly } else { Ended::Done }
}

fn cli_error(failure: Failure, flags: &ImportFlags) -> CliError {
    let again = "import the file again with the same --batch: imported lines stay";
    let file = flags.file().display();
    match failure {
        Failure::BadFile(why) => CliError::new(format!("{file}: {why}; nothing was imported")),
        Failure::BrokenOff(why) => {
            CliError::new(format!("cannot read {file} to its end: {why}")).and(again)
        }
        Failure::Store(error) => CliError::of(error).and(again),
        stopped @ Failure::ImportStopped(_) => CliError::from(stopped),
        Failure::Refused { .. }
        | Failure::Invalid(_)
        | Failure::Forbidden(_)
        | Failure::LoginTaken
        | Failure::OtherTag
        | Failure::NoCodeKey => {
            let campaign = flags.campaign.as_ref().map_or("", |campaign| campaign.as_str());
            CliError::about(format!("campaign {campaign}"))(failure)
        }
    }
}

async fn first_rejected(engine: &Engine, batch: &Batch) -> Result<Vec<RejectedLine>, CliError> {
    if batch.import.rejected == 0 {
        return Ok(Vec::new());
    }
    let mut lines = engine.rejected_lines(&open::caller(), &batch.campaign, &batch.id, 0).await?;
    lines.truncate(SHOWN);
    Ok(lines)
}

async fn write_rejects(engine: &Arc<Engine>, batch: &Batch, mut out: Out) -> Result<(), CliError> {
    let (campaign, id) = (batch.campaign.clone(), batch.id.clone());
    let mut rows = pin!(Arc::clone(engine).rejected_rows(open::caller(), campaign, id));
    while let Some(rows) = rows.try_next().await? {
        out.put(&rows)?;
    }
    out.finish()
}
