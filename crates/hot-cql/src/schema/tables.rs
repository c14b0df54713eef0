//! The tables and types that `schema/hot.cql` names, with their columns.

use std::collections::BTreeMap;

/// What `couponry schema apply` runs.
const TABLES: &str = include_str!("../../../../schema/hot.cql");

pub(super) type Columns = BTreeMap<String, String>;

/// Tables and types of the file: their columns with their types, `static` included.
pub(super) fn wanted() -> BTreeMap<String, Columns> {
    let mut all = BTreeMap::new();
    for statement in statements() {
        let Some((head, body)) = statement.split_once('(') else { continue };
        let name = head.split_whitespace().next_back().unwrap_or_default().to_owned();
        let mut columns = Columns::new();
        for line in body.lines().map(|line| line.trim().trim_end_matches(',')) {
            let Some((column, kind)) = line.split_once(' ') else { continue };
            if column == "PRIMARY" || column.starts_with(')') {
                continue;
            }
            let kind = kind.trim().trim_end_matches(" PRIMARY KEY");
            columns.insert(column.to_owned(), kind.trim().to_owned());
        }
        all.insert(name, columns);
    }
    all
}

/// The statements of the file without its comments.
pub(super) fn statements() -> Vec<String> {
    let lines = TABLES.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    text.split(';').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

pub(super) fn is_table(statement: &str) -> bool {
    statement.starts_with("CREATE TABLE")
}

pub(super) fn name_of(statement: &str) -> &str {
    statement.split('(').next().and_then(|head| head.split_whitespace().next_back()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_understood() {
        let wanted = wanted();
        let cases = [
            ("a column", "coupon", "version", "bigint"),
            ("a static one", "coupon", "sealed", "boolean static"),
            ("a map of a type", "coupon", "events", "map<int, frozen<event>>"),
            ("a type", "event", "operation", "uuid"),
            ("a key of one column", "partition_plan", "expiry_day", "date"),
            ("a set", "partition_plan", "entered", "set<date>"),
        ];
        for (name, table, column, kind) in cases {
            let found = wanted.get(table).and_then(|columns| columns.get(column));
            assert_eq!(found.map(String::as_str), Some(kind), "{name}");
        }
        assert!(wanted.values().all(|columns| !columns.contains_key("PRIMARY")));
        assert_eq!(wanted.len(), statements().len(), "each statement makes one thing");
    }
}
