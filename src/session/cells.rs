//! Columns on their way out: an Arrow array, seen once as its type, then written cell by cell.
//!
//! A batch is first brought to the few Arrow types below ([`canonical`]); a [`Cells`] then borrows one column and
//! writes any row of it as PostgreSQL text, PostgreSQL binary or JSON, with no look-up and no allocation per cell.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    Decimal256Array, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray,
    LargeBinaryArray, LargeStringArray, ListArray, MapArray, StringArray, StringViewArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

use crate::catalog::pg_type::{PgType, RegKind};
use crate::error::{Error, Result};
use crate::session::text::zone::{Zone, ZoneCursor};

mod binary;
mod canonical;
mod json;
mod text;

pub use canonical::canonical;

/// What the session's settings say about how values look.
#[derive(Clone, Default)]
pub struct Style {
    /// `TimeZone`.
    pub zone: Zone,
    /// The name that an oid of a reg-type prints as; `None` prints the number.
    pub reg_name: Option<Arc<RegName>>,
}

/// Finds the name of an object by its number.
pub type RegName = dyn Fn(RegKind, u32) -> Option<String> + Send + Sync;

/// One column of a batch.
pub struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int2(&'a Int16Array),
    Int4(&'a Int32Array),
    Int8(&'a Int64Array),
    Oid(&'a UInt32Array),
    Reg(&'a UInt32Array, RegKind, Arc<RegName>),
    Float4(&'a Float32Array),
    Float8(&'a Float64Array),
    Numeric(&'a Decimal128Array, i8),
    WideNumeric(&'a Decimal256Array, i8),
    Text(Strings<'a>),
    Uuid(Strings<'a>),
    Json(Strings<'a>),
    Jsonb(Strings<'a>),
    Bytes(Blobs<'a>),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
    Timestamptz(&'a TimestampMicrosecondArray, ZoneCursor),
    Interval(&'a IntervalMonthDayNanoArray),
    List { list: &'a ListArray, elements: Box<Cells<'a>>, element_oid: u32 },
    Struct(Vec<(&'a str, Cells<'a>)>),
    Map { map: &'a MapArray, keys: Box<Cells<'a>>, values: Box<Cells<'a>> },
}

enum Strings<'a> {
    View(&'a StringViewArray),
    Small(&'a StringArray),
    Large(&'a LargeStringArray),
}

impl<'a> Strings<'a> {
    fn value(&self, row: usize) -> &'a str {
        match self {
            Self::View(array) => array.value(row),
            Self::Small(array) => array.value(row),
            Self::Large(array) => array.value(row),
        }
    }
}

enum Blobs<'a> {
    View(&'a BinaryViewArray),
    Small(&'a BinaryArray),
    Large(&'a LargeBinaryArray),
}

impl<'a> Blobs<'a> {
    fn value(&self, row: usize) -> &'a [u8] {
        match self {
            Self::View(array) => array.value(row),
            Self::Small(array) => array.value(row),
            Self::Large(array) => array.value(row),
        }
    }
}

impl<'a> Cells<'a> {
    /// A view of a column that [`canonical`] has prepared.
    pub fn new(array: &'a ArrayRef, pg_type: &PgType, style: &Style) -> Result<Self> {
        let kind = match array.data_type() {
            DataType::Null => Kind::Null,
            DataType::Boolean => Kind::Bool(array.as_boolean()),
            DataType::Int16 => Kind::Int2(array.as_primitive()),
            DataType::Int32 => Kind::Int4(array.as_primitive()),
            DataType::Int64 => Kind::Int8(array.as_primitive()),
            DataType::UInt32 => match (pg_type, &style.reg_name) {
                (PgType::Reg(kind), Some(name)) => Kind::Reg(array.as_primitive(), *kind, name.clone()),
                _ => Kind::Oid(array.as_primitive()),
            },
            DataType::Float32 => Kind::Float4(array.as_primitive()),
            DataType::Float64 => Kind::Float8(array.as_primitive()),
            DataType::Decimal128(_, scale) => Kind::Numeric(array.as_primitive(), *scale),
            DataType::Decimal256(_, scale) => Kind::WideNumeric(array.as_primitive(), *scale),
            DataType::Utf8View => string_kind(Strings::View(array.as_string_view()), pg_type),
            DataType::Utf8 => string_kind(Strings::Small(array.as_string()), pg_type),
            DataType::LargeUtf8 => string_kind(Strings::Large(array.as_string()), pg_type),
            DataType::BinaryView => Kind::Bytes(Blobs::View(array.as_binary_view())),
            DataType::Binary => Kind::Bytes(Blobs::Small(array.as_binary())),
            DataType::LargeBinary => Kind::Bytes(Blobs::Large(array.as_binary())),
            DataType::Date32 => Kind::Date(array.as_primitive()),
            DataType::Time64(TimeUnit::Microsecond) => Kind::Time(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Kind::Timestamp(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Kind::Timestamptz(array.as_primitive(), ZoneCursor::new(style.zone))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => Kind::Interval(array.as_primitive()),
            DataType::List(_) | DataType::Struct(_) | DataType::Map(_, _) => {
                return Self::nested(array, pg_type, style);
            }
            other => return Err(Error::unsupported(format!("values of the type {other} cannot be sent"))),
        };
        Ok(Self { nulls: array.nulls(), kind })
    }

    fn nested(array: &'a ArrayRef, pg_type: &PgType, style: &Style) -> Result<Self> {
        let kind = match array.data_type() {
            DataType::List(field) => {
                // A list within a list is another dimension of the same array type.
                let innermost = match pg_type {
                    PgType::Array(element) => element.as_ref().clone(),
                    _ => PgType::of(field),
                };
                let is_list = matches!(field.data_type(), DataType::List(_));
                let element = if is_list { PgType::Array(Box::new(innermost.clone())) } else { innermost.clone() };
                let list: &ListArray = array.as_list();
                let elements = Box::new(Cells::new(list.values(), &element, style)?);
                Kind::List { list, elements, element_oid: crate::catalog::pg_type::oid_of(&innermost) }
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let keys = Box::new(Cells::new(map.keys(), &PgType::of_arrow(map.keys().data_type()), style)?);
                let values = Box::new(Cells::new(map.values(), &PgType::of_arrow(map.values().data_type()), style)?);
                Kind::Map { map, keys, values }
            }
            _ => {
                let rows = array.as_struct();
                let cell = |(field, column): (&'a Arc<arrow::datatypes::Field>, &'a ArrayRef)| {
                    Ok((field.name().as_str(), Cells::new(column, &PgType::of(field), style)?))
                };
                Kind::Struct(rows.fields().iter().zip(rows.columns()).map(cell).collect::<Result<_>>()?)
            }
        };
        Ok(Self { nulls: array.nulls(), kind })
    }

    /// True when the row's cell is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match (&self.kind, self.nulls) {
            (Kind::Null, _) => true,
            (_, Some(nulls)) => nulls.is_null(row),
            (_, None) => false,
        }
    }
}

fn string_kind<'a>(strings: Strings<'a>, pg_type: &PgType) -> Kind<'a> {
    match pg_type {
        PgType::Uuid => Kind::Uuid(strings),
        PgType::Json => Kind::Json(strings),
        PgType::Jsonb | PgType::Record => Kind::Jsonb(strings),
        _ => Kind::Text(strings),
    }
}
