//! What each engine refuses.

use std::sync::Arc;

use cql_session::CqlEngine;

use super::super::KeyspaceSchema;
use super::super::dialect::DIALECT_RULES;
use super::super::execution::{EXECUTION_RULES, StatementExecution};
use super::{BoundValue, collection, int};
use crate::texts::statements_of_the_store;

const ENGINES: [CqlEngine; 2] = [CqlEngine::Cassandra, CqlEngine::Scylla];

const TABLES: &str = "CREATE TABLE IF NOT EXISTS t \
     (p int, a int, b int, s int static, desc int, unset int, v int, PRIMARY KEY (p, a, b)); \
     CREATE TABLE IF NOT EXISTS pair \
     (p int, q int, a int, s int static, l set<int>, PRIMARY KEY ((p, q), a));";

/// Who takes a statement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TakenBy {
    Both,
    Cassandra,
    Scylla,
    Neither,
}

fn takers(schema: &Arc<KeyspaceSchema>, cql: &str) -> TakenBy {
    by(ENGINES.map(|engine| schema.prepare_for(engine, cql).is_ok()))
}

/// By whether Cassandra and ScyllaDB take it.
fn by(taken: [bool; 2]) -> TakenBy {
    match taken {
        [true, true] => TakenBy::Both,
        [true, false] => TakenBy::Cassandra,
        [false, true] => TakenBy::Scylla,
        [false, false] => TakenBy::Neither,
    }
}

#[test]
fn each_engine_refuses_what_its_source_refuses() {
    let schema = Arc::new(KeyspaceSchema::parse(TABLES).unwrap());
    let rows = [
        (
            "two bounds of tuples",
            "SELECT v FROM t WHERE p = ? AND (a, b) > (?, ?) AND (a, b) < (?, ?)",
            TakenBy::Both,
        ),
        (
            "two bounds of one column",
            "SELECT v FROM t WHERE p = ? AND a > ? AND a <= ?",
            TakenBy::Both,
        ),
        (
            "a tuple of one",
            "SELECT v FROM t WHERE p = ? AND (a, b) > (?, ?) AND (a) <= (?)",
            TakenBy::Both,
        ),
        (
            "a tuple, then a column",
            "SELECT v FROM t WHERE p = ? AND (a, b) > (?, ?) AND a <= ?",
            TakenBy::Cassandra,
        ),
        (
            "a column, then a tuple",
            "SELECT v FROM t WHERE p = ? AND a <= ? AND (a, b) > (?, ?)",
            TakenBy::Cassandra,
        ),
        (
            "an equal column, then a tuple of one",
            "SELECT v FROM t WHERE p = ? AND a = ? AND (b) > (?)",
            TakenBy::Cassandra,
        ),
        (
            "a mixed deletion",
            "DELETE FROM t WHERE p = ? AND (a, b) > (?, ?) AND a <= ?",
            TakenBy::Cassandra,
        ),
        ("a name that ScyllaDB reserves", "SELECT unset FROM t WHERE p = ?", TakenBy::Cassandra),
        (
            "also as a target",
            "UPDATE t SET unset = ? WHERE p = ? AND a = ? AND b = ?",
            TakenBy::Cassandra,
        ),
        ("a name that Cassandra reserves", "SELECT desc FROM t WHERE p = ?", TakenBy::Scylla),
        ("statics of a partition", "SELECT s FROM t WHERE p = ?", TakenBy::Both),
        ("statics of some rows", "SELECT s FROM t WHERE p = ? AND a = ?", TakenBy::Neither),
        ("statics and rows", "SELECT s, v FROM t WHERE p = ? AND a = ?", TakenBy::Both),
        ("the key of some rows", "SELECT p FROM t WHERE p = ? AND a = ?", TakenBy::Both),
        ("distinct partitions", "SELECT DISTINCT p, s FROM t", TakenBy::Both),
        ("distinct keys in part", "SELECT DISTINCT q FROM pair", TakenBy::Neither),
        ("distinct keys", "SELECT DISTINCT q, p, s FROM pair", TakenBy::Both),
        ("distinct of one", "SELECT DISTINCT s FROM pair WHERE p = ? AND q = ?", TakenBy::Both),
        ("distinct rows", "SELECT DISTINCT p, a FROM t", TakenBy::Neither),
        (
            "distinct of some rows",
            "SELECT DISTINCT p FROM t WHERE p = ? AND a = ?",
            TakenBy::Neither,
        ),
        (
            "the time of a set",
            "SELECT WRITETIME(l) FROM pair WHERE p = ? AND q = ?",
            TakenBy::Neither,
        ),
        ("distinct with a limit", "SELECT DISTINCT p FROM t LIMIT ?", TakenBy::Both),
        (
            "distinct with a limit of each",
            "SELECT DISTINCT p FROM t PER PARTITION LIMIT 1",
            TakenBy::Neither,
        ),
    ];
    for (name, cql, want) in rows {
        assert_eq!(takers(&schema, cql), want, "{name}");
    }
}

