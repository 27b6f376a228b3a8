//! Bytes to rows: JSON, CSV, Arrow and Parquet into the columns of one table.
//!
//! Payloads are cut into records ([`json`], [`csv`]) or read as columns ([`columnar`]); [`gather`] finds the column of each
//! field by its name and builds arrays of exactly the table's types, in one pass and without a value in between. A record
//! with a value that does not fit is put aside with the reason; so is a row that breaks a rule of the table. Records that
//! replace and delete rows are told apart first, and decoded the same way ([`changes`]). Invariant: a value is stored as it
//! came: `1.0` is 1 for an integer, `1.5` and 2³² are no integers, and nothing is cut or rounded but digits of a text or
//! JSON number beyond what a floating-point number or a microsecond holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use bytes::Bytes;

use crate::catalog::definition::{RelationDef, SourceFormat};
use crate::catalog::pg_type::PgType;
use crate::config::Config;
use crate::engine::{Engine, Scope};
use crate::error::{Error, Result};

mod changes;
mod column;
mod columnar;
mod csv;
mod envelope;
mod exact;
mod gather;
pub mod guess;
mod json;
#[cfg(test)]
mod tests;

use gather::{Gather, Gathered};

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object, or an array of objects.
    Json,
    /// An object a line.
    NdJson,
    /// Lines of fields.
    Csv(CsvLayout),
    /// Arrow's IPC stream.
    ArrowStream,
    /// Arrow's IPC file.
    ArrowFile,
    /// A Parquet file.
    Parquet,
}

/// How CSV is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvLayout {
    /// What stands between two fields.
    pub delimiter: u8,
    /// The first record of a payload names the columns; else they are the table's, in order, without generated ones.
    pub has_header: bool,
}

impl Default for CsvLayout {
    fn default() -> Self {
        Self { delimiter: b',', has_header: true }
    }
}

/// A message, or a body.
#[derive(Clone, Debug)]
pub struct Payload {
    /// What is decoded; it may hold several records.
    pub bytes: Bytes,
    /// It is a key alone: the row that has it goes.
    pub is_key: bool,
    /// What a dead letter keeps, where that is more than the record.
    pub raw: Option<Bytes>,
    /// Where the payload stands in its source; without one, its records are numbered.
    pub place: Option<i64>,
    /// Records that came before it: its first one has the next number.
    pub before: i64,
    /// Where it came from, for dead letters.
    pub source: Arc<str>,
}

/// What becomes of a payload that cannot be cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nothing is decoded: who sent it hears of it.
    Fails,
    /// It is refused like a record.
    Refused,
}

/// What is taken at all.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// How deep values may be nested.
    pub depth_max: usize,
    /// What decoded columns may take, for formats that are compressed within.
    pub bytes_max: usize,
}

impl DecodeLimits {
    /// What the settings say.
    pub fn new(config: &Config) -> Self {
        Self { depth_max: config.ingest_json_depth_max, bytes_max: config.ingest_decoded_bytes_max }
    }
}

/// What is to be decoded.
#[derive(Clone, Debug)]
pub struct Work {
    pub format: Format,
    pub meaning: SourceFormat,
    /// The column that says which of two rows with one key is the newer.
    pub sequence: Option<String>,
    pub payloads: Vec<Payload>,
    pub broken: Broken,
    pub limits: DecodeLimits,
}

/// What payloads hold.
pub struct Decoded {
    /// With exactly the columns that the table stores, checked. Unless records are rows and nothing else, they take the place
    /// of those with their keys; each key is there once.
    pub rows: RecordBatch,
    /// The payload of each of the rows.
    pub payloads: Vec<usize>,
    /// Keys whose rows go, each once and none of them a key of `rows`: the columns of the primary key.
    pub deleted: Option<RecordBatch>,
    /// How new the rows are, and the keys that go, where a column says it.
    pub newness: Option<[Newness; 2]>,
    /// The records that are neither refused nor ignored.
    pub records: u64,
    /// The records that are no rows, in the order in which they came.
    pub refused: Vec<Refused>,
    /// Fields that are to become columns. Where there are some, nothing else was done: decode again under the new definition.
    pub new_fields: Vec<NewField>,
    /// Fields without a column, and how many records had each.
    pub ignored_fields: BTreeMap<String, u64>,
}

/// How new changes are.
#[derive(Clone, Debug)]
pub struct Newness {
    /// The value of each; NULL where it has none.
    pub sequence: ArrayRef,
    /// True where it counts whatever the table holds.
    pub is_free: BooleanArray,
}

/// A record that cannot be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The record as it came; of a columnar format, as JSON.
    pub raw: Bytes,
    /// SQLSTATE and message.
    pub reason: String,
    /// The place of its payload, or else its number.
    pub place: i64,
    pub source: Arc<str>,
}

/// A field that no column takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewField {
    pub name: String,
    pub pg_type: PgType,
}

/// Decodes payloads for a table. This takes the processor's time, and waits for nothing.
pub fn decode(engine: &Engine, scope: &Scope, relation: &RelationDef, work: &Work) -> Result<Decoded> {
    if work.meaning != SourceFormat::Plain {
        return changes::decode(engine, scope, relation, work);
    }
    let Gathered { rows, payloads, refused, new_fields, ignored_fields } = gathered(engine, scope, relation, work)?;
    let refused = refused.into_iter().map(|(_, refused)| refused).collect();
    Ok(Decoded {
        records: rows.num_rows() as u64,
        rows,
        payloads,
        deleted: None,
        newness: None,
        refused,
        new_fields,
        ignored_fields,
    })
}

/// Every record as a row.
fn gathered(engine: &Engine, scope: &Scope, relation: &RelationDef, work: &Work) -> Result<Gathered> {
    let mut gather = Gather::new(scope, relation, work)?;
    for (at, payload) in work.payloads.iter().enumerate() {
        gather.begin(at);
        let cut = match work.format {
            Format::Json => json::gather_values(&mut gather, &payload.bytes),
            Format::NdJson => {
                json::gather_lines(&mut gather, &payload.bytes);
                Ok(())
            }
            Format::Csv(layout) => csv::gather_records(&mut gather, &payload.bytes, layout),
            Format::ArrowStream | Format::ArrowFile | Format::Parquet => {
                columnar::gather_columns(&mut gather, &payload.bytes, work)
            }
        };
        match (cut, work.broken) {
            (Ok(()), _) => {}
            (Err(error), Broken::Fails) => return Err(error),
            (Err(error), Broken::Refused) => gather.refuse_payload(&error),
        }
    }
    gather.finish(engine, scope)
}

/// What a dead letter says of an error.
fn reason(error: &Error) -> String {
    match error.detail_text() {
        Some(detail) => format!("{}: {} ({detail})", error.sqlstate(), error.message()),
        None => format!("{}: {}", error.sqlstate(), error.message()),
    }
}
