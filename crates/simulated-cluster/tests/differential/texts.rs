//! The statements of the store: their list, and whether it is complete.

use simulated_cluster::texts::{listed_statements, statements_in_sources};

/// Leads to one CQL partition for all, so that it cannot have values of its own in each lane.
const LEFT_OUT: &str = "INSERT INTO campaign_name (part, campaign_id) VALUES (0, ?)";

/// Statements of the store that are not in the list. Where the source has only the beginning of one,
/// that must be the beginning of a listed one.
pub(crate) fn missing() -> Vec<String> {
    let mut texts = statements_in_sources();
    assert!(texts.len() > 100, "the source of the store is read");
    let listed = listed_statements();
    let is_listed = |text: &String| listed.iter().any(|line| line.starts_with(text.as_str()));
    texts.retain(|text| has_values(text) && text != LEFT_OUT && !is_listed(text));
    texts
}

/// Whether it reads or writes by a key of the store's own tables.
fn has_values(text: &str) -> bool {
    text.contains(['?', ':']) && !text.contains("system")
}
