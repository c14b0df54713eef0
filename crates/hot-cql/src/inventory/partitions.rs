//! Plans of partitions, and buckets in which no coupon can be.

use std::collections::{BTreeMap, BTreeSet};

use coupon::time::Day;
use hot::inventory::{Item, Page, PartitionItem};
use hot::{HotError, bounded_join};
use scylla::response::PagingState;
use scylla::value::CqlDate;

use super::AT_ONCE;
use crate::CqlStore;
use crate::archiving::partition_plan;
use crate::values::day;
use cql_session::Result;

impl CqlStore {
    /// All of them on one page: a few hundred bytes for each day.
    pub(super) async fn page_of_partitions(&self) -> Result<Page> {
        let plans = self.plans().await?;
        let partitions = plans.iter().map(|plan| async move {
            let next_serial = self.next_serial(plan.day()).await?;
            let (closing, plan) = (plan.is_closing(), partition_plan(plan));
            Ok::<_, HotError>(Item::Partition(PartitionItem { plan, closing, next_serial }))
        });
        Ok(Page { items: bounded_join(AT_ONCE, partitions).await?, next: None })
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
