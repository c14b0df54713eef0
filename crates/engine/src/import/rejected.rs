//! Rejected lines: how they are kept, and how a report shows them.

use hot::{ImportOutcome, RejectedLine};

use super::lines::{FileLine, REJECTED_TEXT_MAX};
use crate::csv;

/// One row of the file of rejected lines, with its line end.
///
/// A cell that a spreadsheet would run as a formula gets a `'` in front: the text comes from
/// somebody else, and whoever opens the report must not run it.
pub fn reject_row(line_number: u64, text: &str, reason: &str, detail: &str) -> String {
    csv::row([&line_number.to_string(), text, reason, detail])
}

pub(super) fn rejected_line(line: &FileLine, reason: &str, detail: String) -> RejectedLine {
    RejectedLine {
        line: line.number,
        text: line.shown().chars().take(REJECTED_TEXT_MAX).collect(),
        reason: reason.to_owned(),
        detail,
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
