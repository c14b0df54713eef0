//! Tables and numbers as people read them.

use indicatif::HumanCount;
use serde_json::Value;

use crate::printable;

/// A JSON value as the text of a cell; null is empty.
pub fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A number with a comma between its thousands.
pub fn thousands(number: u64) -> String {
    HumanCount(number).to_string()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellAlignment {
    Left,
    Right,
}

/// A table; each column is as wide as its widest cell.
pub fn table(sides: &[CellAlignment], rows: &[Vec<String>]) -> String {
    let shown =
        |row: &Vec<String>| row.iter().map(|cell| printable(cell, &[]).into_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(shown).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..sides.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(sides).zip(&widths).map(|((cell, side), width)| match side {
            CellAlignment::Left => format!("{cell:<width$}"),
            CellAlignment::Right => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_200_000, "1,200,000"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ];
        for (number, want) in cases {
            assert_eq!(thousands(number), want);
        }
    }

    #[test]
    fn tables() {
        let rows = [vec!["ID".into(), "COUNT".into()], vec!["spring".into(), "7".into()]];
        assert_eq!(
            table(&[CellAlignment::Left, CellAlignment::Right], &rows),
            "ID      COUNT\nspring      7\n"
        );
    }
}
