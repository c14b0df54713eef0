//! Column maps: the columns of a file as a caller gives them.

use std::fmt;
use std::str::FromStr;

use super::{KnownColumn, clipped, known};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnSource {
    /// From 1.
    Number(usize),
    /// The column with this name in the header, ignoring case.
    Name(String),
}

/// Which column of a file is which: `code:쿠폰번호,expires_at:만료일`, or `code:1,expires_at:3`. Columns
/// that it does not name are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMap(Vec<(KnownColumn, ColumnSource)>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadColumnMap {
    #[error("has {found:?}, want COLUMN:NAME or COLUMN:NUMBER, as in code:1,expires_at:만료일")]
    Form { found: String },
    #[error("names {found:?}, want one of {}", known())]
    Unknown { found: String },
    #[error("names {column} twice")]
    Doubled { column: KnownColumn },
    #[error("leaves out code: say which column it is")]
    NoCode,
}

impl ColumnMap {
    /// In the order of the text.
    pub fn entries(&self) -> &[(KnownColumn, ColumnSource)] {
        &self.0
    }

    /// Whether a column is found by its name, so that there must be a header.
    pub(crate) fn has_names(&self) -> bool {
        self.0.iter().any(|(_, source)| matches!(source, ColumnSource::Name(_)))
    }
}

impl FromStr for ColumnMap {
    type Err = BadColumnMap;

    fn from_str(text: &str) -> Result<ColumnMap, BadColumnMap> {
        let mut map: Vec<(KnownColumn, ColumnSource)> = Vec::new();
        for entry in text.split(',') {
            let parts =
                entry.split_once(':').map(|(column, source)| (column.trim(), source.trim()));
            let Some((column, source)) = parts.filter(|(_, source)| !source.is_empty()) else {
                return Err(BadColumnMap::Form { found: clipped(entry) });
            };
            let Some(column) = KnownColumn::named(column) else {
                return Err(BadColumnMap::Unknown { found: clipped(column) });
            };
            if map.iter().any(|(known, _)| *known == column) {
                return Err(BadColumnMap::Doubled { column });
            }
            let source = match source.parse::<usize>() {
                Ok(0) => return Err(BadColumnMap::Form { found: clipped(entry) }),
                Ok(number) => ColumnSource::Number(number),
                Err(_) => ColumnSource::Name(source.to_owned()),
            };
            map.push((column, source));
        }
        match map.iter().any(|(column, _)| *column == KnownColumn::Code) {
            true => Ok(ColumnMap(map)),
            false => Err(BadColumnMap::NoCode),
        }
    }
}

/// The text that it was read from, but for blanks.
impl fmt::Display for ColumnMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (column, source)) in self.0.iter().enumerate() {
            let comma = if nth > 0 { "," } else { "" };
            match source {
                ColumnSource::Number(number) => write!(f, "{comma}{column}:{number}")?,
                ColumnSource::Name(name) => write!(f, "{comma}{column}:{name}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings() {
        let number = ColumnSource::Number;
        let name = |it: &str| ColumnSource::Name(it.to_owned());
        let good = [
            ("code:1", vec![(KnownColumn::Code, number(1))]),
            (
                "code:쿠폰번호,expires_at:만료일",
                vec![
                    (KnownColumn::Code, name("쿠폰번호")),
                    (KnownColumn::ExpiresAt, name("만료일")),
                ],
            ),
            (
                " Expires_At : 3 , CODE : Coupon No: old",
                vec![
                    (KnownColumn::ExpiresAt, number(3)),
                    (KnownColumn::Code, name("Coupon No: old")),
                ],
            ),
        ];
        for (text, want) in good {
            let read = text.parse::<ColumnMap>();
            assert_eq!(read, Ok(ColumnMap(want)), "{text}");
            let again = text.parse::<ColumnMap>().map(|it| it.to_string()).unwrap_or_default();
            assert_eq!(again.parse(), read, "{text} is written as it is read");
        }
        let found = |it: &str| it.to_owned();
        let bad = [
            ("", BadColumnMap::Form { found: found("") }),
            ("code", BadColumnMap::Form { found: found("code") }),
            ("code:", BadColumnMap::Form { found: found("code:") }),
            ("code:0", BadColumnMap::Form { found: found("code:0") }),
            ("code:1,", BadColumnMap::Form { found: found("") }),
            ("code:1,colour:2", BadColumnMap::Unknown { found: found("colour") }),
            ("code:1,code:2", BadColumnMap::Doubled { column: KnownColumn::Code }),
            ("expires_at:2", BadColumnMap::NoCode),
        ];
        for (text, want) in bad {
            assert_eq!(text.parse::<ColumnMap>(), Err(want), "{text}");
        }
    }
}
