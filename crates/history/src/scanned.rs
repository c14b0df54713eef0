//! The progress of a query, from the metrics of its plan.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::coupons::CouponsExec;

/// How many rows the leaves of a plan have read, and how many rows their files have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanCounts {
    pub(crate) rows: u64,
    pub(crate) of: u64,
}

impl ScanCounts {
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> ScanCounts {
        let mut scanned = ScanCounts::default();
        scanned.add(plan);
        scanned
    }

    fn add(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(coupons) = (plan.as_ref() as &dyn std::any::Any).downcast_ref::<CouponsExec>() {
            self.of += coupons.pruned.rows;
        }
        let children = plan.children();
        if children.is_empty()
            && let Some(metrics) = plan.metrics()
        {
            // Rows that a filter of the scan left out were read, too.
            let left_out =
                metrics.sum_by_name("pushdown_rows_pruned").map_or(0, |it| it.as_usize());
            self.rows += (metrics.output_rows().unwrap_or(0) + left_out) as u64;
        }
        for child in children {
            self.add(child);
        }
    }
}
