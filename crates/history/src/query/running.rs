//! How a plan runs: where it can be stopped, and what it may take.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionContext;

/// Nodes of a plan that make many rows of few.
const MULTIPLIES: [&str; 5] =
    ["CrossJoinExec", "HashJoinExec", "NestedLoopJoinExec", "SortMergeJoinExec", "UnnestExec"];

/// The plan, with nodes that yield their thread after each batch where many rows are made of few.
/// Otherwise the time limit would not be checked before all of them are made.
pub(super) fn stoppable(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
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
pub(super) fn task_context(
    context: &SessionContext,
    plan: &Arc<dyn ExecutionPlan>,
    memory: usize,
) -> Result<Arc<TaskContext>> {
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
