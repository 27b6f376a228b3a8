//! Debezium's envelope: what has become of a row, as `before` and `after`.
//!
//! Only the outer level is read; the rows inside are handed on as they are written, for the reader of records to decode.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind, Result};

/// What an envelope says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A row is there, in the place of the one that it was before, where that is told.
    Upsert { before: Option<&'a str>, after: &'a str },
    /// A row is gone.
    Delete { before: &'a str },
}

/// The members that count. Those of the one envelope around the other are the same.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    op: Option<Cow<'a, str>>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    /// Beside a schema, which says nothing here.
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Reads an envelope, bare or in the `payload` beside its schema.
pub(super) fn read(text: &[u8]) -> Result<Event<'_>> {
    let outer = envelope(text)?;
    let inner = match (&outer.op, outer.payload) {
        (None, Some(payload)) => envelope(payload.get().as_bytes())?,
        _ => outer,
    };
    let Some(op) = &inner.op else {
        return Err(wrong("it is no Debezium envelope: it has no \"op\""));
    };
    match &**op {
        "c" | "r" | "u" => {
            let before = if op == "u" { row(inner.before, "before")? } else { None };
            let after = row(inner.after, "after")?;
            let after = after.ok_or_else(|| wrong(format!("operation \"{op}\" has no \"after\"")))?;
            Ok(Event::Upsert { before, after })
        }
        "d" => match row(inner.before, "before")? {
            Some(before) => Ok(Event::Delete { before }),
            None => Err(wrong("operation \"d\" has no \"before\"")),
        },
        "t" => Err(Error::unsupported("operation \"t\" (truncate) changes no single rows and was not applied")),
        "m" => Err(Error::unsupported("operation \"m\" is a message, not the change of a row")),
        _ => Err(wrong(format!("operation \"{op}\" is unknown"))),
    }
}

fn envelope(text: &[u8]) -> Result<Envelope<'_>> {
    serde_json::from_slice(text).map_err(|error| wrong("it is no Debezium envelope").detail(error.to_string()))
}

/// The text of a row, which is an object.
fn row<'a>(member: Option<&'a RawValue>, name: &str) -> Result<Option<&'a str>> {
    match member.map(RawValue::get) {
        Some(text) if text.starts_with('{') => Ok(Some(text)),
        Some(_) => Err(wrong(format!("\"{name}\" is not an object"))),
        None => Ok(None),
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidTextRepresentation, message)
}

#[cfg(test)]
mod tests;
