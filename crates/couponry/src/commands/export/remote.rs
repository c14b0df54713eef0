//! The same over HTTP.

use std::collections::HashSet;

use engine::{COUPON_COLUMNS, coupon_csv_header};
use reqwest::Response;
use serde_json::Value;

use super::coupons::CouponsFlags;
use super::redemptions::RedemptionsFlags;
use super::sink::{Format, Sink, written};
use super::{CodesFlags, ExportCommand, code_objects};
use crate::failure::{CliError, Ended};
use crate::output::cell_text;
use crate::remote::Remote;

/// Longest line of a list: a redemption has at most some 2 KiB.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Most redemptions of a file that the service sends.
const ROWS_MAX: usize = 1_000_000;

pub(super) async fn run(remote: &Remote, command: &ExportCommand) -> Result<Ended, CliError> {
    match command {
        ExportCommand::Codes(flags) => {
            let write = async |sink: &mut Sink<'_>| codes(remote, flags, sink).await;
            written(&flags.into, "codes", write).await
        }
        ExportCommand::Coupons(flags) => {
            let query = coupon_query(flags)?;
            let write = async |sink: &mut Sink<'_>| coupons(remote, query, sink).await;
            written(&flags.into, "coupons", write).await
        }
        ExportCommand::Redemptions(flags) => {
            let write = async |sink: &mut Sink<'_>| redemptions(remote, flags, sink).await;
            written(&flags.into, "redemptions", write).await
        }
    }
}

async fn codes(remote: &Remote, flags: &CodesFlags, sink: &mut Sink<'_>) -> Result<(), CliError> {
    let mut query = Vec::new();
    query.extend(flags.batch.as_ref().map(|it| ("batch_id", it.to_string())));
    query.extend(flags.after.as_ref().map(|it| ("after", it.foreign().to_string())));
    let path = ["campaigns", flags.campaign.as_str(), "codes"];
    let answer = remote.download(&path, &query).await?;
    let shown = match sink.format() {
        Format::Csv => str::to_owned,
        Format::Jsonl => code_objects,
    };
    let written = lines(answer, sink, shown).await;
    written.map(drop).map_err(|error| error.and("go on with --after and its last code"))
}

/// Writes the header and the lines of a download as they come. Returns how many lines.
async fn lines(
    mut answer: Response,
    sink: &mut Sink<'_>,
    shown: fn(&str) -> String,
) -> Result<usize, CliError> {
    let (mut cut, mut count) = (Cut::default(), 0);
    while let Some(piece) = answer.chunk().await.map_err(CliError::of)? {
        let lines = cut.whole_lines(&piece);
        if cut.rest.len() > LINE_BYTES_MAX {
            return Err(CliError::new("the service sends a line without an end"));
        }
        if let Some(header) = cut.header.take() {
            sink.header(&header)?;
        }
        sink.lines(&shown(&lines))?;
        let rows = lines.lines().count();
        count += rows;
        sink.page_done(rows, 0)?;
    }
    match cut.is_whole() {
        true => Ok(count),
        false => Err(CliError::new("the list broke off")),
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

fn coupon_query(flags: &CouponsFlags) -> Result<Vec<(&'static str, String)>, CliError> {
    let Some(campaign) = flags.campaign() else {
        return Err(CliError::usage(
            "over HTTP this needs --campaign: without it, run the command where the data is",
        ));
    };
    if flags.has_days() {
        return Err(CliError::usage(
            "over HTTP this takes no days: run the command where the data is",
        ));
    }
    Ok(vec![("campaign_id", campaign.to_string())])
}

/// Every coupon of a list. A coupon that moves to cold between two pages may be on both.
pub(in crate::commands) async fn coupons(
    remote: &Remote,
    query: Vec<(&str, String)>,
    sink: &mut Sink<'_>,
) -> Result<(), CliError> {
    sink.header(&coupon_csv_header())?;
    let mut before = HashSet::new();
    let page = |mut page: Vec<Value>| {
        let codes = page.iter().map(|it| it["code"].to_string()).collect();
        page.retain(|it| !before.contains(&it["code"].to_string()));
        before = codes;
        sink.page(&page, line, Value::clone, 0)
    };
    remote.pages(&["coupons"], query, page).await
}

fn line(coupon: &Value) -> String {
    let cells = COUPON_COLUMNS.map(|column| cell_text(&coupon[column]));
    engine::csv::row(cells.iter().map(String::as_str))
}

async fn redemptions(
    remote: &Remote,
    flags: &RedemptionsFlags,
    sink: &mut Sink<'_>,
) -> Result<(), CliError> {
    let mut query = vec![("from", flags.from.to_string()), ("to", flags.to.to_string())];
    query.extend(flags.campaign().map(|it| ("campaign_id", it.to_string())));
    query.extend(flags.zone().map(|it| ("time_zone", it.name().to_owned())));
    match sink.format() {
        // The service writes the same file.
        Format::Csv => {
            let answer = remote.download(&["redemptions"], &query).await?;
            match lines(answer, sink, str::to_owned).await? {
                ..ROWS_MAX => Ok(()),
                _ => Err(CliError::new(format!(
                    "the service sends at most {ROWS_MAX} redemptions: export fewer days at a time"
                ))),
            }
        }
        Format::Jsonl => {
            let page = |page: Vec<Value>| sink.page(&page, |_| String::new(), Value::clone, 0);
            remote.pages(&["redemptions"], query, page).await
        }
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
