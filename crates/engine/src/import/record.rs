//! Rows of an import: the only place where a line of text becomes a coupon with its
//! [`ImportedState`].
//!
//! A line is a *row* of *cells*; where each *column* is, the first line of the file has said. A bad
//! row is rejected alone, with the first fault found: the whole line, then code, dates, state,
//! and what the state asks for. Absent on purpose: the store, the campaign, and what is there
//! already.

use std::sync::{Mutex, PoisonError};

use coupon::calendar::{Date, Zone, parse_instant};
use coupon::code::{BadCode, Code};
use coupon::ids::{BadName, OrderRef, UserId};
pub use coupon::imported::ImportedState;
use coupon::time::Millis;
use csv_core::Reader;

use super::cells::{Cells, bare};
use super::columns::{Column, clipped};
use super::lines::LINE_LEN_MAX;
use crate::csv;

/// The header of a file of rejected lines; [`reject_row`] writes the rows.
pub const REJECT_HEADER: &str = "line,text,reason,detail\n";

fn given(found: &str) -> String {
    if found.is_empty() { "the campaign's".to_owned() } else { format!("{found:?}") }
}

/// Why a row is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A blank line.
    #[error("line is empty")]
    Empty,
    /// More than [`LINE_LEN_MAX`] bytes.
    #[error("line has more than {LINE_LEN_MAX} bytes")]
    TooLong,
    /// Bytes that are no text.
    #[error("line is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Position of the first bad byte in the line, from 0.
        at: usize,
    },
    /// Bytes that are no text in the encoding of the file.
    #[error("line is not {encoding} throughout")]
    Encoding {
        /// The encoding.
        encoding: &'static str,
    },
    /// A quote that is not closed, as in a cell with a line end in it.
    #[error("a quote is not closed in its line")]
    Quote,
    /// Another number of cells than columns.
    #[error("line has {found} cells, want {want}")]
    Cells {
        /// Cells found.
        found: usize,
        /// The number wanted, in words.
        want: String,
    },
    /// The header once more, as in two files put together.
    #[error("line is a header, want a coupon")]
    Header,
    /// No code.
    #[error(transparent)]
    BadCode(#[from] BadCode),
    /// A code that a spreadsheet has rounded; its last digits are lost.
    #[error(
        "code is {found:?}: a spreadsheet took it for a number and damaged it; format the \
         column as text before the codes are put in, and export again"
    )]
    DamagedCode {
        /// The cell.
        found: String,
    },
    /// No date and no instant.
    #[error(
        "{column} is {found:?}, want a date (2026-12-31 or 20261231) or an instant \
         (2026-12-31T23:59:59Z)"
    )]
    BadDate {
        /// Where.
        column: Column,
        /// The cell.
        found: String,
    },
    /// Two dates the wrong way round.
    #[error(
        "{first} is {} and {then} is {}, want {first} {relation} {then}",
        given(first_found),
        given(then_found)
    )]
    OrderOfDates {
        /// The column that has to come first.
        first: Column,
        /// Its cell; empty where the campaign's date was taken.
        first_found: String,
        /// The column that has to come after it.
        then: Column,
        /// Its cell; empty where the campaign's date was taken.
        then_found: String,
        /// `before`, or `not after`.
        relation: &'static str,
    },
    /// A state that is none.
    #[error("state is {found:?}, want available, issued, redeemed or void")]
    BadState {
        /// The cell.
        found: String,
    },
    /// A cell that coupons of this state do not have.
    #[error("{column} is {found:?}, want none: the coupon is {state}")]
    Misplaced {
        /// Where.
        column: Column,
        /// The cell.
        found: String,
        /// The state of the row.
        state: &'static str,
    },
    /// Issued to nobody.
    #[error("user_id is empty, want one: the coupon is issued")]
    MissingUser,
    /// Redeemed at no time.
    #[error("redeemed_at is empty, want one: the coupon is redeemed")]
    MissingRedeemedAt,
    /// No name of a user.
    #[error("user_id {0}")]
    BadUser(BadName),
    /// No name of an order.
    #[error("order_ref {0}")]
    BadOrder(BadName),
}

