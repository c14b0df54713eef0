//! The columns of the table `coupons`: those of the files, and those that follow from them.
//!
//! Files and merged coupons become the same rows here. `schema/cold.md` explains the columns of the files.

use std::sync::{Arc, LazyLock};

use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use datafusion::arrow::array::{Date32Array, RecordBatch, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal, col};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use hot::Tier;

use crate::{MICROS, last_day};

/// The columns of `coupons`, in order: those that people need most come first.
const COUPONS: [&str; 24] = [
    "code",
    "campaign_id",
    "batch_id",
    "state",
    "expired",
    "holder",
    "valid_from",
    "expires_at",
    "expires_on",
    "time_zone",
    "issued_at",
    "redeemed_at",
    "order_ref",
    "created_at",
    "modified_at",
    "version",
    "tier",
    "made_expires_at",
    "made_time_zone",
    "expiry_day",
    "events",
    "order_amount",
    "discount",
    "currency",
];

/// The columns of the files, with text as views, so that grouping and comparing copies no text.
pub(crate) static OF_FILES: LazyLock<SchemaRef> =
    LazyLock::new(|| retyped(&cold::external::columns(), DataType::Utf8, DataType::Utf8View));

/// The columns of merged coupons: those of the files, `expiry_day` and `tier`.
pub(crate) static OF_MERGED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields: Vec<FieldRef> = OF_FILES.fields().iter().cloned().collect();
    fields.push(expiry_day());
    fields.push(Arc::new(Field::new("tier", DataType::Utf8View, false)));
    Arc::new(Schema::new(fields))
});

/// The columns of the table.
pub(crate) static OF_TABLE: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &&str| match *name {
        "expired" => Arc::new(Field::new(*name, DataType::Boolean, false)),
        "expires_on" => Arc::new(Field::new(*name, DataType::Date32, false)),
        name => match OF_MERGED.column_with_name(name) {
            Some((_, field)) => Arc::new(field.clone()),
            None => unreachable!("{name} is a column of the files"),
        },
    };
    Arc::new(Schema::new(COUPONS.iter().map(field).collect::<Vec<_>>()))
});

/// The same columns, those of one type with another type.
pub(crate) fn retyped(schema: &Schema, from: DataType, to: DataType) -> SchemaRef {
    let field = |field: &FieldRef| match *field.data_type() == from {
        true => Arc::new(field.as_ref().clone().with_data_type(to.clone())),
        false => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The column in the names of the folders.
pub(crate) fn expiry_day() -> FieldRef {
    Arc::new(Field::new("expiry_day", DataType::Date32, false))
}

pub(crate) fn instant(at: Millis) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(at.0.saturating_mul(MICROS)), Some("UTC".into()))
}

/// A column of the table, made of `input`, which has the columns of a file or of merged coupons. A file is in cold.
pub(crate) fn made_of(
    name: &str,
    input: &Schema,
    now: Millis,
    options: &Arc<ConfigOptions>,
) -> Result<Arc<dyn PhysicalExpr>> {
    match name {
        "tier" if input.index_of("tier").is_err() => {
            Ok(Arc::new(Literal::new(ScalarValue::Utf8View(Some("cold".into())))))
        }
        "expired" => {
            let now = Arc::new(Literal::new(instant(now)));
            Ok(Arc::new(BinaryExpr::new(col("expires_at", input)?, Operator::LtEq, now)))
        }
        "expires_on" => {
            let of = vec![col("expires_at", input)?, col("time_zone", input)?];
            let day = ScalarFunctionExpr::try_new(
                Arc::clone(&last_day::UDF),
                of,
                input,
                Arc::clone(options),
            )?;
            Ok(Arc::new(day))
        }
        name => col(name, input),
    }
}

pub(crate) fn merged(day: Day, coupons: &[Coupon], tiers: &[Tier]) -> Result<RecordBatch> {
    let rows = with_types_of(&OF_FILES, &cold::external::rows(coupons)?)?;
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Date32Array::from(vec![day.0; coupons.len()])));
    columns
        .push(Arc::new(StringViewArray::from_iter_values(tiers.iter().map(|tier| tier.as_str()))));
    Ok(RecordBatch::try_new(Arc::clone(&OF_MERGED), columns)?)
}

pub(crate) fn with_types_of(
    schema: &SchemaRef,
    rows: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}
