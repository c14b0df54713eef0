//! Rejected lines: how they are kept for the report of a batch, and how it shows them.

use std::time::Duration;

use coupon::ids::{BatchId, CampaignId};
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordRow, RecordSync, Tables};
use hot::{HotError, ImportOutcome, bounded_join};

use super::lines::{FileLine, REJECTED_TEXT_MAX};
use super::record::RowError;
use crate::csv;

/// Lines, by their numbers.
const LINES: RecordKind = RecordKind { name: "rejected_line", sync: RecordSync::Later };

/// Which parts of a file may have any.
const PARTS: RecordKind = RecordKind { name: "rejected_part", sync: RecordSync::AtOnce };

/// Lines of a file whose rejected ones are read and dropped together: 2 MB of them.
const PART_LINES: u64 = 10_000;

const PARTS_AT_ONCE: usize = 16;

/// Under this number the header of the file is kept: no line has it.
const HEADER_KEY: u64 = 0;

/// Days for which rejected lines are kept.
pub const REJECTED_KEPT_DAYS: u64 = 30;

const KEEP: Duration = Duration::from_secs(REJECTED_KEPT_DAYS * 24 * 60 * 60);

/// A rejected line of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedLine {
    /// Its number in the file, from 1.
    pub line: u64,
    pub text: String,
    /// Why, for programs.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
    /// What is wrong with its row. `None` if its row can be read, and of every line that was kept: those have words only.
    pub error: Option<Box<RowError>>,
}

/// The rejected lines of one batch.
pub(crate) struct RejectReport<'a> {
    tables: &'a dyn Tables,
    /// Of the batch.
    name: String,
}

impl<'a> RejectReport<'a> {
    pub(crate) fn of(
        tables: &'a dyn Tables,
        campaign: &CampaignId,
        batch: &BatchId,
    ) -> RejectReport<'a> {
        RejectReport { tables, name: format!("{campaign}/{batch}") }
    }

    fn part(&self, number: u64) -> RecordPart {
        LINES.part(format!("{}/{number}", self.name))
    }

    /// Keeps lines, whatever was kept under their numbers. A power cut may take them until [`RejectReport::sync`].
    pub(crate) async fn keep(&self, mut lines: Vec<RejectedLine>) -> Result<(), HotError> {
        lines.sort_by_key(|it| it.line);
        let parts = || lines.chunk_by(|one, next| part_of(one.line) == part_of(next.line));
        // Before their lines: what is not listed is never looked for, nor dropped.
        self.list(parts().map(|lines| part_of(lines[0].line))).await?;
        for lines in parts() {
            let rows = lines.iter().map(kept).collect();
            self.tables.put(&self.part(part_of(lines[0].line)), rows).await?;
        }
        Ok(())
    }

    /// Makes durable what was kept: a write that is durable at once takes all before it along.
    pub(crate) async fn sync(&self) -> Result<(), HotError> {
        self.list([0]).await
    }

    async fn list(&self, parts: impl IntoIterator<Item = u64>) -> Result<(), HotError> {
        let row = |number: u64| RecordPut::new(number.to_be_bytes(), "").kept_for(KEEP);
        let rows = parts.into_iter().map(row).collect();
        self.tables.put(&PARTS.part(self.name.as_str()), rows).await
    }

    /// The header of the file, if it had one.
    pub(crate) async fn header(&self) -> Result<Option<RejectedLine>, HotError> {
        let key = HEADER_KEY.to_be_bytes();
        let value = self.tables.get(&self.part(part_of(HEADER_KEY)), &key).await?;
        value.map(|value| line_of(RecordRow { key: key.into(), value })).transpose()
    }

    pub(crate) async fn behind(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>, HotError> {
        let mut lines = Vec::new();
        for number in self.parts(part_of(after), limit).await? {
            let left = RecordRange::first(limit - lines.len()).after(&after.to_be_bytes());
            for row in self.tables.scan(&self.part(number), left).await? {
                lines.push(line_of(row)?);
            }
            if lines.len() == limit {
                break;
            }
        }
        Ok(lines)
    }

    pub(crate) async fn forget(&self) -> Result<(), HotError> {
        let parts = self.parts(0, usize::MAX).await?.into_iter().map(|it| self.part(it));
        let dropped = parts.map(|part| async move { self.tables.drop_below(&part, None).await });
        bounded_join(PARTS_AT_ONCE, dropped).await.map(|_: Vec<()>| ())?;
        self.tables.drop_below(&PARTS.part(self.name.as_str()), None).await
    }

    async fn parts(&self, from: u64, limit: usize) -> Result<Vec<u64>, HotError> {
        let range = RecordRange { from: from.to_be_bytes().into(), ..RecordRange::first(limit) };
        let listed = self.tables.scan(&PARTS.part(self.name.as_str()), range).await?;
        listed.iter().map(|row| number_of(&row.key)).collect()
    }
}

