//! `couponry import`: a file of codes into a campaign.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use coupon::calendar::{Date, format_instant};
use coupon::campaign::{Batch, ImportCounts};
use coupon::ids::{BatchId, CampaignId};
use engine::import::columns::{Column, ColumnMap};
use engine::import::encoding::Encoding;
use engine::import::{
    CheckedLines, DRY_RUN_LOOKUPS_MAX, DryRun, FileFormat, ImportRequest, ParsedLine, TEMPLATE,
    record,
};
use engine::{Done, Engine, Failure, RejectedLine};
use futures::StreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output::{self, Out, thousands};
use crate::progress::{Progress, Work};
use crate::settings::Settings;

/// Bytes read at a time: some thousand lines.
const PIECE: usize = 64 << 10;

/// Rejected lines shown in the summary; --rejects has all of them.
const SHOWN: usize = 5;

/// Import a file of codes into a campaign
///
/// Reads CSV of any length, in constant memory, beside a running `serve` or without one, and
/// prints how its lines ended: imported, already there or rejected, the first five rejected ones
/// with their reasons, and the batch.
///
/// Columns by header, in any order: `code`; optional `valid_from`, `expires_at`, `state`,
/// `user_id`, `issued_at`, `redeemed_at`, `order_ref`, or what other systems call them, in English
/// or Korean (`coupon_code`, `expiry`, `쿠폰번호`, `만료일`). Without a header: code, valid_from,
/// expires_at. If the first line is neither a header of known columns nor a coupon, the file is
/// refused and nothing is imported. A date is the first or the last day on which the coupon works,
/// in the campaign's time zone; a missing one takes the campaign's.
///
/// UTF-8, CP949 (EUC-KR) and UTF-16 are recognised, and commas, semicolons or tabs between the
/// cells. `--dry-run` shows how a file is read without writing anything.
///
/// The same file again changes nothing: its lines are already there. So an import that broke off
/// is simply repeated, with the same --batch.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 every line is in, 1 the file was refused or the import failed, 2 wrong call,
3 some lines were rejected.

Examples:
  couponry import codes.csv --campaign spring-2027 --batch partner-a --rejects rejects.csv
  couponry import old.csv --campaign spring-2027 --columns code:1,expires_at:3 --dry-run
  zcat codes.csv.gz | couponry import - --campaign spring-2027 --batch partner-a
  couponry import --template > codes.csv")]
pub(crate) struct ImportFlags {
    /// The file; `-` for standard input
    #[arg(required_unless_present = "template")]
    file: Option<PathBuf>,
    /// The campaign that the coupons are for; `campaign create` makes it
    #[arg(long, value_name = "ID", required_unless_present = "template")]
    campaign: Option<CampaignId>,
    /// Name of the batch that they come into; made by us where it is left out
    #[arg(long, value_name = "ID")]
    batch: Option<BatchId>,
    /// Write every rejected line to this file, as CSV: line, text, reason, detail
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    rejects: Option<PathBuf>,
    /// Say which column is which, by the name in the header or by number: `code:1,expires_at:만료일`
    ///
    /// COLUMN:NAME or COLUMN:NUMBER, separated by commas; numbers count from 1. Columns that are not
    /// mapped are skipped; without --columns an unknown column refuses the file.
    #[arg(long, value_name = "MAP")]
    columns: Option<ColumnMap>,
    /// Read the file in this encoding, as cp949, utf-16le or shift_jis; detected without it
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// Print what an import would do, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print a template with every column and end
    #[arg(long)]
    template: bool,
}

impl ImportFlags {
    fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new("-"))
    }

    /// What is asked; `None` where no campaign was named, which clap refuses.
    fn ask(&self) -> Option<ImportRequest> {
        let format = FileFormat { columns: self.columns.clone(), encoding: self.encoding };
        let batch = self.batch.clone();
        self.campaign.clone().map(|campaign| ImportRequest { campaign, batch, format })
    }
}

