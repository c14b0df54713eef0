//! How a query ends when it does not end well: one sentence for each way.

use std::time::Duration;

use datafusion::arrow::error::ArrowError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{DataFusionError, SchemaError};
use hot::HotError;

/// A word so far from another is no slip of the keyboard.
const SLIPS_MAX: usize = 3;

/// Why there are no rows, or no more of them.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The SQL cannot be run as it stands.
    #[error("{0}")]
    Sql(String),
    /// It runs, but not over the values that it met.
    #[error("{0}")]
    Values(String),
    /// It took longer than it may.
    #[error("the query took more than {time:?}: look at fewer days, or raise --time-limit")]
    TooLong {
        /// How long it may take.
        time: Duration,
    },
    /// It needs more memory, or more room for what does not fit there, than it may have.
    #[error("{0}")]
    TooLarge(String),
    /// A store did not answer.
    #[error("{0}")]
    Store(HotError),
    /// A fault of ours.
    #[error("this is a fault in couponry-history: {0}")]
    Broken(String),
}

/// What can be named, for an error that says so.
pub(crate) struct Names {
    pub(crate) tables: Vec<String>,
    pub(crate) functions: Vec<String>,
    /// Functions that are left out on purpose.
    pub(crate) denied: &'static [&'static str],
}

impl HistoryError {
    /// What an error of the planner or of the execution means.
    pub(crate) fn of(error: DataFusionError, names: &Names) -> HistoryError {
        match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                HistoryError::of(*inner, names)
            }
            DataFusionError::Collection(all) => match all.into_iter().next() {
                Some(first) => HistoryError::of(first, names),
                None => HistoryError::Broken("an error without a cause".to_owned()),
            },
            DataFusionError::SQL(error, _) => {
                HistoryError::Sql(format!("syntax: {}", plain(&error)))
            }
            DataFusionError::SchemaError(error, _) => HistoryError::Sql(of_schema(*error)),
            DataFusionError::Plan(what) => {
                HistoryError::Sql(of_plan(first_line(&what), &what, names))
            }
            DataFusionError::NotImplemented(what) => {
                HistoryError::Sql(format!("this is not supported: {}", first_line(&what)))
            }
            DataFusionError::Configuration(what) => HistoryError::Sql(first_line(&what).to_owned()),
            DataFusionError::ResourcesExhausted(what) => HistoryError::TooLarge(too_large(&what)),
            DataFusionError::Execution(what) => of_values(&what),
            DataFusionError::ArrowError(error, _) => of_arrow(*error, names),
            DataFusionError::External(error) => of_external(error),
            DataFusionError::ObjectStore(error) => HistoryError::Store(gone(*error)),
            DataFusionError::ParquetError(error) => of_file(&error.to_string()),
            DataFusionError::Shared(error) => of_shared(&error, names),
            DataFusionError::IoError(error) => of_disk(&error),
            DataFusionError::Internal(what)
            | DataFusionError::Substrait(what)
            | DataFusionError::Ffi(what) => HistoryError::Broken(first_line(&what).to_owned()),
            DataFusionError::ExecutionJoin(error) => HistoryError::Broken(error.to_string()),
        }
    }
}

/// Several parts of a query have the same error, of which nobody owns the inside.
fn of_shared(error: &DataFusionError, names: &Names) -> HistoryError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(what) => HistoryError::TooLarge(too_large(what)),
        DataFusionError::Plan(what) => HistoryError::Sql(of_plan(first_line(what), what, names)),
        DataFusionError::Execution(what) => HistoryError::Values(first_line(what).to_owned()),
        DataFusionError::ArrowError(error, _) => HistoryError::Values(error.to_string()),
        DataFusionError::External(error) => {
            HistoryError::Store(HotError::Cold(error.to_string().into()))
        }
        other => HistoryError::Values(first_line(&other.strip_backtrace()).to_owned()),
    }
}

