//! Pruning: skips partitions by their days, and files by what the log of the cold tier says of them.

use std::sync::Arc;

use cold::{ColdFile, ColdPartition};
use coupon::time::{Day, Millis};
use datafusion::catalog::Session;
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, Result, ScalarValue, Statistics};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use crate::columns::{OF_TABLE, instant};
use crate::last_day;

/// The filters of one scan of `coupons`, as far as they can skip anything.
#[derive(Debug)]
pub(crate) struct ScanPruning {
    predicate: Option<PruningPredicate>,
}

impl ScanPruning {
    pub(crate) fn of(state: &dyn Session, filters: &[Expr]) -> Result<ScanPruning> {
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(ScanPruning { predicate: None });
        };
        let columns = DFSchema::try_from(Arc::clone(&OF_TABLE))?;
        let filter = state.create_physical_expr(filter, &columns)?;
        // A filter of which no predicate can be made skips nothing.
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&OF_TABLE))
            .try_build(filter)
            .ok();
        Ok(ScanPruning { predicate })
    }

    pub(crate) fn days(&self, days: Vec<Day>) -> Result<Vec<Day>> {
        self.kept(days, |day| of_partition(*day))
    }

    /// Of partitions whose files must be read together, by their days alone.
    pub(crate) fn partitions(&self, partitions: Vec<ColdPartition>) -> Result<Vec<ColdPartition>> {
        self.kept(partitions, |partition| of_partition(partition.day))
    }

    pub(crate) fn files<'a>(&self, files: Vec<&'a ColdFile>) -> Result<Vec<&'a ColdFile>> {
        self.kept(files, |file| of_file(file))
    }

    /// Those of `all` that may have wanted coupons.
    fn kept<T>(&self, mut all: Vec<T>, known: impl Fn(&T) -> Statistics) -> Result<Vec<T>> {
        if let Some(predicate) = self.predicate.as_ref().filter(|_| !all.is_empty()) {
            let known = all.iter().map(|one| Arc::new(known(one))).collect();
            let known = PrunableStatistics::new(known, Arc::clone(&OF_TABLE));
            let mut kept = predicate.prune(&known)?.into_iter();
            all.retain(|_| kept.next().unwrap_or(true));
        }
        Ok(all)
    }
}

/// A coupon of a partition expires by the end of the day, perhaps long before.
fn of_partition(day: Day) -> Statistics {
    let (_, last) = last_day::between(day.end(), day.end());
    statistics(None, |name| match name {
        "expiry_day" => (Some(date(day)), Some(date(day))),
        "expires_at" => (None, Some(instant(day.end()))),
        "expires_on" => (None, Some(date(last))),
        _ => (None, None),
    })
}

fn of_file(file: &ColdFile) -> Statistics {
    let bounds = file.bounds();
    let value = |text: &str| Some(ScalarValue::Utf8View(Some(text.to_owned())));
    let text = |ends: &Option<(String, String)>| match ends {
        Some((first, last)) => (value(first), value(last)),
        None => (None, None),
    };
    let moment = |ends: Option<(Millis, Millis)>| {
        (ends.map(|it| instant(it.0)), ends.map(|it| instant(it.1)))
    };
    statistics(Some(file.rows()), |name| match name {
        "expiry_day" => (Some(date(file.day())), Some(date(file.day()))),
        "tier" => (value("cold"), value("cold")),
        "code" => text(&bounds.code),
        "campaign_id" => text(&bounds.campaign),
        "holder" => text(&bounds.holder),
        "expires_at" => moment(bounds.expires_at),
        "modified_at" => moment(bounds.modified_at),
        "expires_on" => {
            let days = bounds.expires_at.map(|(first, last)| last_day::between(first, last));
            (days.map(|it| date(it.0)), days.map(|it| date(it.1)))
        }
        _ => (None, None),
    })
}

fn statistics(
    rows: Option<u64>,
    ends: impl Fn(&str) -> (Option<ScalarValue>, Option<ScalarValue>),
) -> Statistics {
    let exactly = |value: Option<ScalarValue>| value.map_or(Precision::Absent, Precision::Exact);
    let of_column = |name: &str| {
        let (first, last) = ends(name);
        ColumnStatistics {
            min_value: exactly(first),
            max_value: exactly(last),
            ..ColumnStatistics::new_unknown()
        }
    };
    let fields = OF_TABLE.fields().iter();
    Statistics {
        num_rows: rows
            .and_then(|it| usize::try_from(it).ok())
            .map_or(Precision::Absent, Precision::Exact),
        total_byte_size: Precision::Absent,
        column_statistics: fields.map(|field| of_column(field.name())).collect(),
    }
}
fn date(day: Day) -> ScalarValue {
    ScalarValue::Date32(Some(day.0))
}
