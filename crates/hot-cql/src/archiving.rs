//! Partitions on their way to cold: their plans and how many coupons they have.
//!
//! A bucket is sealed by one conditional update. Paxos orders it among all others of the bucket's
//! CQL partition: every change that was accepted before the seal is there to be copied, and none is
//! accepted after it. Rows are deleted by a range delete with the write time of the seal, so that
//! no clock can make it delete more.

mod archive_commit;
mod closed;
mod evict;
mod removing;
mod residue;
mod sealing;

use coupon::time::Day;
use hot::{HotError, PartitionPlan};

use crate::Store;
use crate::bounded_join::bounded_join;
use crate::partitions::PlanRow;
use crate::session::{Result, StatementProfile};
use crate::values::date;
pub(crate) use residue::{Listed, Merges};

/// Buckets, or coupons, that are processed at a time.
const AT_ONCE: usize = 32;

impl Store {
    pub(crate) async fn partition_plans(&self) -> Result<Vec<PartitionPlan>> {
        let plans = self.plans().await?;
        Ok(plans.iter().filter(|plan| !plan.is_emptied()).map(partition_plan).collect())
    }

    pub(crate) async fn partition_plan(&self, day: Day) -> Result<Option<PartitionPlan>> {
        Ok(self.plan(StatementProfile::Read, day).await?.as_ref().map(partition_plan))
    }

    pub(crate) async fn partition_archive_commits(&self) -> Result<Vec<(Day, u64)>> {
        let plans = self.plans().await?;
        let moved = plans.iter().filter(|plan| plan.archive_commit() > 0);
        Ok(moved.map(|plan| (plan.day(), plan.archive_commit())).collect())
    }

    pub(crate) async fn count_partition(&self, day: Day) -> Result<u64> {
        let Some(bits) = self.bits(day).await? else { return Ok(0) };
        let counts = (0..1_i32 << bits).map(|bucket| async move {
            let cql = "SELECT code, state FROM coupon WHERE expiry_day = ? AND bucket = ? \
                       AND code >= ''";
            let rows: Vec<(String, Option<String>)> =
                self.session.scan(cql, (date(day), bucket)).await?;
            let moved =
                rows.iter().filter(|(_, state)| state.as_deref() == Some("forwarding")).count();
            Ok::<_, HotError>((rows.len() - moved) as u64)
        });
        let counts: Vec<u64> = bounded_join(AT_ONCE, counts).await?;
        Ok(counts.into_iter().sum())
    }
}

pub(crate) fn partition_plan(plan: &PlanRow) -> PartitionPlan {
    PartitionPlan {
        day: plan.day(),
        seal_after: plan.seal_after(),
        sealed: plan.is_sealed(),
        archive_commit: plan.archive_commit(),
        emptied: plan.is_emptied(),
    }
}
