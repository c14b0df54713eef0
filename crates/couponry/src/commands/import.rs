//! `couponry import`: imports a file of codes into a campaign.

mod summary;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::Args;
use command_line::{CommandProgress, WorkKind};
use coupon::ids::{BatchId, CampaignId};
use engine::import::columns::ColumnMap;
use engine::import::dates::DateOrder;
use engine::import::encoding::TextEncoding;
use engine::import::states::ValueMap;
use engine::import::{File as Records, IgnoredColumns, TEMPLATE};
use futures::StreamExt;
use reqwest::Response;
use serde_json::Value;
use tokio_util::io::ReaderStream;

use crate::client::{self, Refused, ServiceClient, broken_off};
use crate::failure::{CliError, Ended, Result};
use crate::files::{self, Source};
use crate::open::Purpose;
use crate::output::{self, Out};
use crate::settings::Settings;

/// Bytes read at a time: a few thousand lines.
const PIECE: usize = 64 << 10;

/// Rejected lines that the summary shows; --rejects writes all of them.
const SHOWN: usize = 5;

/// Import a file of codes into a campaign
///
/// Reads CSV of any length in constant memory. You can run this while `serve` is running. Prints the batch, how many
/// lines were imported, already there or rejected, and the first five rejected lines with their reasons.
///
/// Always give --batch. If an import is interrupted, run it again with the same --batch. A second
/// import of the same file changes nothing: its lines are already there.
///
/// Finds the columns by the header, in any order. `code` is required. Optional are `valid_from`,
/// `expires_at`, `state`, `user_id`, `issued_at`, `redeemed_at`, `order_ref`, `order_amount`, `discount` and `currency`.
/// Amounts are whole numbers of the currency's smallest unit: 5000 is ₩5,000, and 500 is $5.00. The header may also
/// use the names of other systems, in English or Korean (`coupon_code`, `expiry`, `쿠폰번호`,
/// `만료일`). Without a header the columns are code, valid_from, expires_at. If the first line is
/// neither a header of known columns nor a coupon, refuses the file and imports nothing.
///
/// A date in `valid_from` is the first day on which the coupon can be redeemed; a date in `expires_at` is the last day.
/// Both are days in the time zone of the campaign. If a date is missing, the date of the campaign is used.
///
/// Reads dates in every form that means one day. A column that looks like a state or a use (used, status, 사용여부) must
/// be a column of this list, mapped, or named by --ignore: no used coupon is imported as available. Knows the exports of
/// couponry, Voucherify, Talon.One, Shopify (Matrixify), WooCommerce, Magento and Stripe.
///
/// Recognises UTF-8, CP949 (EUC-KR) and UTF-16, and commas, semicolons or tabs between the cells. Reads workbooks of
/// Excel (.xlsx, at most 8 MiB, one sheet), too. `--dry-run` shows how a file is read and writes nothing.
#[derive(Args)]
#[command(after_help = help_ending!(
    "0 every line was imported or already there, 1 refused the file or failed, 2 usage error,
3 rejected some lines",
    "couponry import codes.csv --campaign spring-2027 --batch partner-a --rejects rejects.csv",
    "couponry import old.csv --campaign spring-2027 --columns code:1,expires_at:3 --dry-run",
    "zcat codes.csv.gz | couponry import - --campaign spring-2027 --batch partner-a",
    "couponry import --template > codes.csv"))]
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
    /// Write every rejected line to this file, as CSV: line, text, reason, detail. Correct the
    /// text, and import this file
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
    ignore: Option<IgnoredColumns>,
    /// Explain the values of a state: `Y:redeemed,N:available`
    #[arg(long, value_name = "MAP")]
    values: Option<ValueMap>,
    /// Say what comes first in dates like 03/04/2027: `day-first` or `month-first`
    #[arg(long, value_name = "ORDER")]
    dates: Option<DateOrder>,
    /// Encoding of the file, such as cp949, utf-16le or shift_jis [default: detected]
    #[arg(long, value_name = "NAME")]
    encoding: Option<TextEncoding>,
    /// Print what an import would do, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Take lines that name a person who was erased: it is a new person of that user_id
    #[arg(long)]
    again: bool,
    /// Print an example file with every column, and exit
    #[arg(long)]
    template: bool,
}

