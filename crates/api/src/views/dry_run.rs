//! What an import of a file would do.

use coupon::calendar::{Date, Zone, format_instant};
use coupon::imported::ImportedState;
use engine::RejectedLine;
use engine::import::columns::KnownColumn;
use engine::import::{CheckedLines, DryRun, ParsedLine};
use serde::Serialize;
use utoipa::ToSchema;

use crate::closed;

/// What an import of the file would do, as far as reads can tell. `new`, `known`, `unchecked` and
/// `rejected` add up to `lines`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ImportDryRun)]
pub struct DryRunBody {
    /// Always true.
    dry_run: bool,
    /// The campaign that the file would be imported into.
    campaign_id: String,
    /// The IANA time zone in which the dates of the file are read.
    time_zone: String,
    /// The encoding of the file: its name in the Encoding Standard.
    #[schema(min_length = 1, max_length = 40)]
    encoding: &'static str,
    /// The character between two cells; null for an empty file.
    #[schema(value_type = Option<closed::Separator>)]
    separator: Option<String>,
    /// The header of the file; null if the first line is a coupon.
    header: Option<String>,
    /// The meaning of each column, in the order of the file; null for a column that is skipped.
    #[schema(value_type = Vec<Option<closed::ImportColumn>>)]
    columns: Vec<Option<&'static str>>,
    /// The system whose export the file is; null if its header is that of no export that the server knows.
    exported_by: Option<&'static str>,
    /// What that export says and an import leaves out, for people; null if `exported_by` is null.
    left_out: Option<&'static str>,
    /// How many lines the file has, without its header.
    lines: u64,
    /// How many lines would make a coupon or move one forward: an import counts them as `imported`.
    new: u64,
    /// How many lines would say nothing new: an import counts them as `already_there`.
    known: u64,
    /// How many lines can be read, but their code was not looked up. The server looks up only the
    /// first 10,000 codes of a file.
    unchecked: u64,
    /// How many lines would be rejected.
    rejected: u64,
    /// How many lines have the code of an earlier line of the file. If it is in another spelling, the
    /// line is rejected. Lines are compared with the first 200,000 codes of a file.
    repeated: u64,
    /// The first lines that would be rejected.
    #[schema(max_items = 100)]
    rejected_lines: Vec<RejectedBody>,
    /// The first lines that can be read, as they were read.
    #[schema(max_items = 5)]
    parsed_lines: Vec<ParsedBody>,
}

/// A line that an import would reject.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RejectedLine)]
pub struct RejectedBody {
    /// Its number in the file, from 1. The header and empty lines count too.
    #[schema(minimum = 1)]
    line: u64,
    /// The text of the line; of a long line, its beginning.
    text: String,
    /// The reason, for programs. The report of an import has the same.
    #[schema(value_type = closed::RejectedReason)]
    reason: String,
    /// The reason, for people.
    detail: String,
}

/// A line as it was read.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ParsedLine)]
pub struct ParsedBody {
    /// Its number in the file, from 1. The header and empty lines count too.
    #[schema(minimum = 1)]
    line: u64,
    /// The code of the coupon.
    code: String,
    /// First instant at which the coupon would work.
    valid_from: String,
    /// First instant at which the coupon would no longer work.
    expires_at: String,
    /// Last day on which the coupon would work, in `time_zone`.
    expires_on: String,
    /// The state that the coupon would have.
    #[schema(value_type = closed::CouponState)]
    state: &'static str,
    /// The user who would have the coupon, or who redeemed it.
    user_id: Option<String>,
    /// When it was issued.
    issued_at: Option<String>,
    /// When it was redeemed.
    redeemed_at: Option<String>,
    /// The order that redeemed it.
    order_ref: Option<String>,
}

impl From<&DryRun> for DryRunBody {
    fn from(found: &DryRun) -> DryRunBody {
        let CheckedLines { lines, new, known, unchecked, rejected, repeated } = found.counts;
        DryRunBody {
            dry_run: true,
            campaign_id: found.campaign.to_string(),
            time_zone: found.zone.name().to_owned(),
            encoding: found.encoding.name(),
            separator: found.separator.map(String::from),
            header: found.header.clone(),
            columns: found.columns.iter().map(|column| column.map(KnownColumn::as_str)).collect(),
            exported_by: found.export.map(|export| export.name),
            left_out: found.export.map(|export| export.left_out),
            lines,
            new,
            known,
            unchecked,
            rejected,
            repeated,
            rejected_lines: found.rejected.iter().map(RejectedBody::from).collect(),
            parsed_lines: found.parsed.iter().map(|it| ParsedBody::of(it, &found.zone)).collect(),
        }
    }
}

impl From<&RejectedLine> for RejectedBody {
    fn from(line: &RejectedLine) -> RejectedBody {
        let RejectedLine { line, text, reason, detail, .. } = line.clone();
        RejectedBody { line, text, reason, detail }
    }
}

impl ParsedBody {
    fn of(parsed: &ParsedLine, zone: &Zone) -> ParsedBody {
        let read = &parsed.read;
        let (issued_at, redeemed_at, order) = match &read.imported_state {
            ImportedState::Available => (None, None, None),
            ImportedState::Void { issued_at, .. } => (*issued_at, None, None),
            ImportedState::Issued { at, .. } => (*at, None, None),
            ImportedState::Redeemed { issued_at, at, order, .. } => {
                (*issued_at, Some(*at), order.as_ref())
            }
        };
        ParsedBody {
            line: parsed.line,
            code: read.code.to_string(),
            valid_from: format_instant(read.valid_from),
            expires_at: format_instant(read.expires_at),
            expires_on: Date::last_of(read.expires_at, zone).to_string(),
            state: parsed.state(),
            user_id: read.imported_state.holder().map(ToString::to_string),
            issued_at: issued_at.map(format_instant),
            redeemed_at: redeemed_at.map(format_instant),
            order_ref: order.map(ToString::to_string),
        }
    }
}
