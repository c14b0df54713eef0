//! What an import of a file would do.

use coupon::calendar::{Date, Zone, format_instant};
use coupon::imported::ImportedState;
use engine::RejectedLine;
use engine::import::columns::Column;
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
    /// The encoding in which the file was read, by its name in the Encoding Standard.
    #[schema(min_length = 1, max_length = 40)]
    encoding: &'static str,
    /// What stands between two cells; null for an empty file.
    #[schema(value_type = Option<closed::Separator>)]
    separator: Option<String>,
    /// The header as it stands in the file; null where the first line is a coupon.
    header: Option<String>,
    /// What each column of the file is about, in their order; null for one that is skipped.
    #[schema(value_type = Vec<Option<closed::ImportColumn>>)]
    columns: Vec<Option<&'static str>>,
    /// Lines of the file without its header.
    lines: u64,
    /// Lines that would be imported, unless their expiry day is closed.
    new: u64,
    /// Lines whose code the campaign, or an earlier line, has already. An import would count them
    /// as already there, move the coupon forward, or reject them for other dates.
    known: u64,
    /// Lines that can be read and whose code was not looked up. Only the first 10,000 codes of a
    /// file are looked up.
    unchecked: u64,
    /// Lines that would be rejected.
    rejected: u64,
    /// The first lines that would be rejected.
    #[schema(max_items = 100)]
    rejected_lines: Vec<RejectedBody>,
    /// The first lines that can be read, as they were read.
    #[schema(max_items = 5)]
    parsed_lines: Vec<ParsedBody>,
}

/// A line that would be rejected.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RejectedLine)]
pub struct RejectedBody {
    /// Its number in the file, from 1, with the header and empty lines.
    #[schema(minimum = 1)]
    line: u64,
    /// The line as it stands in the file, or the beginning of a long one.
    text: String,
    /// Why, for programs, as in the report of an import.
    #[schema(value_type = closed::RejectedReason)]
    reason: String,
    /// Why, for people.
    detail: String,
}

/// A line as it was read.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ParsedLine)]
pub struct ParsedBody {
    /// Its number in the file, from 1, with the header and empty lines.
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
    /// What the coupon would be.
    #[schema(value_type = closed::CouponState)]
    state: &'static str,
    /// The user who would hold it, or who redeemed it.
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
        let CheckedLines { lines, new, known, unchecked, rejected } = found.counts;
        DryRunBody {
            dry_run: true,
            campaign_id: found.campaign.to_string(),
            time_zone: found.zone.name().to_owned(),
            encoding: found.encoding.name(),
            separator: found.separator.map(String::from),
            header: found.header.clone(),
            columns: found.columns.iter().map(|column| column.map(Column::name)).collect(),
            lines,
            new,
            known,
            unchecked,
            rejected,
            rejected_lines: found.rejected.iter().map(RejectedBody::from).collect(),
            parsed_lines: found.parsed.iter().map(|it| ParsedBody::of(it, &found.zone)).collect(),
        }
    }
}

impl From<&RejectedLine> for RejectedBody {
    fn from(line: &RejectedLine) -> RejectedBody {
        let RejectedLine { line, text, reason, detail } = line.clone();
        RejectedBody { line, text, reason, detail }
    }
}

impl ParsedBody {
    fn of(parsed: &ParsedLine, zone: &Zone) -> ParsedBody {
        let read = &parsed.read;
        let (issued_at, redeemed_at, order) = match &read.imported_state {
            ImportedState::Available | ImportedState::Void => (None, None, None),
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
