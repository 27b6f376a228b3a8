//! Columns on their way in: values as text or PostgreSQL binary, gathered into an Arrow array of a declared type.
//!
//! A value that cannot be read leaves the column as it was, so that the caller can put a NULL there and go on.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Array, Decimal256Array, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder, ListArray,
    NullBufferBuilder, PrimitiveBuilder, StringViewBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
    UInt32Builder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, IntervalMonthDayNano, i256};

use crate::catalog::name::NAME_BYTES_MAX;
use crate::catalog::pg_type::{NUMERIC_DEFAULT, PgType};
use crate::error::{Error, ErrorKind, Result};
use crate::session::text::array::{Element, read_array};
use crate::session::text::bytes::{read_bytea, read_uuid, write_uuid};
use crate::session::text::datetime::{read_date, read_time, read_timestamp, read_timestamptz};
use crate::session::text::interval::{Span, read_interval};
use crate::session::text::json::{check_json, normalize_jsonb};
use crate::session::text::number::{read_bool, read_decimal, read_float, read_integer};
use crate::session::text::zone::Zone;

mod binary;
#[cfg(test)]
mod tests;

pub(crate) use binary::{decode_numeric, free_decimal, utf8};

/// A column that is being read.
pub struct Intake {
    pg_type: PgType,
    zone: Zone,
    kind: Kind,
}

