//! One column while its values come, as JSON or as text. A value that does not fit is not added.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, ListArray, NullBufferBuilder, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::DataType;
use chrono::Utc;
use serde_json::value::RawValue;

use crate::catalog::pg_type::{NUMERIC_DEFAULT, PgType};
use crate::engine::functions::cast::parse;
use crate::engine::functions::cast::parse_time::{self, DAY_MICROS, Moment};
use crate::error::{Error, ErrorKind, Result};

/// `2026-01-01T00:00:00Z` with up to six digits of a second: what the quick reader of moments reads as PostgreSQL does.
const QUICK_MOMENT: std::ops::RangeInclusive<usize> = 20..=27;

/// The values of one column.
pub(super) struct Column {
    pg_type: PgType,
    moment: Moment,
    values: Values,
}

enum Values {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Numeric {
        values: Decimal128Builder,
        precision: u8,
        scale: i8,
    },
    /// Text, and what is held as text; true for JSON.
    Text(StringViewBuilder, bool),
    Bytes(BinaryViewBuilder),
    Date(Date32Builder),
    /// True for a timestamptz.
    Timestamp(TimestampMicrosecondBuilder, bool),
    List {
        elements: Box<Column>,
        offsets: Vec<i32>,
        nulls: NullBufferBuilder,
    },
}

