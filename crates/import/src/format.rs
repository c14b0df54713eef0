//! What a caller says about a file.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use super::columns::ColumnMap;
use super::dates::DateOrder;
use super::encoding::TextEncoding;
use super::states::ValueMap;

/// What the caller leaves out is read from the file itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFormat {
    /// Without it, the header says which column is which.
    pub columns: Option<ColumnMap>,
    /// Without it, detected.
    pub encoding: Option<TextEncoding>,
    pub ignore: IgnoredColumns,
    /// What the values of its state mean, besides the words that are known.
    pub values: ValueMap,
    pub dates: DateOrder,
}

/// Columns to skip: `메모,discount,4`, by name or by number, and `rest` for all that are not known.
///
/// `rest` skips no column whose name says a state or a use: used coupons would be imported as
/// available.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoredColumns(Vec<String>);

const REST: &str = "rest";

impl IgnoredColumns {
    /// By its name in the header, or by its number, from 1.
    pub(crate) fn names(&self, number: usize, name: &str) -> bool {
        let (number, name) = (number.to_string(), name.to_lowercase());
        self.0.iter().any(|it| *it == number || *it == name && it != REST)
    }

    /// Whether columns that look like no state are skipped without being named.
    pub(crate) fn has_rest(&self) -> bool {
        self.0.iter().any(|it| it == REST)
    }
}

impl FromStr for IgnoredColumns {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<IgnoredColumns, Infallible> {
        let names = text.split(',').map(|name| name.trim().to_lowercase());
        Ok(IgnoredColumns(names.filter(|name| !name.is_empty()).collect()))
    }
}

/// The text that it was read from, in small letters.
impl fmt::Display for IgnoredColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}
