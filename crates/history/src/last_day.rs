//! The last calendar day of a coupon in its own zone, as a column: `expires_on`.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use coupon::calendar::{Date, Zone};
use coupon::time::{DAY_MS, Day, Millis};
use datafusion::arrow::array::{ArrayRef, AsArray, Date32Builder};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::MICROS;

/// No zone is further from UTC than this, so the last day of a coupon in any zone lies this near to its
/// last day in UTC.
const FURTHEST_MS: i64 = 14 * 60 * 60 * 1_000;

const NAME: &str = "last_day";

pub(crate) static UDF: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(LastDay { signature: signature() })));

/// The first and the last day, in any zone, that can be the last day of a coupon that expires between two
/// moments, both included.
pub(crate) fn between(first: Millis, last: Millis) -> (Day, Day) {
    let day = |at: Millis, by: i64| Day::expiry_day_of(Millis(at.0.saturating_add(by)));
    (day(first, -FURTHEST_MS), day(last, FURTHEST_MS))
}

fn signature() -> Signature {
    let instant = DataType::Timestamp(
        datafusion::arrow::datatypes::TimeUnit::Microsecond,
        Some("UTC".into()),
    );
    Signature::exact(vec![instant, DataType::Utf8View], Volatility::Immutable)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LastDay {
    signature: Signature,
}

impl ScalarUDFImpl for LastDay {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(NAME, DataType::Date32, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [expiries, zones] = columns.as_slice() else {
            return exec_err!("{NAME} has {} arguments, want 2", columns.len());
        };
        Ok(ColumnarValue::Array(last_days(expiries, zones)?))
    }
}

/// The span of instants that have one last day in one zone.
struct LastDaySpan {
    zone_name: String,
    zone: Zone,
    expiries: Range<i64>,
    day: Day,
}

fn last_days(expiries: &ArrayRef, zones: &ArrayRef) -> Result<ArrayRef> {
    let expiries = expiries.as_primitive::<TimestampMicrosecondType>();
    let zones = zones.as_string_view();
    let mut days = Date32Builder::with_capacity(expiries.len());
    // Neighbouring coupons mostly have one day and one zone.
    let mut known: Option<LastDaySpan> = None;
    for (expiry, name) in expiries.iter().zip(zones) {
        let (Some(expiry), Some(name)) = (expiry, name) else {
            days.append_null();
            continue;
        };
        let expiry = expiry.div_euclid(MICROS);
        let found = match known.take().filter(|it| it.zone_name == name) {
            Some(found) if found.expiries.contains(&expiry) => found,
            Some(found) => look_up(found.zone_name, found.zone, expiry),
            None => look_up(name.to_owned(), zone(name)?, expiry),
        };
        days.append_value(found.day.0);
        known = Some(found);
    }
    Ok(Arc::new(days.finish()))
}

fn zone(name: &str) -> Result<Zone> {
    name.parse().map_err(|error| DataFusionError::External(Box::new(error)))
}

fn look_up(zone_name: String, zone: Zone, expiry: i64) -> LastDaySpan {
    let date = Date::last_of(Millis(expiry), &zone);
    // The last millisecond lies on the day, so the exclusive end is one later.
    let expiries = date.first_instant(&zone).0 + 1..date.end(&zone).0 + 1;
    let day = date.first_instant(&Zone::utc()).day();
    LastDaySpan { zone_name, zone, expiries, day }
}

const _: () = assert!(FURTHEST_MS < DAY_MS);

#[cfg(test)]
mod tests {
    use coupon::calendar::parse_instant;
    use datafusion::arrow::array::{StringViewArray, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::Date32Type;

    use super::*;

    #[test]
    fn the_last_day_is_that_of_the_zone() {
        let cases = [
            ("midnight in UTC", "2027-01-01T00:00:00Z", "UTC", "2026-12-31"),
            ("a millisecond later", "2027-01-01T00:00:00.001Z", "UTC", "2027-01-01"),
            ("east of it", "2026-12-31T15:00:00Z", "Asia/Seoul", "2026-12-31"),
            ("a millisecond later there", "2026-12-31T15:00:00.001Z", "Asia/Seoul", "2027-01-01"),
            ("west of it", "2027-01-01T08:00:00Z", "America/Los_Angeles", "2026-12-31"),
            ("furthest east", "2026-12-31T10:00:00Z", "Pacific/Kiritimati", "2026-12-31"),
            ("where the clock goes back", "2026-10-25T23:00:00Z", "Europe/Berlin", "2026-10-25"),
        ];
        let at = |text: &str| parse_instant(text).unwrap();
        let expiries = cases.map(|(_, expiry, _, _)| at(expiry).0 * MICROS);
        let expiries = TimestampMicrosecondArray::from(expiries.to_vec()).with_timezone("UTC");
        let zones = StringViewArray::from_iter_values(cases.map(|(_, _, zone, _)| zone));
        let days = last_days(&(Arc::new(expiries) as _), &(Arc::new(zones) as _)).unwrap();
        let days = days.as_primitive::<Date32Type>();
        for (row, (name, expiry, _, want)) in cases.into_iter().enumerate() {
            let want = at(&format!("{want}T00:00:00Z")).day();
            assert_eq!(days.value(row), want.0, "{name}");
            let (first, last) = between(at(expiry), at(expiry));
            assert!(first <= want && want <= last, "{name}: pruned");
        }
    }
}
