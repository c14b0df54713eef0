//! Every statement of the store prepares.

use super::super::{KeyspaceSchema, StatementKind};
use crate::texts::statements_of_the_store;

#[test]
fn every_statement_of_the_store_prepares() {
    let texts = statements_of_the_store();
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
