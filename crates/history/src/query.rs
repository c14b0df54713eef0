//! One query: what it may be, what it sees, and how much it may take.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::ViewTable;
use datafusion::error::Result as Planned;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateDefaults, TaskContext};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use engine::Engine;
use futures::StreamExt;
use hot::HotError;
use tokio::time::{Instant, timeout_at};

use crate::campaigns::Campaigns;
use crate::coupons::{Coupons, STORE_URL};
use crate::error::{HistoryError, Names};
use crate::redemptions;
use crate::tiers::Tiers;

/// Functions that make much out of little: one row of them can take all the memory there is, and
/// the limit does not see it coming.
pub(crate) const DENIED: &[&str] = &[
    "array_repeat",
    "array_resize",
    "generate_series",
    "list_repeat",
    "list_resize",
    "lpad",
    "range",
    "repeat",
    "rpad",
];

/// Parts of a plan that make many rows out of few.
const MULTIPLIES: [&str; 5] =
    ["CrossJoinExec", "HashJoinExec", "NestedLoopJoinExec", "SortMergeJoinExec", "UnnestExec"];

/// The tables.
const TABLES: [&str; 4] = ["campaigns", "coupons", "events", "redemptions"];

/// One row an event of a coupon.
const EVENTS: &str = "SELECT code, campaign_id, batch_id, event['sequence'] AS sequence, \
     event['kind'] AS kind, event['at'] AS at, event['actor'] AS actor, \
     event['user_id'] AS user_id, event['reference'] AS reference, event['reason'] AS reason, \
     event['expires_at'] AS expires_at, event['time_zone'] AS time_zone, \
     event['operation'] AS operation, modified_at, tier, expiry_day \
     FROM (SELECT code, campaign_id, batch_id, modified_at, tier, expiry_day, \
     unnest(events) AS event FROM coupons)";

/// One row a redemption of a coupon, a cancelled one too.
const REDEMPTIONS: &str = "SELECT code, campaign_id, batch_id, redemption['user_id'] AS user_id, \
     redemption['order_ref'] AS order_ref, redemption['redeemed_at'] AS redeemed_at, \
     redemption['redeemed_by'] AS redeemed_by, redemption['cancelled_at'] AS cancelled_at, \
     redemption['cancelled_by'] AS cancelled_by, redemption['reason'] AS reason, \
     modified_at, tier, expiry_day \
     FROM (SELECT code, campaign_id, batch_id, modified_at, tier, expiry_day, \
     unnest(redemptions_of(events)) AS redemption FROM coupons)";

/// How much a query may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long it may run.
    pub time: Duration,
    /// Bytes of memory for sorting, grouping and joining; more is spilled.
    pub memory: usize,
    /// Bytes on disk for what is spilled.
    pub spill: u64,
    /// Where that goes; the system's folder for such things if it is not said.
    pub spill_folder: Option<PathBuf>,
    /// Cores.
    pub cores: usize,
}

/// Biggest consumers that an error of the memory pool names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN;

/// The two tiers, to whoever asks in SQL.
pub struct History {
    engine: Arc<Engine>,
    limits: Limits,
    /// What queries share: the store of files, and the footers read last.
    shared: RuntimeEnv,
}

impl History {
    /// Both tiers behind `engine`.
    ///
    /// # Errors
    /// [`HistoryError::Broken`].
    pub fn new(engine: Arc<Engine>, limits: Limits) -> Result<History, HistoryError> {
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

    /// How much a query may take.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Cuts a text into its statements.
    ///
    /// # Errors
    /// [`HistoryError::Sql`] where it is no SQL, or has none in it.
    pub fn statements(sql: &str) -> Result<Vec<String>, HistoryError> {
        let parsed =
            DFParser::parse_sql(sql).map_err(|error| HistoryError::of(error, &names(None)))?;
        match parsed.is_empty() {
            true => Err(HistoryError::Sql("there is no SQL statement".to_owned())),
            false => Ok(parsed.iter().map(ToString::to_string).collect()),
        }
    }

    /// Plans one statement over both tiers, or over a version of cold alone, and begins to run it.
    /// Its time begins now.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub async fn ask(&self, sql: &str, as_of: Option<u64>) -> Result<Answer, HistoryError> {
        let (time, deadline) = (self.limits.time, Instant::now() + self.limits.time);
        let too_long = HistoryError::TooLong { time };
        if let Some(version) = as_of {
            self.must_have(version).await?;
        }
        let begun = timeout_at(deadline, self.begin(sql, as_of)).await;
        let (plan, stream, names) = begun.unwrap_or(Err(too_long))?;
        Ok(Answer { plan, stream, names, time, deadline })
    }