impl RowError {
    /// The kind, for programs that read the report. Words are never changed.
    pub fn as_str(&self) -> &'static str {
        match self {
            RowError::Empty => "EMPTY",
            RowError::TooLong => "TOO_LONG",
            RowError::NotUtf8 { .. } => "NOT_UTF8",
            RowError::Encoding { .. } => "BAD_ENCODING",
            RowError::Quote => "QUOTE",
            RowError::Cells { .. } => "CELLS",
            RowError::Header => "HEADER",
            RowError::BadCode(_) | RowError::DamagedCode { .. } => "BAD_CODE",
            RowError::BadDate { .. } => "BAD_DATE",
            RowError::OrderOfDates { .. } => "ORDER_OF_DATES",
            RowError::BadState { .. } => "BAD_STATE",
            RowError::Misplaced { .. } => "MISPLACED",
            RowError::MissingUser => "MISSING_USER",
            RowError::MissingRedeemedAt => "MISSING_REDEEMED_AT",
            RowError::BadUser(_) => "BAD_USER",
            RowError::BadOrder(_) => "BAD_ORDER",
        }
    }
}

/// What a missing date means, and where its days begin: the campaign's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For an empty `valid_from`.
    pub valid_from: Millis,
    /// For an empty `expires_at`; exclusive.
    pub expires_at: Millis,
    /// The zone of every date.
    pub zone: Zone,
}

/// One coupon of the file. `valid_from` is before `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The code, read as a foreign one.
    pub code: Code,
    /// The first instant at which it works.
    pub valid_from: Millis,
    /// The first instant at which it works no longer.
    pub expires_at: Millis,
    /// How it stood in the system it comes from.
    pub imported_state: ImportedState,
}

/// Where the columns are; reads every line of a file but the header.
#[derive(Debug)]
pub struct Header {
    /// What each cell is; `None` for one that is skipped.
    columns: Vec<Option<Column>>,
    /// The fewest cells of a row. The most are the columns.
    cells_min: usize,
    /// What the header calls the code, if there is a header.
    code_name: Option<String>,
    separator: char,
    /// Kept, since a new one builds tables, which takes longer than to read a row. Locked, since
    /// a reader has a position, and its `Clone` (csv-core 0.1.13) forgets half of the tables.
    reader: Mutex<Reader>,
}

impl Header {
    /// The columns in the order of the file; `None` for one that is skipped.
    pub fn columns(&self) -> &[Option<Column>] {
        &self.columns
    }

    /// What stands between two cells.
    pub fn separator(&self) -> char {
        self.separator
    }

    pub(super) fn of(
        columns: Vec<Option<Column>>,
        cells_min: usize,
        code_name: Option<String>,
        separator: char,
        reader: Reader,
    ) -> Header {
        Header { columns, cells_min, code_name, separator, reader: Mutex::new(reader) }
    }

    /// The coupon of one line, given without its line end.
    ///
    /// Cells are trimmed and may be quoted. A date is the first instant of its day, in
    /// `expires_at` the end of it, in the zone of `defaults`; an instant is taken as it is.
    ///
    /// # Errors
    /// The first [`RowError`], in the order that the module tells.
    pub fn parse(&self, line: &str, defaults: &Defaults) -> Result<Record, RowError> {
        if bare(line, self.separator).trim().is_empty() {
            return Err(RowError::Empty);
        }
        let cells = self.cells(line).ok_or(RowError::Quote)?;
        let row = self.row(&cells)?;
        if self.is_header(row.cell(Column::Code)) {
            return Err(RowError::Header);
        }
        let code = row.code()?;
        let (valid_from, expires_at) = row.term(defaults)?;
        let imported_state = row.imported_state(&defaults.zone)?;
        Ok(Record { code, valid_from, expires_at, imported_state })
    }

    fn cells(&self, line: &str) -> Option<Cells> {
        // Split begins with a reset, so nothing that a panic left behind is seen.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        Cells::split(line, self.separator, &mut reader)
    }