fn part_of(line: u64) -> u64 {
    line / PART_LINES
}

fn kept(RejectedLine { line, text, reason, detail, .. }: &RejectedLine) -> RecordPut {
    let value = serde_json::json!([text, reason, detail]).to_string();
    RecordPut::new(line.to_be_bytes(), value).kept_for(KEEP)
}

fn line_of(row: RecordRow) -> Result<RejectedLine, HotError> {
    let [text, reason, detail] = serde_json::from_slice(&row.value).map_err(damaged)?;
    Ok(RejectedLine { line: number_of(&row.key)?, text, reason, detail, error: None })
}

fn number_of(key: &[u8]) -> Result<u64, HotError> {
    key.try_into().map(u64::from_be_bytes).map_err(damaged)
}

fn damaged(why: impl std::fmt::Display) -> HotError {
    HotError::Damaged(format!("a rejected line: {why}"))
}

/// One row of the file of rejected lines, with its line end.
///
/// A cell that a spreadsheet would run as a formula gets a `'` in front: the text comes from
/// somebody else, and whoever opens the report must not run it.
pub fn reject_row(line_number: u64, text: &str, reason: &str, detail: &str) -> String {
    csv::row([&line_number.to_string(), text, reason, detail])
}

/// What the report has of the header of the file: with it, the corrected lines can be imported again.
pub(super) fn header_line(text: String) -> RejectedLine {
    let detail = "names the columns: leave it in, to import these lines again".to_owned();
    let reason = RowError::Header.as_str().to_owned();
    RejectedLine { line: HEADER_KEY, text, reason, detail, error: None }
}

pub(super) fn rejected_line(line: &FileLine, reason: &str, detail: String) -> RejectedLine {
    RejectedLine {
        line: line.number,
        text: line.shown().chars().take(REJECTED_TEXT_MAX).collect(),
        reason: reason.to_owned(),
        detail,
        error: None,
    }
}

/// Why a line is rejected that the store has answered so; `None` if it is not. `earlier`: the
/// earlier line of the file with the same code.
pub(super) fn rejection(
    outcome: ImportOutcome,
    earlier: Option<u64>,
) -> Option<(&'static str, String)> {
    let (reason, why) = match outcome {
        ImportOutcome::Imported | ImportOutcome::AlreadyThere => return None,
        ImportOutcome::CodeTaken => (
            "CODE_TAKEN",
            "the code stands already, with other dates or in another campaign".to_owned(),
        ),
        ImportOutcome::Refused(refusal) => (
            refusal.as_str(),
            format!("{refusal}: the line contradicts what has happened to the coupon"),
        ),
    };
    let also = earlier.map(|line| format!("; line {line} of this file has the same code"));
    Some((reason, why + &also.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reject_rows() {
        let row = reject_row(7, "ABCD,31.12.2026", "BAD_CODE", "=b");
        assert_eq!(row, "7,\"ABCD,31.12.2026\",BAD_CODE,'=b\n");
        let columns = ::import::REJECT_HEADER.matches(',').count();
        assert_eq!(reject_row(u64::MAX, "a", "b", "c").matches(',').count(), columns);
    }
}
