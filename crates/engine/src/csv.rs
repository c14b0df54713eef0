//! Rows of CSV for people and their spreadsheets.

use coupon::cell_guard::guarded;
use coupon::worth::RedemptionWorth;

/// With it in front, a spreadsheet opens UTF-8 rightly, also in Korean.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A row with its line end, quoted where necessary.
pub fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut row = cells.into_iter().map(cell).collect::<Vec<_>>().join(",");
    row.push('\n');
    row
}

/// Quoted where necessary; no spreadsheet runs it as a formula: see [`coupon::cell_guard`].
pub fn cell(text: &str) -> String {
    let cell = guarded(text);
    match cell.contains([',', ';', '"', '\n', '\r', '\t']) || text.trim() != text {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

/// The cells `order_amount`, `discount` and `currency`.
pub(crate) fn worth_cells(worth: Option<&RedemptionWorth>) -> [String; 3] {
    let amount = |of: fn(&RedemptionWorth) -> Option<u64>| {
        worth.and_then(of).map_or_else(String::new, |amount| amount.to_string())
    };
    let currency = worth.map_or("", |worth| worth.currency.as_str());
    [amount(|it| it.order_amount), amount(|it| it.discount), currency.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells() {
        let cases = [
            ("plain", "ABC", "ABC"),
            ("empty", "", ""),
            ("a comma", "a,b", "\"a,b\""),
            ("quotes", "a\"b", "\"a\"\"b\""),
            ("a line end", "a\nb", "\"a\nb\""),
            ("a formula", "=1+1", "'=1+1"),
            ("a formula with a comma", "=A(1,2)", "\"'=A(1,2)\""),
            ("a formula with a semicolon", "a;=1", "\"a;'=1\""),
            ("a tab", "\t=1", "\"'\t'=1\""),
            ("a sign within", "a=b", "a=b"),
            ("spaces around", " a ", "\" a \""),
        ];
        for (name, text, want) in cases {
            assert_eq!(cell(text), want, "{name}");
        }
        assert_eq!(row(["a", "", "-"]), "a,,'-\n");
    }
}
