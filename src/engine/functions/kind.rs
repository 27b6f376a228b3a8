//! The argument and result types of SQL functions, and which Arrow types an argument takes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::ScalarValue;

use crate::catalog::pg_type::{PgType, RegKind};

/// A SQL type as a signature writes it; `const`, where [`PgType`] is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float8,
    /// `numeric`; as a result, the type of the first numeric argument.
    Numeric,
    Text,
    Name,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Oid,
    RegClass,
    RegType,
    RegProc,
    RegNamespace,
    Array(&'static Kind),
    /// Any type, left as it is.
    Any,
    /// Any array, left as it is.
    AnyArray,
    /// As a result: the type of the argument at that place.
    Same(usize),
    /// As a result: `numeric` without a fraction.
    Whole,
    /// As a result: the first argument's numeric, with the places that the literal second argument says.
    Rounded,
    /// As a result: `numeric` with the places of the literal template that is the second argument.
    Template,
    /// As a result: `numeric` as `extract` gives it for the literal field that is the first argument.
    Field,
    /// As a result: the type of an element of the first argument.
    Element,
    Void,
}

/// How well a type fits a parameter: smaller is better, 0 is exact.
pub(super) type Distance = u32;

/// What a text literal costs where another type is wanted: it fits everything, after all else.
const FROM_TEXT: Distance = 20;

impl Kind {
    /// The SQL type; `None` for the polymorphic kinds.
    pub(crate) fn pg_type(self) -> Option<PgType> {
        Some(match self {
            Self::Bool => PgType::Bool,
            Self::Int2 => PgType::Int2,
            Self::Int4 => PgType::Int4,
            Self::Int8 => PgType::Int8,
            Self::Float8 => PgType::Float8,
            Self::Numeric => PgType::Numeric(None),
            Self::Text => PgType::Text,
            Self::Name => PgType::Name,
            Self::Bytea => PgType::Bytea,
            Self::Date => PgType::Date,
            Self::Time => PgType::Time,
            Self::Timestamp => PgType::Timestamp,
            Self::Timestamptz => PgType::Timestamptz,
            Self::Interval => PgType::Interval,
            Self::Uuid => PgType::Uuid,
            Self::Json => PgType::Json,
            Self::Jsonb => PgType::Jsonb,
            Self::Oid => PgType::Oid,
            Self::RegClass => PgType::Reg(RegKind::Class),
            Self::RegType => PgType::Reg(RegKind::Type),
            Self::RegProc => PgType::Reg(RegKind::Proc),
            Self::RegNamespace => PgType::Reg(RegKind::Namespace),
            Self::Array(element) => PgType::Array(Box::new(element.pg_type()?)),
            Self::Void => PgType::Void,
            Self::Any | Self::AnyArray | Self::Same(_) | Self::Element => return None,
            Self::Whole | Self::Rounded | Self::Template | Self::Field => PgType::Numeric(None),
        })
    }

    /// The Arrow type an argument of type `given` is cast to, and how far that is; `None` when it does not fit.
    pub(super) fn accept(self, given: &DataType) -> Option<(DataType, Distance)> {
        if matches!(self, Self::Any) {
            return Some((given.clone(), 5));
        }
        if given.is_null() {
            return Some((self.pg_type().map_or(DataType::Null, |pg_type| pg_type.arrow()), 1));
        }
        match self {
            Self::AnyArray => accept_any_array(given),
            Self::Array(element) => accept_array(*element, given),
            Self::Numeric => accept_numeric(given),
            _ => {
                let target = self.pg_type()?.arrow();
                distance(given, &target).map(|distance| (target, distance))
            }
        }
    }

    /// The field of a result of this kind, given the fields of the arguments and the literals among them.
    pub(super) fn result(self, name: &str, arguments: &[FieldRef], literals: &[Option<&ScalarValue>]) -> FieldRef {
        let same = |at: usize| match arguments.get(at) {
            Some(argument) => Arc::new(argument.as_ref().clone().with_name(name).with_nullable(true)),
            None => Arc::new(Field::new(name, DataType::Null, true)),
        };
        let numeric =
            |precision: u8, scale: i8| Arc::new(Field::new(name, DataType::Decimal128(precision, scale), true));
        let literal = |at: usize| literals.get(at).copied().flatten();
        let (precision, scale) =
            arguments.iter().find_map(|argument| decimal_size(argument.data_type())).unwrap_or((38, 10));
        match self {
            Self::Same(at) => same(at),
            Self::Numeric => match arguments.iter().position(|argument| is_decimal(argument.data_type())) {
                Some(at) => same(at),
                None => Arc::new(PgType::Numeric(None).field(name, true)),
            },
            Self::Element => match arguments.first().map(|array| array.data_type()) {
                Some(DataType::List(element)) => Arc::new(element.as_ref().clone().with_name(name).with_nullable(true)),
                _ => same(0),
            },
            Self::Whole => numeric(precision, 0),
            Self::Rounded => {
                let places = literal(1).and_then(places_of).map_or(scale, |places| places.clamp(0, 37));
                // One digit more before the point: 9.9 rounds to 10.
                let whole = i16::from(precision) - i16::from(scale) + 1;
                numeric(u8::try_from((whole + i16::from(places)).clamp(1, 38)).unwrap_or(38), places)
            }
            Self::Template => {
                let template =
                    literal(1).and_then(|template| template.try_as_str().flatten()).unwrap_or("9.9999999999");
                let (_, fraction) = template.split_once(['.', 'D', 'd']).unwrap_or((template, ""));
                let places = fraction.chars().filter(|c| matches!(c, '0' | '9')).count();
                numeric(38, i8::try_from(places).unwrap_or(10))
            }
            Self::Field => {
                let field =
                    literal(0).and_then(|field| field.try_as_str().flatten()).unwrap_or("epoch").to_ascii_lowercase();
                let of_date = arguments.get(1).is_some_and(|operand| *operand.data_type() == DataType::Date32);
                match field.trim_end_matches('s') {
                    "epoch" if of_date => numeric(20, 0),
                    "second" | "epoch" => numeric(20, 6),
                    "millisecond" | "msec" => numeric(20, 3),
                    _ => numeric(20, 0),
                }
            }
            other => Arc::new(other.pg_type().unwrap_or(PgType::Text).field(name, true)),
        }
    }
}