impl Column {
    /// An empty column. `moment` is what `now` and local times mean in texts.
    pub fn new(pg_type: &PgType, moment: Moment) -> Result<Self> {
        let values = match pg_type {
            PgType::Bool => Values::Bool(BooleanBuilder::new()),
            PgType::Int2 => Values::Int2(Int16Builder::new()),
            PgType::Int4 => Values::Int4(Int32Builder::new()),
            PgType::Int8 => Values::Int8(Int64Builder::new()),
            PgType::Float4 => Values::Float4(Float32Builder::new()),
            PgType::Float8 => Values::Float8(Float64Builder::new()),
            PgType::Numeric(given) => {
                let (precision, scale) = given.unwrap_or(NUMERIC_DEFAULT);
                let values = Decimal128Builder::new().with_precision_and_scale(precision, scale)?;
                Values::Numeric { values, precision, scale }
            }
            PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Uuid => {
                Values::Text(StringViewBuilder::new(), false)
            }
            PgType::Json | PgType::Jsonb => Values::Text(StringViewBuilder::new(), true),
            PgType::Bytea => Values::Bytes(BinaryViewBuilder::new()),
            PgType::Date => Values::Date(Date32Builder::new()),
            PgType::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new(), false),
            PgType::Timestamptz => Values::Timestamp(TimestampMicrosecondBuilder::new(), true),
            PgType::Array(element) => Values::List {
                elements: Box::new(Self::new(element, moment)?),
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
            },
            other => return Err(Error::unsupported(format!("a column of type {other} takes no rows from outside"))),
        };
        Ok(Self { pg_type: pg_type.clone(), moment, values })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Bool(values) => values.len(),
            Values::Int2(values) => values.len(),
            Values::Int4(values) => values.len(),
            Values::Int8(values) => values.len(),
            Values::Float4(values) => values.len(),
            Values::Float8(values) => values.len(),
            Values::Numeric { values, .. } => values.len(),
            Values::Text(values, _) => values.len(),
            Values::Bytes(values) => values.len(),
            Values::Date(values) => values.len(),
            Values::Timestamp(values, _) => values.len(),
            Values::List { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Adds NULL.
    pub fn push_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append_null(),
            Values::Int2(values) => values.append_null(),
            Values::Int4(values) => values.append_null(),
            Values::Int8(values) => values.append_null(),
            Values::Float4(values) => values.append_null(),
            Values::Float8(values) => values.append_null(),
            Values::Numeric { values, .. } => values.append_null(),
            Values::Text(values, _) => values.append_null(),
            Values::Bytes(values) => values.append_null(),
            Values::Date(values) => values.append_null(),
            Values::Timestamp(values, _) => values.append_null(),
            Values::List { elements, offsets, nulls } => {
                // With what a list that failed has left.
                offsets.push(end_of(elements));
                nulls.append_null();
            }
        }
    }

    /// Adds a value written as text, as PostgreSQL reads it.
    pub fn push_text(&mut self, text: &str) -> Result<()> {
        let (pg_type, moment) = (&self.pg_type, self.moment);
        match &mut self.values {
            Values::Bool(values) => values.append_value(parse::boolean(text)?),
            Values::Int2(values) => values.append_value(whole(text, pg_type)?),
            Values::Int4(values) => values.append_value(whole(text, pg_type)?),
            Values::Int8(values) => values.append_value(whole(text, pg_type)?),
            Values::Float4(values) => values.append_value(parse::float(text, pg_type)? as f32),
            Values::Float8(values) => values.append_value(parse::float(text, pg_type)?),
            Values::Numeric { values, precision, scale } => {
                values.append_value(decimal(text, *precision, *scale, pg_type)?);
            }
            Values::Text(values, _) => {
                if memchr::memchr(0, text.as_bytes()).is_some() {
                    let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
                    return Err(Error::new(ErrorKind::CharacterNotInRepertoire, message));
                }
                values.append_value(text);
            }
            Values::Bytes(values) => values.append_value(parse::bytea(text)?),
            Values::Date(values) => values.append_value(date(text, moment)?),
            Values::Timestamp(values, true) => values.append_value(timestamptz(text, moment)?),
            Values::Timestamp(values, false) => values.append_value(timestamp(text, moment)?),
            Values::List { .. } => {
                let items = parse::array_elements(text)?;
                self.push_list(items.iter(), |elements, item| match item {
                    Some(text) => elements.push_text(text),
                    None => {
                        elements.push_null();
                        Ok(())
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Adds a value written as JSON, which is known to be well formed.
    pub fn push_json(&mut self, raw: &str, depth_max: usize) -> Result<()> {
        let first = raw.as_bytes().first().copied().unwrap_or_default();
        if matches!(first, b'{' | b'[') {
            check_depth(raw, depth_max)?;
        }
        let (is_list, takes_numbers) = (matches!(self.values, Values::List { .. }), self.takes_numbers());
        match (first, &mut self.values) {
            (b'n', _) => self.push_null(),
            // As it came: what jsonb makes of it is one of the table's rules.
            (_, Values::Text(values, true)) => values.append_value(raw),
            (b'"', _) => return self.push_text(&unescaped(raw)?),
            (b'{', Values::Text(values, _)) if self.pg_type != PgType::Uuid => values.append_value(raw),
            (b'[', Values::Text(values, _)) if self.pg_type != PgType::Uuid => values.append_value(raw),
            (b'[', _) if is_list => {
                let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(|error| malformed(&error))?;
                self.push_list(items.iter(), |elements, item| elements.push_json(item.get(), depth_max))?;
            }
            (b't' | b'f', Values::Bool(values)) => values.append_value(first == b't'),
            (b't' | b'f', Values::Text(values, _)) if self.pg_type != PgType::Uuid => values.append_value(raw),
            (b'-' | b'0'..=b'9', _) if takes_numbers => return self.push_text(raw),
            _ => return Err(self.clash(first)),
        }
        Ok(())
    }

    fn takes_numbers(&self) -> bool {
        match self.values {
            Values::Bool(_) | Values::Bytes(_) | Values::Date(_) | Values::Timestamp(..) | Values::List { .. } => false,
            _ => self.pg_type != PgType::Uuid,
        }
    }

    fn clash(&self, first: u8) -> Error {
        let given = match first {
            b'{' => "an object",
            b'[' => "an array",
            b't' | b'f' => "a boolean",
            _ => "a number",
        };
        Error::new(ErrorKind::DatatypeMismatch, format!("the type is {}, the value is {given}", self.pg_type))
    }

    fn push_list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut push: impl FnMut(&mut Column, T) -> Result<()>,
    ) -> Result<()> {
        let Values::List { elements, offsets, nulls } = &mut self.values else {
            return Err(Error::internal("a list for a column without elements"));
        };
        for item in items {
            push(elements, item)?;
        }
        offsets.push(end_of(elements));
        nulls.append_non_null();
        Ok(())
    }

    /// The values; the column is empty afterwards.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match &mut self.values {
            Values::Bool(values) => Arc::new(values.finish()),
            Values::Int2(values) => Arc::new(values.finish()),
            Values::Int4(values) => Arc::new(values.finish()),
            Values::Int8(values) => Arc::new(values.finish()),
            Values::Float4(values) => Arc::new(values.finish()),
            Values::Float8(values) => Arc::new(values.finish()),
            Values::Numeric { values, .. } => Arc::new(values.finish()),
            Values::Text(values, _) => Arc::new(values.finish()),
            Values::Bytes(values) => Arc::new(values.finish()),
            Values::Date(values) => Arc::new(values.finish()),
            Values::Timestamp(values, true) => Arc::new(values.finish().with_timezone("UTC")),
            Values::Timestamp(values, false) => Arc::new(values.finish()),
            Values::List { elements, offsets, nulls } => {
                let DataType::List(field) = self.pg_type.arrow() else {
                    return Err(Error::internal("an array type is no list"));
                };
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])));
                Arc::new(ListArray::try_new(field, offsets, elements.finish()?, nulls.finish())?)
            }
        })
    }
}

