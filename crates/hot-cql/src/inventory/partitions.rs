//! Plans of partitions, and buckets in which no coupon can be.

use std::collections::{BTreeMap, BTreeSet};

use coupon::time::Day;
use hot::HotError;
use hot::inventory::{Item, Page, PartitionItem};
use scylla::response::PagingState;
use scylla::value::CqlDate;

use super::AT_ONCE;
use crate::Store;
use crate::values::{day, parsed};
use cql_session::{Result, bounded_join};

impl Store {
    pub(super) async fn page_of_partitions(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let after: i32 = after.map_or(Ok(i32::MIN), |day| parsed("position", day))?;
        let plans = self.plans().await?;
        let behind: Vec<_> = plans.iter().filter(|plan| plan.day().0 > after).collect();
        let some = behind.iter().take(limit);
        let partitions = some.map(|plan| async move {
            let next_serial = self.next_serial(plan.day()).await?;
            Ok::<_, HotError>(Item::Partition(PartitionItem {
                day: plan.day(),
                seal_after: plan.seal_after(),
                closing: plan.is_closing(),
                sealed: plan.is_sealed(),
                archive_commit: plan.archive_commit(),
                emptied: plan.is_emptied(),
                next_serial,
            }))
        });
        let items = bounded_join(AT_ONCE, partitions).await?;
        let last = behind.get(limit.saturating_sub(1)).filter(|_| behind.len() > limit);
        Ok(Page { items, next: last.map(|plan| plan.day().0.to_string()) })
    }

    /// Buckets with rows in which no coupon can be. They are compared with plans that are read
    /// after them: a plan may be made at any moment, always before the first row of its partition.
    pub(super) async fn stray_partitions(&self) -> Result<Vec<String>> {
        let cql = "SELECT DISTINCT expiry_day, bucket FROM coupon";
        // The lowest and the highest bucket of each partition.
        let (mut used, mut from) = (BTreeMap::<Day, (i32, i32)>::new(), Some(PagingState::start()));
        while let Some(state) = from {
            let (rows, next) = self.session.page::<(CqlDate, i32)>(cql, (), state).await?;
            for (of, bucket) in rows {
                let bucket_counts = used.entry(day(of)).or_insert((bucket, bucket));
                *bucket_counts = (bucket_counts.0.min(bucket), bucket_counts.1.max(bucket));
            }
            from = next;
        }
        let plans = self.plans().await?;
        let bucket_counts: BTreeMap<Day, i32> =
            plans.iter().map(|plan| (plan.day(), 1 << plan.bits().min(30))).collect();
        let mut faults = Vec::new();
        for (of, (lowest, highest)) in used {
            let Some(bucket_counts) = bucket_counts.get(&of) else {
                faults.push(format!("there are rows on day {}, which has no plan", of.0));
                continue;
            };
            let both = BTreeSet::from([lowest, highest]);
            let beyond = both.into_iter().filter(|it| !(0..*bucket_counts).contains(it));
            let Day(of) = of;
            faults.extend(beyond.map(|bucket| {
                format!("there are rows in bucket {bucket} of day {of}, which has {bucket_counts}")
            }));
        }
        Ok(faults)
    }
}
