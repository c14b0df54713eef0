//! What an engine refuses although the parser here understands it: one table of rules.
//!
//! A rule is here only if it was read in the published source of the engine that refuses. What
//! neither engine is known to take, and what no statement of the store needs, is refused by the
//! parser and has no rule. `execution` has the rules about values, batches and pages.

use std::collections::BTreeSet;

use cql_session::CqlEngine;

use super::lexer::{CqlToken, TokenStream};
use super::schema::ColumnKind;
use super::statement::{CqlStatement, ReadPlan, StatementPlan};

/// One reason for an engine to refuse a statement at prepare.
pub(crate) struct DialectRule {
    /// What the engine says, in short.
    pub(crate) name: &'static str,
    pub(crate) refused_by: &'static [CqlEngine],
    /// File and function of the refusing engine's source.
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who read the table, and a test"))]
    pub(crate) source: &'static str,
    is_broken: fn(&CqlStatement) -> bool,
}

pub(crate) const BOTH: &[CqlEngine] = &[CqlEngine::Cassandra, CqlEngine::Scylla];

pub(crate) const DIALECT_RULES: [DialectRule; 8] = [
    // Cassandra takes it: MultiColumnRestriction.mergeWith turns the single column into a tuple.
    DialectRule {
        name: "single and multi column relations on clustering columns are mixed",
        refused_by: &[CqlEngine::Scylla],
        source: "cql3/restrictions/statement_restrictions.cc, the loop over predicates",
        // The key of an INSERT is no WHERE; its forms are empty.
        is_broken: |statement| {
            let about = statement.plan.about();
            about.is_some_and(|(_, of)| of.forms.has_single && of.forms.has_multi)
        },
    },
    DialectRule {
        name: "a column has a name that ScyllaDB reserves",
        refused_by: &[CqlEngine::Scylla],
        source: "cql3/Cql.g, cident: a keyword that is not in unreserved_keyword",
        is_broken: |statement| names_column(statement, &RESERVED_BY_SCYLLA),
    },
    DialectRule {
        name: "a column has a name that Cassandra reserves",
        refused_by: &[CqlEngine::Cassandra],
        source: "src/resources/org/apache/cassandra/cql3/reserved_keywords.txt",
        is_broken: |statement| names_column(statement, &RESERVED_BY_CASSANDRA),
    },
    DialectRule {
        name: "only static columns are selected and clustering columns are restricted",
        refused_by: BOTH,
        source: "StatementRestrictions.java, the constructor; statement_restrictions.cc, the same",
        is_broken: |statement| {
            read_plan(statement).is_some_and(|plan| !plan.of.is_whole() && is_of_statics(plan))
        },
    },
    DialectRule {
        name: "DISTINCT with restricted clustering columns",
        refused_by: BOTH,
        source: "SelectStatement.java, select_statement.cc: validate_distinct_selection",
        is_broken: |statement| {
            read_plan(statement).is_some_and(|plan| plan.is_distinct && !plan.of.is_whole())
        },
    },
    DialectRule {
        name: "DISTINCT of columns that are neither of the partition key nor static",
        refused_by: BOTH,
        source: "SelectStatement.java, select_statement.cc: validate_distinct_selection",
        is_broken: |statement| {
            read_plan(statement).is_some_and(|plan| plan.is_distinct && selects_rows(plan))
        },
    },
    DialectRule {
        name: "DISTINCT of a whole table without all columns of its partition key",
        refused_by: BOTH,
        source: "SelectStatement.java, select_statement.cc: validate_distinct_selection",
        is_broken: |statement| {
            read_plan(statement).is_some_and(|plan| {
                let of_key = |kind: &ColumnKind| matches!(kind, ColumnKind::Partition(_));
                let selected: BTreeSet<usize> = columns_of(plan)
                    .filter(|column| of_key(&plan.table.columns[*column].kind))
                    .collect();
                let is_whole_table = plan.of.key.is_empty();
                plan.is_distinct && is_whole_table && selected.len() < plan.table.partition.len()
            })
        },
    },
    DialectRule {
        name: "DISTINCT with PER PARTITION LIMIT",
        refused_by: BOTH,
        source: "SelectStatement.java, prepare; select_statement.cc, validate_distinct_selection",
        is_broken: |statement| {
            read_plan(statement)
                .is_some_and(|plan| plan.is_distinct && plan.partition_limit.is_some())
        },
    },
];

/// Keywords that are names of columns in Cassandra.
const RESERVED_BY_SCYLLA: [&str; 11] = [
    "ann",
    "cast",
    "concurrency",
    "default",
    "replace",
    "scylla_clustering_bound",
    "scylla_counter_shard_list",
    "scylla_timeuuid_list_index",
    "text_search_indexing",
    "unset",
    "vector_search_indexing",
];

/// Keywords that are names of columns in ScyllaDB.
const RESERVED_BY_CASSANDRA: [&str; 3] = ["desc", "describe", "execute"];

/// Whether an engine takes a statement.
///
/// # Errors
/// The first rule of this engine that the statement breaks.
pub(crate) fn check_dialect(engine: CqlEngine, statement: &CqlStatement) -> Result<(), String> {
    let broken = DIALECT_RULES
        .iter()
        .find(|rule| rule.refused_by.contains(&engine) && (rule.is_broken)(statement));
    match broken {
        Some(rule) => Err(format!("{} refuses: {}", engine.name(), rule.name)),
        None => Ok(()),
    }
}

pub(crate) fn read_plan(statement: &CqlStatement) -> Option<&ReadPlan> {
    match &statement.plan {
        StatementPlan::Read(plan) => Some(plan),
        StatementPlan::Clock | StatementPlan::Write(_) => None,
    }
}

fn columns_of(plan: &ReadPlan) -> impl Iterator<Item = usize> {
    plan.items.iter().map(|item| item.column())
}

fn selected_kinds(plan: &ReadPlan) -> impl Iterator<Item = ColumnKind> {
    columns_of(plan).map(|column| plan.table.columns[column].kind)
}

fn selects_rows(plan: &ReadPlan) -> bool {
    selected_kinds(plan).any(|kind| matches!(kind, ColumnKind::Clustering(_) | ColumnKind::Regular))
}

/// Both engines ask for a static column: the partition key alone may be read of one row.
fn is_of_statics(plan: &ReadPlan) -> bool {
    !selects_rows(plan) && selected_kinds(plan).any(|kind| kind == ColumnKind::Static)
}

/// Whether a text names a column that has one of these names. A keyword at its own place is no
/// name, so the table must have the column, too.
fn names_column(statement: &CqlStatement, reserved: &[&str]) -> bool {
    let Some((table, _)) = statement.plan.about() else { return false };
    let is_column = |word: &str| {
        reserved.iter().any(|name| name.eq_ignore_ascii_case(word))
            && table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(word))
    };
    let Ok(mut tokens) = TokenStream::of(&statement.text) else { return false };
    while let Ok(token) = tokens.token() {
        if matches!(token, CqlToken::Word(word) if is_column(&word)) {
            return true;
        }
    }
    false
}
