//! Records that change rows by their key: `FORMAT UPSERT` and `FORMAT DEBEZIUM`.
//!
//! A record is first read for what it does: a row that takes the place of the one with its key, a key whose row goes, or
//! both, where a row changes its key. Rows are decoded for the table, keys for its key columns alone; each stays with the
//! record that it is of. Invariants: of several changes of one key in a batch the last record counts, or the newest ([`winners`]), also over a row and a
//! deletion; of a record that is refused nothing is done, and it is refused once.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::envelope::Event;
use super::gather::{Gathered, refused};
use super::{Broken, Decoded, Format, Payload, Refused, Work, envelope, gathered, json};
use crate::buffer::encoded_keys;
use crate::catalog::definition::{ColumnDef, RelationDef, RelationKind, SourceFormat, TableDef};
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};

mod winners;

use winners::winners;

/// Decodes payloads that change rows by key.
pub(super) fn decode(engine: &Engine, scope: &Scope, relation: &RelationDef, work: &Work) -> Result<Decoded> {
    let keys = KeyColumns::of(relation, work.sequence.as_deref())?;
    let Told { rows, keys: gone, refused, payloads } = match work.meaning {
        SourceFormat::Debezium => events(work),
        SourceFormat::Plain | SourceFormat::Upsert => rows_and_keys(work, &keys.names),
    };
    let mut rows = rows.decode(engine, scope, &keys.rows, work.format_of_rows(), work)?;
    if !rows.gathered.new_fields.is_empty() {
        let Gathered { rows, new_fields, ignored_fields, .. } = rows.gathered;
        let (refused, payloads) = (Vec::new(), Vec::new());
        return Ok(Decoded {
            rows,
            payloads,
            deleted: None,
            newness: None,
            records: 0,
            refused,
            new_fields,
            ignored_fields,
        });
    }
    let mut gone = gone.decode(engine, scope, &keys.keys, Format::Json, work)?;
    // Of a record that is refused for its row the key does not go, and the other way round.
    let (row_refused, key_refused) = (rows.refused_records(), gone.refused_records());
    rows.drop_records(&key_refused)?;
    gone.drop_records(&row_refused)?;
    let is_alone = |record: &&usize| rows.records.binary_search(record).is_err();
    let records = rows.records.len() + gone.records.iter().filter(is_alone).count();
    let refused = [refused, rows.take_refused(), gone.take_refused()].concat();
    let [of_rows, of_gone] = winners(&rows, &gone, &keys.names, work.sequence.as_deref())?;
    let newness = match &work.sequence {
        Some(column) => Some([of_rows.newness(&rows, column)?, of_gone.newness(&gone, column)?]),
        None => None,
    };
    let kept = rows.records.iter().zip(of_rows.kept.values()).filter(|(_, kept)| *kept);
    let key_columns: Vec<usize> = (0..keys.names.len()).collect();
    Ok(Decoded {
        rows: filter_record_batch(&rows.gathered.rows, &of_rows.kept)?,
        payloads: kept.map(|(record, _)| payloads[*record]).collect(),
        deleted: Some(filter_record_batch(&gone.gathered.rows.project(&key_columns)?, &of_gone.kept)?),
        newness,
        records: records as u64,
        refused: in_order(refused),
        new_fields: Vec::new(),
        ignored_fields: rows.gathered.ignored_fields,
    })
}

/// The table as rows are decoded for it, and its key.
struct KeyColumns {
    names: Vec<String>,
    /// The table; a row without its key gets none by a default.
    rows: RelationDef,
    /// The columns of the key, in its order, and behind them what says how new a row is.
    keys: RelationDef,
}

impl KeyColumns {
    fn of(relation: &RelationDef, sequence: Option<&str>) -> Result<Self> {
        let names = relation.table().map(TableDef::primary_key).unwrap_or_default().to_vec();
        let required = |column: &ColumnDef| ColumnDef { not_null: true, default: None, ..column.clone() };
        let mut rows = relation.clone();
        let is_needed = |column: &ColumnDef| names.contains(&column.name) || sequence == Some(&*column.name);
        for column in rows.columns.iter_mut().filter(|column| is_needed(column)) {
            *column = required(column);
        }
        let mut columns: Vec<ColumnDef> = names.iter().filter_map(|name| rows.column(name)).cloned().collect();
        if columns.is_empty() || columns.len() < names.len() {
            let message = format!("table \"{}\" has lost the primary key that its source needs", relation.name);
            return Err(Error::new(ErrorKind::InvalidTableDefinition, message)
                .hint("Give it one with ALTER TABLE ... ADD PRIMARY KEY; nothing is lost meanwhile."));
        }
        // A key that goes need not say how new it is.
        let open = |column: &ColumnDef| ColumnDef { not_null: false, default: None, ..column.clone() };
        columns.extend(sequence.and_then(|name| relation.column(name)).map(open));
        let keys = RelationDef { columns, kind: RelationKind::Table(TableDef::default()), ..relation.clone() };
        Ok(Self { names, rows, keys })
    }
}

/// What records say, with those that cannot be understood.
#[derive(Default)]
struct Told {
    rows: Part,
    keys: Part,
    refused: Vec<(Place, Refused)>,
    /// The payload of each record.
    payloads: Vec<usize>,
}

/// A record's number in the batch, and where it holds several, that of the one among them.
type Place = (usize, u32);

/// Payloads to decode, and the record of each.
#[derive(Default)]
struct Part {
    payloads: Vec<Payload>,
    records: Vec<usize>,
}

impl Part {
    fn push(&mut self, record: usize, payload: Payload) {
        self.payloads.push(payload);
        self.records.push(record);
    }

