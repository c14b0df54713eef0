//! Pruning: skips partitions by their days, and files by what the log of the cold tier says of them.

use std::sync::Arc;

use cold::{ColdFile, ColdPartition};
use coupon::time::{Day, Millis};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, Result, ScalarValue, Statistics};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use crate::columns::{instant, of_table};
use crate::last_day;

/// The filters of one scan of `coupons`, as far as they can skip anything.
#[derive(Debug)]
pub(crate) struct ScanPruning {
    schema: SchemaRef,
    predicate: Option<PruningPredicate>,
}

impl ScanPruning {
    pub(crate) fn of(state: &dyn Session, filters: &[Expr]) -> Result<ScanPruning> {
        let schema = of_table();
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(ScanPruning { schema, predicate: None });
        };
        let columns = DFSchema::try_from(Arc::clone(&schema))?;
        let filter = state.create_physical_expr(filter, &columns)?;
        // A filter of which no predicate can be made skips nothing.
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&schema))
            .try_build(filter)
            .ok();
        Ok(ScanPruning { schema, predicate })
    }

    /// By their days alone.
    pub(crate) fn days(&self, days: &[Day]) -> Result<Vec<Day>> {
        self.kept(days.to_vec(), |day| self.of_partition(*day))
    }

    pub(crate) fn files<'a>(&self, files: Vec<&'a ColdFile>) -> Result<Vec<&'a ColdFile>> {
        self.kept(files, |file| self.of_file(file))
    }

    /// Whether a partition whose files must be read together may have wanted coupons.
    pub(crate) fn partition(&self, partition: &ColdPartition) -> Result<bool> {
        Ok(!self.days(&[partition.day])?.is_empty())
    }

    /// Those of `all` that may have wanted coupons.
    fn kept<T>(&self, mut all: Vec<T>, known: impl Fn(&T) -> Statistics) -> Result<Vec<T>> {
        if let Some(predicate) = self.predicate.as_ref().filter(|_| !all.is_empty()) {
            let known = all.iter().map(|one| Arc::new(known(one))).collect();
            let known = PrunableStatistics::new(known, Arc::clone(&self.schema));
            let mut kept = predicate.prune(&known)?.into_iter();
            all.retain(|_| kept.next().unwrap_or(true));
        }
        Ok(all)
    }

    /// A coupon of a partition expires by the end of the day, perhaps long before.
    fn of_partition(&self, day: Day) -> Statistics {
        let (_, last) = last_day::between(day.end(), day.end());
        self.statistics(None, |name| match name {
            "expiry_day" => (Some(date(day)), Some(date(day))),
            "expires_at" => (None, Some(instant(day.end()))),
            "expires_on" => (None, Some(date(last))),
            _ => (None, None),
        })
    }

    fn of_file(&self, file: &ColdFile) -> Statistics {
        let bounds = file.bounds();
        let value = |text: &str| Some(ScalarValue::Utf8View(Some(text.to_owned())));
        let text = |ends: &Option<(String, String)>| match ends {
            Some((first, last)) => (value(first), value(last)),
            None => (None, None),
        };
        let moment = |ends: Option<(Millis, Millis)>| {
            (ends.map(|it| instant(it.0)), ends.map(|it| instant(it.1)))
        };
        self.statistics(Some(file.rows()), |name| match name {
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
        &self,
        rows: Option<u64>,
        ends: impl Fn(&str) -> (Option<ScalarValue>, Option<ScalarValue>),
    ) -> Statistics {
        let exactly =
            |value: Option<ScalarValue>| value.map_or(Precision::Absent, Precision::Exact);
        let of_column = |name: &str| {
            let (first, last) = ends(name);
            ColumnStatistics {
                min_value: exactly(first),
                max_value: exactly(last),
                ..ColumnStatistics::new_unknown()
            }
        };
        let fields = self.schema.fields().iter();
        Statistics {
            num_rows: rows
                .and_then(|it| usize::try_from(it).ok())
                .map_or(Precision::Absent, Precision::Exact),
            total_byte_size: Precision::Absent,
            column_statistics: fields.map(|field| of_column(field.name())).collect(),
        }
    }
}

fn date(day: Day) -> ScalarValue {
    ScalarValue::Date32(Some(day.0))
}
