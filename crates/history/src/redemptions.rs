//! The redemptions of a coupon, from its events: each with its cancellation, if there was one.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Fields, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

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
    ])
});

/// The function, for the view alone.
pub(crate) fn udf() -> ScalarUDF {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::new_from_impl(RedemptionsOf { signature })
}

fn element() -> FieldRef {
    Arc::new(Field::new("element", DataType::Struct(FIELDS.clone()), false))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RedemptionsOf {
    signature: Signature,
}

impl ScalarUDFImpl for RedemptionsOf {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(element()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(events) = columns.first().and_then(|column| column.as_list_opt::<i32>()) else {
            return exec_err!("{NAME} wants the events of coupons");
        };
        Ok(ColumnarValue::Array(redemptions(events)?))
    }
}

/// The columns of the events of many coupons.
struct Events<'a> {
    kinds: ArrayRef,
    at: ArrayRef,
    actors: ArrayRef,
    users: ArrayRef,
    references: ArrayRef,
    reasons: ArrayRef,
    all: &'a StructArray,
}

impl<'a> Events<'a> {
    fn of(all: &'a StructArray) -> Result<Events<'a>> {
        let column = |name: &str| match all.column_by_name(name) {
            Some(column) => Ok(Arc::clone(column)),
            None => exec_err!("events have no {name}"),
        };
        Ok(Events {
            kinds: column("kind")?,
            at: column("at")?,
            actors: column("actor")?,
            users: column("user_id")?,
            references: column("reference")?,
            reasons: column("reason")?,
            all,
        })
    }
}

/// Rows of the answer.
#[derive(Default)]
struct Found {
    users: StringBuilder,
    orders: StringBuilder,
    redeemed_at: TimestampMicrosecondBuilder,
    redeemed_by: StringBuilder,
    cancelled_at: TimestampMicrosecondBuilder,
    cancelled_by: StringBuilder,
    reasons: StringBuilder,
}

fn redemptions(lists: &ListArray) -> Result<ArrayRef> {
    let events = Events::of(lists.values().as_struct())?;
    let mut found = Found::default();
    let mut lengths = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let span = lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize;
        lengths.push(if lists.is_valid(row) { found.add(&events, span) } else { 0 });
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(found.users.finish()),
        Arc::new(found.orders.finish()),
        Arc::new(found.redeemed_at.finish().with_timezone("UTC")),
        Arc::new(found.redeemed_by.finish()),
        Arc::new(found.cancelled_at.finish().with_timezone("UTC")),
        Arc::new(found.cancelled_by.finish()),
        Arc::new(found.reasons.finish()),
    ];
    let found = StructArray::try_new(FIELDS.clone(), columns, None)?;
    let lengths = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(element(), lengths, Arc::new(found), None)?))
}

impl Found {
    /// Adds the redemptions of one coupon. An order redeems a coupon at most once: after a cancellation
    /// the rules refuse it.
    fn add(&mut self, events: &Events<'_>, span: std::ops::Range<usize>) -> usize {
        debug_assert!(span.end <= events.all.len());
        let kinds = events.kinds.as_string::<i32>();
        let text = |column: &ArrayRef, row: usize| {
            let column = column.as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let at = events.at.as_primitive::<TimestampMicrosecondType>();
        let cancelled: HashMap<Option<String>, usize> = span
            .clone()
            .filter(|row| kinds.value(*row) == "redemption_cancelled")
            .map(|row| (text(&events.references, row), row))
            .collect();
        let mut count = 0;
        for row in span.filter(|row| kinds.value(*row) == "redeemed") {
            let order = text(&events.references, row);
            let end = cancelled.get(&order).copied();
            self.users.append_option(text(&events.users, row));
            self.orders.append_option(order);
            self.redeemed_at.append_value(at.value(row));
            self.redeemed_by.append_value(text(&events.actors, row).unwrap_or_default());
            self.cancelled_at.append_option(end.map(|row| at.value(row)));
            self.cancelled_by.append_option(end.and_then(|row| text(&events.actors, row)));
            self.reasons.append_option(end.and_then(|row| text(&events.reasons, row)));
            count += 1;
        }
        count
    }
}
