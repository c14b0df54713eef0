//! What each engine refuses.

use std::sync::Arc;

use cql_session::CqlEngine;

use super::super::KeyspaceSchema;
use super::super::dialect::DIALECT_RULES;
use crate::texts::statements_of_the_store;

const ENGINES: [CqlEngine; 2] = [CqlEngine::Cassandra, CqlEngine::Scylla];

const TABLES: &str = "CREATE TABLE IF NOT EXISTS t \
     (p int, a int, b int, s int static, desc int, unset int, v int, PRIMARY KEY (p, a, b));";

/// Who takes a statement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TakenBy {
    Both,
    Cassandra,
    Scylla,
    Neither,
}

fn takers(schema: &Arc<KeyspaceSchema>, cql: &str) -> TakenBy {
    match ENGINES.map(|engine| schema.prepare_for(engine, cql).is_ok()) {
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
        ("distinct rows", "SELECT DISTINCT p, a FROM t", TakenBy::Neither),
        (
            "distinct of some rows",
            "SELECT DISTINCT p FROM t WHERE p = ? AND a = ?",
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
