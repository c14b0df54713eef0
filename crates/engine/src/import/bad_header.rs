//! Why the first line of a file refuses the whole file, and what to do about it.

use super::columns::{Column, Guess, known};
use super::record::RowError;

/// Why the first line refuses the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// A cell of the header names no column.
    #[error("column {at} is {found:?}, want one of {}{}; {MAP_IT}", known(), guessed(guess))]
    Unknown {
        /// The cell.
        found: String,
        /// Its position, from 1.
        at: usize,
        /// The column that was perhaps meant.
        guess: Option<Guess>,
    },
    /// Two cells name the same column.
    #[error(
        "columns {first} and {then} both mean {column}, want each at most once: {}; {MAP_IT}",
        known()
    )]
    Doubled {
        /// The column.
        column: Column,
        /// The position of the first, from 1.
        first: usize,
        /// The position of the second.
        then: usize,
    },
    /// Cells name columns, but none names the code.
    #[error(
        "column {found} is there, but no column code; the columns are {}{}; {MAP_IT}",
        known(),
        guessed(guess)
    )]
    NoCode {
        /// A column that shows it to be a header.
        found: Column,
        /// The cell that was perhaps meant to be the code.
        guess: Option<Guess>,
    },
    /// The line is neither a coupon nor a header.
    #[error(
        "the first line is neither a coupon nor a header: {fault}; the columns are {}{}; name them \
         in the first line, or {MAP_IT}",
        known(),
        guessed(guess)
    )]
    Neither {
        /// Why it is no coupon.
        fault: NoCoupon,
        /// The name that a cell was perhaps meant to be.
        guess: Option<Guess>,
    },
    /// The header lacks a name of the column map.
    #[error("columns maps {column} to {name:?}, but the first line has {}", quoted(cells))]
    NotThere {
        /// The column.
        column: Column,
        /// The name that was looked for.
        name: String,
        /// The cells of the first line.
        cells: Vec<String>,
    },
    /// The header has a name of the column map twice.
    #[error("columns maps {column} to {name:?}, and the first line has that twice: give a number")]
    NotOne {
        /// The column.
        column: Column,
        /// The name that was looked for.
        name: String,
    },
    /// A number of the column map is higher than that of the last cell.
    #[error("columns maps {column} to column {number}, but the first line has {cells}")]
    TooFar {
        /// The column.
        column: Column,
        /// The number.
        number: usize,
        /// How many cells there are.
        cells: usize,
    },
    /// The column map names one cell for two columns.
    #[error("columns maps both {one} and {other} to column {at}")]
    SameCell {
        /// One of them.
        one: Column,
        /// The other.
        other: Column,
        /// The position, from 1.
        at: usize,
    },
    /// With a column map by numbers: the line may be a header, or a coupon with a fault.
    #[error(
        "the first line may be a header or a coupon that cannot be read: {fault}; map the columns \
         by name if it is a header, correct it if it is a coupon"
    )]
    Unclear {
        /// Why it is no coupon.
        fault: NoCoupon,
    },
    /// A quote is not closed.
    #[error("a quote in the first line is not closed in it")]
    Quote,
    /// The line is longer than a line may be.
    #[error("the first line has more than {} bytes", super::lines::LINE_LEN_MAX)]
    TooLong,
    /// The line does not decode.
    #[error("the first {0}; name the encoding of the file, or save it as CSV UTF-8")]
    Encoding(RowError),
    /// There are too many blank lines before it.
    #[error("the file begins with more than {} blank lines", super::BLANK_LINES_MAX)]
    Blank,
}

/// The other thing to do about a header.
const MAP_IT: &str = "map other names with columns, as in columns=code:1,expires_at:3";

fn guessed(guess: &Option<Guess>) -> String {
    guess.as_ref().map(|guess| format!("; {guess}")).unwrap_or_default()
}

fn quoted(cells: &[String]) -> String {
    cells.iter().map(|cell| format!("{cell:?}")).collect::<Vec<_>>().join(", ")
}

/// The first fault for which a line is no coupon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCoupon {
    /// It has more cells than a row without a header.
    #[error("it has {0} cells, and a coupon without a header has 1 to 3")]
    Cells(usize),
    /// The cell of the code is no code.
    #[error("its cell {at} is {found:?}, which is no code")]
    Code {
        /// Its position, from 1.
        at: usize,
        /// The cell.
        found: String,
    },
    /// The cell of a date is no date.
    #[error("its cell {at} is {found:?}, which is no date for {column}")]
    Date {
        /// What it should be.
        column: Column,
        /// Its position, from 1.
        at: usize,
        /// The cell.
        found: String,
    },
    /// The cell of the code is a name that headers have for it.
    #[error("its cell {at} is {found:?}, which is the name of a column")]
    Name {
        /// Its position, from 1.
        at: usize,
        /// The cell.
        found: String,
    },
}