pub(crate) async fn run(settings: &Settings, flags: &ImportFlags) -> Result<Ended, CliError> {
    let (Some(ask), false) = (flags.ask(), flags.template) else {
        output::say(TEMPLATE.trim_end())?;
        return Ok(Ended::Done);
    };
    let (file, bytes) = opened(flags.file()).await?;
    let work = async |engine: &Arc<Engine>| {
        if flags.dry_run {
            return dry_run(engine, flags, ask, file, bytes).await;
        }
        // Opened before the import: a report that cannot be written is better known at once.
        let rejects = flags.rejects.as_deref().map(Out::file).transpose()?;
        let batch = imported(engine, flags, ask, file, bytes).await?;
        let first = first_rejected(engine, &batch).await?;
        output::say(summary(&batch, &first, flags.rejects.as_deref()).trim_end())?;
        if let Some(out) = rejects {
            write_rejects(engine, &batch, out).await?;
        }
        Ok(if batch.import.rejected > 0 { Ended::Partly } else { Ended::Done })
    };
    open::with(settings, Purpose::Write, work).await
}

async fn dry_run(
    engine: &Engine,
    flags: &ImportFlags,
    ask: ImportRequest,
    file: Source,
    bytes: Option<u64>,
) -> Result<Ended, CliError> {
    let progress = Progress::new(Work::Import, bytes, false);
    let pieces = ReaderStream::with_capacity(file, PIECE).inspect(|piece| {
        progress.read(piece.as_ref().map_or(0, |piece| piece.len()));
    });
    let caller = open::caller();
    let found = progress.during(engine.dry_run_import(&caller, ask, pieces)).await;
    let found = found.map_err(|failure| cli_error(failure, flags))?;
    output::say(dry_summary(&found).trim_end())?;
    Ok(if found.counts.rejected > 0 { Ended::Partly } else { Ended::Done })
}

type Source = Box<dyn AsyncRead + Unpin>;

