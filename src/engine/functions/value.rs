//! One value of a row, as a function's body sees it; read from Arrow arrays and built back into them.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanBuilder, PrimitiveBuilder, StringViewBuilder, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, UInt32Type, i256,
};

use crate::error::{Error, ErrorKind, Result};

/// A value. Integers of all widths and oids are `Int`; times are microseconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Unscaled digits and scale.
    Decimal(i128, i8),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01; in UTC where the type has a time zone.
    Timestamp(i64),
    Interval(IntervalMonthDayNano),
    List(ArrayRef),
}

impl Value<'_> {
    /// A text value.
    pub fn text(text: impl Into<String>) -> Value<'static> {
        Value::Text(Cow::Owned(text.into()))
    }

    /// A text value, or NULL.
    pub fn optional_text(text: Option<impl Into<String>>) -> Value<'static> {
        text.map_or(Value::Null, Value::text)
    }

    /// The same value without a borrow.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(v),
            Value::Int(v) => Value::Int(v),
            Value::Float(v) => Value::Float(v),
            Value::Decimal(digits, scale) => Value::Decimal(digits, scale),
            Value::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
            Value::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            Value::Date(v) => Value::Date(v),
            Value::Time(v) => Value::Time(v),
            Value::Timestamp(v) => Value::Timestamp(v),
            Value::Interval(v) => Value::Interval(v),
            Value::List(v) => Value::List(v),
        }
    }
}

/// Reads row `row` of an array.
pub fn read(array: &dyn Array, row: usize) -> Result<Value<'_>> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    use DataType as D;
    Ok(match array.data_type() {
        D::Boolean => Value::Bool(array.as_boolean().value(row)),
        D::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
        D::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        D::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        D::UInt32 => Value::Int(array.as_primitive::<UInt32Type>().value(row).into()),
        D::Float32 => Value::Float(array.as_primitive::<Float32Type>().value(row).into()),
        D::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        D::Decimal128(_, scale) => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row), *scale),
        D::Decimal256(_, scale) => read_wide_decimal(array.as_primitive::<Decimal256Type>().value(row), *scale)?,
        D::Utf8 => Value::Text(array.as_string::<i32>().value(row).into()),
        D::LargeUtf8 => Value::Text(array.as_string::<i64>().value(row).into()),
        D::Utf8View => Value::Text(array.as_string_view().value(row).into()),
        D::Binary => Value::Bytes(array.as_binary::<i32>().value(row).into()),
        D::BinaryView => Value::Bytes(array.as_binary_view().value(row).into()),
        D::FixedSizeBinary(_) => Value::Bytes(array.as_fixed_size_binary().value(row).into()),
        D::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        D::Time64(TimeUnit::Microsecond) => Value::Time(array.as_primitive::<Time64MicrosecondType>().value(row)),
        D::Timestamp(TimeUnit::Microsecond, _) => {
            Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        D::Interval(IntervalUnit::MonthDayNano) => {
            Value::Interval(array.as_primitive::<IntervalMonthDayNanoType>().value(row))
        }
        D::List(_) => Value::List(array.as_list::<i32>().value(row)),
        other => return read_other(array, row, other),
    })
}

/// Types that the engine meets rarely: read by way of the type that SQL knows them as.
fn read_other<'a>(array: &'a dyn Array, row: usize, data_type: &DataType) -> Result<Value<'a>> {
    use DataType as D;
    let near = match data_type {
        D::Int8 | D::UInt8 => D::Int16,
        D::UInt16 => D::Int32,
        D::UInt64 => D::Decimal128(20, 0),
        D::Float16 => D::Float32,
        D::Decimal32(precision, scale) | D::Decimal64(precision, scale) => D::Decimal128(*precision, *scale),
        D::LargeBinary => D::BinaryView,
        D::Date64 | D::Timestamp(_, None) => D::Timestamp(TimeUnit::Microsecond, None),
        D::Timestamp(_, zone) => D::Timestamp(TimeUnit::Microsecond, zone.clone()),
        D::Time32(_) | D::Time64(_) => D::Time64(TimeUnit::Microsecond),
        D::Interval(_) | D::Duration(_) => D::Interval(IntervalUnit::MonthDayNano),
        D::LargeList(element) | D::FixedSizeList(element, _) => D::List(Arc::clone(element)),
        D::Dictionary(_, values) => values.as_ref().clone(),
        _ => D::Utf8View,
    };
    let one = cast(&array.slice(row, 1), &near)?;
    read(one.as_ref(), 0).map(Value::into_owned)
}

