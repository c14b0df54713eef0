//! The guard of cells against spreadsheets: the only place that writes it and takes it away again.
//!
//! A spreadsheet runs a cell that begins like a formula. The text may come from somebody else, and
//! whoever opens the file must not run it. So an apostrophe stands in front, as OWASP advises: at
//! the beginning of the cell, and behind each character that begins another cell or line in a
//! spreadsheet with another separator, which ignores quotes within a line.

/// What a spreadsheet takes for the beginning of a formula, also in full width.
const BEGINNINGS: [char; 10] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r'];

/// What may begin another cell or line within a cell between commas.
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

const GUARD: char = '\'';

/// A cell of this text that no spreadsheet runs as a formula.
pub fn guarded(text: &str) -> String {
    let mut cell = String::with_capacity(text.len() + 1);
    for (begins, rest, each) in places(text) {
        if begins && is_formula(rest) {
            cell.push(GUARD);
        }
        cell.push(each);
    }
    cell
}

/// The text of a cell: takes away what [`guarded`] put in, whatever the text was, and nothing else.
pub fn unguarded(cell: &str) -> String {
    let is_guard = |begins: bool, rest: &str| begins && rest.starts_with(GUARD) && is_formula(rest);
    let kept = places(cell).filter(|(begins, rest, _)| !is_guard(*begins, rest));
    kept.map(|(.., each)| each).collect()
}

/// Each character with whether it may begin a cell, and with the text from it on.
fn places(text: &str) -> impl Iterator<Item = (bool, &str, char)> {
    let mut begins = true;
    text.char_indices().map(move |(at, each)| {
        let began = std::mem::replace(&mut begins, SEPARATORS.contains(&each));
        (began, &text[at..], each)
    })
}

/// Whether a text begins like a formula. One that looks guarded does too: it gets a guard of its
/// own, so that taking one away is right for every text.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches(GUARD).starts_with(BEGINNINGS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn cells() {
        let cases = [
            ("plain", "ABC", "ABC"),
            ("empty", "", ""),
            ("a formula", "=1+1", "'=1+1"),
            ("plus", "+8210", "'+8210"),
            ("minus", "-1", "'-1"),
            ("at", "@SUM", "'@SUM"),
            ("in full width", "＝1", "'＝1"),
            ("plus in full width", "＋1", "'＋1"),
            ("minus in full width", "－1", "'－1"),
            ("at in full width", "＠1", "'＠1"),
            ("a tab", "\t=1", "'\t'=1"),
            ("a carriage return", "\r=1", "'\r'=1"),
            ("a sign within", "a=b", "a=b"),
            ("behind a semicolon", "a;=1;b;@x", "a;'=1;b;'@x"),
            ("in a line of its own", "a\n=1", "a\n'=1"),
            ("an apostrophe", "'tis", "'tis"),
            ("one that looks guarded", "'=1", "''=1"),
            ("and one that is", "''=1", "'''=1"),
            ("a name in Korean", "김철수", "김철수"),
        ];
        for (name, text, want) in cases {
            assert_eq!(guarded(text), want, "{name}");
            assert_eq!(unguarded(want), text, "{name}");
        }
        assert_eq!(unguarded("=1"), "=1", "a cell without a guard");
    }

    proptest! {
        #[test]
        fn what_is_guarded_reads_back(text in "['=+@;a\t\n\r＝－-]{0,12}") {
            let cell = guarded(&text);
            prop_assert_eq!(unguarded(&cell), text);
            for part in cell.split(SEPARATORS) {
                prop_assert!(!part.starts_with(['=', '+', '-', '@', '＝', '－']), "{:?}", cell);
            }
        }
    }
}
