//! CSV: records of fields, as COPY ... (FORMAT csv) reads them: an empty field is NULL, a quoted empty one an empty text.

use std::borrow::Cow;

use bytes::Bytes;

use super::CsvLayout;
use super::gather::{Gather, Target};
use crate::error::{Error, ErrorKind, Result};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The records of a payload, the first of which may name the columns.
pub(super) fn gather_records(gather: &mut Gather<'_>, payload: &Bytes, layout: CsvLayout) -> Result<()> {
    let mut reader = Reader::new(payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload), layout.delimiter);
    let mut fields = Vec::new();
    let targets: Vec<Target> = match layout.has_header {
        false => gather.all_columns(),
        true => {
            let Some(header) = reader.record(&mut fields) else { return Ok(()) };
            let header = utf8(header?)?;
            let targets = fields.iter().map(|field| gather.target(field.text(header).as_deref().unwrap_or_default()));
            let targets: Vec<Target> = targets.collect::<Result<_>>()?;
            gather.refuse_twice(&targets)?;
            targets
        }
    };
    while let Some(record) = reader.record(&mut fields) {
        let (text, outcome) = match record {
            Ok(text) => (text, utf8(text).and_then(|text| put_fields(gather, text, &fields, &targets))),
            Err(error) => (reader.last(), Err(error)),
        };
        gather.end_record(text, outcome);
    }
    Ok(())
}

fn put_fields(gather: &mut Gather<'_>, text: &str, fields: &[Field], targets: &[Target]) -> Result<()> {
    if fields.len() != targets.len() {
        let message = format!("the record has {} fields, expected {}", fields.len(), targets.len());
        return Err(Error::new(ErrorKind::BadCopyFileFormat, message));
    }
    fields.iter().zip(targets).try_for_each(|(field, target)| gather.put_text(*target, field.text(text).as_deref()))
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}");
        Error::new(ErrorKind::CharacterNotInRepertoire, message)
    })
}

/// Where a field stands in its record, without quotes.
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
    quoted: bool,
    /// It holds quotes, each written twice.
    doubled: bool,
}

impl Field {
    fn text<'a>(&self, record: &'a str) -> Option<Cow<'a, str>> {
        let text = &record[self.start..self.end];
        match (self.quoted, self.doubled) {
            (false, _) if text.is_empty() => None,
            (_, true) => Some(text.replace("\"\"", "\"").into()),
            _ => Some(text.into()),
        }
    }
}

/// Cuts bytes into records and fields.
struct Reader<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    /// The start of the record that was cut last, and of the next one.
    start: usize,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], delimiter: u8) -> Self {
        Self { bytes, delimiter, start: 0, at: 0 }
    }

    /// The record that was cut last, without the end of its line.
    fn last(&self) -> &'a [u8] {
        let record = &self.bytes[self.start..self.at];
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        record.strip_suffix(b"\r").unwrap_or(record)
    }

    /// The next record and its fields. Lines without anything are no records.
    fn record(&mut self, fields: &mut Vec<Field>) -> Option<Result<&'a [u8]>> {
        while let Some(b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
        if self.at >= self.bytes.len() {
            return None;
        }
        self.start = self.at;
        fields.clear();
        loop {
            match self.field() {
                Ok((field, is_last)) => {
                    fields.push(field);
                    if is_last {
                        return Some(Ok(self.last()));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The field at the present place, and whether the record ends with it.
    fn field(&mut self) -> Result<(Field, bool)> {
        if self.bytes.get(self.at) == Some(&b'"') {
            return self.quoted_field();
        }
        let start = self.at;
        let rest = &self.bytes[start..];
        let end = start + memchr::memchr2(self.delimiter, b'\n', rest).unwrap_or(rest.len());
        let is_last = self.bytes.get(end) != Some(&self.delimiter);
        self.at = self.bytes.len().min(end + 1);
        let end = if is_last && self.bytes[start..end].ends_with(b"\r") { end - 1 } else { end };
        Ok((self.placed(start, end, false, false), is_last))
    }

    fn quoted_field(&mut self) -> Result<(Field, bool)> {
        let start = self.at + 1;
        let (mut at, mut doubled) = (start, false);
        loop {
            let Some(quote) = memchr::memchr(b'"', &self.bytes[at..]) else {
                self.at = self.bytes.len();
                return Err(Error::new(ErrorKind::BadCopyFileFormat, "unterminated CSV quoted field"));
            };
            let end = at + quote;
            match self.bytes.get(end + 1) {
                Some(b'"') => (at, doubled) = (end + 2, true),
                Some(byte) if *byte == self.delimiter => {
                    self.at = end + 2;
                    return Ok((self.placed(start, end, true, doubled), false));
                }
                None | Some(b'\n') => {
                    self.at = self.bytes.len().min(end + 2);
                    return Ok((self.placed(start, end, true, doubled), true));
                }
                Some(b'\r') if matches!(self.bytes.get(end + 2), None | Some(b'\n')) => {
                    self.at = self.bytes.len().min(end + 3);
                    return Ok((self.placed(start, end, true, doubled), true));
                }
                Some(_) => {
                    let rest = &self.bytes[end..];
                    self.at = end + memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
                    return Err(Error::new(ErrorKind::BadCopyFileFormat, "text follows a CSV quoted field"));
                }
            }
        }
    }

    fn placed(&self, start: usize, end: usize, quoted: bool, doubled: bool) -> Field {
        Field { start: start - self.start, end: end - self.start, quoted, doubled }
    }
}