fn read_wide_decimal(value: i256, scale: i8) -> Result<Value<'static>> {
    match value.to_i128() {
        Some(digits) => Ok(Value::Decimal(digits, scale)),
        None => Err(Error::new(ErrorKind::NumericValueOutOfRange, "numeric value has more than 38 digits")),
    }
}

/// Builds an array of `data_type` from values that fit it.
pub fn build(data_type: &DataType, values: Vec<Value<'_>>) -> Result<ArrayRef> {
    use DataType as D;
    Ok(match data_type {
        D::Boolean => build_booleans(&values)?,
        D::Int16 => build_integers::<Int16Type>(&values)?,
        D::Int32 => build_integers::<Int32Type>(&values)?,
        D::Int64 => build_integers::<Int64Type>(&values)?,
        D::UInt32 => build_integers::<UInt32Type>(&values)?,
        D::Float32 => build_primitive::<Float32Type>(&values, data_type, |value| match value {
            Value::Float(v) => Some(*v as f32),
            _ => None,
        })?,
        D::Float64 => build_primitive::<Float64Type>(&values, data_type, |value| match value {
            Value::Float(v) => Some(*v),
            _ => None,
        })?,
        D::Decimal128(precision, scale) => build_decimals(&values, *precision, *scale)?,
        D::Decimal256(_, scale) => cast(&build_decimals(&values, 38, *scale)?, data_type)?,
        D::Utf8View => build_texts(&values)?,
        D::Utf8 | D::LargeUtf8 => cast(&build_texts(&values)?, data_type)?,
        D::BinaryView => build_bytes(&values)?,
        D::Date32 => build_primitive::<Date32Type>(&values, data_type, |value| match value {
            Value::Date(v) => Some(*v),
            _ => None,
        })?,
        D::Time64(TimeUnit::Microsecond) => {
            build_primitive::<Time64MicrosecondType>(&values, data_type, |v| match v {
                Value::Time(v) => Some(*v),
                _ => None,
            })?
        }
        D::Timestamp(TimeUnit::Microsecond, _) => {
            build_primitive::<TimestampMicrosecondType>(&values, data_type, |value| match value {
                Value::Timestamp(v) => Some(*v),
                _ => None,
            })?
        }
        D::Interval(IntervalUnit::MonthDayNano) => {
            build_primitive::<IntervalMonthDayNanoType>(&values, data_type, |value| match value {
                Value::Interval(v) => Some(*v),
                _ => None,
            })?
        }
        D::List(element) => build_lists(&values, element)?,
        D::Null => new_null_array(&D::Null, values.len()),
        other => return Err(Error::unsupported(format!("a function cannot give the type {other}"))),
    })
}

fn mismatch(value: &Value<'_>, data_type: &DataType) -> Error {
    Error::internal(format!("function gave {value:?} where {data_type} is due"))
}

