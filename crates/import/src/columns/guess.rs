//! Guesses: the column that a misspelt cell of a header was perhaps meant to be.

use std::fmt;

use strsim::osa_distance;

use super::{KnownColumn, clipped, normal};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnGuess {
    /// From 1.
    pub at: usize,
    pub found: String,
    /// The nearest name, that of a column or an alias.
    pub name: &'static str,
    pub column: KnownColumn,
}

impl ColumnGuess {
    /// The nearest guess among the cells that name no column.
    pub(crate) fn of<'a>(cells: impl IntoIterator<Item = &'a str>) -> Option<ColumnGuess> {
        let cells =
            cells.into_iter().enumerate().filter(|(_, cell)| KnownColumn::meant(cell).is_none());
        let guesses = cells.filter_map(|(nth, cell)| {
            let (distance, name, column) = nearest(cell)?;
            Some((distance, ColumnGuess { at: nth + 1, found: clipped(cell), name, column }))
        });
        guesses.min_by_key(|(distance, _)| *distance).map(|(_, guess)| guess)
    }
}

impl fmt::Display for ColumnGuess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ColumnGuess { at, found, name, column } = self;
        match *name == column.name() {
            true => write!(f, "is column {at}, {found:?}, meant to be {name}?"),
            false => write!(f, "is column {at}, {found:?}, meant to be {name} ({column})?"),
        }
    }
}

/// The distance of a name that is inside a cell: a name with one typing error is nearer.
const INSIDE: usize = 2;

fn nearest(cell: &str) -> Option<(usize, &'static str, KnownColumn)> {
    let names = KnownColumn::ALL.into_iter().flat_map(|column| {
        let all = std::iter::once(column.name()).chain(column.aliases());
        all.map(move |name| (name, column))
    });
    let near = names.filter_map(|(name, column)| Some((distance(cell, name)?, name, column)));
    near.min_by_key(|(distance, ..)| *distance)
}

/// How far a misspelt text is from a name, if that is near enough: at most a third of the characters of the name
/// differ, or the text contains it. Case, blanks, `_`, `-` and `.` do not count.
pub fn distance(text: &str, name: &str) -> Option<usize> {
    let (text, name) = (normal(text), normal(name));
    let letters = name.chars().count();
    if letters > 2 && text.contains(&name) {
        return Some(INSIDE);
    }
    let distance = osa_distance(&text, &name);
    (distance <= usize::max(1, letters / 3)).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses() {
        let cases: [(&str, Option<&str>); 12] = [
            ("쿠폰번로", Some("쿠폰번호")),
            ("쿠폰번호(필수)", Some("쿠폰번호")),
            ("만료", Some("만료일")),
            ("expire_at", None),
            ("expires_att", Some("expires_at")),
            ("exipres_at", Some("expires_at")),
            ("user id.", None),
            ("usr_id", Some("user_id")),
            ("stat", Some("state")),
            ("colour", None),
            ("Value", None),
            ("", None),
        ];
        for (cell, want) in cases {
            let found = ColumnGuess::of([cell]).map(|guess| guess.name);
            let known = KnownColumn::meant(cell).is_some();
            assert!(!known || found.is_none(), "{cell:?} needs no guess");
            assert_eq!(found.map(normal), want.map(normal), "{cell:?}");
        }
        let guess = ColumnGuess::of(["nr", "쿠폰번로"]).unwrap();
        assert_eq!(guess.to_string(), "is column 2, \"쿠폰번로\", meant to be 쿠폰번호 (code)?");
    }

    #[test]
    fn distances() {
        let cases = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "acb", 1),
            ("abc", "bca", 2),
            ("code", "coed", 1),
            ("만료일", "만료", 1),
        ];
        for (one, other, want) in cases {
            let found = (osa_distance(one, other), osa_distance(other, one));
            assert_eq!(found, (want, want), "{one} {other}");
        }
    }
}
