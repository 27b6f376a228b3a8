//! Cells as PostgreSQL text.

use arrow::array::Array;
use arrow::datatypes::IntervalMonthDayNano;

use crate::session::cells::{Cells, Kind};
use crate::session::text::array::write_element;
use crate::session::text::bytes::write_bytea;
use crate::session::text::datetime::{write_date, write_time, write_timestamp, write_timestamptz};
use crate::session::text::interval::{Span, write_interval};
use crate::session::text::number::{write_decimal, write_float4, write_float8, write_integer, write_wide_decimal};

impl Cells<'_> {
    /// Appends a cell that is not NULL as text.
    #[inline]
    pub fn write_text(&self, row: usize, out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Int4(array) => write_integer(out, array.value(row)),
            Kind::Int8(array) => write_integer(out, array.value(row)),
            Kind::Int2(array) => write_integer(out, array.value(row)),
            Kind::Float8(array) => write_float8(out, array.value(row)),
            Kind::Float4(array) => write_float4(out, array.value(row)),
            Kind::Numeric(array, scale) => write_decimal(out, array.value(row), *scale),
            Kind::Text(strings) | Kind::Uuid(strings) | Kind::Json(strings) | Kind::Jsonb(strings) => {
                out.extend_from_slice(strings.value(row).as_bytes());
            }
            Kind::Date(array) => write_date(out, array.value(row)),
            Kind::Timestamp(array) => write_timestamp(out, array.value(row)),
            Kind::Timestamptz(array, zone) => write_timestamptz(out, array.value(row), zone),
            Kind::Bool(array) => out.push(if array.value(row) { b't' } else { b'f' }),
            _ => self.write_rare_text(row, out),
        }
    }

    fn write_rare_text(&self, row: usize, out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Oid(array) => write_integer(out, array.value(row)),
            Kind::Reg(array, kind, name) => match (array.value(row), name(*kind, array.value(row))) {
                (0, _) => out.push(b'-'),
                (_, Some(name)) => out.extend_from_slice(name.as_bytes()),
                (oid, None) => write_integer(out, oid),
            },
            Kind::WideNumeric(array, scale) => write_wide_decimal(out, array.value(row), *scale),
            Kind::Bytes(blobs) => write_bytea(out, blobs.value(row)),
            Kind::Time(array) => write_time(out, array.value(row)),
            Kind::Interval(array) => write_interval(out, span(array.value(row))),
            Kind::List { list, elements, .. } => {
                let offsets = list.value_offsets();
                write_list(elements, offsets[row] as usize..offsets[row + 1] as usize, out);
            }
            Kind::Struct(_) | Kind::Map { .. } => self.write_json(row, out),
            _ => {}
        }
    }
}

fn write_list(elements: &Cells<'_>, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    let mut element = Vec::new();
    out.push(b'{');
    for (index, row) in range.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if elements.is_null(row) {
            out.extend_from_slice(b"NULL");
        } else if matches!(elements.kind, Kind::List { .. }) {
            elements.write_text(row, out);
        } else {
            element.clear();
            elements.write_text(row, &mut element);
            write_element(out, &element);
        }
    }
    out.push(b'}');
}

/// Arrow counts nanoseconds, PostgreSQL microseconds.
pub(super) fn span(value: IntervalMonthDayNano) -> Span {
    Span { months: value.months, days: value.days, micros: round_to_micros(value.nanoseconds) }
}

/// Nanoseconds to microseconds, half away from zero.
pub(super) fn round_to_micros(nanos: i64) -> i64 {
    nanos / 1000 + (nanos % 1000) / 500
}

/// True for the kinds whose list offsets and children a caller may walk.
pub(super) fn list_len(list: &arrow::array::ListArray, row: usize) -> usize {
    debug_assert!(row < list.len(), "a row of the list");
    let offsets = list.value_offsets();
    (offsets[row + 1] - offsets[row]) as usize
}