    /// Whether the cell of the code says what a header says there: two files put together.
    fn is_header(&self, cell: &str) -> bool {
        let ours = self.code_name.as_deref();
        Column::named(cell) == Some(Column::Code)
            || ours.is_some_and(|name| cell.eq_ignore_ascii_case(name))
    }

    fn row<'a>(&self, cells: &'a Cells) -> Result<Row<'a>, RowError> {
        let (min, max, found) = (self.cells_min, self.columns.len(), cells.len());
        if !(min..=max).contains(&found) {
            let want = if min == max { max.to_string() } else { format!("{min} to {max}") };
            return Err(RowError::Cells { found, want });
        }
        let mut row = Row { cells: [""; Column::ALL.len()] };
        for (column, cell) in self.columns.iter().zip(cells.iter()) {
            if let Some(column) = *column {
                row.cells[column as usize] = cell;
            }
        }
        Ok(row)
    }
}

/// One row of the file of rejected lines, with its line end.
///
/// A cell that a spreadsheet would run as a formula gets a `'` in front: the text comes from
/// somebody else, and whoever opens the report did not ask for it to be run.
pub fn reject_row(line_number: u64, text: &str, word: &str, detail: &str) -> String {
    csv::row([&line_number.to_string(), text, word, detail])
}

/// The cells of one line by column; what is not there is empty.
struct Row<'a> {
    cells: [&'a str; Column::ALL.len()],
}

impl Row<'_> {
    fn cell(&self, column: Column) -> &str {
        self.cells[column as usize]
    }

    fn found(&self, column: Column) -> String {
        clipped(self.cell(column))
    }

    fn code(&self) -> Result<Code, RowError> {
        let cell = self.cell(Column::Code);
        cell.parse().map_err(|error| match is_scientific(cell) {
            true => RowError::DamagedCode { found: clipped(cell) },
            false => RowError::BadCode(error),
        })
    }

    fn term(&self, defaults: &Defaults) -> Result<(Millis, Millis), RowError> {
        let zone = &defaults.zone;
        let valid_from = self.first_instant(Column::ValidFrom, zone)?;
        let expires_at = self.instant(Column::ExpiresAt, |date| date.end(zone))?;
        let expires_at = expires_at.unwrap_or(defaults.expires_at);
        // A line of the past in a campaign of today: it worked once, up to its expiry.
        let began = defaults.valid_from.min(expires_at.plus_ms(-1));
        let valid_from = valid_from.unwrap_or(began);
        if valid_from >= expires_at {
            let relation = "before";
            return Err(self.order_of(Column::ValidFrom, Column::ExpiresAt, relation));
        }
        Ok((valid_from, expires_at))
    }

    fn imported_state(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let state = self.state()?;
        for column in [Column::UserId, Column::IssuedAt, Column::RedeemedAt, Column::OrderRef] {
            if !self.cell(column).is_empty() && !state.has(column) {
                let found = self.found(column);
                return Err(RowError::Misplaced { column, found, state: state.as_str() });
            }
        }
        match state {
            State::Available => Ok(ImportedState::Available),
            State::Issued => self.issued(zone),
            State::Redeemed => self.redeemed(zone),
            State::Void => Ok(ImportedState::Void),
        }
    }

    fn state(&self) -> Result<State, RowError> {
        let cell = self.cell(Column::State);
        if cell.is_empty() {
            return Ok(State::Available);
        }
        let mut all = [State::Available, State::Issued, State::Redeemed, State::Void].into_iter();
        let state = all.find(|state| cell.eq_ignore_ascii_case(state.as_str()));
        state.ok_or_else(|| RowError::BadState { found: clipped(cell) })
    }

    fn issued(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let holder = self.holder()?.ok_or(RowError::MissingUser)?;
        let at = self.first_instant(Column::IssuedAt, zone)?;
        Ok(ImportedState::Issued { holder, at })
    }

    fn redeemed(&self, zone: &Zone) -> Result<ImportedState, RowError> {
        let holder = self.holder()?;
        let issued_at = self.first_instant(Column::IssuedAt, zone)?;
        let at = self.first_instant(Column::RedeemedAt, zone)?;
        let at = at.ok_or(RowError::MissingRedeemedAt)?;
        if issued_at.is_some_and(|issued_at| issued_at > at) {
            let relation = "not after";
            return Err(self.order_of(Column::IssuedAt, Column::RedeemedAt, relation));
        }
        let order = self.name::<OrderRef>(Column::OrderRef).map_err(RowError::BadOrder)?;
        Ok(ImportedState::Redeemed { holder, issued_at, at, order })
    }

    fn holder(&self) -> Result<Option<UserId>, RowError> {
        self.name(Column::UserId).map_err(RowError::BadUser)
    }

    fn name<T: std::str::FromStr>(&self, column: Column) -> Result<Option<T>, T::Err> {
        let cell = self.cell(column);
        if cell.is_empty() { Ok(None) } else { cell.parse().map(Some) }
    }

    fn first_instant(&self, column: Column, zone: &Zone) -> Result<Option<Millis>, RowError> {
        self.instant(column, |date| date.first_instant(zone))
    }

    fn instant(
        &self,
        column: Column,
        of_date: impl FnOnce(Date) -> Millis,
    ) -> Result<Option<Millis>, RowError> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Ok(None);
        }
        if let Ok(date) = cell.parse::<Date>() {
            return Ok(Some(of_date(date)));
        }
        match parse_instant(cell) {
            Ok(instant) => Ok(Some(instant)),
            Err(_) => Err(RowError::BadDate { column, found: clipped(cell) }),
        }
    }

    fn order_of(&self, first: Column, then: Column, relation: &'static str) -> RowError {
        let (first_found, then_found) = (self.found(first), self.found(then));
        RowError::OrderOfDates { first, first_found, then, then_found, relation }
    }
}