/// Precision and scale of a decimal.
pub(super) fn decimal_size(data_type: &DataType) -> Option<(u8, i8)> {
    use DataType as D;
    match data_type {
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) | D::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

fn places_of(literal: &ScalarValue) -> Option<i8> {
    match literal {
        ScalarValue::Int64(Some(places)) => i8::try_from(*places).ok(),
        ScalarValue::Int32(Some(places)) => i8::try_from(*places).ok(),
        _ => None,
    }
}

fn accept_any_array(given: &DataType) -> Option<(DataType, Distance)> {
    match given {
        DataType::List(_) => Some((given.clone(), 0)),
        DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            Some((DataType::List(Arc::clone(element)), 1))
        }
        _ => None,
    }
}

fn accept_array(element: Kind, given: &DataType) -> Option<(DataType, Distance)> {
    let (DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) = given else {
        return None;
    };
    let (inner, distance) = element.accept(field.data_type())?;
    Some((DataType::List(Arc::new(field.as_ref().clone().with_data_type(inner))), distance))
}

fn accept_numeric(given: &DataType) -> Option<(DataType, Distance)> {
    match given {
        decimal if is_decimal(decimal) => Some((given.clone(), 0)),
        DataType::UInt64 => Some((DataType::Decimal128(20, 0), 2)),
        // Further than double precision, which PostgreSQL prefers.
        integer if integer.is_integer() => Some((DataType::Decimal128(19, 0), 8)),
        DataType::Float32 | DataType::Float64 => Some((DataType::Decimal128(38, 10), 12)),
        text if is_text(text) => Some((DataType::Decimal128(38, 10), FROM_TEXT)),
        _ => None,
    }
}

/// How far a cast from `given` to `target` is, by PostgreSQL's preferences; `None` when there is no implicit one.
fn distance(given: &DataType, target: &DataType) -> Option<Distance> {
    use DataType as D;
    if given == target {
        return Some(0);
    }
    match (given, target) {
        (from, D::Utf8View) if is_text(from) => Some(0),
        (D::Binary | D::LargeBinary | D::FixedSizeBinary(_), D::BinaryView) => Some(0),
        (from, _) if is_text(from) => Some(FROM_TEXT),
        // A literal reaches a function as a bigint: it fits the smaller integers too.
        (D::Int64, D::Int32) => Some(3),
        (D::Int64, D::Int16) => Some(4),
        (D::Int64 | D::Int32 | D::Int16, D::UInt32) => Some(4),
        (D::Int32, D::Int16) => Some(6),
        (from, D::Int16 | D::Int32 | D::Int64) if from.is_integer() => widening(from, target),
        (from, D::Float64) if from.is_integer() || is_decimal(from) => Some(7),
        (D::Float32, D::Float64) => Some(1),
        (from, D::Float32) if from.is_integer() => Some(9),
        (D::Date32 | D::Date64, D::Timestamp(TimeUnit::Microsecond, None)) => Some(2),
        (D::Date32 | D::Date64, D::Timestamp(_, Some(_))) => Some(3),
        (D::Timestamp(_, from), D::Timestamp(_, to)) if from.is_some() == to.is_some() => Some(0),
        (D::Timestamp(_, None), D::Timestamp(_, Some(_))) => Some(4),
        (D::Time32(_) | D::Time64(_), D::Time64(_)) => Some(0),
        (D::Interval(_) | D::Duration(_), D::Interval(IntervalUnit::MonthDayNano)) => Some(0),
        _ => None,
    }
}

fn widening(from: &DataType, to: &DataType) -> Option<Distance> {
    let (from, to) = (from.primitive_width()?, to.primitive_width()?);
    (from <= to).then(|| u32::try_from(to / from).unwrap_or(8))
}

/// True for the three text layouts.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// True for the decimal layouts.
pub(crate) fn is_decimal(data_type: &DataType) -> bool {
    use DataType as D;
    matches!(data_type, D::Decimal32(..) | D::Decimal64(..) | D::Decimal128(..) | D::Decimal256(..))
}