/// The file, and how long it is where that is known.
async fn opened(path: &Path) -> Result<(Source, Option<u64>), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(tokio::io::stdin()), None));
    }
    let cannot = || CliError::because(format!("cannot read {}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(cannot())?;
    let about = file.metadata().await.map_err(cannot())?;
    if about.is_dir() {
        return Err(CliError::new(format!("cannot read {}: it is a folder", path.display())));
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

async fn imported(
    engine: &Engine,
    flags: &ImportFlags,
    ask: ImportRequest,
    file: Source,
    bytes: Option<u64>,
) -> Result<Batch, CliError> {
    let progress = Progress::new(Work::Import, bytes, false);
    let pieces = ReaderStream::with_capacity(file, PIECE).inspect(|piece| {
        progress.read(piece.as_ref().map_or(0, |piece| piece.len()));
    });
    let caller = open::caller();
    let told = |counts: ImportCounts| progress.set(counts.imported, counts.lines);
    let done = progress.during(engine.import(&caller, ask, pieces, told)).await;
    done.map(Done::into_inner).map_err(|failure| cli_error(failure, flags))
}

fn cli_error(failure: Failure, flags: &ImportFlags) -> CliError {
    let again = "import the file again, with the same --batch: what is in stays in";
    let file = flags.file().display();
    match failure {
        Failure::BadFile(why) => CliError::new(format!("{file}: {why}; nothing was imported")),
        Failure::BrokenOff(why) => CliError::new(format!("{file} broke off: {why}")).and(again),
        Failure::Store(error) => CliError::new(error.to_string()).and(again),
        stopped @ Failure::ImportStopped(_) => CliError::from(stopped),
        Failure::Refused { .. }
        | Failure::Invalid(_)
        | Failure::Forbidden(_)
        | Failure::LoginTaken
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

async fn write_rejects(engine: &Engine, batch: &Batch, mut out: Out) -> Result<(), CliError> {
    out.put(record::REJECT_HEADER)?;
    let mut after = 0;
    loop {
        let caller = open::caller();
        let lines = engine.rejected_lines(&caller, &batch.campaign, &batch.id, after).await?;
        let Some(last) = lines.last() else { return out.finish() };
        after = last.line;
        for line in &lines {
            out.put(&record::reject_row(line.line, &line.text, &line.word, &line.detail))?;
        }
    }
}

fn summary(batch: &Batch, rejected: &[RejectedLine], all_in: Option<&Path>) -> String {
    let ImportCounts { lines, imported, already_there, rejected: count } = batch.import;
    let mut text = format!(
        "batch          {}\nlines          {}\nimported       {}\nalready there  {}\n\
         rejected       {}\n",
        batch.id,
        thousands(lines),
        thousands(imported),
        thousands(already_there),
        thousands(count)
    );
    for line in rejected {
        let (shown, word, why) = (line.text.trim(), &line.word, &line.detail);
        text.push_str(&format!("  line {}: {shown:?}: {word}: {why}\n", thousands(line.line)));
    }
    let more = count.saturating_sub(rejected.len() as u64);
    if more > 0 && !rejected.is_empty() {
        let more = thousands(more);
        let all = match all_in {
            Some(path) => format!("all of them go to {}", path.display()),
            None => "--rejects FILE writes all of them".to_owned(),
        };
        text.push_str(&format!("  and {more} more; {all}\n"));
    }
    text
}

/// What a dry run found, in the order in which it is checked: how the file is read, what its lines
/// would do, and the first of them.
fn dry_summary(found: &DryRun) -> String {
    let CheckedLines { lines, new, known, unchecked, rejected } = found.counts;
    let column = |column: &Option<Column>| column.map_or("(skipped)", Column::name);
    let columns: Vec<&str> = found.columns.iter().map(column).collect();
    let separator = match found.separator {
        Some('\t') => "tab".to_owned(),
        Some(other) => other.to_string(),
        None => "none".to_owned(),
    };
    let mut text = format!(
        "nothing was written\nencoding       {}\nseparator      {separator}\n\
         header         {}\ncolumns        {}\nlines          {}\nnew            {}\n\
         known          {}\nrejected       {}\n",
        found.encoding,
        found.header.as_deref().unwrap_or("none"),
        columns.join(", "),
        thousands(lines),
        thousands(new),
        thousands(known),
        thousands(rejected),
    );
    if unchecked > 0 {
        let (unchecked, first) = (thousands(unchecked), thousands(DRY_RUN_LOOKUPS_MAX as u64));
        text.push_str(&format!(
            "not looked up  {unchecked}; the codes of the first {first} were\n"
        ));
    }
    for parsed in &found.parsed {
        text.push_str(&format!("  line {}: {}\n", thousands(parsed.line), shown(parsed, found)));
    }
    for line in &found.rejected {
        let (number, shown) = (thousands(line.line), line.text.trim());
        text.push_str(&format!("  line {number}: {shown:?}: {}: {}\n", line.word, line.detail));
    }
    let more = rejected.saturating_sub(found.rejected.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {} more\n", thousands(more)));
    }
    text
}

/// A line as it was read: `ABCD1234, issued to ann, from 2026-01-01T00:00:00.000Z, last day …`.
fn shown(parsed: &ParsedLine, found: &DryRun) -> String {
    let read = &parsed.read;
    let to = read.imported_state.holder().map(|user| format!(" to {user}")).unwrap_or_default();
    let last = Date::last_of(read.expires_at, &found.zone);
    let from = format_instant(read.valid_from);
    format!(
        "{}, {}{to}, from {from}, last day {last} ({})",
        read.code,
        parsed.state(),
        found.zone.name()
    )
}

#[cfg(test)]
mod tests {
    use coupon::campaign::BatchKind;
    use coupon::time::Millis;

    use super::*;

    fn batch(lines: u64, rejected: u64) -> Batch {
        Batch {
            id: "partner-a".parse().unwrap(),
            campaign: "spring".parse().unwrap(),
            kind: BatchKind::Imported,
            count: lines - rejected,
            paused: false,
            import: ImportCounts { lines, imported: lines - rejected, already_there: 0, rejected },
            created_at: Millis(0),
        }
    }

    fn line(line: u64) -> RejectedLine {
        let (word, detail) = ("CODE".to_owned(), "has 2 characters".to_owned());
        RejectedLine { line, text: "a\"b".to_owned(), word, detail }
    }

    #[test]
    fn summaries() {
        let all = summary(&batch(1_200, 0), &[], None);
        assert_eq!(
            all,
            "batch          partner-a\nlines          1,200\nimported       1,200\n\
             already there  0\nrejected       0\n"
        );
        let one = summary(&batch(1_200, 1), &[line(1_007)], None);
        assert!(one.ends_with("  line 1,007: \"a\\\"b\": CODE: has 2 characters\n"), "{one}");
        let five = [line(1), line(2), line(3), line(4), line(5)];
        let many = summary(&batch(1_200, 7), &five, None);
        assert!(many.ends_with("  and 2 more; --rejects FILE writes all of them\n"), "{many}");
        let many = summary(&batch(1_200, 7), &five, Some(Path::new("r.csv")));
        assert!(many.ends_with("  and 2 more; all of them go to r.csv\n"), "{many}");
    }
}
