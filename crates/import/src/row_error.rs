//! The reasons for which a row is rejected, each with its name in the report.

use coupon::code::BadCode;
use coupon::ids::BadName;
use coupon::money::AMOUNT_MAX;

use super::columns::KnownColumn;
use super::dates::DateFault;

/// Longest record, in bytes without its line end. All columns at their limits have about 400 bytes, so this is a wide
/// margin. A longer one is no coupon but a file without line ends, which must not fill the memory.
pub(crate) const LINE_LEN_MAX: usize = 4_096;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("line is empty")]
    Empty,
    #[error("line has more than {LINE_LEN_MAX} bytes")]
    TooLong,
    #[error("line is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Of the first bad byte in the line, from 0.
        at: usize,
    },
    #[error("line is not {encoding} throughout")]
    Encoding { encoding: &'static str },
    /// A quote is not closed in a record of one line.
    #[error("a quote is not closed in its line")]
    Quote,
    /// A quote is not closed in a record of several lines: perhaps it is none.
    #[error(
        "a quote is not closed, and the lines up to {last} may belong to its cell, so none of them is \
         imported; close the quote, or delete it"
    )]
    OpenQuote {
        /// The last line of the record.
        last: u64,
    },
    #[error("line has {found} cells, want {want}")]
    Cells {
        found: usize,
        /// The number wanted, in words.
        want: String,
    },
    /// The line is the header again: two files were joined.
    #[error("line is a header, want a coupon")]
    Header,
    #[error(transparent)]
    BadCode(#[from] BadCode),
    #[error(
        "code is {found:?}: a spreadsheet took it for a number and damaged it; format the \
         column as text before the codes are put in, and export again"
    )]
    DamagedCode { found: String },
    #[error("{column} is {found:?}, {fault}")]
    BadDate { column: KnownColumn, found: String, fault: DateFault },
    #[error(
        "{first} is {} and {then} is {}, want {first} {relation} {then}",
        given(first_found),
        given(then_found)
    )]
    OrderOfDates {
        /// The column with the date that has to be earlier.
        first: KnownColumn,
        /// Its cell; empty if the campaign's date was taken.
        first_found: String,
        then: KnownColumn,
        then_found: String,
        /// `before`, or `not after`.
        relation: &'static str,
    },
    #[error(
        "state is {found:?}, want available, issued, redeemed or void; say what other values mean with \
         values, as in values={found}:redeemed"
    )]
    BadState { found: String },
    /// The caller leaves out lines with its state: it is not counted, and in no report.
    #[error("line is left out for its state")]
    LeftOut,
    /// The coupon can be used more than once, or never.
    #[error("the coupon can be used {found:?} times, want 1; make a shared code for it instead")]
    NotOnce { found: String },
    #[error("column {at} has no name and is {found:?}, want none; name it in the first line")]
    Unnamed {
        /// From 1.
        at: usize,
        found: String,
    },
    #[error("{column} is {found:?}, want none: the coupon is {state}")]
    Misplaced { column: KnownColumn, found: String, state: &'static str },
    #[error(
        "user_id is empty, want one: the coupon was issued; or map the state with values, as in \
         values=VALUE:available"
    )]
    MissingUser,
    #[error(
        "redeemed_at is empty, want one: the coupon is redeemed; or map the state with values, as in \
         values=VALUE:void"
    )]
    MissingRedeemedAt,
    #[error("user_id {0}")]
    BadUser(BadName),
    #[error("order_ref {0}")]
    BadOrder(BadName),
    #[error(
        "{column} is {found:?}, want a whole number of the currency's smallest unit, 0 to {AMOUNT_MAX}, as \
         5000 for ₩5,000 and 500 for $5.00"
    )]
    BadAmount { column: KnownColumn, found: String },
    /// It is none, another than the campaign's, or missing where an amount is.
    #[error("currency is {found:?}, want {want}")]
    BadCurrency { found: String, want: &'static str },
}

impl RowError {
    /// For programs that read the report: it never changes.
    pub fn as_str(&self) -> &'static str {
        match self {
            RowError::Empty => "EMPTY",
            RowError::TooLong => "TOO_LONG",
            RowError::NotUtf8 { .. } => "NOT_UTF8",
            RowError::Encoding { .. } => "BAD_ENCODING",
            RowError::Quote | RowError::OpenQuote { .. } => "QUOTE",
            RowError::Cells { .. } | RowError::Unnamed { .. } => "CELLS",
            RowError::Header => "HEADER",
            RowError::BadCode(_) | RowError::DamagedCode { .. } => "BAD_CODE",
            RowError::BadDate { .. } => "BAD_DATE",
            RowError::OrderOfDates { .. } => "ORDER_OF_DATES",
            RowError::BadState { .. } | RowError::NotOnce { .. } => "BAD_STATE",
            RowError::LeftOut => "LEFT_OUT",
            RowError::Misplaced { .. } => "MISPLACED",
            RowError::MissingUser => "MISSING_USER",
            RowError::MissingRedeemedAt => "MISSING_REDEEMED_AT",
            RowError::BadUser(_) => "BAD_USER",
            RowError::BadOrder(_) => "BAD_ORDER",
            RowError::BadAmount { .. } => "BAD_AMOUNT",
            RowError::BadCurrency { .. } => "BAD_CURRENCY",
        }
    }
}

fn given(found: &str) -> String {
    if found.is_empty() { "the campaign's".to_owned() } else { format!("{found:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unlike_each_other() {
        let column = KnownColumn::State;
        let name = BadName::Length { found: 0, max: 1 };
        let found = String::new;
        let all = [
            RowError::Empty,
            RowError::TooLong,
            RowError::NotUtf8 { at: 0 },
            RowError::Encoding { encoding: "CP949" },
            RowError::Quote,
            RowError::Cells { found: 0, want: found() },
            RowError::Header,
            RowError::DamagedCode { found: found() },
            RowError::BadDate { column, found: found(), fault: DateFault::Form },
            RowError::BadState { found: found() },
            RowError::Misplaced { column, found: found(), state: "void" },
            RowError::MissingUser,
            RowError::MissingRedeemedAt,
            RowError::BadUser(name.clone()),
            RowError::BadOrder(name),
            RowError::BadAmount { column, found: found() },
            RowError::BadCurrency { found: found(), want: "KRW" },
        ];
        let words: std::collections::BTreeSet<_> = all.iter().map(RowError::as_str).collect();
        assert_eq!(words.len(), all.len());
        for word in words {
            assert!(word.bytes().all(|b| b.is_ascii_uppercase() || b"_8".contains(&b)), "{word}");
        }
    }
}