/// `1.23E+15` or `1,23E+15`, as a spreadsheet writes a number with more digits than it keeps.
fn is_scientific(cell: &str) -> bool {
    let Some((mantissa, exponent)) = cell.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    digits(whole) && digits(part) && digits(exponent.trim_start_matches(['+', '-']))
}

/// The word in the column `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Available,
    Issued,
    Redeemed,
    Void,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Available => "available",
            State::Issued => "issued",
            State::Redeemed => "redeemed",
            State::Void => "void",
        }
    }

    fn has(self, column: Column) -> bool {
        match column {
            Column::Code | Column::ValidFrom | Column::ExpiresAt | Column::State => true,
            Column::UserId | Column::IssuedAt => matches!(self, State::Issued | State::Redeemed),
            Column::RedeemedAt | Column::OrderRef => matches!(self, State::Redeemed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::first_line::HeaderOrFirst;
    use super::*;

    const ALL: &str = "code,valid_from,expires_at,state,user_id,issued_at,redeemed_at,order_ref";

    /// 2026-01-01 to the end of 2026-12-31 in Berlin.
    fn defaults() -> Defaults {
        Defaults {
            valid_from: at("2025-12-31T23:00:00Z"),
            expires_at: at("2026-12-31T23:00:00Z"),
            zone: "Europe/Berlin".parse().unwrap(),
        }
    }

    fn at(text: &str) -> Millis {
        parse_instant(text).unwrap()
    }

    fn header(line: &str) -> Header {
        match Header::read(line, None).unwrap() {
            HeaderOrFirst::Header(header) | HeaderOrFirst::First(header) => header,
        }
    }

    fn parse(first: &str, line: &str) -> Result<Record, RowError> {
        header(first).parse(line, &defaults())
    }

    fn record(
        code: &str,
        valid_from: &str,
        expires_at: &str,
        imported_state: ImportedState,
    ) -> Record {
        let (valid_from, expires_at) = (at(valid_from), at(expires_at));
        Record { code: code.parse().unwrap(), valid_from, expires_at, imported_state }
    }

    /// A record with the dates of [`defaults`].
    fn usual(code: &str, imported_state: ImportedState) -> Record {
        record(code, "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z", imported_state)
    }

    #[test]
    fn rows_without_a_header() {
        let free = |code, from, to| Ok(record(code, from, to, ImportedState::Available));
        let (from, to) = ("2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z");
        let cells = |found| Err(RowError::Cells { found, want: "1 to 3".to_owned() });
        let cases = [
            ("one cell", "abcd-1234", free("ABCD1234", from, to)),
            ("empty dates", "ABCD1234,,", free("ABCD1234", from, to)),
            ("a mark in the middle of the file", "\u{feff}ABCD", free("ABCD", from, to)),
            ("leading zeros stay", "0000123", free("0000123", from, to)),
            ("trimmed", "  ABCD1234\t, ,\r", free("ABCD1234", from, to)),
            ("quoted", "\"ABCD 1234\",\"\"", free("ABCD1234", from, to)),
            (
                "dates",
                "ABCD,2026-02-01,20260228",
                free("ABCD", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"),
            ),
            (
                "one day, the one on which clocks go forward",
                "ABCD,2026-03-29,2026-03-29",
                free("ABCD", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ),
            (
                "instants",
                "ABCD,2026-02-01T10:00:00+02:00,2026-02-01T08:00:00.001Z",
                free("ABCD", "2026-02-01T08:00:00Z", "2026-02-01T08:00:00.001Z"),
            ),
            ("four cells", "ABCD,,,", cells(4)),
        ];
        for (name, line, want) in cases {
            assert_eq!(parse("FIRST1", line), want, "{name}");
        }
    }

    #[test]
    fn rows_with_states() {
        let ann: UserId = "ann".parse().unwrap();
        let (may, june) = (at("2026-04-30T22:00:00Z"), at("2026-06-01T08:30:00Z"));
        let issued = |at| ImportedState::Issued { holder: ann.clone(), at };
        let redeemed = |holder, issued_at, order: Option<&str>| ImportedState::Redeemed {
            holder,
            issued_at,
            at: june,
            order: order.map(|order| order.parse().unwrap()),
        };
        let cases = [
            ("no state", "ABCD,,,,,,,", ImportedState::Available),
            ("available", "ABCD,,,Available,,,,", ImportedState::Available),
            ("void", "ABCD,,,VOID,,,,", ImportedState::Void),
            ("issued", "ABCD,,,issued,ann,,,", issued(None)),
            ("issued on a day", "ABCD,,,issued,ann,20260501,,", issued(Some(may))),
            (
                "issued at an instant",
                "ABCD,,,issued,ann,2026-06-01T08:30:00Z,,",
                issued(Some(june)),
            ),
            ("redeemed", "ABCD,,,redeemed,,,2026-06-01T08:30:00Z,", redeemed(None, None, None)),
            (
                "redeemed with all that is known",
                "ABCD,,,Redeemed,ann,2026-05-01,2026-06-01T08:30:00Z,\"991,2\"",
                redeemed(Some(ann.clone()), Some(may), Some("991,2")),
            ),
            (
                "redeemed in the instant of its issue",
                "ABCD,,,redeemed,,2026-06-01T08:30:00Z,2026-06-01T10:30:00+02:00,",
                redeemed(None, Some(june), None),
            ),
        ];
        for (name, line, want) in cases {
            assert_eq!(parse(ALL, line), Ok(usual("ABCD", want)), "{name}");
        }
    }

    #[test]
    fn columns_in_another_order() {
        let holder = "ann".parse().unwrap();
        let want = usual("ABCD", ImportedState::Issued { holder, at: None });
        assert_eq!(parse("user_id,code,state", "ann,ABCD,issued"), Ok(want));
    }

    #[test]
    fn a_rejected_row_leaves_nothing_behind() {
        let header = header("code,state");
        assert_eq!(header.parse("ABCD,\"void", &defaults()), Err(RowError::Quote));
        let want = usual("EFGH", ImportedState::Void);
        assert_eq!(header.parse("EFGH,\"void\"", &defaults()), Ok(want));
    }

    #[test]
    fn rejected_rows() {
        let long_code = "A".repeat(65);
        let long_user = format!("ABCD,,,issued,{},,,", "u".repeat(65));
        let long_order = format!("ABCD,,,redeemed,,,20260601,{}", "r".repeat(101));
        let cases = [
            ("blank", "code", " \t", "EMPTY"),
            ("nothing", "code", "", "EMPTY"),
            ("only a mark", "code", "\u{feff}", "EMPTY"),
            ("only quotes", "code", "\"\"", "BAD_CODE"),
            ("only commas", "code,state", ",", "BAD_CODE"),
            ("too few cells", "code,state", "ABCD", "CELLS"),
            ("too many cells", "code,state", "ABCD,,", "CELLS"),
            ("semicolons", "code", "ABCD;EFGH", "BAD_CODE"),
            ("an open quote", "code,state", "ABCD,\"void", "QUOTE"),
            ("an open quote after a doubled one", "code", "\"AB\"\"", "QUOTE"),
            ("the header again", ALL, ALL, "HEADER"),
            ("the header of another file", "code", "\u{feff}CODE", "HEADER"),
            ("an alias again", "PromoCode,state", "promocode,state", "HEADER"),
            ("three characters", "code", "ABC", "BAD_CODE"),
            ("too long a code", "code", &long_code, "BAD_CODE"),
            ("a carriage return inside", "code", "ABCD\rEFGH", "BAD_CODE"),
            ("a spreadsheet's number", "code", "1.23E+15", "BAD_CODE"),
            ("a German date", "code,expires_at", "ABCD,31.12.2026", "BAD_DATE"),
            ("a day that is none", "code,expires_at", "ABCD,2026-02-30", "BAD_DATE"),
            ("an instant without a zone", "code,expires_at", "ABCD,2026-02-03T10:00", "BAD_DATE"),
            ("a bad first day", "code,valid_from", "ABCD,soon", "BAD_DATE"),
            ("a bad day of issue", ALL, "ABCD,,,issued,ann,soon,,", "BAD_DATE"),
            ("a bad day of redemption", ALL, "ABCD,,,redeemed,,,soon,", "BAD_DATE"),
            (
                "over before it starts",
                "code,valid_from,expires_at",
                "ABCD,20260101,20251231",
                "ORDER_OF_DATES",
            ),
            (
                "no time at all",
                "code,valid_from,expires_at",
                "ABCD,2026-06-01T08:00:00Z,2026-06-01T10:00:00+02:00",
                "ORDER_OF_DATES",
            ),
            ("starts too late", "code,valid_from", "ABCD,2027-01-01", "ORDER_OF_DATES"),
            (
                "redeemed before it was issued",
                ALL,
                "ABCD,,,redeemed,,2026-06-01T08:00:00.001Z,2026-06-01T08:00:00Z,",
                "ORDER_OF_DATES",
            ),
            ("another state", ALL, "ABCD,,,used,,,,", "BAD_STATE"),
            ("available with a user", ALL, "ABCD,,,,ann,,,", "MISPLACED"),
            ("available with a day of issue", ALL, "ABCD,,,available,,20260601,,", "MISPLACED"),
            ("void with a user", ALL, "ABCD,,,void,ann,,,", "MISPLACED"),
            ("void with a redemption", ALL, "ABCD,,,void,,,20260601,", "MISPLACED"),
            ("issued with a redemption", ALL, "ABCD,,,issued,ann,,20260601,", "MISPLACED"),
            ("issued with an order", ALL, "ABCD,,,issued,ann,,,991", "MISPLACED"),
            ("issued to nobody", ALL, "ABCD,,,issued,,,,", "MISSING_USER"),
            ("issued, no such column", "code,state", "ABCD,issued", "MISSING_USER"),
            ("redeemed at no time", ALL, "ABCD,,,redeemed,ann,,,991", "MISSING_REDEEMED_AT"),
            ("a user with a space", ALL, "ABCD,,,issued,ann lee,,,", "BAD_USER"),
            ("a user past the limit", ALL, &long_user, "BAD_USER"),
            ("an order past the limit", ALL, &long_order, "BAD_ORDER"),
            ("the code comes first", ALL, "A,soon,,used,,,,", "BAD_CODE"),
            ("then the dates", ALL, "ABCD,soon,,used,,,,", "BAD_DATE"),
        ];
        for (name, first, line, want) in cases {
            let found = parse(first, line).map_err(|error| error.as_str());
            assert_eq!(found, Err(want), "{name}");
        }
    }

    /// The old system's dead coupons come into a campaign of today.
    #[test]
    fn a_line_of_the_past_needs_no_first_day() {
        let record = parse("code,expires_at", "ABCD,20251231").unwrap();
        assert_eq!(record.valid_from, record.expires_at.plus_ms(-1));
        let record = parse("code,expires_at", "ABCD,20301231").unwrap();
        assert_eq!(record.valid_from, defaults().valid_from);
    }

    #[test]
    fn sentences() {
        let cases = [
            ("cells", "code,state", "ABCD", "line has 1 cells, want 2"),
            ("code", "code", "AB_CD", "code has '_' at 2, want A-Z or 0-9"),
            (
                "damaged",
                "code",
                "\"1,23E+15\"",
                "code is \"1,23E+15\": a spreadsheet took it for a number and damaged it; format \
                 the column as text before the codes are put in, and export again",
            ),
            (
                "date",
                "code,expires_at",
                "ABCD,31.12.2026",
                "expires_at is \"31.12.2026\", want a date (2026-12-31 or 20261231) or an \
                 instant (2026-12-31T23:59:59Z)",
            ),
            (
                "order of dates",
                "code,valid_from",
                "ABCD,2027-01-01",
                "valid_from is \"2027-01-01\" and expires_at is the campaign's, want valid_from \
                 before expires_at",
            ),
            (
                "order of events",
                ALL,
                "ABCD,,,redeemed,,20260602,20260601,",
                "issued_at is \"20260602\" and redeemed_at is \"20260601\", want issued_at not \
                 after redeemed_at",
            ),
            (
                "state",
                "code,state",
                "ABCD,used",
                "state is \"used\", want available, issued, redeemed or void",
            ),
            (
                "misplaced",
                "code,user_id",
                "ABCD,ann",
                "user_id is \"ann\", want none: the coupon is available",
            ),
            (
                "user",
                "code,state,user_id",
                "ABCD,issued,a b",
                "user_id has ' ' at 1, want visible ASCII characters",
            ),
        ];
        for (name, first, line, want) in cases {
            assert_eq!(parse(first, line).unwrap_err().to_string(), want, "{name}");
        }
    }

    #[test]
    fn numbers_of_spreadsheets() {
        let cases = [
            ("with a point", "1.23E+15", true),
            ("with a comma", "1,23457E+17", true),
            ("without a part", "1E+15", true),
            ("small letter", "1.5e15", true),
            ("no exponent", "1.23E", false),
            ("no number before", "AE+15", false),
            ("a point and nothing", "1.E+15", false),
            ("more behind", "1.2E+15X", false),
            ("a bad code", "12-A_7", false),
        ];
        for (name, cell, want) in cases {
            let damaged =
                matches!(parse("code", &format!("\"{cell}\"")), Err(RowError::DamagedCode { .. }));
            assert_eq!(damaged, want, "{name}");
        }
        assert!(parse("code", "12E15").is_ok(), "a code that only looks like a number");
    }

    #[test]
    fn reject_rows() {
        let row = reject_row(7, "ABCD,31.12.2026", "BAD_CODE", "=b");
        assert_eq!(row, "7,\"ABCD,31.12.2026\",BAD_CODE,'=b\n");
        let columns = REJECT_HEADER.matches(',').count();
        assert_eq!(reject_row(u64::MAX, "a", "b", "c").matches(',').count(), columns);
    }

    #[test]
    fn words_are_unlike_each_other() {
        let column = Column::State;
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
            RowError::BadDate { column, found: found() },
            RowError::BadState { found: found() },
            RowError::Misplaced { column, found: found(), state: "void" },
            RowError::MissingUser,
            RowError::MissingRedeemedAt,
            RowError::BadUser(name.clone()),
            RowError::BadOrder(name),
        ];
        let words: std::collections::BTreeSet<_> = all.iter().map(RowError::as_str).collect();
        assert_eq!(words.len(), all.len());
        for word in words {
            assert!(word.bytes().all(|b| b.is_ascii_uppercase() || b"_8".contains(&b)), "{word}");
        }
    }
}
