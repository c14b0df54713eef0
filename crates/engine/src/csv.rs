//! Rows of CSV for people and their spreadsheets.

/// With it in front, a spreadsheet opens UTF-8 rightly, also in Korean.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A row with its line end, quoted where necessary.
pub fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut row = cells.into_iter().map(cell).collect::<Vec<_>>().join(",");
    row.push('\n');
    row
}

/// A cell that no spreadsheet runs as a formula: a text that begins like one gets an apostrophe in
/// front, as OWASP advises. The text comes from somebody else, and whoever opens the file must not
/// run it.
pub fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    match text.contains([',', '"', '\n', '\r', '\t']) || text.trim() != text {
        true => format!("\"{guard}{}\"", text.replace('"', "\"\"")),
        false => format!("{guard}{text}"),
    }
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
            ("plus", "+49", "'+49"),
            ("minus", "-1", "'-1"),
            ("at", "@SUM", "'@SUM"),
            ("a tab", "\t=1", "\"'\t=1\""),
            ("a carriage return", "\r=1", "\"'\r=1\""),
            ("a sign within", "a=b", "a=b"),
            ("spaces around", " a ", "\" a \""),
        ];
        for (name, text, want) in cases {
            assert_eq!(cell(text), want, "{name}");
        }
        assert_eq!(row(["a", "", "-"]), "a,,'-\n");
    }
}
