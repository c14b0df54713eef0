//! `couponry-history serve`: SQL over HTTP, a few queries at a time.

use std::sync::Arc;

use api::history::{QueryAnswer, QueryBackend, QueryBody, QueryForm};
use api::problem::Problem;
use api::problem_code::ApiErrorCode;
use couponry::bootstrap::{CliError, Opened, stopped};
use engine::{Engine, FieldFault};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use server::accept::{self, ListenerLimits};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::HistoryError;
use crate::formats::{FormattedRows, OutputFormat, RowWriteError, object};
use crate::query::{History, QueryLimits, SqlAnswer};

/// Queries that run at the same time: each may use every core, and has its own memory.
pub const QUERIES_MAX: usize = 2;

/// Most rows of an answer: people look at fewer, and programs read page by page. The command line writes
/// all rows to a file.
pub const ROWS_MAX: u64 = 10_000;

/// An answer of this many bytes gets no more rows. A coupon with all its events has 20 KB.
pub const BYTES_MAX: usize = 32 << 20;

pub struct QueryService {
    history: History,
    turns: Semaphore,
}

impl QueryService {
    /// Over both tiers.
    ///
    /// # Errors
    /// [`HistoryError::Broken`].
    pub fn new(engine: Arc<Engine>, limits: QueryLimits) -> Result<QueryService, HistoryError> {
        let history = History::new(engine, limits)?;
        Ok(QueryService { history, turns: Semaphore::new(QUERIES_MAX) })
    }

    async fn answered(&self, query: QueryBody, form: QueryForm) -> Result<QueryAnswer, Problem> {
        // Half of the time limit: a caller gets an answer before they stop waiting.
        let turn = timeout(self.history.limits().time / 2, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let detail = format!("{QUERIES_MAX} queries are running already");
            return Err(Problem::new(ApiErrorCode::Overloaded, detail));
        };
        let answer = self.history.ask(&query.sql, query.as_of).await.map_err(problem)?;
        match form {
            QueryForm::Json => as_json(answer).await,
            QueryForm::Csv => written(answer, OutputFormat::Csv).await,
            QueryForm::Arrow => written(answer, OutputFormat::ArrowStream).await,
        }
    }
}

impl QueryBackend for QueryService {
    fn answer(
        &self,
        query: QueryBody,
        form: QueryForm,
    ) -> BoxFuture<'_, Result<QueryAnswer, Problem>> {
        self.answered(query, form).boxed()
    }
}

/// Serves until a signal.
pub(crate) async fn run(
    opened: &Opened,
    listen: &str,
    limits: QueryLimits,
) -> Result<(), CliError> {
    let stop = stopped()?;
    let tokens = Arc::new(opened.tokens()?);
    let desk = QueryService::new(Arc::clone(opened.engine()), limits);
    let desk = desk.map_err(|error| CliError::new(error.to_string()))?;
    let bound = TcpListener::bind(listen).await;
    let listener = bound.map_err(CliError::listening(listen, "--listen"))?;
    let address = listener.local_addr().map_err(CliError::because("no address"))?;
    // Scripts wait for this line before they connect.
    println!("couponry-history {}\n\n  address    http://{address}", env!("CARGO_PKG_VERSION"));
    let app = api::history::app(Arc::clone(opened.engine()), tokens, Arc::new(desk));
    let drained =
        accept::serve(listener, app, api::two_hosts, ListenerLimits::default(), stop).await;
    match drained.map_err(CliError::because("the service stopped"))?.cut_off {
        0 => tracing::info!("stopped, every query answered"),
        cut_off => tracing::warn!(cut_off, "stopped, some connections were cut off"),
    }
    Ok(())
}

async fn as_json(mut answer: SqlAnswer) -> Result<QueryAnswer, Problem> {
    let columns: Vec<Value> = answer
        .schema()
        .fields()
        .iter()
        .map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect();
    let mut data: Vec<String> = Vec::new();
    let (mut bytes, mut truncated_at) = (0, None);
    'all: while let Some(rows) = answer.next().await.map_err(problem)? {
        for row in 0..rows.num_rows() {
            if data.len() as u64 == ROWS_MAX || bytes >= BYTES_MAX {
                truncated_at = Some(data.len() as u64);
                break 'all;
            }
            let text = object(&rows, row).to_string();
            bytes += text.len();
            data.push(text);
        }
    }
    let body = format!(
        "{{\"columns\":{},\"data\":[{}],\"truncated\":{}}}",
        Value::Array(columns),
        data.join(","),
        truncated_at.is_some()
    );
    Ok(QueryAnswer { body: body.into_bytes(), truncated_at })
}

async fn written(mut answer: SqlAnswer, format: OutputFormat) -> Result<QueryAnswer, Problem> {
    let mut out = FormattedRows::begin(Vec::new(), format, &answer.schema()).map_err(unwritten)?;
    let mut truncated_at = None;
    while let Some(rows) = answer.next().await.map_err(problem)? {
        let room = usize::try_from(ROWS_MAX - out.count()).unwrap_or(usize::MAX);
        if rows.num_rows() > room {
            out.put(&rows.slice(0, room)).map_err(unwritten)?;
            truncated_at = Some(ROWS_MAX);
            break;
        }
        out.put(&rows).map_err(unwritten)?;
        if out.bytes() >= BYTES_MAX {
            truncated_at = Some(out.count());
            break;
        }
    }
    Ok(QueryAnswer { body: out.end().map_err(unwritten)?, truncated_at })
}

fn problem(error: HistoryError) -> Problem {
    match error {
        HistoryError::Sql(detail) | HistoryError::Values(detail) => {
            Problem::invalid(vec![FieldFault::new("sql", detail)])
        }
        HistoryError::TooLarge(_) => {
            Problem::invalid(vec![FieldFault::new("sql", error.to_string())])
        }
        HistoryError::TooLong { .. } => Problem::new(ApiErrorCode::Timeout, error.to_string()),
        HistoryError::Store(hot) => hot.into(),
        HistoryError::Broken(why) => {
            tracing::error!(error = %why, "a query was not answered");
            Problem::new(ApiErrorCode::Internal, "see the log of the server")
        }
    }
}

fn unwritten(error: RowWriteError) -> Problem {
    tracing::error!(error = %error, "rows could not be written");
    Problem::new(ApiErrorCode::Internal, "see the log of the server")
}
