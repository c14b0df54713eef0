//! The node of a plan that says how much of `coupons` was pruned.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, StatisticsArgs,
};

/// What is left of the table after pruning: how many, of how many.
#[derive(Clone, Debug)]
pub(crate) struct PruningResult {
    pub(crate) partitions: (usize, usize),
    pub(crate) files: (usize, usize),
    /// Rows of the files that are read.
    pub(crate) rows: u64,
}

/// The root of a scan of `coupons`. It says in `explain` what is left after pruning.
#[derive(Debug)]
pub(crate) struct CouponsExec {
    pub(crate) pruned: PruningResult,
    pub(super) input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for CouponsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PruningResult { partitions, files, rows } = &self.pruned;
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

    fn with_new_children(
        self: Arc<Self>,
        mut input: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = input.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(CouponsExec { pruned: self.pruned.clone(), input }))
    }

    fn execute(
        &self,
        output_partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(output_partition, context)
    }

    fn child_stats_requests(&self, output_partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(output_partition)]
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
