//! Cells as JSON, which structs and maps are sent as: `{"a": 1, "b": [1, 2]}`.

use crate::session::cells::{Cells, Kind};
use crate::session::text::datetime::{write_date, write_iso_timestamp};
use crate::session::text::json::write_json_string;

impl Cells<'_> {
    /// Appends a cell as a JSON value; NULL is `null`.
    pub fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match &self.kind {
            Kind::Bool(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Kind::Int2(_)
            | Kind::Int4(_)
            | Kind::Int8(_)
            | Kind::Oid(_)
            | Kind::Numeric(..)
            | Kind::WideNumeric(..) => {
                self.write_text(row, out);
            }
            Kind::Float4(array) if array.value(row).is_finite() => self.write_text(row, out),
            Kind::Float8(array) if array.value(row).is_finite() => self.write_text(row, out),
            Kind::Json(strings) | Kind::Jsonb(strings) => out.extend_from_slice(strings.value(row).as_bytes()),
            Kind::Text(strings) | Kind::Uuid(strings) => write_json_string(out, strings.value(row)),
            Kind::Date(array) => quoted(out, |out| write_date(out, array.value(row))),
            Kind::Timestamp(array) => quoted(out, |out| write_iso_timestamp(out, array.value(row), None)),
            Kind::Timestamptz(array, zone) => quoted(out, |out| write_iso_timestamp(out, array.value(row), Some(zone))),
            Kind::List { list, elements, .. } => {
                let offsets = list.value_offsets();
                write_items(out, offsets[row] as usize..offsets[row + 1] as usize, |at, out| {
                    elements.write_json(at, out)
                });
            }
            Kind::Struct(fields) => {
                out.push(b'{');
                for (index, (name, cells)) in fields.iter().enumerate() {
                    separate(out, index);
                    write_json_string(out, name);
                    out.extend_from_slice(b": ");
                    cells.write_json(row, out);
                }
                out.push(b'}');
            }
            Kind::Map { map, keys, values } => {
                let offsets = map.value_offsets();
                out.push(b'{');
                for (index, at) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                    separate(out, index);
                    write_key(out, keys, at);
                    out.extend_from_slice(b": ");
                    values.write_json(at, out);
                }
                out.push(b'}');
            }
            // What is left prints digits, letters, signs and backslashes at most.
            _ => write_as_string(out, self, row),
        }
    }
}

fn write_items(out: &mut Vec<u8>, range: std::ops::Range<usize>, mut item: impl FnMut(usize, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, at) in range.enumerate() {
        separate(out, index);
        item(at, out);
    }
    out.push(b']');
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.extend_from_slice(b", ");
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn write_key(out: &mut Vec<u8>, keys: &Cells<'_>, at: usize) {
    match &keys.kind {
        Kind::Text(strings) => write_json_string(out, strings.value(at)),
        _ => write_as_string(out, keys, at),
    }
}

fn write_as_string(out: &mut Vec<u8>, cells: &Cells<'_>, row: usize) {
    let mut text = Vec::new();
    cells.write_text(row, &mut text);
    write_json_string(out, &String::from_utf8_lossy(&text));
}
