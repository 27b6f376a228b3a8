//! JSON: an array of objects, one object, or an object a line.
//!
//! Values are found, not parsed: the reader checks syntax and hands the text of each value to the column that it is for.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::gather::{Gather, Target};
use crate::error::{Error, ErrorKind, Result};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The records of a payload: the elements of an array, or the payload itself.
pub(super) fn gather_values(gather: &mut Gather<'_>, payload: &Bytes) -> Result<()> {
    let text = payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload).trim_ascii();
    if text.is_empty() {
        return Ok(());
    }
    if text[0] != b'[' {
        // Whether it is one value, the record's own reader finds out; for a body that is not, it is nobody's record.
        serde_json::from_slice::<&RawValue>(text).map_err(|error| malformed(&error))?;
        gather_object(gather, text);
        return Ok(());
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
    elements.iter().for_each(|element| gather_object(gather, element.get().as_bytes()));
    Ok(())
}

/// A record a line.
pub(super) fn gather_lines(gather: &mut Gather<'_>, payload: &Bytes) {
    lines(payload).for_each(|line| gather_object(gather, line));
}

/// The lines of a payload that are not empty.
pub(super) fn lines(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload);
    let all = std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = (!rest.is_empty()).then(|| rest[..end].trim_ascii());
        rest = rest.get(end + 1..).unwrap_or_default();
        line
    });
    all.filter(|line| !line.is_empty())
}

/// One record, whose text lies in the payload.
fn gather_object(gather: &mut Gather<'_>, text: &[u8]) {
    let mut failed = None;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = reader.deserialize_map(Fields { gather, failed: &mut failed }).and_then(|()| reader.end());
    let outcome = match (read, failed) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(error),
        (Err(error), None) => Err(malformed(&error)),
    };
    gather.end_record(text, outcome);
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidTextRepresentation, "invalid input syntax for type json").detail(error.to_string())
}

/// Takes the members of an object.
struct Fields<'a, 'g> {
    gather: &'a mut Gather<'g>,
    /// Why a value was not taken: the reader's own error could not say it.
    failed: &'a mut Option<Error>,
}

impl<'de> Visitor<'de> for Fields<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        while let Some(target) = members.next_key_seed(Name(self.gather))? {
            let value: &RawValue = members.next_value()?;
            if let Err(error) = target.and_then(|target| self.gather.put_json(target, value.get())) {
                *self.failed = Some(error);
                return Err(serde::de::Error::custom("a value was not taken"));
            }
        }
        Ok(())
    }
}

/// Finds what a member's name stands for.
struct Name<'a, 'g>(&'a mut Gather<'g>);

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = Result<Target>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = Result<Target>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.target(name))
    }
}
