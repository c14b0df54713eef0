//! Why the first line of an import refuses the file, and what its sender can do.

use super::columns::{Column, Guess, known};
use super::record::RowError;

/// Why the first line refuses the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// A column that means nothing here.
    #[error("column {at} is {found:?}, want one of {}{}; {MAP_IT}", known(), guessed(guess))]
    Unknown {
        /// The cell.
        found: String,
        /// Its position, from 1.
        at: usize,
        /// What was perhaps meant.
        guess: Option<Guess>,
    },
    /// A column that is there twice.
    #[error(
        "columns {first} and {then} both mean {column}, want each at most once: {}; {MAP_IT}",
        known()
    )]
    Doubled {
        /// The column.
        column: Column,
        /// Where it is first, from 1.
        first: usize,
        /// Where it is once more.
        then: usize,
    },
    /// A line with names of columns, but not the one that is required.
    #[error(
        "column {found} is there, but no column code; the columns are {}{}; {MAP_IT}",
        known(),
        guessed(guess)
    )]
    NoCode {
        /// A column that shows it to be a header.
        found: Column,
        /// Which cell perhaps was meant to be the code.
        guess: Option<Guess>,
    },
    /// Neither a coupon nor a header.
    #[error(
        "the first line is neither a coupon nor a header: {fault}; the columns are {}{}; name them \
         in the first line, or {MAP_IT}",
        known(),
        guessed(guess)
    )]
    Neither {
        /// Why it is no coupon.
        fault: NoCoupon,
        /// Which name a cell perhaps was meant to be.
        guess: Option<Guess>,
    },
    /// A column of the mapping that the header does not have.
    #[error("columns maps {column} to {name:?}, but the first line has {}", quoted(cells))]
    NotThere {
        /// The column.
        column: Column,
        /// The name that was looked for.
        name: String,
        /// The cells of the first line.
        cells: Vec<String>,
    },
    /// A column of the mapping that the header has twice.
    #[error("columns maps {column} to {name:?}, and the first line has that twice: give a number")]
    NotOne {
        /// The column.
        column: Column,
        /// The name that was looked for.
        name: String,
    },
    /// A number of the mapping behind the last cell.
    #[error("columns maps {column} to column {number}, but the first line has {cells}")]
    TooFar {
        /// The column.
        column: Column,
        /// The number.
        number: usize,
        /// How many cells there are.
        cells: usize,
    },
    /// Two columns of the mapping that are the same one of the file.
    #[error("columns maps both {one} and {other} to column {at}")]
    SameCell {
        /// One of them.
        one: Column,
        /// The other.
        other: Column,
        /// The position, from 1.
        at: usize,
    },
    /// A mapping by numbers and a first line that may be a header or a spoilt coupon.
    #[error(
        "the first line may be a header or a coupon that cannot be read: {fault}; map the columns \
         by name if it is a header, correct it if it is a coupon"
    )]
    Unclear {
        /// Why it is no coupon.
        fault: NoCoupon,
    },
    /// A quote that is not closed.
    #[error("a quote in the first line is not closed in it")]
    Quote,
    /// More bytes than a line has.
    #[error("the first line has more than {} bytes", super::lines::LINE_LEN_MAX)]
    TooLong,
    /// Bytes that are no text.
    #[error("the first {0}; name the encoding of the file, or save it as CSV UTF-8")]
    Encoding(RowError),
    /// Too many blank lines before it.
    #[error("the file begins with more than {} blank lines", super::BLANK_LINES_MAX)]
    Blank,
}

/// What else can be done about a header.
const MAP_IT: &str = "map other names with columns, as in columns=code:1,expires_at:3";

fn guessed(guess: &Option<Guess>) -> String {
    guess.as_ref().map(|guess| format!("; {guess}")).unwrap_or_default()
}

fn quoted(cells: &[String]) -> String {
    cells.iter().map(|cell| format!("{cell:?}")).collect::<Vec<_>>().join(", ")
}

/// Why a line is no coupon, by its first fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCoupon {
    /// More cells than a file without a header has.
    #[error("it has {0} cells, and a coupon without a header has 1 to 3")]
    Cells(usize),
    /// The cell of the code is none.
    #[error("its cell {at} is {found:?}, which is no code")]
    Code {
        /// Its position, from 1.
        at: usize,
        /// The cell.
        found: String,
    },
    /// The cell of a date is none.
    #[error("its cell {at} is {found:?}, which is no date for {column}")]
    Date {
        /// What it should be.
        column: Column,
        /// Its position, from 1.
        at: usize,
        /// The cell.
        found: String,
    },
    /// The cell of the code is what headers call it.
    #[error("its cell {at} is {found:?}, which is the name of a column")]
    Name {
        /// Its position, from 1.
        at: usize,
        /// The cell.
        found: String,
    },
}
