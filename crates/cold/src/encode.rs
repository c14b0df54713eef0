//! From coupons to rows: the only place that fills the columns of `coupons`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::error::ArrowError;
use coupon::coupon::{Coupon, Event};
use coupon::flat::Flat;
use coupon::ids::UserId;
use coupon::time::Millis;
use coupon::worth::RedemptionWorth;

use crate::indexed::HolderIndexRow;
use crate::schema::{self, COUPONS, HOLDER_INDEX, MICROS};

/// `archived_in` has, for each coupon, the archive commit that brought it to cold.
pub(crate) fn batch(coupons: &[Coupon], archived_in: &[u64]) -> Result<RecordBatch, ArrowError> {
    let mut columns = columns(&coupons.iter().collect::<Vec<_>>())?;
    columns.push(longs(archived_in.iter().map(|archive_commit| archive_commit.cast_signed())));
    columns.extend(redeemed(coupons.iter()));
    RecordBatch::try_new(COUPONS.to_arrow(), columns)
}

pub(crate) fn indexed(rows: &[HolderIndexRow]) -> Result<RecordBatch, ArrowError> {
    let mut columns = columns(&rows.iter().map(|row| &row.coupon).collect::<Vec<_>>())?;
    columns.push(Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.day.0))));
    columns.extend(redeemed(rows.iter().map(|row| &row.coupon)));
    RecordBatch::try_new(HOLDER_INDEX.to_arrow(), columns)
}

/// The columns that describe a coupon, without `archived_in` and the amounts behind it.
pub(crate) fn columns(coupons: &[&Coupon]) -> Result<Vec<ArrayRef>, ArrowError> {
    let coupons = || coupons.iter().copied();
    let text = |of: fn(&Coupon) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(coupons().map(of)))
    };
    Ok(vec![
        text(|coupon| coupon.code().as_str()),
        text(|coupon| coupon.genesis().campaign.as_str()),
        text(|coupon| coupon.genesis().batch.as_str()),
        text(|coupon| coupon.state().as_str()),
        longs(coupons().map(|coupon| coupon.version().cast_signed())),
        optional_text(coupons().map(|coupon| coupon.holder().map(UserId::as_str))),
        instants(coupons().map(|coupon| Some(coupon.genesis().valid_from))),
        instants(coupons().map(|coupon| Some(coupon.expires_at()))),
        instants(coupons().map(|coupon| Some(coupon.genesis().expires_at))),
        text(|coupon| coupon.zone().name()),
        text(|coupon| coupon.genesis().zone.name()),
        instants(coupons().map(Coupon::issued_at)),
        instants(coupons().map(|coupon| coupon.redemption().map(|it| it.at))),
        optional_text(coupons().map(|coupon| coupon.redemption().map(|it| it.order.as_str()))),
        instants(coupons().map(|coupon| Some(coupon.genesis().created_at))),
        instants(coupons().map(|coupon| Some(coupon.modified_at()))),
        events(&coupons().collect::<Vec<_>>())?,
    ])
}

pub(crate) fn optional_text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

pub(crate) fn instants(values: impl Iterator<Item = Option<Millis>>) -> ArrayRef {
    let micros = values.map(|value| value.map(|at| at.0.saturating_mul(MICROS)));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

pub(crate) fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// The amounts of the live redemptions.
pub(crate) fn redeemed<'a>(coupons: impl Iterator<Item = &'a Coupon> + Clone) -> [ArrayRef; 3] {
    amounts(coupons.map(|coupon| coupon.redemption()?.worth))
}

/// The columns `order_amount`, `discount` and `currency`.
fn amounts(worths: impl Iterator<Item = Option<RedemptionWorth>> + Clone) -> [ArrayRef; 3] {
    let amounts = |of: fn(RedemptionWorth) -> Option<u64>| -> ArrayRef {
        let amounts = worths.clone().map(|worth| worth.and_then(of).map(u64::cast_signed));
        Arc::new(amounts.collect::<Int64Array>())
    };
    let currencies = worths.clone().map(|worth| worth.map(|worth| worth.currency.as_str()));
    [amounts(|it| it.order_amount), amounts(|it| it.discount), optional_text(currencies)]
}

fn events(coupons: &[&Coupon]) -> Result<ArrayRef, ArrowError> {
    let lengths = OffsetBuffer::from_lengths(coupons.iter().map(|coupon| coupon.events().len()));
    let events: Vec<&Event> = coupons.iter().flat_map(|coupon| coupon.events()).collect();
    let all = || events.iter().copied();
    let operations = all().map(|event| format!("{:032x}", event.operation.0));
    let sequence = coupons.iter().flat_map(|coupon| (1..).zip(coupon.events()).map(|(at, _)| at));
    let mut columns: Vec<ArrayRef> = vec![
        longs(sequence),
        Arc::new(StringArray::from_iter_values(all().map(|event| event.kind.as_str()))),
        instants(all().map(|event| Some(event.at))),
        Arc::new(StringArray::from_iter_values(all().map(|event| event.actor.as_str()))),
        Arc::new(StringArray::from_iter_values(operations)),
        optional_text(all().map(|event| Flat::of(event).user)),
        optional_text(all().map(|event| Flat::of(event).reference)),
        optional_text(all().map(|event| Flat::of(event).reason)),
        instants(all().map(|event| Flat::of(event).expires_at)),
        optional_text(all().map(|event| Flat::of(event).time_zone)),
    ];
    columns.extend(amounts(all().map(|event| Flat::of(event).worth)));
    let events = StructArray::try_new(schema::fields(schema::EVENT, &[]), columns, None)?;
    Ok(Arc::new(ListArray::try_new(
        schema::element(schema::EVENT),
        lengths,
        Arc::new(events),
        None,
    )?))
}