fn of_arrow(error: ArrowError, names: &Names) -> HistoryError {
    match error {
        ArrowError::ExternalError(error) => match error.downcast::<DataFusionError>() {
            Ok(error) => HistoryError::of(*error, names),
            Err(error) => of_external(error),
        },
        ArrowError::ParquetError(what) => of_file(&what),
        ArrowError::IoError(_, error) => of_disk(&error),
        ArrowError::DivideByZero => HistoryError::Values("a row divides by zero".to_owned()),
        ArrowError::ParseError(what) | ArrowError::CastError(what) => {
            HistoryError::Values(first_line(&what).to_owned())
        }
        other => of_values(&other.to_string()),
    }
}

/// What is said of values, or of the disk that some of them were to go to.
fn of_values(what: &str) -> HistoryError {
    match what.contains("max_temp_directory_size") {
        true => HistoryError::TooLarge(too_large(what)),
        false => HistoryError::Values(first_line(what).to_owned()),
    }
}

/// A file of the cold tier that is not there any more, or is not what was written.
fn of_file(what: &str) -> HistoryError {
    let why = match what.contains("not found") {
        true => GONE.to_owned(),
        false => {
            format!("a file of the cold tier cannot be read, `couponry verify` says which: {what}")
        }
    };
    HistoryError::Store(HotError::Cold(why.into()))
}

/// The disk for what does not fit into memory.
fn of_disk(error: &std::io::Error) -> HistoryError {
    let what = error.to_string();
    match what.contains("max_temp_directory_size") {
        true => HistoryError::TooLarge(too_large(&what)),
        false => HistoryError::TooLarge(format!(
            "what does not fit into memory cannot be written to disk: {what}"
        )),
    }
}

const GONE: &str = "a file is gone: what a merge has replaced is removed after the retention time, so \
                    the version that was asked for is too old; or a merge came in between, then run \
                    the query again";

fn of_external(error: Box<dyn std::error::Error + Send + Sync>) -> HistoryError {
    let error = match error.downcast::<HotError>() {
        Ok(error) => return HistoryError::Store(*error),
        Err(error) => error,
    };
    HistoryError::Store(HotError::Cold(error))
}

fn gone(error: datafusion::object_store::Error) -> HotError {
    match error {
        datafusion::object_store::Error::NotFound { .. } => HotError::Cold(GONE.into()),
        other => HotError::Cold(Box::new(other)),
    }
}

fn too_large(what: &str) -> String {
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

fn of_schema(error: SchemaError) -> String {
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

fn of_plan(line: &str, whole: &str, names: &Names) -> String {
    if let Some(table) = between(line, "table '", "' not found") {
        let table = table.strip_prefix("couponry.history.").unwrap_or(table);
        return unknown("table", table, &names.tables);
    }
    if line.starts_with("DDL not supported") {
        return "SELECT INTO is not run here, nothing is ever written: SELECT is".to_owned();
    }
    let function = between(line, "Invalid function '", "'")
        .or_else(|| between(line, "table function '", "' not found"))
        .or_else(|| between(line, "Table function '", "' not found"));
    if let Some(function) = function {
        if names.denied.contains(&function.to_ascii_lowercase().as_str()) {
            return format!(
                "function {function} is not available here: it can fill the memory out of one row"
            );
        }
        return unknown("function", function, &names.functions);
    }
    let candidates = "No function matches the given name and argument types ";
    if let Some((_, candidates)) = whole.split_once(candidates) {
        let candidates: Vec<&str> = candidates.split_whitespace().collect();
        return format!("no function matches {}", candidates.join(" ").replace('\'', ""));
    }
    // What the planner says behind its first line are candidates, which help.
    let more: Vec<&str> = whole.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    more.join(" ")
}

fn unknown(kind: &str, name: &str, known: &[String]) -> String {
    let lower = name.to_ascii_lowercase();
    // Of names that are as near, the one as long: letters change places more often than they go.
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

fn plain(error: &impl ToString) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("sql parser error: ").unwrap_or(&text);
    first_line(text).to_owned()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
