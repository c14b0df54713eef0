//! What a node says of itself: its clock and its release. Nothing of the store depends on more.

use scylla::frame::response::result::{
    CollectionType, ColumnSpec, ColumnType, NativeType, TableSpec,
};

use super::lexer::{CqlToken, TokenStream};
use super::prepare::SelectedColumn;
use super::statement::{CqlStatement, StatementPlan};
use super::types::put_cell;

/// The one table that has a row.
const LOCAL: &str = "system.local";

const TABLES: [&str; 6] = [
    LOCAL,
    "system.versions",
    "system_schema.columns",
    "system_schema.keyspaces",
    "system_schema.types",
    "system_views.settings",
];

/// A value of the row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LocalValue {
    Now,
    Text(&'static str),
}

impl LocalValue {
    pub(crate) fn row(values: &[LocalValue], now_ms: i64) -> Vec<u8> {
        let mut out = Vec::new();
        for value in values {
            match value {
                LocalValue::Now => put_cell(&mut out, Some(&now_ms.to_be_bytes())),
                LocalValue::Text(text) => put_cell(&mut out, Some(text.as_bytes())),
            }
        }
        out
    }
}

/// Prepares a read of a table of the system.
pub(crate) fn prepare(
    cql: &str,
    table: &str,
    selected: &[(SelectedColumn, Option<String>)],
    mut tokens: TokenStream,
) -> Result<CqlStatement, String> {
    if !TABLES.contains(&table) {
        return Err(format!("no table {table}"));
    }
    let (keyspace, name) = table.split_once('.').unwrap_or_default();
    let spec = |column: &str, typ| {
        let of = TableSpec::owned(keyspace.to_owned(), name.to_owned());
        ColumnSpec::owned(column.to_owned(), typ, of)
    };
    let (mut columns, mut values, mut parameters) = (Vec::new(), Vec::new(), Vec::new());
    for (selected, alias) in selected {
        let (name, typ) = match selected {
            SelectedColumn::Now => {
                values.push(LocalValue::Now);
                ("system.totimestamp(system.now())", ColumnType::Native(NativeType::Timestamp))
            }
            SelectedColumn::Column(name) => {
                values.extend(value_of(name).map(LocalValue::Text));
                (name.as_str(), type_of(name))
            }
            SelectedColumn::Written(_) | SelectedColumn::Token(_) => {
                return Err("no such column".into());
            }
        };
        columns.push(spec(alias.as_deref().unwrap_or(name), typ));
    }
    if table != LOCAL {
        values.clear();
    } else if values.len() != columns.len() {
        return Err("no such column".into());
    }
    if tokens.word("WHERE") {
        let column = tokens.name()?;
        tokens.expect_sign("=")?;
        match tokens.token()? {
            CqlToken::Sign("?") => parameters.push(spec(&column, type_of(&column))),
            CqlToken::Text(_) => {}
            other => return Err(format!("{other:?} is no value of {column}")),
        }
    }
    if !tokens.is_done() {
        return Err("more follows than is known".into());
    }
    Ok(CqlStatement {
        text: cql.into(),
        table: table.into(),
        parameters: parameters.into(),
        columns: columns.into(),
        plan: StatementPlan::Local(values),
    })
}

/// What the row has.
fn value_of(column: &str) -> Option<&'static str> {
    match column {
        "release_version" => Some("5.0.8"),
        "data_center" => Some("datacenter1"),
        "key" => Some("local"),
        _ => None,
    }
}

fn type_of(column: &str) -> ColumnType<'static> {
    let text = || Box::new(ColumnType::Native(NativeType::Text));
    let typ = match column {
        "replication" => CollectionType::Map(text(), text()),
        "field_names" | "field_types" => CollectionType::List(text()),
        _ => return *text(),
    };
    ColumnType::Collection { frozen: false, typ }
}
