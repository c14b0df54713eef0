//! The steps of the protocols: a name for each statement of the store that writes, and the orders
//! in which protocols make them.
//!
//! A name stays the same when the text of a statement changes. Reports and the list of reached
//! states use it, and a stop can be aimed at it.

pub(crate) mod orders;
mod table;

use cql_session::{BoundValue, StatementRequest};

/// The name of what the table lacks: statements that a planted bug has changed.
const NAMELESS: &str = "a statement without a name";

/// One row of the table.
struct StepRow {
    name: &'static str,
    /// How the text begins.
    begins: &'static str,
    /// What else is in the text.
    has: &'static [&'static str],
    /// What is not.
    lacks: &'static [&'static str],
    /// The value of this number, counted from 0. Rows without one follow those with one.
    value: Option<(usize, &'static str)>,
}

impl StepRow {
    const fn of(name: &'static str, begins: &'static str) -> StepRow {
        StepRow { name, begins, has: &[], lacks: &[], value: None }
    }

    const fn has(self, has: &'static [&'static str]) -> StepRow {
        StepRow { has, ..self }
    }

    const fn lacks(self, lacks: &'static [&'static str]) -> StepRow {
        StepRow { lacks, ..self }
    }

    const fn with(self, number: usize, value: &'static str) -> StepRow {
        StepRow { value: Some((number, value)), ..self }
    }

    /// Whether a text is one of this step.
    fn has_text(&self, cql: &str) -> bool {
        let is_in = |part: &&str| cql.contains(*part);
        cql.starts_with(self.begins) && self.has.iter().all(is_in) && !self.lacks.iter().any(is_in)
    }

    fn has_value(&self, request: &StatementRequest) -> bool {
        let Some((number, wanted)) = self.value else { return true };
        let value = request.rows.first().and_then(|row| row.get(number));
        matches!(value, Some(BoundValue::Value(bytes)) if bytes == wanted.as_bytes())
    }
}

/// The name of the step that a request is; `None` if it only reads.
pub(crate) fn name(request: &StatementRequest) -> Option<&'static str> {
    if request.cql.starts_with("SELECT") {
        return None;
    }
    let is_it = |step: &&StepRow| step.has_text(request.cql) && step.has_value(request);
    Some(table::STEPS.iter().find(is_it).map_or(NAMELESS, |step| step.name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cql_session::StatementProfile;

    use super::*;
    use simulated_cluster::texts::statements_of_the_store;

    fn writes() -> Vec<String> {
        let texts = statements_of_the_store().into_iter();
        texts.filter(|text| !text.starts_with("SELECT")).collect()
    }

    #[test]
    fn every_statement_that_writes_has_one_name() {
        for text in writes() {
            let rows = table::STEPS.iter().filter(|step| step.has_text(&text));
            let names: Vec<&str> =
                rows.filter(|step| step.value.is_none()).map(|step| step.name).collect();
            assert_eq!(names.len(), 1, "{text}: {names:?}");
        }
    }

    #[test]
    fn no_row_is_unused() {
        let texts = writes();
        for step in table::STEPS {
            let is_sent = texts.iter().any(|text| step.has_text(text));
            assert!(is_sent, "{}: the store sends no such statement", step.name);
        }
        let names: BTreeSet<&str> = table::STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), table::STEPS.len(), "a name stands for one row");
    }

    #[test]
    fn rows_with_a_value_come_first() {
        let mut without = BTreeSet::new();
        for step in table::STEPS {
            match step.value {
                Some(_) => assert!(!without.contains(step.begins), "{}", step.name),
                None => drop(without.insert(step.begins)),
            }
        }
    }

    #[test]
    fn a_value_decides_the_name() {
        let request = |name: &str| {
            let values = ["7", name, "6"].map(|text| BoundValue::Value(text.as_bytes().to_vec()));
            StatementRequest {
                cql: "UPDATE setting SET value = ? WHERE name = ? IF value = ?",
                rows: vec![values.into()],
                profile: StatementProfile::Change,
                from: None,
                page_rows: 1,
            }
        };
        assert_eq!(name(&request("cold_begun")), Some("cold mark: commit is announced"));
        assert_eq!(name(&request("anything")), Some("setting: is changed"));
        let read = StatementRequest { cql: "SELECT value FROM setting", ..request("") };
        assert_eq!(name(&read), None);
        assert_eq!(name(&StatementRequest { cql: "DELETE FROM b", ..read }), Some(NAMELESS));
    }
}
