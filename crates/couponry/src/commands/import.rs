//! `couponry import`: a file of codes into a campaign.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use coupon::campaign::{Batch, ImportCounts};
use coupon::ids::{BatchId, CampaignId};
use engine::import::{ImportAsk, record};
use engine::{Done, Engine, Failure, RejectedLine};
use futures::StreamExt;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::failure::{Ended, Sorry};
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
/// Reads UTF-8 CSV of any length, in constant memory, beside a running `serve` or without one,
/// and prints how its lines ended: imported, already there or rejected, the first five rejected
/// ones with their reasons, and the batch.
///
/// Columns by header, in any order: `code`; optional `valid_from`, `expires_at`, `state`,
/// `user_id`, `issued_at`, `redeemed_at`, `order_ref`. Without a header: code, valid_from,
/// expires_at. A date is the first or the last day on which the coupon works, in the campaign's
/// time zone; a missing one takes the campaign's.
///
/// The same file again changes nothing: its lines are already there. So an import that broke off
/// is simply repeated, with the same --batch.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 every line is in, 1 the file was refused or the import failed, 2 wrong call,
3 some lines were rejected.

Examples:
  couponry import codes.csv --campaign spring-2027 --batch partner-a --rejects rejects.csv
  zcat codes.csv.gz | couponry import - --campaign spring-2027 --batch partner-a")]
pub(crate) struct ImportFlags {
    /// The file; `-` for standard input
    file: PathBuf,
    /// The campaign that the coupons are for; `campaign create` makes it
    #[arg(long, value_name = "ID")]
    campaign: CampaignId,
    /// Name of the batch that they come into; made by us where it is left out
    #[arg(long, value_name = "ID")]
    batch: Option<BatchId>,
    /// Write every rejected line to this file, as CSV: line, text, reason, detail
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

pub(crate) async fn run(settings: &Settings, flags: &ImportFlags) -> Result<Ended, Sorry> {
    let (file, bytes) = opened(&flags.file).await?;
    let work = async |engine: &Arc<Engine>| {
        // Opened before the import: a report that cannot be written is better known at once.
        let rejects = flags.rejects.as_deref().map(Out::file).transpose()?;
        let batch = imported(engine, flags, file, bytes).await?;
        let first = first_rejected(engine, &batch).await?;
        output::say(summary(&batch, &first, flags.rejects.as_deref()).trim_end())?;
        if let Some(out) = rejects {
            write_rejects(engine, &batch, out).await?;
        }
        Ok(if batch.import.rejected > 0 { Ended::Partly } else { Ended::Done })
    };
    open::with(settings, Purpose::Write, work).await
}

type Source = Box<dyn AsyncRead + Unpin>;

/// The file, and how long it is where that is known.
async fn opened(path: &Path) -> Result<(Source, Option<u64>), Sorry> {
    if path == Path::new("-") {
        return Ok((Box::new(tokio::io::stdin()), None));
    }
    let cannot = || Sorry::because(format!("cannot read {}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(cannot())?;
    let about = file.metadata().await.map_err(cannot())?;
    if about.is_dir() {
        return Err(Sorry::new(format!("cannot read {}: it is a folder", path.display())));
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

async fn imported(
    engine: &Engine,
    flags: &ImportFlags,
    file: Source,
    bytes: Option<u64>,
) -> Result<Batch, Sorry> {
    let progress = Progress::new(Work::Import, bytes, false);
    let pieces = ReaderStream::with_capacity(file, PIECE).inspect(|piece| {
        progress.read(piece.as_ref().map_or(0, |piece| piece.len()));
    });
    let ask = ImportAsk { campaign: flags.campaign.clone(), batch: flags.batch.clone() };
    let caller = open::caller();
    let told = |counts: ImportCounts| progress.set(counts.imported, counts.lines);
    let done = progress.during(engine.import(&caller, ask, pieces, told)).await;
    done.map(Done::into_inner).map_err(|failure| sorry(failure, flags))
}

fn sorry(failure: Failure, flags: &ImportFlags) -> Sorry {
    let again = "import the file again, with the same --batch: what is in stays in";
    match failure {
        Failure::BadFile(why) => {
            Sorry::new(format!("{}: {why}; nothing was imported", flags.file.display()))
        }
        Failure::BrokenOff(why) => {
            Sorry::new(format!("{} broke off: {why}", flags.file.display())).and(again)
        }
        Failure::Store(error) => Sorry::new(error.to_string()).and(again),
        Failure::Refused { .. }
        | Failure::Invalid(_)
        | Failure::Forbidden(_)
        | Failure::LoginTaken => Sorry::about(format!("campaign {}", flags.campaign))(failure),
    }
}

async fn first_rejected(engine: &Engine, batch: &Batch) -> Result<Vec<RejectedLine>, Sorry> {
    if batch.import.rejected == 0 {
        return Ok(Vec::new());
    }
    let mut lines = engine.rejected_lines(&open::caller(), &batch.campaign, &batch.id, 0).await?;
    lines.truncate(SHOWN);
    Ok(lines)
}

async fn write_rejects(engine: &Engine, batch: &Batch, mut out: Out) -> Result<(), Sorry> {
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
