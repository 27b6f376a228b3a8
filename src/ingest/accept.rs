//! A batch from bytes to durable rows: decoded, checked, added with its dead letters in one change of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::buffer::{Addition, Claim, ClaimedKey, Right, Rows};
use crate::catalog::definition::{RelationDef, SourceFormat};
use crate::catalog::name::Oid;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::{DecodeLimits, Decoded, Refused, Work, decode};
use crate::ingest::late::{self, Judged};
use crate::ingest::outdated::{Changes, Current, without_outdated};
use crate::ingest::{Broken, Format, Payload, WayIn, dead_letter, evolution};
use crate::log::{Durability, Effect};
use crate::metrics::Counter;

/// How often a batch is decoded anew because the table's definition has changed meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// Payloads on their way into a table.
#[derive(Clone, Debug)]
pub struct Batch {
    pub table: Oid,
    pub format: Format,
    pub meaning: SourceFormat,
    /// The column that says which of two rows with one key is the newer.
    pub sequence: Option<String>,
    pub payloads: Vec<Payload>,
    pub way: WayIn,
    pub broken: Broken,
    pub limits: DecodeLimits,
    pub beside: Beside,
    /// The name of the batch: the same batch is added once.
    pub key: Option<String>,
}

/// What is added in the same change.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// How far sources have been read into the table when it has these rows.
    pub positions: Vec<(String, i64)>,
    /// Records that were refused before they came here.
    pub refused: Vec<Refused>,
    /// Rows of other tables.
    pub rows: Vec<(Arc<RelationDef>, RecordBatch)>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The change that added it.
    pub lsn: i64,
    /// The rows that are in the table.
    pub rows: u64,
    /// Those whose event was older than the watermark, whatever became of them.
    pub late_rows: u64,
    /// Those of events too far ahead of the clock to move the watermark; they are in the table.
    pub future_rows: u64,
    /// The records that are no dead letters, late ones that were left out among them.
    pub records: u64,
    pub dead_letters: u64,
    /// Fields without a column, and how many records had each.
    pub ignored_fields: BTreeMap<String, u64>,
    /// Columns that were made for new fields.
    pub added_columns: Vec<String>,
    /// It was there already: the numbers are those of the first time.
    pub is_duplicate: bool,
}

/// Adds a batch to its table. When it returns, the rows are on stable storage and visible; after an error nothing of the
/// batch is there, but for columns that were made for it. `scope` gives what an attempt sees, and as whom.
pub async fn accept(engine: &Arc<Engine>, scope: &(dyn Fn() -> Scope + Send + Sync), batch: Batch) -> Result<Accepted> {
    engine.buffer().refuse_when_full()?;
    let Batch { table, format, meaning, sequence, payloads, way, broken, limits, beside, key } = batch;
    let work = Arc::new(Work { format, meaning, sequence, payloads, broken, limits });
    let mut added_columns = Vec::new();
    for attempt in 1.. {
        let claimed = match key.as_deref().map(|key| engine.buffer().claim(table, key)).transpose()? {
            None => None,
            Some(Claim::New(claimed)) => Some(claimed),
            Some(Claim::Used(fact)) => return Ok(first_answer(&fact)),
        };
        let scope = scope();
        let relation = scope
            .version
            .catalog
            .relation_by_oid(table)
            .ok_or_else(|| Error::new(ErrorKind::UndefinedTable, "the table was dropped while rows came for it"))?;
        let decoded = decode_aside(engine, &scope, &relation, &work).await?;
        let outcome = match decoded.new_fields.as_slice() {
            [] => {
                let adding = Adding { relation: &relation, work: &work, way: &way, beside: &beside };
                add(engine, adding, decoded, claimed).await.map(Some)
            }
            fields => {
                let names = fields.iter().map(|field| field.name.clone());
                let outcome = evolution::add_columns(engine, &scope, &relation, fields).await.map(|()| None);
                added_columns.extend(names.filter(|_| outcome.is_ok()));
                outcome
            }
        };
        match outcome {
            Ok(Some(accepted)) => return Ok(Accepted { added_columns, ..accepted }),
            Ok(None) if attempt < ATTEMPTS_MAX => {}
            Err(error) if error.kind() == ErrorKind::SerializationFailure && attempt < ATTEMPTS_MAX => {}
            Err(error) => return Err(error),
            Ok(None) => break,
        }
    }
    Err(Error::new(ErrorKind::SerializationFailure, "the table's definition changes faster than rows can be added"))
}

fn first_answer(fact: &crate::log::KeyFact) -> Accepted {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Accepted {
        lsn: fact.lsn.unwrap_or_default().0,
        rows: count(fact.rows),
        records: count(fact.rows),
        dead_letters: count(fact.refused),
        is_duplicate: true,
        ..Accepted::default()
    }
}