    fn decode(
        self,
        engine: &Engine,
        scope: &Scope,
        relation: &RelationDef,
        format: Format,
        all: &Work,
    ) -> Result<DecodedPart> {
        let (meaning, broken, limits) = (SourceFormat::Plain, Broken::Refused, all.limits);
        let gathered = gathered(
            engine,
            scope,
            relation,
            &Work { format, meaning, sequence: None, payloads: self.payloads, broken, limits },
        )?;
        let records = gathered.payloads.iter().map(|payload| self.records[*payload]).collect();
        Ok(DecodedPart { gathered, records, payload_records: self.records })
    }
}

/// Rows or keys.
struct DecodedPart {
    gathered: Gathered,
    /// The record of each, in ascending order.
    records: Vec<usize>,
    /// The record of each payload.
    payload_records: Vec<usize>,
}

impl DecodedPart {
    fn refused_records(&self) -> BTreeSet<usize> {
        self.gathered.refused.iter().map(|((payload, _), _)| self.payload_records[*payload]).collect()
    }

    fn take_refused(&mut self) -> Vec<(Place, Refused)> {
        let placed = |((payload, number), refused)| ((self.payload_records[payload], number), refused);
        std::mem::take(&mut self.gathered.refused).into_iter().map(placed).collect()
    }

    fn drop_records(&mut self, gone: &BTreeSet<usize>) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let kept: BooleanArray = self.records.iter().map(|record| Some(!gone.contains(record))).collect();
        self.gathered.rows = filter_record_batch(&self.gathered.rows, &kept)?;
        self.records.retain(|record| !gone.contains(record));
        Ok(())
    }

    fn column(&self, name: &str) -> Result<ArrayRef> {
        let rows: &RecordBatch = &self.gathered.rows;
        Ok(Arc::clone(rows.column(rows.schema_ref().index_of(name)?)))
    }

    fn keys(&self, names: &[String]) -> Result<arrow::row::Rows> {
        encoded_keys(&names.iter().map(|name| self.column(name)).collect::<Result<Vec<ArrayRef>>>()?)
    }
}

/// Each record once, as they came.
fn in_order(mut refused: Vec<(Place, Refused)>) -> Vec<Refused> {
    refused.sort_by_key(|(place, _)| *place);
    refused.dedup_by_key(|(place, _)| *place);
    refused.into_iter().map(|(_, refused)| refused).collect()
}

impl Work {
    /// The rows in envelopes are JSON, each for itself.
    fn format_of_rows(&self) -> Format {
        if self.meaning == SourceFormat::Debezium { Format::Json } else { self.format }
    }
}

/// `FORMAT UPSERT`: a value is a row, or several; a key without one goes.
fn rows_and_keys(work: &Work, names: &[String]) -> Told {
    let mut told = Told { payloads: (0..work.payloads.len()).collect(), ..Told::default() };
    for (record, payload) in work.payloads.iter().enumerate() {
        if !payload.is_key {
            told.rows.push(record, payload.clone());
            continue;
        }
        match key_object(&payload.bytes, names) {
            Ok(bytes) => {
                let raw = Some(payload.bytes.clone());
                told.keys.push(record, Payload { bytes, raw, ..payload.clone() });
            }
            Err(error) => told.refused.push(((record, 1), refused(payload, payload.bytes.clone(), 1, &error))),
        }
    }
    told
}

/// A message key as an object: it is one, or the value of the only column.
fn key_object(key: &Bytes, names: &[String]) -> Result<Bytes> {
    let wrong = |why: &str| Error::new(ErrorKind::InvalidTextRepresentation, format!("the key of the record {why}"));
    let value = serde_json::from_slice::<&RawValue>(key).ok().map(RawValue::get);
    if value.is_some_and(|value| value.starts_with('{')) {
        return Ok(key.clone());
    }
    let [name] = names else { return Err(wrong("is not a JSON object with the columns of the primary key")) };
    let text = std::str::from_utf8(key).map_err(|_| wrong("is not UTF-8"))?;
    let json = |text: &str| serde_json::Value::from(text).to_string();
    let value = value.map_or_else(|| json(text), str::to_owned);
    Ok(format!("{{{}:{value}}}", json(name)).into())
}

/// `FORMAT DEBEZIUM`: what envelopes say of rows and keys.
fn events(work: &Work) -> Told {
    let mut told = Told::default();
    for (at, payload) in work.payloads.iter().enumerate() {
        for (number, text) in (1..).zip(envelopes(payload, work.format)) {
            let (raw, record) = (payload.bytes.slice_ref(text), told.payloads.len());
            told.payloads.push(at);
            let place = Some(payload.place.unwrap_or_else(|| payload.before + i64::from(number)));
            let inside = |row: &str| {
                let bytes = payload.bytes.slice_ref(row.as_bytes());
                Payload { bytes, raw: Some(raw.clone()), place, ..payload.clone() }
            };
            match envelope::read(text) {
                Ok(Event::Upsert { before, after }) => {
                    before.into_iter().for_each(|before| told.keys.push(record, inside(before)));
                    told.rows.push(record, inside(after));
                }
                Ok(Event::Delete { before }) => told.keys.push(record, inside(before)),
                Err(error) => told.refused.push(((record, 1), refused(payload, raw, number, &error))),
            }
        }
    }
    told
}

/// The texts of a payload: a message is one, a piece of a file has one a line.
fn envelopes(payload: &Payload, format: Format) -> Vec<&[u8]> {
    match format {
        Format::NdJson => json::lines(&payload.bytes).collect(),
        _ => vec![&payload.bytes],
    }
}

#[cfg(test)]
mod tests;