/// Where a list ends. Payloads are smaller than 1 GiB, and so is the number of their values.
fn end_of(elements: &Column) -> i32 {
    i32::try_from(elements.len()).unwrap_or(i32::MAX)
}

/// A whole number; one with a fraction of zeros or an exponent is read exactly.
fn whole<T: TryFrom<i64>>(text: &str, pg_type: &PgType) -> Result<T> {
    if let Ok(number) = text.parse::<i64>() {
        return T::try_from(number).map_err(|_| out_of_range(text, pg_type));
    }
    let number = match parse::decimal(text).map(trimmed) {
        Ok((digits, 0)) => i64::try_from(digits).map_err(|_| out_of_range(text, pg_type))?,
        Ok(_) => {
            let message = format!("value \"{text}\" is not a whole number, the type is {pg_type}");
            return Err(Error::new(ErrorKind::InvalidTextRepresentation, message));
        }
        Err(_) => parse::integer(text, pg_type)?,
    };
    T::try_from(number).map_err(|_| out_of_range(text, pg_type))
}

fn out_of_range(text: &str, pg_type: &PgType) -> Error {
    Error::new(ErrorKind::NumericValueOutOfRange, format!("value \"{text}\" is out of range for type {pg_type}"))
}

/// Digits and scale without zeros at the end.
fn trimmed((mut digits, mut scale): (i128, i8)) -> (i128, i8) {
    while scale > 0 && digits % 10 == 0 {
        (digits, scale) = (digits / 10, scale - 1);
    }
    (digits, scale)
}

/// The digits of a decimal at exactly this scale.
fn decimal(text: &str, precision: u8, scale: i8, pg_type: &PgType) -> Result<i128> {
    let (digits, given) = trimmed(parse::decimal(text)?);
    let missing = u32::try_from(i32::from(scale) - i32::from(given)).map_err(|_| {
        let message = format!("value \"{text}\" has more than {scale} digits after the point, the type is {pg_type}");
        Error::new(ErrorKind::NumericValueOutOfRange, message)
    })?;
    let scaled = 10_i128.checked_pow(missing).and_then(|factor| digits.checked_mul(factor));
    let fits = |digits: &i128| 10_u128.checked_pow(precision.into()).is_none_or(|end| digits.unsigned_abs() < end);
    scaled.filter(fits).ok_or_else(|| out_of_range(text, pg_type))
}

/// A date; a time of day that the column cannot hold is an error.
fn date(text: &str, moment: Moment) -> Result<i32> {
    if text.len() > "2026-01-01".len()
        && parse_time::timestamp(text, moment).is_ok_and(|micros| micros % DAY_MICROS != 0)
    {
        let message = format!("value \"{text}\" has a time of day, the type is date");
        return Err(Error::new(ErrorKind::InvalidDatetimeFormat, message));
    }
    parse_time::date(text, moment)
}

fn timestamptz(text: &str, moment: Moment) -> Result<i64> {
    let bytes = text.as_bytes();
    if QUICK_MOMENT.contains(&bytes.len())
        && bytes[10] == b'T'
        && bytes[bytes.len() - 1] == b'Z'
        && let Ok(moment) = string_to_datetime(&Utc, text)
    {
        return Ok(moment.timestamp_micros());
    }
    parse_time::timestamptz(text, moment)
}

/// A timestamp without a zone. PostgreSQL would forget a zone that the text has: here it must be UTC.
fn timestamp(text: &str, moment: Moment) -> Result<i64> {
    let micros = parse_time::timestamp(text, moment)?;
    let utc = Moment { zone: chrono_tz::Tz::UTC, ..moment };
    match parse_time::timestamptz(text, utc)? == micros {
        true => Ok(micros),
        false => {
            let message = format!("value \"{text}\" has a zone, the type is timestamp without time zone");
            Err(Error::new(ErrorKind::InvalidDatetimeFormat, message))
        }
    }
}

/// The text that a JSON string means.
pub(super) fn unescaped(raw: &str) -> Result<Cow<'_, str>> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Ok(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|error| malformed(&error)),
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidTextRepresentation, "invalid input syntax for type json").detail(error.to_string())
}

/// An error where JSON is nested deeper than allowed: whoever reads it may have a small stack.
fn check_depth(raw: &str, depth_max: usize) -> Result<()> {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    match deepest <= depth_max {
        true => Ok(()),
        false => {
            let message = format!("the value is nested {deepest} levels deep, {depth_max} are allowed");
            Err(Error::new(ErrorKind::ProgramLimitExceeded, message))
        }
    }
}
