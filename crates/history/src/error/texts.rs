//! The texts of errors: what DataFusion says, in plain sentences that suggest names.

use datafusion::common::SchemaError;
use datafusion::common::utils::datafusion_strsim::levenshtein;

use super::SuggestedNames;

/// Most letters in which a misspelled name differs from the name that is suggested.
const SLIPS_MAX: usize = 3;

pub(super) fn too_large(what: &str) -> String {
    if what.contains("max_temp_directory_size") {
        return "the query needs more room on disk than it may have (--spill-limit): look at fewer \
                days, or select fewer columns"
            .to_owned();
    }
    let wanted = between(what, "Failed to allocate additional ", " for ").unwrap_or("some");
    let who = between(what, &format!("{wanted} for "), " with ").unwrap_or("a part of it");
    format!(
        "the query needs more memory than it may have (--memory-limit): group by fewer values, \
         select fewer columns, or look at fewer days ({who} wanted {wanted} more)"
    )
}

pub(super) fn of_schema(error: SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut columns: Vec<String> = valid_fields.into_iter().map(|it| it.name).collect();
            columns.dedup();
            unknown("column", &field.name, &columns)
        }
        SchemaError::AmbiguousReference { field } => {
            format!("column {} is in several tables: write TABLE.{}", field.name, field.name)
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("column {name} comes out twice: name one of them with AS")
        }
    }
}

pub(super) fn of_plan(line: &str, whole: &str, names: &SuggestedNames) -> String {
    if let Some(table) = between(line, "table '", "' not found") {
        let table = table.strip_prefix("couponry.history.").unwrap_or(table);
        return unknown("table", table, &names.tables);
    }
    if line.starts_with("DDL not supported") {
        return "SELECT INTO is not allowed, a query only reads: use SELECT".to_owned();
    }
    let function = between(line, "Invalid function '", "'")
        .or_else(|| between(line, "table function '", "' not found"))
        .or_else(|| between(line, "Table function '", "' not found"));
    if let Some(function) = function {
        if names.denied.contains(&function.to_ascii_lowercase().as_str()) {
            return format!(
                "function {function} is not available: it can fill the memory with one row"
            );
        }
        return unknown("function", function, &names.functions);
    }
    let candidates = "No function matches the given name and argument types ";
    if let Some((_, candidates)) = whole.split_once(candidates) {
        let candidates: Vec<&str> = candidates.split_whitespace().collect();
        return format!("no function matches {}", candidates.join(" ").replace('\'', ""));
    }
    // The planner lists candidates after its first line.
    let more: Vec<&str> = whole.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    more.join(" ")
}

fn unknown(kind: &str, name: &str, known: &[String]) -> String {
    let lower = name.to_ascii_lowercase();
    // Of names that are equally near, the one of the same length: people swap letters more often than they
    // leave one out.
    let away = |other: &str| (levenshtein(&lower, other), lower.len().abs_diff(other.len()));
    let near = known.iter().map(|other| (away(other), other)).min();
    let near = near.filter(|((slips, _), _)| *slips <= SLIPS_MAX.min(lower.len() / 2));
    let meant = near.map(|(_, other)| format!(": did you mean {other}?")).unwrap_or_default();
    match kind {
        "function" => format!("there is no function {name}{meant}"),
        kind => {
            let known = known.join(", ");
            let meant = if meant.is_empty() { ":".to_owned() } else { format!("{meant} {kind}s:") };
            format!("there is no {kind} {name}{meant} {known}")
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}

pub(super) fn plain(error: &impl ToString) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("sql parser error: ").unwrap_or(&text);
    first_line(text).to_owned()
}

pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
