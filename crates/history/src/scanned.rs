//! How far a query has come, out of the figures that its plan keeps.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::coupons::CouponsExec;

/// Rows that the leaves of a plan have read, and how many there are in the files that they read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) rows: u64,
    pub(crate) of: u64,
}

impl Scanned {
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Scanned {
        let mut scanned = Scanned::default();
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
            // What a filter inside of the reading has left out was read all the same.
            let left_out =
                metrics.sum_by_name("pushdown_rows_pruned").map_or(0, |it| it.as_usize());
            self.rows += (metrics.output_rows().unwrap_or(0) + left_out) as u64;
        }
        for child in children {
            self.add(child);
        }
    }
}
