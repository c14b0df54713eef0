//! A value as JSON and as the text of a cell: the only place that knows how each type is written.

use coupon::calendar::{Date, Zone, format_instant};
use coupon::time::{Day, Millis};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Number, Value};

use crate::MICROS;

/// One value. A number that JSON cannot write, such as infinity, is null.
pub(crate) fn json(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    macro_rules! integer {
        ($kind:ty) => {
            Value::from(column.as_primitive::<$kind>().value(row))
        };
    }
    match column.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => integer!(UInt64Type),
        DataType::Float16 => float(column.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => float(column.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Date32 => day(column.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            instant(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => list(column.as_list::<i32>().value(row).as_ref()),
        DataType::LargeList(_) => list(column.as_list::<i64>().value(row).as_ref()),
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let values = fields.iter().zip(columns);
            let values = values.map(|(field, of)| (field.name().clone(), json(of.as_ref(), row)));
            Value::Object(values.collect::<Map<String, Value>>())
        }
        // Exact numbers, spans of time and whatever else a function makes: as Arrow writes them.
        _ => displayed(column, row).into(),
    }
}

/// Null is an empty cell.
pub(crate) fn text(column: &dyn Array, row: usize) -> String {
    match json(column, row) {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn day(day: i32) -> Value {
    Date::of(Day(day).start(), &Zone::utc()).to_string().into()
}

/// In milliseconds, as everywhere in couponry, unless the value is finer.
fn instant(micros: i64) -> Value {
    let text = format_instant(Millis(micros.div_euclid(MICROS)));
    match (micros.rem_euclid(MICROS), text.strip_suffix('Z')) {
        (0, _) | (_, None) => text.into(),
        (rest, Some(start)) => format!("{start}{rest:03}Z").into(),
    }
}

fn list(values: &dyn Array) -> Value {
    (0..values.len()).map(|row| json(values, row)).collect()
}

fn displayed(column: &dyn Array, row: usize) -> String {
    let options = FormatOptions::default();
    match ArrayFormatter::try_new(column, &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(error) => error.to_string(),
    }
}
