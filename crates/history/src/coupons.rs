//! The table `coupons`: both tiers as one, each coupon once.
//!
//! Partitions that lie in cold alone, with no code in two files, are read as plain Parquet: column by
//! column, on every core. [`crate::merged`] reads the others.

mod exec;

use std::sync::Arc;

use async_trait::async_trait;
use cold::ColdFile;
use coupon::code::{Code, CodeText};
use coupon::time::Day;
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics, plan_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileGroup, FileGroupPartitioner, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::union::UnionExec;

use crate::columns;
use crate::merged::MergedPartitions;
use crate::pruning::ScanPruning;
use crate::tiers::{SeenPartitions, TierReader};
pub(crate) use exec::CouponsExec;
use exec::PruningResult;

/// The URL under which DataFusion finds the objects of the cold tier.
pub(crate) const STORE_URL: &str = "cold://coupons";

/// A smaller file is not split for several cores.
const PART_BYTES_MIN: usize = 1 << 20;

/// Columns whose values are in few rows each.
const RARE: [&str; 3] = ["code", "holder", "order_ref"];

#[derive(Debug)]
pub(crate) struct CouponsTable(pub(crate) TierReader);

#[async_trait]
impl TableProvider for CouponsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&columns::OF_TABLE)
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
        if let Some((text, code)) = filters.iter().find_map(printed_code) {
            return plan_err!(
                "no code is '{text}': codes here have no hyphens, prefix and small letters: write '{code}'"
            );
        }
        let seen = self.0.seen().await;
        let seen = seen.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let pruning = Arc::new(ScanPruning::of(state, filters)?);
        let few = filters.iter().any(leaves_few);
        let scan = CouponsScan { tiers: &self.0, state, projection, limit, few };
        scan.plan(&seen, pruning)
    }
}

struct CouponsScan<'a> {
    tiers: &'a TierReader,
    state: &'a dyn Session,
    projection: Option<&'a Vec<usize>>,
    limit: Option<usize>,
    /// Whether the filters leave few rows.
    few: bool,
}

impl CouponsScan<'_> {
    fn plan(
        &self,
        seen: &SeenPartitions,
        pruning: Arc<ScanPruning>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<&ColdFile> =
            seen.settled.iter().flat_map(|partition| &partition.files).collect();
        let (files_all, partitions_all) =
            (all.len(), seen.settled.len() + seen.open.len() + seen.layered.len());
        let files = pruning.files(all)?;
        let open = pruning.days(seen.open.clone())?;
        let layered = pruning.partitions(seen.layered.clone())?;
        let mut days: Vec<Day> = files.iter().map(|file| file.day()).collect();
        days.dedup();
        let pruned = PruningResult {
            partitions: (days.len() + open.len() + layered.len(), partitions_all),
            files: (files.len(), files_all),
            rows: files.iter().map(|file| file.rows()).sum(),
        };
        let mut inputs = Vec::new();
        if !files.is_empty() {
            inputs.push(self.projected(self.files(&files)?)?);
        }
        if !open.is_empty() || !layered.is_empty() {
            let merged = MergedPartitions::new(self.tiers.clone(), open, layered, pruning);
            inputs.push(self.projected(Arc::new(merged))?);
        }
        let input = match inputs.pop() {
            None => Arc::new(EmptyExec::new(self.schema()?)) as Arc<dyn ExecutionPlan>,
            Some(input) if inputs.is_empty() => input,
            Some(input) => UnionExec::try_new(inputs.into_iter().chain([input]).collect())?,
        };
        Ok(Arc::new(CouponsExec { pruned, input }))
    }

    fn schema(&self) -> Result<SchemaRef> {
        match self.projection {
            Some(wanted) => Ok(Arc::new(columns::OF_TABLE.project(wanted)?)),
            None => Ok(Arc::clone(&columns::OF_TABLE)),
        }
    }

    /// The wanted columns of the table, made of `input`: files, or merged partitions.
    fn projected(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let from = input.schema();
        let options = Arc::new(self.state.config_options().clone());
        let column = |field: &FieldRef| {
            let expr = columns::made_of(field.name(), &from, self.tiers.now, &options)?;
            Ok(ProjectionExpr { expr, alias: field.name().clone() })
        };
        let columns: Vec<ProjectionExpr> =
            self.schema()?.fields().iter().map(column).collect::<Result<_>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, input)?))
    }

    /// The scan of files as plain Parquet.
    fn files(&self, files: &[&ColdFile]) -> Result<Arc<dyn ExecutionPlan>> {
        let options: &ConfigOptions = self.state.config_options();
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let runtime = self.state.runtime_env();
        let readers = CachedParquetFileReaderFactory::new(
            runtime.object_store(&url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let schema = TableSchema::builder(Arc::clone(&columns::OF_FILES))
            .with_table_partition_cols(vec![columns::expiry_day()])
            .build();
        let source = ParquetSource::new(schema)
            .with_table_parquet_options(self.state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(readers))
            // Decodes the other columns only for the rows that the filters leave: twice as fast if
            // these are few, slower if not.
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

/// A code as people write it, and as this table has it, if a filter compares `code` with it. The
/// query would find nothing, and not say why.
fn printed_code(filter: &Expr) -> Option<(&str, Code)> {
    let is_code = |column: &Expr| matches!(column, Expr::Column(column) if column.name() == "code");
    let values: Vec<&Expr> = match filter {
        // Also a short list.
        Expr::BinaryExpr(it) if it.op == Operator::Or => {
            return printed_code(&it.left).or_else(|| printed_code(&it.right));
        }
        Expr::BinaryExpr(it) if it.op == Operator::Eq && is_code(&it.left) => vec![&it.right],
        Expr::BinaryExpr(it) if it.op == Operator::Eq && is_code(&it.right) => vec![&it.left],
        Expr::InList(it) if !it.negated && is_code(&it.expr) => it.list.iter().collect(),
        _ => Vec::new(),
    };
    values.into_iter().find_map(|value| {
        let Expr::Literal(value, _) = value else { return None };
        let text = value.try_as_str().flatten()?;
        let typed: CodeText = text.parse().ok()?;
        let minted = typed.minted().filter(|_| text.contains('-'));
        let code = minted.unwrap_or_else(|| typed.foreign().clone());
        (code.as_str() != text).then_some((text, code))
    })
}

/// Whether a filter asks for one value or a few of a rare column.
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

fn partitioned(file: &ColdFile, object: String) -> PartitionedFile {
    let mut statistics = Statistics::new_unknown(&columns::OF_FILES);
    statistics.num_rows = usize::try_from(file.rows()).map_or(Precision::Absent, Precision::Exact);
    PartitionedFile::new(object, file.bytes())
        .with_partition_values(vec![ScalarValue::Date32(Some(file.day().0))])
        .with_statistics(Arc::new(statistics))
        .with_metadata_size_hint(usize::try_from(file.footer_bytes()).unwrap_or(usize::MAX))
}
