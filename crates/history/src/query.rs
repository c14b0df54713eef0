//! One query: its limits, its plan, and its rows.

mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use engine::Engine;
use futures::StreamExt;
use hot::HotError;
use tokio::time::{Instant, timeout_at};

use crate::coupons::STORE_URL;
use crate::error::{HistoryError, SuggestedNames};

/// Nodes of a plan that make many rows of few.
const MULTIPLIES: [&str; 5] =
    ["CrossJoinExec", "HashJoinExec", "NestedLoopJoinExec", "SortMergeJoinExec", "UnnestExec"];

/// Most operators of a statement. Each may nest the expression once more, and the planner walks the whole
/// nesting on the stack.
const OPERATORS_MAX: usize = 2_000;

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
        let statement = one_statement(sql)?;
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
            let plan = stoppable(state.create_physical_plan(&plan).await?)?;
            let stream = execute_stream(
                Arc::clone(&plan),
                task_context(&context, &plan, self.limits.memory)?,
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

/// Most operators that a text can have.
fn operators(sql: &str) -> usize {
    let signs = sql.bytes().filter(|byte| b"+-*/%|<>=([".contains(byte)).count();
    let is_operator = |word: &&str| {
        ["and", "or", "not", "union", "intersect", "except", "case", "join"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(word))
    };
    signs + sql.split(|c: char| !c.is_ascii_alphabetic()).filter(is_operator).count()
}

/// The one statement of a text.
///
/// # Errors
/// [`HistoryError::Sql`] if it has none or several, or if the statement does more than read.
fn one_statement(sql: &str) -> Result<Statement, HistoryError> {
    let operators = operators(sql);
    if operators > OPERATORS_MAX {
        return Err(HistoryError::Sql(format!(
            "the statement has {operators} operators and brackets, want {OPERATORS_MAX} at most: \
             write long lists with IN"
        )));
    }
    let mut parsed =
        DFParser::parse_sql(sql).map_err(|error| HistoryError::of(error, &session::names(None)))?;
    match (parsed.pop_front(), parsed.len()) {
        (None, _) => Err(HistoryError::Sql("there is no SQL statement".to_owned())),
        (Some(statement), 0) => only_reads(&statement).map(|()| statement),
        (Some(_), more) => Err(HistoryError::Sql(format!("{} statements, want one", more + 1))),
    }
}

fn only_reads(statement: &Statement) -> Result<(), HistoryError> {
    match statement {
        Statement::Explain(explain) => only_reads(&explain.statement),
        Statement::Statement(inner)
            if matches!(
                **inner,
                Sql::Query(_)
                    | Sql::ShowTables { .. }
                    | Sql::ShowColumns { .. }
                    | Sql::ShowVariable { .. }
                    | Sql::ShowFunctions { .. }
                    | Sql::ExplainTable { .. }
            ) =>
        {
            Ok(())
        }
        other => {
            let text = other.to_string();
            let word = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            Err(HistoryError::Sql(format!(
                "{word} is not allowed, a query only reads: use SELECT, EXPLAIN, SHOW or DESCRIBE"
            )))
        }
    }
}

/// The plan, with nodes that yield their thread after each batch where many rows are made of few.
/// Otherwise the time limit would not be checked before all of them are made.
fn stoppable(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let stoppable = plan.transform_up(|node| match MULTIPLIES.contains(&node.name()) {
        true => Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as _)),
        false => Ok(Transformed::no(node)),
    });
    Ok(stoppable?.data)
}

/// A plan that sorts keeps half of its memory back: a sort that spills merges what it has in memory first,
/// and this takes as much memory again for the keys. A plan with a join that has no equality gets no disk:
/// such a join spills by running its left side a second time, which most plans cannot, and then counts
/// some rows of outer joins twice.
fn task_context(
    context: &SessionContext,
    plan: &Arc<dyn ExecutionPlan>,
    memory: usize,
) -> Result<Arc<TaskContext>, DataFusionError> {
    let (mut sorts, mut joins) = (0, 0);
    plan.apply(|node| {
        match node.name() {
            "SortExec" => sorts += node.output_partitioning().partition_count(),
            "NestedLoopJoinExec" => joins += 1,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut config = context.state().config().clone();
    if let Some(kept_back) = (memory / 2).checked_div(sorts) {
        config.options_mut().execution.sort_spill_reservation_bytes = kept_back;
    }
    let mut runtime = context.runtime_env();
    if joins > 0 {
        let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        runtime = RuntimeEnvBuilder::from_runtime_env(&runtime)
            .with_disk_manager_builder(no_disk)
            .build_arc()?;
    }
    Ok(Arc::new(TaskContext::default().with_session_config(config).with_runtime(runtime)))
}
