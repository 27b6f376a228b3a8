//! Which proposed rows go in, decided one after the other: rows of one statement may share a key, too.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::row::{Row, Rows};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use roaring::RoaringTreemap;
use tokio_util::sync::CancellationToken;

use crate::buffer::encoded_keys;
use crate::engine::Engine;
use crate::engine::conflict::clause::{Conflict, ConflictAction};
use crate::error::{Error, ErrorKind, Result};

impl Engine {
    /// The numbers of the rows in `batches` that go in: not those whose key is `present` in the table, nor those whose key
    /// a row before them has that goes in. With DO UPDATE the latter is an error, also when the row before them is `changing`
    /// the present one.
    pub(super) async fn newcomers(
        &self,
        conflict: &Conflict,
        batches: &[RecordBatch],
        present: &RoaringTreemap,
        changing: &RoaringTreemap,
        cancel: &CancellationToken,
    ) -> Result<RoaringTreemap> {
        let memory = MemoryConsumer::new("keys of ON CONFLICT").register(&self.runtime().memory_pool);
        let keys: Vec<Vec<Keys>> =
            conflict.keys.iter().map(|columns| Keys::of(columns, batches, &memory)).collect::<Result<_>>()?;
        let mut taken: Vec<HashSet<Row<'_>>> = vec![HashSet::new(); keys.len()];
        let (mut new, mut number) = (RoaringTreemap::new(), 0);
        for (at, batch) in batches.iter().enumerate() {
            for row in 0..batch.num_rows() {
                let mut own = keys.iter().zip(&taken).filter_map(|(keys, taken)| Some((keys[at].get(row)?, taken)));
                let repeats = own.any(|(key, taken)| taken.contains(&key));
                let is_present = present.contains(number);
                if repeats && matches!(conflict.action, ConflictAction::Update(_)) {
                    return Err(second_time());
                }
                if !repeats && (!is_present || changing.contains(number)) {
                    for (keys, taken) in keys.iter().zip(&mut taken) {
                        taken.extend(keys[at].get(row));
                    }
                    if !is_present {
                        new.insert(number);
                    }
                }
                number += 1;
            }
            if cancel.is_cancelled() {
                return Err(Error::canceled());
            }
            tokio::task::yield_now().await;
        }
        Ok(new)
    }
}

/// The values of a key's columns in one batch, as bytes that can be compared.
struct Keys {
    rows: Rows,
    nulls: Option<NullBuffer>,
}

impl Keys {
    /// One for each batch.
    fn of(columns: &[String], batches: &[RecordBatch], memory: &MemoryReservation) -> Result<Vec<Self>> {
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        let positions: Vec<usize> =
            columns.iter().map(|column| first.schema_ref().index_of(column)).collect::<Result<_, _>>()?;
        let of_batch = |batch: &RecordBatch| {
            let columns: Vec<ArrayRef> = positions.iter().map(|at| Arc::clone(batch.column(*at))).collect();
            let rows = encoded_keys(&columns)?;
            memory.try_grow(rows.size() + 2 * batch.num_rows() * size_of::<Row<'_>>())?;
            let nulls = columns
                .iter()
                .fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref()));
            Ok(Self { rows, nulls })
        };
        batches.iter().map(of_batch).collect()
    }

    /// The key of a row; one with a NULL in it is nobody else's.
    fn get(&self, row: usize) -> Option<Row<'_>> {
        let is_whole = self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        is_whole.then(|| self.rows.row(row))
    }
}

fn second_time() -> Error {
    Error::new(ErrorKind::CardinalityViolation, "ON CONFLICT DO UPDATE command cannot affect row a second time")
        .hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
}
