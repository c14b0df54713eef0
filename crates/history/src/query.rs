//! One query: its limits, its plan, and its rows.

mod running;
mod session;
mod statement;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::DFParser;
use engine::Engine;
use futures::StreamExt;
use hot::HotError;
use tokio::time::{Instant, timeout_at};

use crate::coupons::STORE_URL;
use crate::error::{HistoryError, SuggestedNames};

#[derive(Clone, Debug)]
pub struct QueryLimits {
    pub time: Duration,
    /// Bytes of memory for sorting, grouping and joining. What does not fit is spilled to disk.
    pub memory: usize,
    /// Bytes on disk for spilled data.
    pub spill: u64,
    /// The folder of spilled data; `None` for the system's temporary folder.
    pub spill_folder: Option<PathBuf>,
    pub cores: usize,
}

pub struct History {
    engine: Arc<Engine>,
    limits: QueryLimits,
    /// What queries share: the object store of the files, and the footers that were read last.
    shared: RuntimeEnv,
}

impl History {
    /// Both tiers behind `engine`.
    ///
    /// # Errors
    /// [`HistoryError::Broken`].
    pub fn new(engine: Arc<Engine>, limits: QueryLimits) -> Result<History, HistoryError> {
        let mode = match &limits.spill_folder {
            Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        let disk = DiskManagerBuilder::default()
            .with_mode(mode)
            .with_max_temp_directory_size(limits.spill);
        let broken = |error: DataFusionError| HistoryError::Broken(error.to_string());
        let shared = RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build();
        let shared = shared.map_err(broken)?;
        let url = STORE_URL.parse().map_err(|_| HistoryError::Broken(STORE_URL.to_owned()))?;
        shared.register_object_store(&url, engine.cold().objects());
        Ok(History { engine, limits, shared })
    }

    pub fn limits(&self) -> &QueryLimits {
        &self.limits
    }

    /// Splits a text into its statements.
    ///
    /// # Errors
    /// [`HistoryError::Sql`] if it is no SQL, or has no statement.
    pub fn statements(sql: &str) -> Result<Vec<String>, HistoryError> {
        let parsed = DFParser::parse_sql(sql)
            .map_err(|error| HistoryError::of(error, &session::names(None)))?;
        match parsed.is_empty() {
            true => Err(HistoryError::Sql("there is no SQL statement".to_owned())),
            false => Ok(parsed.iter().map(ToString::to_string).collect()),
        }
    }

    /// Plans one statement over both tiers, or over a version of cold alone, and begins to run it. Its
    /// time limit counts from this call.
    pub async fn ask(&self, sql: &str, as_of: Option<u64>) -> Result<SqlAnswer, HistoryError> {
        let (time, deadline) = (self.limits.time, Instant::now() + self.limits.time);
        let too_long = HistoryError::TooLong { time };
        if let Some(version) = as_of {
            self.must_have(version).await?;
        }
        let begun = timeout_at(deadline, self.begin(sql, as_of)).await;
        let (plan, stream, names) = begun.unwrap_or(Err(too_long))?;
        Ok(SqlAnswer { plan, stream, names, time, deadline })
    }

    /// A version that does not exist is the caller's mistake, not a fault of the cold tier.
    async fn must_have(&self, version: u64) -> Result<(), HistoryError> {
        let newest = self.engine.cold().version().await;
        match newest.map_err(|error| HistoryError::Store(HotError::Cold(Box::new(error))))? {
            Some(newest) if version <= newest => Ok(()),
            Some(newest) => Err(HistoryError::Sql(format!(
                "there is no version {version}, the newest is {newest}"
            ))),
            None => {
                Err(HistoryError::Sql("nothing was archived yet: there is no version".to_owned()))
            }
        }
    }

    async fn begin(
        &self,
        sql: &str,
        as_of: Option<u64>,
    ) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream, SuggestedNames), HistoryError>
    {
        let statement = statement::only(sql)?;
        let context = session::context(&self.engine, &self.limits, &self.shared, as_of)
            .await
            .map_err(|it| HistoryError::Broken(it.to_string()))?;
        let names = session::names(Some(&context));
        let planned = async {
            let state = context.state();
            let plan = state.statement_to_plan(statement).await?;
            let read_only = SQLOptions::new()
                .with_allow_ddl(false)
                .with_allow_dml(false)
                .with_allow_statements(false);
            read_only.verify_plan(&plan)?;
            let plan = running::stoppable(state.create_physical_plan(&plan).await?)?;
            let stream = execute_stream(
                Arc::clone(&plan),
                running::task_context(&context, &plan, self.limits.memory)?,
            )?;
            Ok::<_, DataFusionError>((plan, stream))
        };
        match planned.await {
            Ok((plan, stream)) => Ok((plan, stream, names)),
            // No row was read yet, so the error is about the SQL.
            Err(error) => Err(match HistoryError::of(error, &names) {
                HistoryError::Values(what) => HistoryError::Sql(what),
                error => error,
            }),
        }
    }
}

pub struct SqlAnswer {
    plan: Arc<dyn ExecutionPlan>,
    stream: SendableRecordBatchStream,
    names: SuggestedNames,
    time: Duration,
    deadline: Instant,
}

impl SqlAnswer {
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    pub(crate) fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    /// The next rows; `None` after the last one.
    ///
    /// # Errors
    /// [`HistoryError`]. No rows follow it.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, HistoryError> {
        match timeout_at(self.deadline, self.stream.next()).await {
            Ok(Some(Ok(rows))) => Ok(Some(rows)),
            Ok(Some(Err(error))) => Err(HistoryError::of(error, &self.names)),
            Ok(None) => Ok(None),
            Err(_) => Err(HistoryError::TooLong { time: self.time }),
        }
    }
}
