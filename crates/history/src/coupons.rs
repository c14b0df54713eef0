//! The table `coupons`: both tiers as one, each coupon once.
//!
//! Partitions that lie in cold alone, no code in two files, are read as plain Parquet: column by
//! column, on every core. The others go through [`crate::merged`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cold::ColdFile;
use coupon::time::Day;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileGroup, FileGroupPartitioner, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, StatisticsArgs,
};

use crate::columns;
use crate::merged::{MergedPartitions, Partitions};
use crate::pruning::Pruning;
use crate::tiers::{Seen, Tiers};

/// The cold tier's objects, to DataFusion.
pub(crate) const STORE_URL: &str = "cold://coupons";

/// A file of less is not cut in parts for several cores.
const PART_BYTES_MIN: usize = 1 << 20;

/// Columns of which one value is in few rows.
const RARE: [&str; 3] = ["code", "holder", "order_ref"];

/// The table.
#[derive(Debug)]
pub(crate) struct Coupons {
    tiers: Tiers,
}

impl Coupons {
    pub(crate) fn new(tiers: Tiers) -> Coupons {
        Coupons { tiers }
    }
}

#[async_trait]
impl TableProvider for Coupons {
    fn schema(&self) -> SchemaRef {
        columns::of_table()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let seen = self.tiers.seen().await;
        let seen = seen.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let pruning = Arc::new(Pruning::of(state, filters)?);
        let few = filters.iter().any(leaves_few);
        let look = Look { tiers: &self.tiers, state, projection, limit, few };
        look.plan(&seen, pruning)
    }
}

/// One look at the table.
struct Look<'a> {
    tiers: &'a Tiers,
    state: &'a dyn Session,
    projection: Option<&'a Vec<usize>>,
    limit: Option<usize>,
    /// Whether few rows will be left by the filters.
    few: bool,
}