    /// A version that there is not yet is the caller's mistake, and no fault of the archive.
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
    ) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream, Names), HistoryError> {
        let statement = only_statement(sql)?;
        let context =
            self.context(as_of).await.map_err(|it| HistoryError::Broken(it.to_string()))?;
        let names = names(Some(&context));
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
            // No row was met yet, so it is about what was written.
            Err(error) => Err(match HistoryError::of(error, &names) {
                HistoryError::Values(what) => HistoryError::Sql(what),
                wrong => wrong,
            }),
        }
    }

    /// A session of one query: its own memory, and nothing but our tables.
    async fn context(&self, as_of: Option<u64>) -> Planned<SessionContext> {
        let pool = TrackConsumersPool::new(FairSpillPool::new(self.limits.memory), CONSUMERS_NAMED);
        let runtime = RuntimeEnvBuilder::from_runtime_env(&self.shared)
            .with_memory_pool(Arc::new(pool))
            .build_arc()?;
        let state = SessionStateBuilder::new()
            .with_config(self.config())
            .with_runtime_env(runtime)
            .with_expr_planners(SessionStateDefaults::default_expr_planners())
            .with_scalar_functions(
                SessionStateDefaults::default_scalar_functions()
                    .into_iter()
                    .filter(|it| !is_denied(it.name(), it.aliases()))
                    .collect(),
            )
            .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .build();
        let context = SessionContext::new_with_state(state);
        let tiers = Tiers::new(Arc::clone(&self.engine), as_of);
        context.register_table("coupons", Arc::new(Coupons::new(tiers.clone())))?;
        context.register_table("campaigns", Arc::new(Campaigns::new(tiers)))?;
        context.register_udf(redemptions::udf());
        for (name, sql) in [("events", EVENTS), ("redemptions", REDEMPTIONS)] {
            let plan = context.state().create_logical_plan(sql).await?;
            context.register_table(name, Arc::new(ViewTable::new(plan, None)))?;
        }
        context.deregister_udf(redemptions::NAME);
        Ok(context)
    }

    fn config(&self) -> SessionConfig {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.limits.cores)
            .with_default_catalog_and_schema("couponry", "history")
            .with_information_schema(true);
        let options = config.options_mut();
        // Where it pays, the table asks for it; see `coupons`.
        options.execution.parquet.pushdown_filters = false;
        options.execution.parquet.reorder_filters = true;
        options.execution.parquet.bloom_filter_on_read = false;
        options.execution.parquet.enable_page_index = false;
        options.execution.enable_recursive_ctes = false;
        config
    }
}

/// A query that runs.
pub struct Answer {
    plan: Arc<dyn ExecutionPlan>,
    stream: SendableRecordBatchStream,
    names: Names,
    time: Duration,
    deadline: Instant,
}

impl Answer {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The plan that it runs.
    pub(crate) fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    /// Some rows more; `None` behind the last one.
    ///
    /// # Errors
    /// [`HistoryError`]. There are no more rows then.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, HistoryError> {
        match timeout_at(self.deadline, self.stream.next()).await {
            Ok(Some(Ok(rows))) => Ok(Some(rows)),
            Ok(Some(Err(error))) => Err(HistoryError::of(error, &self.names)),
            Ok(None) => Ok(None),
            Err(_) => Err(HistoryError::TooLong { time: self.time }),
        }
    }
}

/// Lets go of its thread after each batch that makes many rows out of few. Otherwise nobody would
/// look at the clock before all of them are made.
fn stoppable(plan: Arc<dyn ExecutionPlan>) -> Planned<Arc<dyn ExecutionPlan>> {
    let stoppable = plan.transform_up(|node| match MULTIPLIES.contains(&node.name()) {
        true => Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as _)),
        false => Ok(Transformed::no(node)),
    });
    Ok(stoppable?.data)
}

/// What a plan runs in.
///
/// A sort that spills merges what it has in memory first, and that takes as much again for its keys:
/// half of the memory is kept for it. A join without an equality spills by running its left side a
/// second time, which most plans cannot, and then counts some rows of outer joins twice: a query
/// with such a join has its memory, and no disk.
fn task_context(
    context: &SessionContext,
    plan: &Arc<dyn ExecutionPlan>,
    memory: usize,
) -> Planned<Arc<TaskContext>> {
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

fn is_denied(name: &str, aliases: &[String]) -> bool {
    DENIED.contains(&name) || aliases.iter().any(|alias| DENIED.contains(&alias.as_str()))
}

fn names(context: Option<&SessionContext>) -> Names {
    let functions = context.map(|context| {
        let state = context.state();
        let scalar = state.scalar_functions().keys().cloned();
        scalar
            .chain(state.aggregate_functions().keys().cloned())
            .chain(state.window_functions().keys().cloned())
            .collect()
    });
    Names {
        tables: TABLES.map(str::to_owned).to_vec(),
        functions: functions.unwrap_or_default(),
        denied: DENIED,
    }
}

/// Operators of a statement: each may nest what stands before it once more, and the planner goes
/// down all of it on the stack.
const OPERATORS_MAX: usize = 2_000;

/// How many operators a text may have, by what stands in it.
fn operators(sql: &str) -> usize {
    let signs = sql.bytes().filter(|byte| b"+-*/%|<>=([".contains(byte)).count();
    let is_operator = |word: &&str| {
        ["and", "or", "not", "union", "intersect", "except", "case", "join"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(word))
    };
    signs + sql.split(|c: char| !c.is_ascii_alphabetic()).filter(is_operator).count()
}

/// The one statement of a text, if it is one that only reads.
fn only_statement(sql: &str) -> Result<Statement, HistoryError> {
    let operators = operators(sql);
    if operators > OPERATORS_MAX {
        return Err(HistoryError::Sql(format!(
            "the statement has {operators} operators and brackets, want {OPERATORS_MAX} at most: \
             write long lists with IN"
        )));
    }
    let mut parsed =
        DFParser::parse_sql(sql).map_err(|error| HistoryError::of(error, &names(None)))?;
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
                "{word} is not run here, nothing is ever written: SELECT, EXPLAIN, SHOW and \
                 DESCRIBE are"
            )))
        }
    }
}