enum Kind {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Oid(UInt32Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Numeric(PrimitiveBuilder<Decimal128Type>, u8, i8),
    WideNumeric(PrimitiveBuilder<Decimal256Type>, u8, i8),
    Text(StringViewBuilder),
    Bytes(BinaryViewBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Timestamptz(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    List { elements: Box<Intake>, offsets: Vec<i32>, nulls: NullBufferBuilder },
}

impl Intake {
    /// An empty column of `pg_type`; a timestamptz without a zone of its own is in `zone`.
    pub fn new(pg_type: &PgType, zone: Zone) -> Self {
        let kind = match pg_type {
            PgType::Bool => Kind::Bool(BooleanBuilder::new()),
            PgType::Int2 => Kind::Int2(Int16Builder::new()),
            PgType::Int4 => Kind::Int4(Int32Builder::new()),
            PgType::Int8 => Kind::Int8(Int64Builder::new()),
            PgType::Oid | PgType::Reg(_) => Kind::Oid(UInt32Builder::new()),
            PgType::Float4 => Kind::Float4(Float32Builder::new()),
            PgType::Float8 => Kind::Float8(Float64Builder::new()),
            PgType::Numeric(given) => {
                let (precision, scale) = given.unwrap_or(NUMERIC_DEFAULT);
                match pg_type.arrow() {
                    DataType::Decimal256(..) => Kind::WideNumeric(PrimitiveBuilder::new(), precision, scale),
                    _ => Kind::Numeric(PrimitiveBuilder::new(), precision, scale),
                }
            }
            PgType::Bytea => Kind::Bytes(BinaryViewBuilder::new()),
            PgType::Date => Kind::Date(Date32Builder::new()),
            PgType::Time => Kind::Time(Time64MicrosecondBuilder::new()),
            PgType::Timestamp => Kind::Timestamp(TimestampMicrosecondBuilder::new()),
            PgType::Timestamptz => Kind::Timestamptz(TimestampMicrosecondBuilder::new()),
            PgType::Interval => Kind::Interval(IntervalMonthDayNanoBuilder::new()),
            PgType::Array(element) => Kind::List {
                elements: Box::new(Intake::new(element, zone)),
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
            },
            _ => Kind::Text(StringViewBuilder::new()),
        };
        Self { pg_type: pg_type.clone(), zone, kind }
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        match &mut self.kind {
            Kind::Bool(builder) => builder.append_null(),
            Kind::Int2(builder) => builder.append_null(),
            Kind::Int4(builder) => builder.append_null(),
            Kind::Int8(builder) => builder.append_null(),
            Kind::Oid(builder) => builder.append_null(),
            Kind::Float4(builder) => builder.append_null(),
            Kind::Float8(builder) => builder.append_null(),
            Kind::Numeric(builder, ..) => builder.append_null(),
            Kind::WideNumeric(builder, ..) => builder.append_null(),
            Kind::Text(builder) => builder.append_null(),
            Kind::Bytes(builder) => builder.append_null(),
            Kind::Date(builder) => builder.append_null(),
            Kind::Time(builder) => builder.append_null(),
            Kind::Timestamp(builder) | Kind::Timestamptz(builder) => builder.append_null(),
            Kind::Interval(builder) => builder.append_null(),
            Kind::List { offsets, nulls, .. } => {
                offsets.push(offsets.last().copied().unwrap_or(0));
                nulls.append_null();
            }
        }
    }

    /// Appends a value given as text.
    pub fn push_text(&mut self, text: &str) -> Result<()> {
        let pg_type = &self.pg_type;
        match &mut self.kind {
            Kind::Bool(builder) => builder.append_value(read_bool(text)?),
            Kind::Int2(builder) => builder.append_value(read_integer(text, pg_type)?),
            Kind::Int4(builder) => builder.append_value(read_integer(text, pg_type)?),
            Kind::Int8(builder) => builder.append_value(read_integer(text, pg_type)?),
            Kind::Oid(builder) => builder.append_value(read_oid(text)?),
            Kind::Float4(builder) => builder.append_value(read_float(text, pg_type)?),
            Kind::Float8(builder) => builder.append_value(read_float(text, pg_type)?),
            Kind::Numeric(builder, precision, scale) => {
                let value = read_decimal(text)?.at_scale(*precision, *scale)?;
                builder.append_value(narrow(value)?);
            }
            Kind::WideNumeric(builder, precision, scale) => {
                builder.append_value(read_decimal(text)?.at_scale(*precision, *scale)?);
            }
            Kind::Text(builder) => return push_string(builder, text, pg_type),
            Kind::Bytes(builder) => builder.append_value(read_bytea(text)?),
            Kind::Date(builder) => builder.append_value(read_date(text)?),
            Kind::Time(builder) => builder.append_value(read_time(text)?),
            Kind::Timestamp(builder) => builder.append_value(read_timestamp(text)?),
            Kind::Timestamptz(builder) => builder.append_value(read_timestamptz(text, self.zone)?),
            Kind::Interval(builder) => builder.append_value(interval(read_interval(text)?)?),
            Kind::List { .. } => self.push_elements(read_array(text)?)?,
        }
        Ok(())
    }

    fn push_elements(&mut self, parts: Vec<Element>) -> Result<()> {
        let Kind::List { elements, offsets, nulls } = &mut self.kind else { return Ok(()) };
        let staged = stage(elements, parts)?;
        elements.append(staged);
        offsets.push(list_end(elements)?);
        nulls.append_non_null();
        Ok(())
    }

    /// Takes over the values of a column of the same type.
    fn append(&mut self, staged: Vec<Staged>) {
        for value in staged {
            match value {
                Staged::Null => self.push_null(),
                Staged::Text(text) => {
                    let read = self.push_text(&text);
                    debug_assert!(read.is_ok(), "the text was read before");
                }
            }
        }
    }

    /// The number of values so far.
    pub fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match &self.kind {
            Kind::Bool(builder) => builder.len(),
            Kind::Int2(builder) => builder.len(),
            Kind::Int4(builder) => builder.len(),
            Kind::Int8(builder) => builder.len(),
            Kind::Oid(builder) => builder.len(),
            Kind::Float4(builder) => builder.len(),
            Kind::Float8(builder) => builder.len(),
            Kind::Numeric(builder, ..) => builder.len(),
            Kind::WideNumeric(builder, ..) => builder.len(),
            Kind::Text(builder) => builder.len(),
            Kind::Bytes(builder) => builder.len(),
            Kind::Date(builder) => builder.len(),
            Kind::Time(builder) => builder.len(),
            Kind::Timestamp(builder) | Kind::Timestamptz(builder) => builder.len(),
            Kind::Interval(builder) => builder.len(),
            Kind::List { offsets, .. } => offsets.len() - 1,
        }
    }

    /// The values so far; the column is empty afterwards.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        let data_type = self.pg_type.arrow();
        Ok(match &mut self.kind {
            Kind::Bool(builder) => Arc::new(builder.finish()),
            Kind::Int2(builder) => Arc::new(builder.finish()),
            Kind::Int4(builder) => Arc::new(builder.finish()),
            Kind::Int8(builder) => Arc::new(builder.finish()),
            Kind::Oid(builder) => Arc::new(builder.finish()),
            Kind::Float4(builder) => Arc::new(builder.finish()),
            Kind::Float8(builder) => Arc::new(builder.finish()),
            Kind::Numeric(builder, ..) => {
                let values: Decimal128Array = builder.finish();
                Arc::new(values.with_data_type(data_type))
            }
            Kind::WideNumeric(builder, ..) => {
                let values: Decimal256Array = builder.finish();
                Arc::new(values.with_data_type(data_type))
            }
            Kind::Text(builder) => Arc::new(builder.finish()),
            Kind::Bytes(builder) => Arc::new(builder.finish()),
            Kind::Date(builder) => Arc::new(builder.finish()),
            Kind::Time(builder) => Arc::new(builder.finish()),
            Kind::Timestamp(builder) => Arc::new(builder.finish()),
            Kind::Timestamptz(builder) => Arc::new(builder.finish().with_timezone("UTC")),
            Kind::Interval(builder) => Arc::new(builder.finish()),
            Kind::List { elements, offsets, nulls } => {
                let DataType::List(field) = data_type else { return Err(Error::internal("an array type is no list")) };
                let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])));
                Arc::new(ListArray::try_new(field, offsets, elements.finish()?, nulls.finish())?)
            }
        })
    }
}

