//! Shelves on which a coupon may be in several places: in hot and in cold, or in several files.
//! They are read one after the other, each in the order of its codes, and of two versions of a
//! code the higher is the coupon.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use cold::{Shelf, ShelfRows};
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
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use engine::ShelfCoupons;
use futures::stream::try_unfold;
use hot::{HotError, Tier};

use crate::columns;
use crate::pruning::Pruning;
use crate::tiers::{Tiers, of_store};

/// Coupons read from cold at a time.
const CHUNK: usize = 4_096;

/// What is merged.
#[derive(Clone, Debug)]
pub(crate) struct Shelves {
    /// Those that hot may have something of, by day.
    pub(crate) open: Vec<Day>,
    /// Those that hot is not asked for.
    pub(crate) layered: Vec<Shelf>,
}

/// Reads shelves by merging what they have in several places. One partition: a coupon that is
/// extended meanwhile goes to a later shelf, and only whoever walks them by day does not miss it.
#[derive(Debug)]
pub(crate) struct MergedShelves {
    tiers: Tiers,
    shelves: Shelves,
    pruning: Arc<Pruning>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MergedShelves {
    pub(crate) fn new(tiers: Tiers, shelves: Shelves, pruning: Arc<Pruning>) -> MergedShelves {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(columns::of_merged()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        MergedShelves { tiers, shelves, pruning, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for MergedShelves {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shelves { open, layered } = &self.shelves;
        write!(f, "MergedShelves: both_tiers={}, cold_alone={}", open.len(), layered.len())
    }
}

impl ExecutionPlan for MergedShelves {
    fn name(&self) -> &'static str {
        "MergedShelves"
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

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("MergedShelves has no partition {partition}");
        }
        let walk = Walk {
            tiers: self.tiers.clone(),
            pruning: Arc::clone(&self.pruning),
            open: self.shelves.open.iter().copied().collect(),
            layered: self.shelves.layered.iter().cloned().collect(),
            last: None,
            shelf: None,
        };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = try_unfold(walk, move |mut walk| {
            let metrics = metrics.clone();
            async move {
                let rows = walk.next().await?.record_output(&metrics);
                Ok(rows.map(|rows| (rows, walk)))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(columns::of_merged(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Where the reading stands.
struct Walk {
    tiers: Tiers,
    pruning: Arc<Pruning>,
    open: VecDeque<Day>,
    layered: VecDeque<Shelf>,
    /// The last shelf of both tiers that was begun.
    last: Option<Day>,
    shelf: Option<(Day, Rows)>,
}

/// What is left of one shelf.
enum Rows {
    Both(ShelfCoupons),
    Cold(ShelfRows),
}

impl Walk {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.shelf.is_none() {
                self.shelf = self.next_shelf().await.map_err(external)?;
            }
            let Some((day, rows)) = &mut self.shelf else { return Ok(None) };
            match rows.next().await.map_err(external)? {
                Some(coupons) if coupons.is_empty() => {}
                Some(found) => {
                    let (coupons, tiers): (Vec<Coupon>, Vec<Tier>) = found.into_iter().unzip();
                    return columns::merged(*day, &coupons, &tiers).map(Some);
                }
                None => self.shelf = None,
            }
        }
    }

    async fn next_shelf(&mut self) -> Result<Option<(Day, Rows)>, HotError> {
        if let Some(shelf) = self.layered.pop_front() {
            let rows = self.tiers.engine.cold().shelf_rows(&shelf, None).await;
            let rows = rows.map_err(|error| HotError::Cold(Box::new(error)))?;
            return Ok(Some((shelf.day, Rows::Cold(rows))));
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
        let rows = Arc::clone(&self.tiers.engine).shelf_coupons(day);
        Ok(Some((day, Rows::Both(rows))))
    }

    /// The first shelf behind the last one that there was not when the query began: an extension may
    /// have brought a coupon there that was passed nowhere. Looked up before each shelf, since it may
    /// lie between two of them.
    async fn opened_meanwhile(&self) -> Result<Option<Day>, HotError> {
        let Some(last) = self.last else { return Ok(None) };
        let seen = self.tiers.seen().await?;
        let alone = || seen.settled.iter().chain(&seen.layered).map(|shelf| shelf.day);
        let mut days = self.tiers.open().await?;
        days.retain(|day| *day > last && !seen.open.contains(day) && !alone().any(|it| it == *day));
        let days = self.pruning.days(&days);
        let days = days.map_err(|error| HotError::Unavailable(Box::new(error)))?;
        Ok(days.into_iter().min())
    }
}

impl Rows {
    async fn next(&mut self) -> Result<Option<Vec<(Coupon, Tier)>>, HotError> {
        match self {
            Rows::Both(rows) => rows.next().await.map_err(of_store),
            Rows::Cold(rows) => {
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
