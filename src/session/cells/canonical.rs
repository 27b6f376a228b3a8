//! Brings any Arrow column to the types that [`Cells`](super::Cells) knows and the SQL type that was announced.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DurationMicrosecondArray, IntervalMonthDayNanoArray, ListArray, StringViewBuilder,
    StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Int64Type, IntervalMonthDayNano, IntervalUnit, TimeUnit, TimestampNanosecondType,
};

use crate::catalog::pg_type::PgType;
use crate::error::Result;
use crate::session::cells::text::round_to_micros;
use crate::session::text::bytes::write_uuid;

/// A column in one of the Arrow types that can be sent, holding values of `pg_type`.
pub fn canonical(array: &ArrayRef, pg_type: &PgType) -> Result<ArrayRef> {
    let array = simplify(array, pg_type)?;
    let wanted = pg_type.arrow();
    if matches!(array.data_type(), DataType::Null) || same_family(array.data_type(), &wanted, pg_type) {
        return Ok(array);
    }
    // The plan gave another type than the one announced: the client was promised the latter.
    Ok(cast(&array, &wanted)?)
}

fn same_family(found: &DataType, wanted: &DataType, pg_type: &PgType) -> bool {
    use DataType as T;
    match (found, wanted) {
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8View) => true,
        (T::Binary | T::LargeBinary | T::BinaryView, T::BinaryView) => true,
        (T::Decimal128(..) | T::Decimal256(..), T::Decimal128(..) | T::Decimal256(..)) => true,
        (T::Timestamp(_, found), T::Timestamp(_, wanted)) => found.is_some() == wanted.is_some(),
        (T::List(_), T::List(_)) => true,
        (T::Struct(_) | T::Map(..), _) => {
            matches!(pg_type, PgType::Json | PgType::Jsonb | PgType::Record | PgType::Text)
        }
        (found, wanted) => found == wanted,
    }
}

fn simplify(array: &ArrayRef, pg_type: &PgType) -> Result<ArrayRef> {
    use DataType as T;
    let to = |target: DataType| cast(array, &target).map_err(Into::into);
    match array.data_type() {
        T::Int8 | T::UInt8 => to(T::Int16),
        T::UInt16 => to(T::Int32),
        T::UInt32 if !matches!(pg_type, PgType::Oid | PgType::Reg(_)) => to(T::Int64),
        T::UInt64 => to(T::Decimal128(20, 0)),
        T::Float16 => to(T::Float32),
        T::Decimal32(precision, scale) | T::Decimal64(precision, scale) => to(T::Decimal128(*precision, *scale)),
        T::FixedSizeBinary(16) if *pg_type == PgType::Uuid => Ok(uuid_text(array)),
        T::FixedSizeBinary(_) => to(T::Binary),
        T::Date64 => to(T::Timestamp(TimeUnit::Microsecond, None)),
        T::Time32(_) | T::Time64(TimeUnit::Nanosecond) => to(T::Time64(TimeUnit::Microsecond)),
        T::Timestamp(TimeUnit::Nanosecond, zone) => Ok(round_timestamps(array, zone.clone())),
        T::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            to(T::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        T::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime) => to(T::Interval(IntervalUnit::MonthDayNano)),
        T::Duration(_) => durations(array),
        T::Dictionary(_, values) => simplify(&cast(array, values)?, pg_type),
        T::RunEndEncoded(_, values) => simplify(&cast(array, values.data_type())?, pg_type),
        T::LargeList(field) | T::FixedSizeList(field, _) | T::ListView(field) | T::LargeListView(field) => {
            list(&cast(array, &T::List(field.clone()))?, pg_type)
        }
        T::List(_) => list(array, pg_type),
        T::Struct(_) => rows(array),
        T::Map(_, _) => map(array),
        _ => Ok(array.clone()),
    }
}

fn uuid_text(array: &ArrayRef) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut text = Vec::with_capacity(36);
    for bytes in array.as_fixed_size_binary().iter() {
        let uuid = bytes.and_then(|bytes| <&[u8; 16]>::try_from(bytes).ok());
        builder.append_option(uuid.map(|uuid| {
            text.clear();
            write_uuid(&mut text, uuid);
            String::from_utf8_lossy(&text).into_owned()
        }));
    }
    Arc::new(builder.finish())
}

fn round_timestamps(array: &ArrayRef, zone: Option<Arc<str>>) -> ArrayRef {
    let rounded: TimestampMicrosecondArray = array.as_primitive::<TimestampNanosecondType>().unary(round_to_micros);
    Arc::new(rounded.with_timezone_opt(zone))
}

fn durations(array: &ArrayRef) -> Result<ArrayRef> {
    let micros = cast(&cast(array, &DataType::Duration(TimeUnit::Microsecond))?, &DataType::Int64)?;
    let micros = micros.as_primitive::<Int64Type>();
    debug_assert_eq!(micros.len(), array.len(), "{}", std::any::type_name::<DurationMicrosecondArray>());
    let spans: IntervalMonthDayNanoArray = micros
        .iter()
        .map(|value| value.map(|micros| IntervalMonthDayNano::new(0, 0, micros.saturating_mul(1000))))
        .collect();
    Ok(Arc::new(spans))
}

fn list(array: &ArrayRef, pg_type: &PgType) -> Result<ArrayRef> {
    let list: &ListArray = array.as_list();
    let DataType::List(field) = array.data_type() else { return Ok(array.clone()) };
    let element = match (pg_type, field.data_type()) {
        (array, DataType::List(_)) => array.clone(),
        (PgType::Array(element), _) => element.as_ref().clone(),
        _ => PgType::of(field),
    };
    let values = canonical(list.values(), &element)?;
    let values = if matches!(values.data_type(), DataType::Null) {
        new_null_array(&element.arrow(), values.len())
    } else {
        values
    };
    let field = Arc::new(Field::clone(field).with_data_type(values.data_type().clone()).with_nullable(true));
    Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?))
}

fn rows(array: &ArrayRef) -> Result<ArrayRef> {
    let rows = array.as_struct();
    if rows.num_columns() == 0 {
        return Ok(array.clone());
    }
    let mut columns = Vec::with_capacity(rows.num_columns());
    let mut fields = Vec::with_capacity(rows.num_columns());
    for (field, column) in rows.fields().iter().zip(rows.columns()) {
        let column = canonical(column, &PgType::of(field))?;
        fields.push(Field::clone(field).with_data_type(column.data_type().clone()).with_nullable(true));
        columns.push(column);
    }
    Ok(Arc::new(StructArray::try_new(fields.into(), columns, rows.nulls().cloned())?))
}

fn map(array: &ArrayRef) -> Result<ArrayRef> {
    let map = array.as_map();
    let entries: ArrayRef = Arc::new(map.entries().clone());
    let entries = rows(&entries)?;
    let DataType::Map(field, sorted) = array.data_type() else { return Ok(array.clone()) };
    let field = Arc::new(Field::clone(field).with_data_type(entries.data_type().clone()));
    let entries = entries.as_struct().clone();
    Ok(Arc::new(arrow::array::MapArray::try_new(field, map.offsets().clone(), entries, map.nulls().cloned(), *sorted)?))
}
