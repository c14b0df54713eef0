//! The redemptions of a coupon, from its events: each with its cancellation, if there was one.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt64Array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

pub(crate) const NAME: &str = "redemptions_of";

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Fields::from(vec![
        Field::new("user_id", DataType::Utf8, true),
        Field::new("order_ref", DataType::Utf8, true),
        Field::new("redeemed_at", instant(), false),
        Field::new("redeemed_by", DataType::Utf8, false),
        Field::new("cancelled_at", instant(), true),
        Field::new("cancelled_by", DataType::Utf8, true),
        Field::new("reason", DataType::Utf8, true),
        Field::new("order_amount", DataType::Int64, true),
        Field::new("discount", DataType::Int64, true),
        Field::new("currency", DataType::Utf8, true),
    ])
});

/// The function, for the view alone. `events` is the column of the events.
pub(crate) fn udf(events: &Field) -> ScalarUDF {
    let answer = |args: &[ColumnarValue]| {
        let columns = ColumnarValue::values_to_arrays(args)?;
        match columns.first().and_then(|column| column.as_list_opt::<i32>()) {
            Some(events) => Ok(ColumnarValue::Array(redemptions(events)?)),
            None => exec_err!("{NAME} wants the events of coupons"),
        }
    };
    let wanted = vec![events.data_type().clone()];
    let found = DataType::List(element());
    create_udf(NAME, wanted, found, Volatility::Immutable, Arc::new(answer))
}

fn element() -> FieldRef {
    Arc::new(Field::new("element", DataType::Struct(FIELDS.clone()), false))
}

/// The redemptions of each list of events. An order redeems a coupon at most once: after a cancellation
/// the rules refuse it.
fn redemptions(lists: &ListArray) -> Result<ArrayRef> {
    let events = lists.values().as_struct();
    let column = |name: &str| match events.column_by_name(name) {
        Some(column) => Ok(column),
        None => exec_err!("events have no {name}"),
    };
    let kinds = column("kind")?.as_string::<i32>();
    let references = column("reference")?;
    let orders = references.as_string::<i32>();
    let order = |row: usize| orders.is_valid(row).then(|| orders.value(row));
    // The rows of the events that redeem, and of those that cancel these redemptions.
    let (mut redeemed, mut cancelled) = (Vec::new(), Vec::new());
    let mut lengths = Vec::with_capacity(lists.len());
    for list in 0..lists.len() {
        let before = redeemed.len();
        if lists.is_valid(list) {
            let offsets = lists.value_offsets();
            let span = offsets[list] as usize..offsets[list + 1] as usize;
            let of_kind =
                |kind: &'static str| span.clone().filter(move |row| kinds.value(*row) == kind);
            let cancels: HashMap<Option<&str>, usize> =
                of_kind("redemption_cancelled").map(|row| (order(row), row)).collect();
            for row in of_kind("redeemed") {
                redeemed.push(row as u64);
                cancelled.push(cancels.get(&order(row)).map(|row| *row as u64));
            }
        }
        lengths.push(redeemed.len() - before);
    }
    let (redeemed, cancelled) = (UInt64Array::from(redeemed), UInt64Array::from(cancelled));
    let columns: Vec<ArrayRef> = vec![
        take(column("user_id")?, &redeemed, None)?,
        take(references, &redeemed, None)?,
        take(column("at")?, &redeemed, None)?,
        take(column("actor")?, &redeemed, None)?,
        take(column("at")?, &cancelled, None)?,
        take(column("actor")?, &cancelled, None)?,
        take(column("reason")?, &cancelled, None)?,
        take(column("order_amount")?, &redeemed, None)?,
        take(column("discount")?, &redeemed, None)?,
        take(column("currency")?, &redeemed, None)?,
    ];
    let found = StructArray::try_new(FIELDS.clone(), columns, None)?;
    let lengths = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(element(), lengths, Arc::new(found), None)?))
}