/// An element that is known to be readable.
enum Staged {
    Null,
    Text(String),
}

/// Checks every element before any is appended, so that a bad one leaves nothing behind.
fn stage(like: &Intake, parts: Vec<Element>) -> Result<Vec<Staged>> {
    let mut probe = Intake::new(&like.pg_type, like.zone);
    parts
        .into_iter()
        .map(|part| match part {
            Element::Null => Ok(Staged::Null),
            Element::Value(text) => probe.push_text(&text).map(|()| Staged::Text(text)),
            Element::Array(_) => Err(Error::unsupported("multidimensional arrays cannot be stored")
                .hint("Declare a jsonb column, or store one row an element.")),
        })
        .collect()
}

fn list_end(elements: &Intake) -> Result<i32> {
    i32::try_from(elements.len())
        .map_err(|_| Error::new(ErrorKind::ProgramLimitExceeded, "too many array elements in one batch"))
}

fn interval(span: Span) -> Result<IntervalMonthDayNano> {
    let nanos = span.micros.checked_mul(1000).ok_or_else(|| {
        Error::new(ErrorKind::DatetimeFieldOverflow, "interval out of range")
            .detail("The time part may span 292 years.")
    })?;
    Ok(IntervalMonthDayNano::new(span.months, span.days, nanos))
}

fn push_string(builder: &mut StringViewBuilder, text: &str, pg_type: &PgType) -> Result<()> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(Error::new(
            ErrorKind::CharacterNotInRepertoire,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    match pg_type {
        PgType::Varchar(Some(length)) | PgType::Char(length) => {
            builder.append_value(fit(text, *length as usize, pg_type)?)
        }
        PgType::Name => builder.append_value(&text[..text.floor_char_boundary(NAME_BYTES_MAX)]),
        PgType::Uuid => {
            let mut canonical = Vec::with_capacity(36);
            write_uuid(&mut canonical, &read_uuid(text)?);
            builder.append_value(String::from_utf8_lossy(&canonical));
        }
        PgType::Json => {
            check_json(text)?;
            builder.append_value(text);
        }
        PgType::Jsonb => builder.append_value(normalize_jsonb(text)?),
        _ => builder.append_value(text),
    }
    Ok(())
}

/// Checks the length in characters; blanks beyond it are cut, `char(n)` is filled up with them.
fn fit(text: &str, length: usize, pg_type: &PgType) -> Result<String> {
    let count = text.chars().count();
    if count > length {
        let cut = text.char_indices().nth(length).map_or(text.len(), |(at, _)| at);
        return match text[cut..].bytes().all(|byte| byte == b' ') {
            true => Ok(text[..cut].to_owned()),
            false => {
                Err(Error::new(ErrorKind::StringDataRightTruncation, format!("value too long for type {pg_type}")))
            }
        };
    }
    match pg_type {
        PgType::Char(_) => Ok(format!("{text}{}", " ".repeat(length - count))),
        _ => Ok(text.to_owned()),
    }
}

/// An oid; PostgreSQL takes the negative form of a large one too.
fn read_oid(text: &str) -> Result<u32> {
    let value: i64 = read_integer(text, &PgType::Oid)?;
    match i32::try_from(value) {
        Ok(small) => Ok(small.cast_unsigned()),
        Err(_) => read_integer(text, &PgType::Oid),
    }
}

/// Narrows a checked decimal.
fn narrow(value: i256) -> Result<i128> {
    value.to_i128().ok_or_else(|| Error::internal("a checked decimal did not fit"))
}