fn build_booleans(values: &[Value<'_>]) -> Result<ArrayRef> {
    let mut builder = BooleanBuilder::with_capacity(values.len());
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            Value::Bool(v) => builder.append_value(*v),
            other => return Err(mismatch(other, &DataType::Boolean)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn build_integers<T: ArrowPrimitiveType>(values: &[Value<'_>]) -> Result<ArrayRef>
where
    T::Native: TryFrom<i64>,
{
    let mut builder = PrimitiveBuilder::<T>::with_capacity(values.len());
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            Value::Int(v) => builder.append_value(T::Native::try_from(*v).map_err(|_| out_of_range(&T::DATA_TYPE))?),
            other => return Err(mismatch(other, &T::DATA_TYPE)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// The error for a number that its type cannot hold.
pub fn out_of_range(data_type: &DataType) -> Error {
    let name = crate::catalog::pg_type::PgType::of_arrow(data_type);
    let name = if *data_type == DataType::UInt32 { "oid".to_owned() } else { name.to_string() };
    Error::new(ErrorKind::NumericValueOutOfRange, format!("{name} out of range"))
}

fn build_primitive<T: ArrowPrimitiveType>(
    values: &[Value<'_>],
    data_type: &DataType,
    pick: impl Fn(&Value<'_>) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(values.len()).with_data_type(data_type.clone());
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            other => builder.append_value(pick(other).ok_or_else(|| mismatch(other, data_type))?),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn build_decimals(values: &[Value<'_>], precision: u8, scale: i8) -> Result<ArrayRef> {
    let data_type = DataType::Decimal128(precision, scale);
    let mut builder = PrimitiveBuilder::<Decimal128Type>::with_capacity(values.len()).with_data_type(data_type.clone());
    let overflow = || {
        Error::new(ErrorKind::NumericValueOutOfRange, "numeric field overflow")
            .detail(format!("A field with precision {precision}, scale {scale} cannot hold the value."))
    };
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            Value::Decimal(digits, from) => {
                let scaled = rescale(*digits, *from, scale).ok_or_else(overflow)?;
                if scaled.unsigned_abs() >= 10u128.pow(u32::from(precision.min(38))) {
                    return Err(overflow());
                }
                builder.append_value(scaled);
            }
            Value::Int(v) => builder.append_value(rescale(i128::from(*v), 0, scale).ok_or_else(overflow)?),
            other => return Err(mismatch(other, &data_type)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Moves the decimal point, rounding half away from zero; `None` on overflow.
pub fn rescale(digits: i128, from: i8, to: i8) -> Option<i128> {
    let shift = i32::from(to) - i32::from(from);
    if shift >= 0 {
        return digits.checked_mul(10i128.checked_pow(shift.unsigned_abs())?);
    }
    let Some(divisor) = 10i128.checked_pow(shift.unsigned_abs()) else { return Some(0) };
    let (quotient, rest) = (digits / divisor, digits % divisor);
    let up = rest.unsigned_abs() * 2 >= divisor.unsigned_abs();
    Some(if up { quotient + digits.signum() } else { quotient })
}

fn build_texts(values: &[Value<'_>]) -> Result<ArrayRef> {
    let mut builder = StringViewBuilder::with_capacity(values.len());
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            Value::Text(v) => builder.append_value(v),
            other => return Err(mismatch(other, &DataType::Utf8View)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn build_bytes(values: &[Value<'_>]) -> Result<ArrayRef> {
    let mut builder = BinaryViewBuilder::with_capacity(values.len());
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            Value::Bytes(v) => builder.append_value(v),
            other => return Err(mismatch(other, &DataType::BinaryView)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn build_lists(values: &[Value<'_>], element: &arrow::datatypes::FieldRef) -> Result<ArrayRef> {
    let empty = arrow::array::new_empty_array(element.data_type());
    let mut parts: Vec<ArrayRef> = Vec::with_capacity(values.len());
    for value in values {
        parts.push(match value {
            Value::Null => Arc::clone(&empty),
            Value::List(items) if items.data_type() == element.data_type() => Arc::clone(items),
            Value::List(items) => cast(items, element.data_type())?,
            other => return Err(mismatch(other, &DataType::List(Arc::clone(element)))),
        });
    }
    let offsets = OffsetBuffer::from_lengths(parts.iter().map(|part| part.len()));
    let nulls: NullBuffer = values.iter().map(|value| !matches!(value, Value::Null)).collect();
    let refs: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    let items = if refs.is_empty() { empty } else { arrow::compute::concat(&refs)? };
    Ok(Arc::new(arrow::array::ListArray::try_new(Arc::clone(element), offsets, items, Some(nulls))?))
}

/// A one-dimensional array value of texts.
pub fn text_list<'a>(items: impl IntoIterator<Item = Option<&'a str>>) -> Value<'static> {
    let mut builder = StringViewBuilder::new();
    for item in items {
        builder.append_option(item);
    }
    Value::List(Arc::new(builder.finish()))
}
