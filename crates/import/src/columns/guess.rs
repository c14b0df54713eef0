//! Guesses: the column that a misspelt cell of a header was perhaps meant to be.

use strsim::osa_distance;

use super::{KnownColumn, clipped, normal};

/// A question about the cell that is nearest to a name, among those that name no column.
pub(crate) fn guess(cells: &[&str]) -> Option<String> {
    let unknown = cells.iter().enumerate().filter(|(_, cell)| KnownColumn::meant(cell).is_none());
    let guesses = unknown.filter_map(|(nth, cell)| Some((nearest(cell)?, nth + 1, cell)));
    let nearest = guesses.min_by_key(|((distance, ..), ..)| *distance);
    let ((_, name, column), at, found) = nearest?;
    let found = clipped(found);
    Some(match name == column.as_str() {
        true => format!("is column {at}, {found:?}, meant to be {name}?"),
        false => format!("is column {at}, {found:?}, meant to be {name} ({column})?"),
    })
}

/// The distance of a name that is inside a cell: a name with one typing error is nearer.
const INSIDE: usize = 2;

fn nearest(cell: &str) -> Option<(usize, &'static str, KnownColumn)> {
    let names = KnownColumn::ALL.into_iter().flat_map(|column| {
        let all = std::iter::once(column.as_str()).chain(column.aliases());
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
    if letters > 2 && text != name && text.contains(&name) {
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
            let want = want.map(|name| format!("is column 1, {cell:?}, meant to be {name}"));
            let found = guess(&[cell]);
            assert_eq!(found.is_some(), want.is_some(), "{cell:?}: {found:?}");
            let is_wanted = found.unwrap_or_default().starts_with(&want.unwrap_or_default());
            assert!(is_wanted, "{cell:?}");
        }
        let guess = guess(&["nr", "쿠폰번로"]);
        let want = "is column 2, \"쿠폰번로\", meant to be 쿠폰번호 (code)?";
        assert_eq!(guess.as_deref(), Some(want));
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
