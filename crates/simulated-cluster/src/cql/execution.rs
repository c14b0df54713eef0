//! What engines refuse only when a statement is executed, since it depends on values, on the batch or on
//! its pages: one table of rules, as in `dialect`.

use cql_session::{BoundValue, CqlEngine};
use scylla::errors::DbError;

use super::dialect::{BOTH, read_plan};
use super::statement::{CqlStatement, ReadPlan, StatementKind};
use super::value_term::ValueTerm;

/// Partitions that one statement may name: the default of `max_partition_key_restrictions_per_query`.
const PARTITIONS_MAX: usize = 100;

/// What is executed.
pub(crate) struct StatementExecution<'e> {
    pub(crate) statement: &'e CqlStatement,
    /// More than one is a batch.
    pub(crate) rows: &'e [Vec<BoundValue>],
    pub(crate) is_paged: bool,
}

/// One reason for an engine to refuse an execution.
pub(crate) struct ExecutionRule {
    pub(crate) name: &'static str,
    pub(crate) refused_by: &'static [CqlEngine],
    /// File and function of the refusing engine's source.
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who read the table, and a test"))]
    pub(crate) source: &'static str,
    error: DbError,
    is_broken: fn(&StatementExecution<'_>) -> bool,
}

pub(crate) const EXECUTION_RULES: [ExecutionRule; 4] = [
    ExecutionRule {
        name: "a LIMIT is null, zero or negative",
        refused_by: BOTH,
        source: "SelectStatement.java, getLimit; select_statement.cc, get_limit",
        error: DbError::Invalid,
        is_broken: |it| {
            let plan = read_plan(it.statement);
            let terms = plan.map(|plan| [plan.limit.as_ref(), plan.partition_limit.as_ref()]);
            terms.into_iter().flatten().flatten().any(|term| is_no_limit(term, it.values()))
        },
    },
    ExecutionRule {
        name: "a page of several partitions in an order",
        refused_by: BOTH,
        source: "select_statement.cc, do_execute: needs_post_query_ordering; Cassandra the same",
        error: DbError::Invalid,
        is_broken: |it| {
            let is_ordered = |plan: &ReadPlan| plan.is_ordered && plan.of.names_several();
            it.is_paged && read_plan(it.statement).is_some_and(is_ordered)
        },
    },
    ExecutionRule {
        name: "a batch with conditions of several partitions",
        refused_by: BOTH,
        source: "BatchStatement.java, makeCasRequest; batch_statement.cc, execute_with_conditions",
        error: DbError::Invalid,
        is_broken: |it| {
            let partitions = || it.rows.iter().map(|values| it.statement.partition(values));
            let is_first = |one: Result<_, _>| partitions().next() == Some(one);
            it.statement.kind() == StatementKind::Conditional && !partitions().all(is_first)
        },
    },
    // A limit of Cassandra would be a guardrail, which nobody has by default.
    ExecutionRule {
        name: "more than 100 partitions",
        refused_by: &[CqlEngine::Scylla],
        source: "statement_restrictions.cc, partition_ranges_from_singles",
        error: DbError::ServerError,
        is_broken: |it| {
            let named = it.statement.partitions(it.values());
            named.is_ok_and(|named| named.len() > PARTITIONS_MAX)
        },
    },
];

impl StatementExecution<'_> {
    fn values(&self) -> &[BoundValue] {
        self.rows.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the engine of the statement executes it.
    ///
    /// # Errors
    /// That of the first rule that is broken, and why.
    pub(crate) fn check(&self) -> Result<(), (DbError, String)> {
        let engine = self.statement.engine;
        let broken = EXECUTION_RULES
            .iter()
            .find(|rule| rule.refused_by.contains(&engine) && (rule.is_broken)(self));
        match broken {
            Some(rule) => {
                let why = format!("{} refuses: {}", engine.name(), rule.name);
                Err((rule.error.clone(), self.statement.error(&why)))
            }
            None => Ok(()),
        }
    }
}

/// An unset limit is none.
fn is_no_limit(term: &ValueTerm, values: &[BoundValue]) -> bool {
    match term.value(values) {
        Ok(BoundValue::Null) => true,
        Ok(_) => term.number(values).is_ok_and(|number| number.is_some_and(|it| it <= 0)),
        Err(_) => false,
    }
}
