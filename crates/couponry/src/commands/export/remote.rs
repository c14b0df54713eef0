//! The same over HTTP.

use std::collections::HashSet;

use serde_json::Value;

use super::coupons::{self, CouponsFlags};
use super::redemptions::RedemptionsFlags;
use super::sink::{Format, Sink, written};
use super::{CodesFlags, ExportCommand, code_objects};
use crate::failure::{CliError, Ended};
use crate::remote::Remote;

/// The columns of redemptions: the fields of the HTTP interface.
const REDEMPTIONS: &str = "code,campaign_id,user_id,order_ref,redeemed_at,cancelled_at";

/// Longest line of a list of codes: many times the longest code.
const LINE_BYTES_MAX: usize = 4 << 10;

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
    let mut answer = remote.download(&path, &query).await?;
    sink.header("code")?;
    let mut cut = Cut::default();
    while let Some(piece) = answer.chunk().await.map_err(CliError::of)? {
        let lines = cut.whole_lines(&piece);
        if cut.rest.len() > LINE_BYTES_MAX {
            return Err(CliError::new("the service sends a line that is no code"));
        }
        match sink.format() {
            Format::Csv => sink.lines(&lines)?,
            Format::Jsonl => sink.lines(&code_objects(&lines))?,
        }
        sink.page_done(lines.lines().count(), 0)?;
    }
    match cut.is_whole() {
        true => Ok(()),
        false => Err(CliError::new("the list broke off: go on with --after and its last code")),
    }
}

/// Lines of a text that arrives in pieces, without its first line, which is the header.
#[derive(Default)]
struct Cut {
    rest: Vec<u8>,
    had_header: bool,
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
        text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    }

    fn is_whole(&self) -> bool {
        self.rest.is_empty()
    }
}

/// The list that has these coupons.
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
    sink.header(coupons::COLUMNS)?;
    let mut before = HashSet::new();
    let page = |mut page: Vec<Value>| {
        let codes = page.iter().map(|it| it["code"].to_string()).collect();
        page.retain(|it| !before.contains(&it["code"].to_string()));
        before = codes;
        sink.page(coupons::COLUMNS, &page, Value::clone, 0)
    };
    remote.pages(&["coupons"], query, page).await
}

async fn redemptions(
    remote: &Remote,
    flags: &RedemptionsFlags,
    sink: &mut Sink<'_>,
) -> Result<(), CliError> {
    let mut query = vec![("from", flags.from.to_string()), ("to", flags.to.to_string())];
    query.extend(flags.campaign().map(|it| ("campaign_id", it.to_string())));
    query.extend(flags.zone().map(|it| ("time_zone", it.name().to_owned())));
    sink.header(REDEMPTIONS)?;
    let page = |page: Vec<Value>| sink.page(REDEMPTIONS, &page, Value::clone, 0);
    remote.pages(&["redemptions"], query, page).await
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
