//! What `couponry copy` prints of a pass and of a comparison.

use hot::inventory::{Compared, Copied};

use crate::output::{self, Left, Right, thousands};

pub(super) fn summary(copied: &Copied) -> String {
    let read = copied.read.iter().map(|(what, count)| format!("{} {what}", thousands(*count)));
    let read = read.collect::<Vec<_>>().join(", ");
    let pass = match (copied.again, copied.resumed) {
        (false, false) => "first pass",
        (false, true) => "first pass, continued where it stopped",
        (true, false) => "another pass",
        (true, true) => "another pass, continued where it stopped",
    };
    let removed = match copied.removed {
        0 => String::new(),
        removed => format!("; removed {} that the source no longer has", thousands(removed)),
    };
    let read = if read.is_empty() { "nothing".to_owned() } else { read };
    format!("{pass}: read {read}{removed}")
}

pub(super) fn table(compared: &[Compared]) -> String {
    let row = |one: &Compared| {
        let Compared { what, from, to } = one;
        let result = match (from == to, from.count == to.count) {
            (true, _) => "the same".to_owned(),
            (false, false) => "differ".to_owned(),
            (false, true) => format!("differ: {:032x}, {:032x}", from.hash, to.hash),
        };
        [(*what).to_owned(), thousands(from.count), thousands(to.count), result]
    };
    let heads = [("", Left), ("SOURCE", Right), ("TARGET", Right), ("", Left)];
    output::table(heads, compared.iter().map(row))
}

#[cfg(test)]
mod tests {
    use hot::inventory::ItemSum;

    use super::*;

    #[test]
    fn tables() {
        let sum = |count, hash| ItemSum { count, hash };
        let one = |what, to, hash| Compared { what, from: sum(1_200, 1), to: sum(to, hash) };
        let rows = [one("claims", 1_200, 1), one("coupons", 1_199, 0), one("markers", 1_200, 2)];
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "claims    1,200   1,200  the same");
        assert_eq!(lines[2], "coupons   1,200   1,199  differ");
        assert!(lines[3].ends_with("01, 00000000000000000000000000000002"), "{text}");
    }
}