/// Decodes where it keeps nobody waiting.
async fn decode_aside(
    engine: &Arc<Engine>,
    scope: &Scope,
    relation: &Arc<RelationDef>,
    work: &Arc<Work>,
) -> Result<Decoded> {
    let (engine, scope, relation, work) = (Arc::clone(engine), scope.clone(), Arc::clone(relation), Arc::clone(work));
    let decoded = tokio::task::spawn_blocking(move || decode(&engine, &scope, &relation, &work)).await;
    decoded.map_err(|error| Error::internal(format!("decoding ended: {error}")))?
}

/// What decoded rows are of.
#[derive(Clone, Copy)]
struct Adding<'a> {
    relation: &'a Arc<RelationDef>,
    work: &'a Work,
    way: &'a WayIn,
    beside: &'a Beside,
}

/// The one place where decoded rows go to the log.
async fn add(
    engine: &Arc<Engine>,
    adding: Adding<'_>,
    decoded: Decoded,
    claimed: Option<ClaimedKey>,
) -> Result<Accepted> {
    let Adding { relation, work, way, beside } = adding;
    let Decoded { rows, payloads, deleted, newness, records, refused, ignored_fields, .. } = decoded;
    let refused = [beside.refused.clone(), refused].concat();
    let mut accepted =
        Accepted { rows: records, records, dead_letters: refused.len() as u64, ignored_fields, ..Accepted::default() };
    let letters = match refused.is_empty() {
        true => None,
        false => {
            let letters = dead_letter::table_of(engine, relation).await?;
            let rows = dead_letter::rows(&letters, &refused, engine.buffer().clock().now())?;
            Some((letters, rows))
        }
    };
    let is_keyed = work.meaning != SourceFormat::Plain;
    let sources = || payloads.iter().map(|payload| Arc::clone(&work.payloads[*payload].source)).collect();
    let (rows, late, events, turn) = match late::judge(engine, relation, &rows, sources, way, is_keyed).await? {
        None => (rows, None, Vec::new(), None),
        Some(Judged { rows: kept, aside, verdict, turn }) => {
            accepted.rows -= (rows.num_rows() - kept.num_rows()) as u64;
            accepted.late_rows = verdict.late_rows();
            accepted.future_rows = verdict.future_rows;
            (kept, aside, verdict.notes, Some(turn))
        }
    };
    let (rows, deleted, noted, mut rights) = match (deleted, work.sequence.as_deref().zip(newness)) {
        (None, _) => (rows, None, Vec::new(), Vec::new()),
        // Who reads rows to replace them must not find that others replace them meanwhile.
        (Some(deleted), None) => (rows, Some(deleted), Vec::new(), vec![engine.buffer().share_rows(relation).await?]),
        (Some(deleted), Some((sequence, newness))) => {
            let changes = Changes { rows, deleted, newness };
            let Current { rows, deleted, beside, rights } =
                without_outdated(engine, relation, sequence, changes).await?;
            (rows, Some(deleted), beside, rights)
        }
    };
    rights.extend(turn.map(Right::Judge));
    let effect = if is_keyed { Effect::Upsert } else { Effect::Insert };
    let rows = std::iter::once((Arc::clone(relation), effect, rows));
    let deleted = deleted.map(|keys| (Arc::clone(relation), Effect::Delete, keys));
    let others = late.into_iter().chain(letters).chain(beside.rows.iter().cloned());
    let others = others.map(|(table, rows)| (table, Effect::Insert, rows));
    let rows =
        rows.chain(deleted).chain(others).map(|(table, effect, rows)| Rows { table, effect, batches: vec![rows] });
    let rows = rows.chain(noted).collect();
    let position = |(name, value): &(String, i64)| (relation.oid, name.clone(), *value);
    let positions = beside.positions.iter().map(position).collect();
    let key = claimed.map(|claimed| (claimed, i64::try_from(accepted.dead_letters).unwrap_or(i64::MAX)));
    let addition = Addition { rows, positions, key, events, rights };
    accepted.lsn = engine.buffer().add(addition, Durability::Synced).await?.0;
    engine.buffer().metrics().add(Counter::LateRows, accepted.late_rows);
    engine.buffer().metrics().add(Counter::FutureRows, accepted.future_rows);
    tell(relation, &accepted, refused.first().map(|letter| letter.reason.as_str()));
    Ok(accepted)
}

/// Nothing is left out without a word.
fn tell(relation: &RelationDef, accepted: &Accepted, first_reason: Option<&str>) {
    let Accepted { rows, late_rows, future_rows, dead_letters, ignored_fields, .. } = accepted;
    if let Some(reason) = first_reason {
        tracing::warn!(table = %relation.name, rows, dead_letters, reason, "records could not be stored");
    }
    if *late_rows > 0 || *future_rows > 0 {
        tracing::debug!(table = %relation.name, rows, late_rows, future_rows, "rows came late, or are ahead of the clock");
    }
    if !ignored_fields.is_empty() {
        let fields = ignored_fields.keys().cloned().collect::<Vec<_>>().join(", ");
        tracing::info!(table = %relation.name, fields, "fields have no column and were ignored");
    }
}
