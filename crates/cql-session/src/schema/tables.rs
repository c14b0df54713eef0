//! The tables and types that `schema/hot.cql` names, with their columns.

use std::collections::BTreeMap;

/// What `couponry schema apply` runs.
const TABLES: &str = include_str!("../../../../schema/hot.cql");

/// The columns of a table, or the fields of a type, with their types.
pub(super) type ColumnTypes = BTreeMap<String, String>;
pub(super) type TableColumns = BTreeMap<String, ColumnTypes>;

/// Tables and types of the file: their columns with their types, `static` included.
pub(super) fn wanted() -> TableColumns {
    let mut all = TableColumns::new();
    for statement in statements() {
        let Some((head, body)) = statement.split_once('(') else { continue };
        let name = head.split_whitespace().next_back().unwrap_or_default().to_owned();
        let mut columns = ColumnTypes::new();
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

/// The columns and fields that are missing in the tables and types that are `there`: the name of each,
/// as `table.column`, and the statement that adds it.
pub(super) fn additions(keyspace: &str, there: &TableColumns) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for statement in statements() {
        let name = name_of(&statement);
        let (Some(here), Some(columns)) = (there.get(name), wanted().remove(name)) else {
            continue;
        };
        let what = if is_table(&statement) { "TABLE" } else { "TYPE" };
        for (column, kind) in columns.iter().filter(|(column, _)| !here.contains_key(*column)) {
            let alter = format!("ALTER {what} {keyspace}.{name} ADD {column} {kind}");
            all.push((format!("{name}.{column}"), alter));
        }
    }
    all
}

/// The names of what is missing: whole tables and types, then columns and fields of the others.
pub(super) fn missing(there: &TableColumns) -> Vec<String> {
    let whole = wanted().into_keys().filter(|name| !there.contains_key(name));
    whole.chain(additions("", there).into_iter().map(|(what, _)| what)).collect()
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

    #[test]
    fn what_is_missing_is_named_and_added() {
        assert_eq!(missing(&wanted()), [""; 0]);
        let mut there = wanted();
        there.remove("claim");
        for (name, column) in
            [("event", "time_zone"), ("coupon", "sealed"), ("partition_plan", "emptied")]
        {
            there.get_mut(name).and_then(|columns| columns.remove(column)).expect(column);
        }
        let names = ["claim", "event.time_zone", "coupon.sealed", "partition_plan.emptied"];
        assert_eq!(missing(&there), names);
        let added = additions("shop", &there).into_iter().map(|(_, statement)| statement);
        let statements = [
            "ALTER TYPE shop.event ADD time_zone text",
            "ALTER TABLE shop.coupon ADD sealed boolean static",
            "ALTER TABLE shop.partition_plan ADD emptied boolean",
        ];
        assert_eq!(added.collect::<Vec<_>>(), statements);
    }
}