impl Look<'_> {
    fn plan(&self, seen: &Seen, pruning: Arc<Pruning>) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<&ColdFile> =
            seen.settled.iter().flat_map(|partition| &partition.files).collect();
        let (files_all, partitions_all) =
            (all.len(), seen.settled.len() + seen.open.len() + seen.layered.len());
        let files = pruning.files(all)?;
        let open = pruning.days(&seen.open)?;
        let mut layered = Vec::new();
        for partition in &seen.layered {
            if pruning.partition(partition)? {
                layered.push(partition.clone());
            }
        }
        let mut days: Vec<Day> = files.iter().map(|file| file.day()).collect();
        days.dedup();
        let pruned = Pruned {
            partitions: (days.len() + open.len() + layered.len(), partitions_all),
            files: (files.len(), files_all),
            rows: files.iter().map(|file| file.rows()).sum(),
        };
        let mut halves = Vec::new();
        if !files.is_empty() {
            halves.push(self.projected(self.files(&files)?)?);
        }
        if !open.is_empty() || !layered.is_empty() {
            let partitions = Partitions { open, layered };
            let merged = MergedPartitions::new(self.tiers.clone(), partitions, pruning);
            halves.push(self.projected(Arc::new(merged))?);
        }
        let input = match halves.pop() {
            None => Arc::new(EmptyExec::new(self.schema()?)) as Arc<dyn ExecutionPlan>,
            Some(half) if halves.is_empty() => half,
            Some(half) => UnionExec::try_new(halves.into_iter().chain([half]).collect())?,
        };
        Ok(Arc::new(CouponsExec { pruned, input }))
    }

    fn names(&self) -> Vec<String> {
        let table = columns::of_table();
        let name = |at: usize| table.field(at).name().clone();
        match self.projection {
            Some(wanted) => wanted.iter().map(|at| name(*at)).collect(),
            None => (0..table.fields().len()).map(name).collect(),
        }
    }

    fn schema(&self) -> Result<SchemaRef> {
        match self.projection {
            Some(wanted) => Ok(Arc::new(columns::of_table().project(wanted)?)),
            None => Ok(columns::of_table()),
        }
    }

    /// The columns of the table that are wanted, of what has those of a file or of what is merged.
    fn projected(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let from = input.schema();
        let options = Arc::new(self.state.config_options().clone());
        let column = |name: String| {
            let expr = columns::made_of(&name, &from, self.tiers.now, &options)?;
            Ok(ProjectionExpr { expr, alias: name })
        };
        let columns: Vec<ProjectionExpr> =
            self.names().into_iter().map(column).collect::<Result<_>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, input)?))
    }

    fn files(&self, files: &[&ColdFile]) -> Result<Arc<dyn ExecutionPlan>> {
        let options: &ConfigOptions = self.state.config_options();
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let runtime = self.state.runtime_env();
        let readers = CachedParquetFileReaderFactory::new(
            runtime.object_store(&url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let schema = TableSchema::builder(columns::of_files())
            .with_table_partition_cols(vec![columns::expiry_day()])
            .build();
        let source = ParquetSource::new(schema)
            .with_table_parquet_options(self.state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(readers))
            // The other columns are decoded for the rows that are left alone: twice as fast where
            // these are few, slower where they are not.
            .with_pushdown_filters(self.few);
        let parts = self.state.config().target_partitions();
        let cold = self.tiers.engine.cold();
        let files = files.iter().map(|file| partitioned(file, cold.object(file))).collect();
        let groups = FileGroup::new(files).split_files(parts);
        let groups = FileGroupPartitioner::new()
            .with_target_partitions(parts)
            .with_repartition_file_min_size(PART_BYTES_MIN)
            .repartition_file_groups(&groups)
            .unwrap_or(groups);
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_limit(self.limit)
            .with_batch_size(Some(options.execution.batch_size.into()))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Whether a filter asks for one value, or a few, of a column that has many.
fn leaves_few(filter: &Expr) -> bool {
    let is_rare = |column: &Expr| match column {
        Expr::Column(column) => RARE.contains(&column.name()),
        _ => false,
    };
    match filter {
        Expr::BinaryExpr(compared) if compared.op == Operator::Eq => {
            is_rare(&compared.left) || is_rare(&compared.right)
        }
        Expr::InList(list) => !list.negated && is_rare(&list.expr),
        _ => false,
    }
}

/// A file as DataFusion wants it: its size, its day, and how many rows it has.
fn partitioned(file: &ColdFile, object: String) -> PartitionedFile {
    let mut known = Statistics::new_unknown(&columns::of_files());
    known.num_rows = usize::try_from(file.rows()).map_or(Precision::Absent, Precision::Exact);
    PartitionedFile::new(object, file.bytes())
        .with_partition_values(vec![ScalarValue::Date32(Some(file.day().0))])
        .with_statistics(Arc::new(known))
        .with_metadata_size_hint(usize::try_from(file.footer_bytes()).unwrap_or(usize::MAX))
}

/// How much of the table is looked at: so many, of so many.
#[derive(Clone, Debug)]
pub(crate) struct Pruned {
    pub(crate) partitions: (usize, usize),
    pub(crate) files: (usize, usize),
    /// Rows of the files that are read.
    pub(crate) rows: u64,
}

/// What is left of the table after pruning, for `explain` to say.
#[derive(Debug)]
pub(crate) struct CouponsExec {
    pub(crate) pruned: Pruned,
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for CouponsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pruned { partitions, files, rows } = &self.pruned;
        write!(
            f,
            "CouponsExec: partitions={} of {}, plain_files={} of {}, plain_rows={rows}",
            partitions.0, partitions.1, files.0, files.1
        )
    }
}

impl ExecutionPlan for CouponsExec {
    fn name(&self) -> &'static str {
        "CouponsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_input(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with_input(children)
    }

    fn execute(&self, part: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(part, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        of_input: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(of_input
            .first()
            .map_or_else(|| Arc::new(Statistics::new_unknown(&self.schema())), Arc::clone))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(filters, &self.children())
    }
}

impl CouponsExec {
    fn with_input(&self, mut input: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = input.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(CouponsExec { pruned: self.pruned.clone(), input }))
    }
}
