//! Every statement of the store prepares. The texts are taken from its sources.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{KeyspaceSchema, StatementKind};

/// What the store puts together from parts.
pub(crate) const COMPOSED: [&str; 14] = [
    "SELECT expiry_day, bucket, code, sealed, version, hold, events FROM coupon \
     WHERE expiry_day = ? AND bucket = ? AND code = ?",
    "SELECT code FROM coupon WHERE expiry_day = ? AND bucket = ? AND code > ?",
    "SELECT code FROM coupon WHERE expiry_day = ? AND bucket = ? AND code > ? LIMIT ?",
    "SELECT code FROM coupon WHERE expiry_day = ? AND bucket IN ? AND code > ? \
     PER PARTITION LIMIT ?",
    "SELECT expiry_day, bucket_bits, entered FROM partition_plan WHERE expiry_day = ?",
    "SELECT first, next_serial FROM minted_run WHERE expiry_day = ? AND first <= ? LIMIT 1",
    "SELECT first, next_serial FROM minted_run WHERE expiry_day = ? LIMIT 1",
    "SELECT code, kind FROM directory WHERE code = ?",
    "UPDATE partition_plan USING TIMESTAMP ? SET bucket_bits = ? WHERE expiry_day = ?",
    "UPDATE partition_plan USING TIMESTAMP ? SET seal_after = ? WHERE expiry_day = ?",
    "UPDATE partition_plan USING TIMESTAMP ? SET closing = true WHERE expiry_day = ?",
    "UPDATE partition_plan USING TIMESTAMP ? SET sealed = true WHERE expiry_day = ?",
    "UPDATE partition_plan USING TIMESTAMP ? SET archive_commit = ? WHERE expiry_day = ?",
    "UPDATE partition_plan USING TIMESTAMP ? SET emptied = true WHERE expiry_day = ?",
];

/// Parts that another part follows.
const BEGINNINGS: [&str; 2] =
    ["modified_at FROM coupon ", "UPDATE partition_plan USING TIMESTAMP ? SET "];

/// Macros that a text begins with, and what stands between their names and the rest of it.
const MACROS: [(&str, &str); 3] =
    [("coupon_rows", "!("), ("plan_columns", "!(), "), ("run_columns", "!(), ")];

#[test]
fn every_statement_of_the_store_prepares() {
    let mut texts: Vec<String> = COMPOSED.iter().map(|text| (*text).to_owned()).collect();
    texts.extend(statements_of_the_store());
    assert!(texts.len() > 140, "only {} statements were found", texts.len());
    let schema = KeyspaceSchema::couponry();
    for text in &texts {
        let statement = schema.prepare(text).unwrap();
        let (kind, parameters) = (statement.kind(), statement.parameters().len());
        assert_eq!(parameters, text.matches(['?', ':']).count(), "{text}");
        let is_conditional = text.contains(" IF ");
        assert_eq!(kind == StatementKind::Conditional, is_conditional, "{text}");
        assert_eq!(kind == StatementKind::Clock, text.contains("system"), "{text}");
        let has_columns = text.starts_with("SELECT") || is_conditional;
        assert_eq!(!statement.columns().is_empty(), has_columns, "{text}");
    }
}

/// The statements in the sources of the store.
pub(crate) fn statements_of_the_store() -> Vec<String> {
    let mut sources = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for of in ["hot-cql", "cql-session"] {
        read(&crates.join(of).join("src"), &mut sources);
    }
    let mut texts: Vec<String> = sources.iter().flat_map(|source| literals(source)).collect();
    texts.retain(|text| BEGINNINGS.iter().all(|beginning| !text.ends_with(beginning)));
    // Of those about the nodes, the simulated ones answer only what a running store asks: the time.
    texts.retain(|text| !text.contains(" system") || text.contains("toTimestamp(now()) FROM"));
    for (name, between) in MACROS {
        let defined = format!("macro_rules! {name} {{");
        let beginning = sources.iter().find_map(|source| source.split_once(&defined)).unwrap().1;
        let beginning = literal(beginning.split_once('"').unwrap().1);
        let call = format!("{name}{between}\"");
        for source in &sources {
            for (at, _) in source.match_indices(&call) {
                let rest = literal(&source[at + call.len()..]);
                texts.push(format!("{beginning}{rest}"));
            }
        }
    }
    texts
}

/// All files below a folder.
fn read(folder: &Path, sources: &mut Vec<String>) {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read(&path, sources);
        } else {
            sources.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// The literals of a source that begin as a statement does.
fn literals(source: &str) -> Vec<String> {
    let verbs = ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE "];
    let of = |verb: &str| source.match_indices(verb).map(|(at, _)| at + 1).collect::<Vec<_>>();
    verbs.into_iter().flat_map(of).map(|at| literal(&source[at..])).collect()
}

/// A string literal up to its end, its lines joined.
fn literal(source: &str) -> String {
    let text = source.split('"').next().unwrap_or_default();
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}

#[test]
fn what_the_store_never_sends_is_refused() {
    let rows = [
        ("another table", "SELECT a FROM b"),
        ("another column", "SELECT nothing FROM setting"),
        ("a filter", "SELECT name FROM setting WHERE value = ?"),
        ("half a partition key", "SELECT cursor FROM lease WHERE batch_id = ?"),
        ("a gap in the key", "SELECT code FROM wallet WHERE user_id = ? AND tie = ?"),
        ("another order", "SELECT code FROM wallet WHERE user_id = ? ORDER BY tie ASC"),
        ("a row that is half named", "UPDATE wallet SET expiry_day = ? WHERE user_id = ?"),
        ("a write to all", "DELETE FROM setting"),
        (
            "a time of a conditional update",
            "UPDATE setting USING TIMESTAMP ? SET value = ? WHERE name = ? IF value = ?",
        ),
        ("more than is known", "SELECT name FROM setting ALLOW FILTERING"),
    ];
    for (name, cql) in rows {
        let refused = KeyspaceSchema::couponry().prepare(cql);
        assert!(refused.is_err_and(|why| why.ends_with(cql)), "{name}");
    }
}

#[test]
fn parameters_have_the_names_of_the_protocol() {
    let names = |cql: &str| {
        let statement = KeyspaceSchema::couponry().prepare(cql).unwrap();
        statement.parameters().iter().map(|it| it.name().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let rows = [
        (
            "UPDATE claim USING TIMESTAMP ? SET claimed[?] = ? \
             WHERE campaign_id = ? AND user_id = ?",
            "[timestamp] key(claimed) value(claimed) campaign_id user_id",
        ),
        (
            "UPDATE coupon SET version = ?, events = events + ? \
             WHERE expiry_day = ? AND bucket = ? AND code = ? IF version = :before",
            "version events expiry_day bucket code before",
        ),
        (
            "SELECT code FROM coupon WHERE expiry_day = ? AND bucket IN ? LIMIT ?",
            "expiry_day in(bucket) [limit]",
        ),
    ];
    for (cql, want) in rows {
        assert_eq!(names(cql), want, "{cql}");
    }
}
