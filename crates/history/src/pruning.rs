//! Pruning: skips partitions by their days, and files by what the log of the cold tier says of them.

use std::sync::Arc;

use cold::{ColdFile, Partition};
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
pub(crate) struct Pruning {
    schema: SchemaRef,
    predicate: Option<PruningPredicate>,
}

impl Pruning {
    pub(crate) fn of(state: &dyn Session, filters: &[Expr]) -> Result<Pruning> {
        let schema = of_table();
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(Pruning { schema, predicate: None });
        };
        let columns = DFSchema::try_from(Arc::clone(&schema))?;
        let filter = state.create_physical_expr(filter, &columns)?;
        // A filter of which no predicate can be made skips nothing.
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&schema))
            .try_build(filter)
            .ok();
        Ok(Pruning { schema, predicate })
    }

    /// The partitions that may have wanted coupons, by their days alone.
    pub(crate) fn days(&self, days: &[Day]) -> Result<Vec<Day>> {
        let known = days.iter().map(|day| Arc::new(self.of_partition(*day))).collect();
        Ok(days
            .iter()
            .zip(self.kept(known)?)
            .filter_map(|(day, kept)| kept.then_some(*day))
            .collect())
    }

    /// The files that may have wanted coupons.
    pub(crate) fn files<'a>(&self, files: Vec<&'a ColdFile>) -> Result<Vec<&'a ColdFile>> {
        let known = files.iter().map(|file| Arc::new(self.of_file(file))).collect();
        Ok(files
            .iter()
            .zip(self.kept(known)?)
            .filter_map(|(file, kept)| kept.then_some(*file))
            .collect())
    }

    /// Whether a partition whose files must be read together may have wanted coupons.
    pub(crate) fn partition(&self, partition: &Partition) -> Result<bool> {
        Ok(!self.days(&[partition.day])?.is_empty())
    }

    fn kept(&self, known: Vec<Arc<Statistics>>) -> Result<Vec<bool>> {
        match &self.predicate {
            Some(predicate) if !known.is_empty() => {
                predicate.prune(&PrunableStatistics::new(known, Arc::clone(&self.schema)))
            }
            Some(_) | None => Ok(vec![true; known.len()]),
        }
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
        let text = |ends: Option<(&str, &str)>| {
            let value = |text: &str| ScalarValue::Utf8View(Some(text.to_owned()));
            (ends.map(|it| value(it.0)), ends.map(|it| value(it.1)))
        };
        let moment = |ends: Option<(Millis, Millis)>| {
            (ends.map(|it| instant(it.0)), ends.map(|it| instant(it.1)))
        };
        self.statistics(Some(file.rows()), |name| match name {
            "expiry_day" => (Some(date(file.day())), Some(date(file.day()))),
            "tier" => text(Some(("cold", "cold"))),
            "code" => text(file.codes()),
            "campaign_id" => text(file.campaigns()),
            "holder" => text(file.holders()),
            "expires_at" => moment(file.expiries()),
            "modified_at" => moment(file.changes()),
            "expires_on" => {
                let days = file.expiries().map(|(first, last)| last_day::between(first, last));
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
