//! Why a query fails, in one sentence for each reason.

mod texts;

use std::time::Duration;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::object_store::Error as StoreError;
use hot::HotError;

use texts::{first_line, of_plan, of_schema, plain, too_large};

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The SQL cannot be run as it stands.
    #[error("{0}")]
    Sql(String),
    /// The SQL cannot be run over a value that it read.
    #[error("{0}")]
    Values(String),
    #[error("the query took more than {time:?}: look at fewer days, or raise --time-limit")]
    TooLong { time: Duration },
    /// It needs more memory, or more disk for spilled data, than it may have.
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    Store(HotError),
    /// A fault in this program.
    #[error("this is a fault in couponry-history: {0}")]
    Broken(String),
}

/// The names that an error suggests.
pub(crate) struct SuggestedNames {
    pub(crate) tables: Vec<String>,
    pub(crate) functions: Vec<String>,
    /// Functions that are left out because they can fill the memory.
    pub(crate) denied: &'static [&'static str],
}

impl HistoryError {
    pub(crate) fn of(error: DataFusionError, names: &SuggestedNames) -> HistoryError {
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
            DataFusionError::ObjectStore(error) => {
                HistoryError::Store(HotError::Cold(match *error {
                    StoreError::NotFound { .. } => GONE.into(),
                    other => Box::new(other),
                }))
            }
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

/// Several parts of a query share one error, so its inside cannot be moved out.
fn of_shared(error: &DataFusionError, names: &SuggestedNames) -> HistoryError {
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

fn of_arrow(error: ArrowError, names: &SuggestedNames) -> HistoryError {
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

/// An error about values, or about the disk that they are spilled to.
fn of_values(what: &str) -> HistoryError {
    match what.contains("max_temp_directory_size") {
        true => HistoryError::TooLarge(too_large(what)),
        false => HistoryError::Values(first_line(what).to_owned()),
    }
}

/// An error about a file of the cold tier: it was deleted, or it is not what was written.
fn of_file(what: &str) -> HistoryError {
    let why = match what.contains("not found") {
        true => GONE.to_owned(),
        false => {
            format!("a file of the cold tier cannot be read, `couponry verify` says which: {what}")
        }
    };
    HistoryError::Store(HotError::Cold(why.into()))
}

/// An error of the disk that data is spilled to.
fn of_disk(error: &std::io::Error) -> HistoryError {
    let what = error.to_string();
    match what.contains("max_temp_directory_size") {
        true => HistoryError::TooLarge(too_large(&what)),
        false => HistoryError::TooLarge(format!(
            "what does not fit into memory cannot be written to disk: {what}"
        )),
    }
}

const GONE: &str = "a file is gone: files that a merge has replaced are deleted after the retention \
                    time; run the query again, or name a later version";

fn of_external(error: Box<dyn std::error::Error + Send + Sync>) -> HistoryError {
    HistoryError::Store(error.downcast().map_or_else(HotError::Cold, |error| *error))
}