impl ImportFlags {
    fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new("-"))
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        query.extend(self.batch.as_ref().map(|it| ("batch_id", it.to_string())));
        query.extend(self.columns.as_ref().map(|it| ("columns", it.to_string())));
        query.extend(self.ignore.as_ref().map(|it| ("ignore", it.to_string())));
        query.extend(self.values.as_ref().map(|it| ("values", it.to_string())));
        query.extend(self.dates.and_then(DateOrder::as_str).map(|it| ("dates", it.to_owned())));
        query.extend(self.encoding.as_ref().map(|it| ("encoding", it.to_string())));
        query.extend(self.again.then(|| ("again", "true".to_owned())));
        query.extend(self.dry_run.then(|| ("dry_run", "true".to_owned())));
        query
    }
}

pub(crate) async fn run(settings: &Settings, flags: &ImportFlags) -> Result<Ended> {
    let (Some(campaign), false) = (&flags.campaign, flags.template) else {
        return output::done(TEMPLATE.trim_end());
    };
    let source = files::readable(flags.file()).await?;
    client::with(settings, Purpose::Write, async |service| {
        // Before the import, so that a file that cannot be written fails at once.
        let rejects = flags.rejects.as_deref().map(Out::file).transpose()?;
        let found = sent(service, campaign, flags, source).await?;
        let rejected = found["rejected"].as_u64().unwrap_or_default();
        if flags.dry_run {
            output::say(summary::of_dry_run(&found).trim_end())?;
        } else {
            let batch = found["batch_id"].as_str().unwrap_or_default();
            let batch = ["campaigns", campaign.as_str(), "batches", batch];
            let first = match rejected {
                0 => Vec::new(),
                _ => first_rejected(service.download(&batch, &[]).await).await,
            };
            output::say(summary::of_import(&found, &first, flags.rejects.as_deref()).trim_end())?;
            if let Some(out) = rejects {
                write_rejects(service.download(&batch, &[]).await?, out).await?;
            }
        }
        Ok(if rejected > 0 { Ended::Partly } else { Ended::Done })
    })
    .await
}

/// The answer to the whole file.
async fn sent(
    service: &ServiceClient,
    campaign: &CampaignId,
    flags: &ImportFlags,
    (file, bytes): (Source, Option<u64>),
) -> Result<Value> {
    let progress = Arc::new(CommandProgress::new(WorkKind::Import, bytes, false));
    let unread = Arc::new(OnceLock::new());
    let seen = (Arc::clone(&progress), Arc::clone(&unread));
    let pieces = ReaderStream::with_capacity(file, PIECE).inspect(move |piece| match piece {
        Ok(piece) => seen.0.read(piece),
        Err(error) => drop(seen.1.set(error.to_string())),
    });
    let path = ["campaigns", campaign.as_str(), "batches"];
    let sent = progress.during(service.upload(&path, &flags.query(), pieces)).await;
    drop(progress);
    let file = flags.file().display();
    let again = "import the file again with the same --batch: imported lines stay";
    sent.map_err(|refused| match (unread.get(), refused) {
        (Some(why), _) => CliError::new(format!("cannot read {file} to its end: {why}")).and(again),
        // It is about the file, of which no line was taken.
        (None, Refused::Problem(problem)) if matches!(problem.status, 415 | 422) => {
            let why = summary::with_flags(&problem.sentence());
            CliError::new(format!("{file}: {why}; nothing was imported"))
        }
        (None, Refused::Problem(problem)) if problem.retry == "never" => {
            Refused::about(format!("campaign {campaign}"))(Refused::Problem(problem))
        }
        (None, Refused::Problem(problem)) if problem.cause.is_some() => {
            let stopped = problem.detail.clone();
            CliError::from(Refused::Problem(problem)).and(&stopped).and(again)
        }
        (None, refused) => CliError::from(refused).and(again),
    })
}

/// The first lines of the report of rejected lines; none if it cannot be read, since the import is done.
async fn first_rejected(report: Result<Response, Refused>) -> Vec<String> {
    let Ok(report) = report else { return Vec::new() };
    let records = Records::open(report.bytes_stream().boxed(), Some(TextEncoding::UTF_8)).await;
    let Ok(mut records) = records else { return Vec::new() };
    let mut lines = Vec::new();
    // The first one is the header.
    while lines.len() <= SHOWN
        && let Some(Ok(record)) = records.next().await
    {
        // The header of the file has the number 0.
        if !record.shown().starts_with("0,") {
            lines.push(summary::rejected_line(record.shown()));
        }
    }
    lines.into_iter().skip(1).collect()
}

async fn write_rejects(mut report: Response, mut out: Out) -> Result<()> {
    while let Some(piece) = report.chunk().await.map_err(broken_off)? {
        out.put_bytes(&piece)?;
    }
    out.finish()
}