#[test]
fn every_rule_names_its_source() {
    for rule in &DIALECT_RULES {
        assert!(!rule.source.is_empty() && !rule.refused_by.is_empty(), "{}", rule.name);
    }
    for rule in &EXECUTION_RULES {
        assert!(!rule.source.is_empty() && !rule.refused_by.is_empty(), "{}", rule.name);
    }
}

#[test]
fn both_engines_take_every_statement_of_the_store() {
    let schema = KeyspaceSchema::couponry();
    let mut refused = Vec::new();
    for text in statements_of_the_store() {
        for engine in ENGINES {
            refused.extend(schema.prepare_for(engine, &text).err());
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn each_engine_refuses_executions() {
    let schema = Arc::new(KeyspaceSchema::parse(TABLES).unwrap());
    let in_order = "SELECT v FROM t WHERE p IN ? ORDER BY a ASC, b ASC";
    let (one, some) = ("SELECT v FROM t WHERE p = 1 LIMIT ?", "SELECT v FROM t WHERE p IN ?");
    let each = "SELECT v FROM t WHERE p = 1 PER PARTITION LIMIT ?";
    let change = "UPDATE t SET v = 1 WHERE p = ? AND a = 1 AND b = 1 IF v = 2";
    let write = "UPDATE t SET v = 1 WHERE p = ? AND a = 1 AND b = 1";
    let parts: Vec<[u8; 4]> = (0..101_i32).map(i32::to_be_bytes).collect();
    let parts: Vec<&[u8]> = parts.iter().map(<[u8; 4]>::as_slice).collect();
    let many = |count: i32| collection(count, &parts[..usize::try_from(count).unwrap()]);
    let rows = [
        ("a limit", one, vec![vec![int(1)]], TakenBy::Both),
        ("a limit of 0", one, vec![vec![int(0)]], TakenBy::Neither),
        ("a negative limit", one, vec![vec![int(-1)]], TakenBy::Neither),
        ("a null as limit", one, vec![vec![BoundValue::Null]], TakenBy::Neither),
        ("no limit after all", one, vec![vec![BoundValue::Unset]], TakenBy::Both),
        ("a limit of each of 0", each, vec![vec![int(0)]], TakenBy::Neither),
        ("a page in an order", in_order, vec![vec![many(2)]], TakenBy::Neither),
        ("a page without", some, vec![vec![many(2)]], TakenBy::Both),
        ("100 partitions", some, vec![vec![many(100)]], TakenBy::Both),
        ("101 partitions", some, vec![vec![many(101)]], TakenBy::Cassandra),
        ("a batch of two", write, vec![vec![int(1)], vec![int(2)]], TakenBy::Both),
        ("the same with conditions", change, vec![vec![int(1)], vec![int(2)]], TakenBy::Neither),
        ("conditions in one", change, vec![vec![int(1)], vec![int(1)]], TakenBy::Both),
    ];
    for (name, cql, rows, want) in rows {
        let taken = ENGINES.map(|engine| {
            let statement = schema.prepare_for(engine, cql).unwrap();
            let execution =
                StatementExecution { statement: &statement, rows: &rows, is_paged: true };
            execution.check().is_ok()
        });
        assert_eq!(by(taken), want, "{name}");
    }
}
