//! Partitions in which a coupon may be in several places: in hot and in cold, or in several files.
//!
//! Of two versions of a code the higher is the coupon. So these partitions are read one after the other,
//! each in the order of its codes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use cold::{ColdPartition, PartitionRows};
use coupon::coupon::Coupon;
use coupon::time::Day;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use engine::{Engine, PartitionWalk};
use futures::stream::try_unfold;
use hot::{HotError, Tier};

use crate::columns;
use crate::pruning::ScanPruning;
use crate::tiers::{TierReader, of_store};

/// Coupons of one read.
const CHUNK: usize = 4_096;

/// Has one output partition: a coupon that is extended meanwhile moves to a later partition, so only a
/// walk in the order of days does not miss it.
#[derive(Debug)]
pub(crate) struct MergedPartitions {
    tiers: TierReader,
    /// Those that hot may have something of, by day.
    open: Vec<Day>,
    /// Those that lie in cold alone.
    layered: Vec<ColdPartition>,
    pruning: Arc<ScanPruning>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MergedPartitions {
    pub(crate) fn new(
        tiers: TierReader,
        open: Vec<Day>,
        layered: Vec<ColdPartition>,
        pruning: Arc<ScanPruning>,
    ) -> MergedPartitions {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&columns::OF_MERGED)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        MergedPartitions { tiers, open, layered, pruning, properties, metrics }
    }
}

impl DisplayAs for MergedPartitions {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MergedPartitions { open, layered, .. } = self;
        write!(f, "MergedPartitions: both_tiers={}, cold_alone={}", open.len(), layered.len())
    }
}

impl ExecutionPlan for MergedPartitions {
    fn name(&self) -> &'static str {
        "MergedPartitions"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        output_partition: usize,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if output_partition != 0 {
            return internal_err!("MergedPartitions has no output partition {output_partition}");
        }
        let walk = TierWalk {
            tiers: self.tiers.clone(),
            pruning: Arc::clone(&self.pruning),
            open: self.open.iter().copied().collect(),
            layered: self.layered.iter().cloned().collect(),
            last: None,
            partition: None,
        };
        let metrics = BaselineMetrics::new(&self.metrics, output_partition);
        let rows = try_unfold(walk, move |mut walk| {
            let metrics = metrics.clone();
            async move {
                let rows = walk.next().await?.record_output(&metrics);
                Ok(rows.map(|rows| (rows, walk)))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&columns::OF_MERGED), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct TierWalk {
    tiers: TierReader,
    pruning: Arc<ScanPruning>,
    open: VecDeque<Day>,
    layered: VecDeque<ColdPartition>,
    /// The last partition of both tiers that the walk has begun.
    last: Option<Day>,
    partition: Option<(Day, WalkRows)>,
}

enum WalkRows {
    Both(PartitionWalk),
    Cold(PartitionRows),
}

impl TierWalk {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.partition.is_none() {
                self.partition = self.next_partition().await.map_err(external)?;
            }
            let Some((day, rows)) = &mut self.partition else { return Ok(None) };
            match rows.next(&self.tiers.engine).await.map_err(external)? {
                Some(coupons) if coupons.is_empty() => {}
                Some(found) => {
                    let (coupons, tiers): (Vec<Coupon>, Vec<Tier>) = found.into_iter().unzip();
                    return columns::merged(*day, &coupons, &tiers).map(Some);
                }
                None => self.partition = None,
            }
        }
    }

    async fn next_partition(&mut self) -> Result<Option<(Day, WalkRows)>, HotError> {
        if let Some(partition) = self.layered.pop_front() {
            let rows = self.tiers.engine.cold().partition_rows(&partition, None).await;
            let rows = rows.map_err(|error| HotError::Cold(Box::new(error)))?;
            return Ok(Some((partition.day, WalkRows::Cold(rows))));
        }
        let opened = self.opened_meanwhile().await?;
        let day = match (self.open.front().copied(), opened) {
            (Some(known), Some(opened)) if opened < known => opened,
            (Some(known), _) => {
                self.open.pop_front();
                known
            }
            (None, Some(opened)) => opened,
            (None, None) => return Ok(None),
        };
        self.last = self.last.max(Some(day));
        Ok(Some((day, WalkRows::Both(PartitionWalk::begin(day, CHUNK)))))
    }

    /// The first partition after the last one that did not exist when the query began. An extension may
    /// have moved a coupon there that the walk has not met. It may lie between two known partitions, so
    /// this is read before each of them.
    async fn opened_meanwhile(&self) -> Result<Option<Day>, HotError> {
        let Some(last) = self.last else { return Ok(None) };
        let seen = self.tiers.seen().await?;
        let alone = || seen.settled.iter().chain(&seen.layered).map(|partition| partition.day);
        let mut days = self.tiers.open().await?;
        days.retain(|day| *day > last && !seen.open.contains(day) && !alone().any(|it| it == *day));
        let days = self.pruning.days(days);
        let days = days.map_err(|error| HotError::Unavailable(Box::new(error)))?;
        Ok(days.into_iter().min())
    }
}

impl WalkRows {
    async fn next(&mut self, engine: &Engine) -> Result<Option<Vec<(Coupon, Tier)>>, HotError> {
        match self {
            WalkRows::Both(rows) => rows.next(engine).await.map_err(of_store),
            WalkRows::Cold(rows) => {
                let found = rows.up_to(None, CHUNK).await;
                let found = found.map_err(|error| HotError::Cold(Box::new(error)))?;
                let some = !found.is_empty();
                Ok(some.then(|| found.into_iter().map(|it| (it, Tier::Cold)).collect()))
            }
        }
    }
}

fn external(error: HotError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
