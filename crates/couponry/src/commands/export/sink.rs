//! The output of exported rows, as CSV or JSON lines.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use command_line::{CommandProgress, WorkKind};
use coupon::calendar::Date;
use engine::{Engine, HistoryStream, SiftedRows};
use reqwest::Response;
use serde::Serialize;

use crate::client::{ServiceClient, broken_off};
use crate::failure::{CliError, Ended, Result};
use crate::open::{self, Purpose};
use crate::output::{self, Out, thousands};
use crate::settings::Settings;

/// Longest line of a list: a redemption has at most some 2 KiB.
const LINE_BYTES_MAX: usize = 16 << 10;

#[derive(Args)]
pub(crate) struct Into {
    /// Format of the rows
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub(super) format: Format,
    /// Write to this file instead of standard output; it appears when it is complete, and only its owner can read it
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::commands) enum Format {
    /// Header and comma-separated cells
    Csv,
    /// One JSON object a line
    Jsonl,
}

pub(in crate::commands) struct Sink<'a> {
    out: Out,
    pub(super) format: Format,
    pub(super) rows: u64,
    looked_at: u64,
    /// Coupons left out, since the restored store does not know their campaigns.
    strangers: u64,
    progress: &'a CommandProgress,
}

impl Sink<'_> {
    /// Writes the header, a line of CSV, if the format has one.
    pub(in crate::commands) fn header(&mut self, line: &str) -> Result<()> {
        match self.format {
            Format::Csv => self.out.put(line),
            Format::Jsonl => Ok(()),
        }
    }

    /// Writes a stream of rows, each as the line of CSV or the JSON object that it is.
    pub(in crate::commands) async fn all<T, B: Serialize>(
        &mut self,
        mut rows: HistoryStream<T>,
        csv: impl Fn(&T) -> String,
        body: impl Fn(&T) -> B,
    ) -> Result<()> {
        while let Some(SiftedRows { rows, looked_at }) = rows.next().await? {
            self.page(&rows, &csv, &body, looked_at)?;
        }
        self.strangers = rows.strangers();
        Ok(())
    }

    pub(in crate::commands) fn page<T, B: Serialize>(
        &mut self,
        rows: &[T],
        csv: impl Fn(&T) -> String,
        body: impl Fn(&T) -> B,
        looked_at: u64,
    ) -> Result<()> {
        for row in rows {
            self.out.put(&match self.format {
                Format::Csv => csv(row),
                Format::Jsonl => output::json_line(&body(row))? + "\n",
            })?;
        }
        self.page_done(rows.len(), looked_at)
    }

    /// Writes the header and the lines of a file that a service sends, as they come.
    pub(in crate::commands) async fn download(
        &mut self,
        mut answer: Response,
        shown: fn(&str) -> String,
    ) -> Result<()> {
        let mut cut = Cut::default();
        while let Some(piece) = answer.chunk().await.map_err(broken_off)? {
            let lines = cut.whole_lines(&piece);
            if cut.rest.len() > LINE_BYTES_MAX {
                return Err(CliError::new("the service sends a line without an end"));
            }
            if let Some(header) = cut.header.take() {
                self.header(&header)?;
            }
            self.lines(&shown(&lines))?;
        }
        if cut.is_whole() { Ok(()) } else { Err(CliError::new("the list broke off")) }
    }

    /// Writes rows that are lines of the format already.
    pub(in crate::commands) fn lines(&mut self, lines: &str) -> Result<()> {
        self.out.put(lines)?;
        self.page_done(lines.lines().count(), 0)
    }

    /// Counts a page and writes it out, so that a reader has it at once.
    fn page_done(&mut self, rows: usize, looked_at: u64) -> Result<()> {
        self.rows += rows as u64;
        self.looked_at += looked_at;
        self.progress.set(self.rows, self.looked_at);
        self.out.flush()
    }
}

/// Lets `there` write the rows of the service that the settings name, or `here` those of the store of this machine. A
/// service has only what its front ends show, at the pace that spares its customers; the engine streams everything.
pub(in crate::commands) async fn exported(
    settings: &Settings,
    into: &Into,
    name: &'static str,
    there: impl AsyncFnOnce(&ServiceClient, &mut Sink<'_>) -> Result<()>,
    here: impl AsyncFnOnce(&Arc<Engine>, &mut Sink<'_>) -> Result<()>,
) -> Result<Ended> {
    if let Some(service) = ServiceClient::elsewhere(settings)? {
        return written(into, name, async |sink: &mut Sink<'_>| there(&service, sink).await).await;
    }
    open::with(settings, Purpose::Read, async |opened| {
        written(into, name, async |sink: &mut Sink<'_>| here(opened.engine(), sink).await).await
    })
    .await
}

/// Lets `write` write the rows. An output file appears only if that succeeds.
pub(in crate::commands) async fn written(
    into: &Into,
    name: &'static str,
    write: impl AsyncFnOnce(&mut Sink<'_>) -> Result<()>,
) -> Result<Ended> {
    let shown = into.output.is_none() && output::is_terminal();
    let progress = CommandProgress::new(WorkKind::Export(name), None, shown);
    let mut sink = Sink {
        out: Out::to(into.output.as_deref())?,
        format: into.format,
        rows: 0,
        looked_at: 0,
        strangers: 0,
        progress: &progress,
    };
    progress.during(write(&mut sink)).await?;
    let Sink { out, rows, strangers, .. } = sink;
    out.finish()?;
    drop(progress);
    if let Some(path) = &into.output {
        output::note(&format!("{} {name} in {}", thousands(rows), path.display()));
    }
    if strangers == 0 {
        return Ok(Ended::Done);
    }
    output::note(&format!(
        "{} archived coupons are left out: their campaigns were made after the backup that this \
         store was restored from",
        thousands(strangers)
    ));
    Ok(Ended::Partly)
}

pub(in crate::commands) fn in_order(from: Option<Date>, to: Option<Date>) -> Result<()> {
    match (from, to) {
        (Some(from), Some(to)) if from > to => {
            Err(CliError::usage(format!("--from {from} is after --to {to}: swap them")))
        }
        _ => Ok(()),
    }
}

/// Lines of a text that arrives in pieces, without its first line, which is the header.
#[derive(Default)]
struct Cut {
    rest: Vec<u8>,
    had_header: bool,
    header: Option<String>,
}

impl Cut {
    /// The lines that `piece` completes.
    fn whole_lines(&mut self, piece: &[u8]) -> String {
        self.rest.extend_from_slice(piece);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        let text = String::from_utf8_lossy(&whole).into_owned();
        if self.had_header || text.is_empty() {
            return text;
        }
        self.had_header = true;
        let (header, rest) = text.split_once('\n').unwrap_or_default();
        self.header = Some(format!("{header}\n"));
        rest.to_owned()
    }

    fn is_whole(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_pieces() {
        let cases: [(&str, &[&str], &str, bool); 5] = [
            ("at once", &["code\nA\nB\n"], "A\nB\n", true),
            ("anywhere", &["co", "de\nA", "B", "C\nD\n"], "ABC\nD\n", true),
            ("in the header", &["code\n", "A\n"], "A\n", true),
            ("broken off", &["code\nA\nB"], "A\n", false),
            ("none", &["code\n"], "", true),
        ];
        for (case, pieces, want, is_whole) in cases {
            let mut cut = Cut::default();
            let found: String = pieces.iter().map(|it| cut.whole_lines(it.as_bytes())).collect();
            assert_eq!((found.as_str(), cut.is_whole()), (want, is_whole), "{case}");
        }
    }
}
