//! The tail of a table: changes that are acknowledged and that no file holds yet.
//!
//! A tail is immutable: who appends to it or flushes it makes the next one. Small chunks are put together as they come,
//! the last ones by their sizes, so that an append copies each row a logarithmic number of times and a reader meets few
//! chunks. [`Tail::sealed`] freezes what a flush is about to write, so no later row gets into it. Rows may come with keys
//! whose older rows do not count any more: those in older chunks are marked as gone at once, those in files are for the reader
//! to leave out and for the flush to delete ([`Tail::keys`]). Invariant: chunks lie in the order of their changes.

use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, GenericByteViewArray, RecordBatch,
    RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::{
    CastOptions, cast_with_options, concat_batches, filter_record_batch, interleave_record_batch, take,
};
use arrow::datatypes::{ByteViewType, DataType, FieldRef, SchemaRef};
use arrow::row::Rows;

use super::primary_key::{KeyIndex, encoded};
use crate::error::Result;
use crate::log::Lsn;

mod facts;

pub use facts::ColumnFacts;

use facts::Facts;

/// Chunks of more rows are not put together any more.
const CHUNK_ROWS_MAX: usize = 1 << 16;

/// Changes that no file holds yet.
#[derive(Clone, Default)]
pub struct Tail {
    chunks: Vec<Held>,
    /// So many chunks, the first ones, stay as they are.
    sealed: usize,
}

/// What a tail has of keys.
pub struct Found {
    /// The rows that have one of them, if any has.
    pub rows: Option<RecordBatch>,
    /// For each row, which of the keys it has.
    pub of: Vec<usize>,
    /// For each key, true where rows in files with it do not count any more.
    pub covers: Vec<bool>,
}

/// A chunk, as this tail has it.
#[derive(Clone)]
struct Held {
    chunk: Arc<Chunk>,
    /// False for rows that a later chunk has replaced or deleted; nothing where all rows count.
    counts: Option<BooleanArray>,
}

/// Rows of consecutive changes.
struct Chunk {
    /// The oldest and the newest of the changes.
    changes: (Lsn, Lsn),
    /// When these came, in milliseconds since 1970.
    came_ms: (i64, i64),
    rows: RecordBatch,
    /// Keys, each once, whose rows in older chunks and in files do not count any more.
    keys: Option<RecordBatch>,
    bytes: usize,
    facts: Facts,
    /// The rows by key, once somebody has asked.
    index: OnceLock<KeyIndex>,
    /// The keys, once somebody has looked for one of them.
    gone: OnceLock<KeyIndex>,
}

impl Chunk {
    fn new(changes: (Lsn, Lsn), came_ms: (i64, i64), rows: &RecordBatch, keys: Option<&RecordBatch>) -> Result<Self> {
        let rows = compact(rows)?;
        let keys = keys.map(compact).transpose()?;
        let keys_bytes = keys.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        let (bytes, facts) = (rows.get_array_memory_size() + keys_bytes, Facts::unknown(rows.num_columns()));
        Ok(Self { changes, came_ms, rows, keys, bytes, facts, index: OnceLock::new(), gone: OnceLock::new() })
    }

    /// True where two chunks are better one: neither is large, and the later one is not much smaller.
    fn takes(&self, next: &Self) -> bool {
        let (size, more) = (self.size(), next.size());
        size + more <= CHUNK_ROWS_MAX && size <= more * 2
    }

    fn size(&self) -> usize {
        self.rows.num_rows().max(self.keys.as_ref().map_or(0, RecordBatch::num_rows))
    }

    /// The rows by the columns of `key`.
    fn index(&self, key: &SchemaRef) -> Result<&KeyIndex> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = KeyIndex::of(conformed(&self.rows, key)?.columns())?;
        Ok(self.index.get_or_init(|| index))
    }

    /// The keys whose rows in files do not count any more, if there are any.
    fn gone(&self) -> Result<Option<&KeyIndex>> {
        let Some(keys) = &self.keys else { return Ok(None) };
        if let Some(index) = self.gone.get() {
            return Ok(Some(index));
        }
        let index = KeyIndex::of(keys.columns())?;
        Ok(Some(self.gone.get_or_init(|| index)))
    }

    /// The memory of both indexes.
    fn index_bytes(&self) -> usize {
        [&self.index, &self.gone].iter().filter_map(|index| index.get()).map(KeyIndex::bytes).sum()
    }

    /// This chunk and the next one as one.
    fn joined(before: &Held, next: &Self) -> Result<Self> {
        let (first, rows) = (&before.chunk, before.rows()?);
        let rows = concat_batches(rows.schema_ref(), [&rows, &next.rows])?;
        let keys = match (&first.keys, &next.keys) {
            (Some(first), Some(next)) => {
                let others = filter_record_batch(first, &KeyIndex::of(next.columns())?.lacks(first.columns())?)?;
                Some(concat_batches(next.schema_ref(), [&others, next])?)
            }
            (first, next) => first.as_ref().or(next.as_ref()).cloned(),
        };
        let changes = (first.changes.0, next.changes.1);
        Self::new(changes, (first.came_ms.0, next.came_ms.1), &rows, keys.as_ref())
    }
}

impl Held {
    /// The rows that count.
    fn rows(&self) -> Result<RecordBatch> {
        Ok(match &self.counts {
            None => self.chunk.rows.clone(),
            Some(counts) => filter_record_batch(&self.chunk.rows, counts)?,
        })
    }

    fn count(&self) -> usize {
        self.counts.as_ref().map_or(self.chunk.rows.num_rows(), BooleanArray::true_count)
    }

    /// Without the rows that have one of these keys.
    fn without(&self, key: &SchemaRef, keys: &Rows) -> Result<Self> {
        if self.chunk.rows.num_rows() == 0 {
            return Ok(self.clone());
        }
        let index = self.chunk.index(key)?;
        let mut gone = keys.iter().flat_map(|key| index.places(key)).peekable();
        if gone.peek().is_none() {
            return Ok(self.clone());
        }
        let mut counts = BooleanBufferBuilder::new(self.chunk.rows.num_rows());
        match &self.counts {
            None => counts.append_n(self.chunk.rows.num_rows(), true),
            Some(before) => counts.append_buffer(before.values()),
        }
        gone.for_each(|at| counts.set_bit(at, false));
        Ok(Self { chunk: Arc::clone(&self.chunk), counts: Some(BooleanArray::new(counts.finish(), None)) })
    }
}

impl Tail {
    /// With the rows of more changes, the newest of all, by the oldest and the newest of them.
    pub fn inserted(&self, changes: (Lsn, Lsn), now_ms: i64, rows: &RecordBatch) -> Result<Self> {
        self.changed(Chunk::new(changes, (now_ms, now_ms), rows, None)?)
    }

    /// As [`Tail::inserted`]; the rows take the place of all older ones with their keys. Of several with one key, the last counts.
    pub fn replaced(&self, changes: (Lsn, Lsn), now_ms: i64, rows: &RecordBatch, keys: RecordBatch) -> Result<Self> {
        let last = KeyIndex::of(keys.columns())?.last_of_each();
        let (rows, keys) = match last {
            None => (rows.clone(), keys),
            Some(last) => (filter_record_batch(rows, &last)?, filter_record_batch(&keys, &last)?),
        };
        self.changed(Chunk::new(changes, (now_ms, now_ms), &rows, Some(&keys))?)
    }

    /// Without the rows that have one of these keys; `schema` is that of rows.
    pub fn deleted(&self, changes: (Lsn, Lsn), now_ms: i64, schema: &SchemaRef, keys: RecordBatch) -> Result<Self> {
        let keys = match KeyIndex::of(keys.columns())?.last_of_each() {
            None => keys,
            Some(last) => filter_record_batch(&keys, &last)?,
        };
        let none = RecordBatch::new_empty(Arc::clone(schema));
        self.changed(Chunk::new(changes, (now_ms, now_ms), &none, Some(&keys))?)
    }

    fn changed(&self, mut last: Chunk) -> Result<Self> {
        let mut chunks = self.chunks.clone();
        if let Some(keys) = &last.keys {
            let (key, keys) = (keys.schema(), encoded(keys.columns())?);
            for held in &mut chunks {
                *held = held.without(&key, &keys)?;
            }
        }
        while chunks.len() > self.sealed
            && let Some(before) = chunks.pop_if(|before| before.chunk.takes(&last))
        {
            last = Chunk::joined(&before, &last)?;
        }
        chunks.push(Held { chunk: Arc::new(last), counts: None });
        Ok(Self { chunks, sealed: self.sealed })
    }

    /// The same rows, none of which is put together with later ones.
    #[must_use]
    pub fn sealed(&self) -> Self {
        Self { chunks: self.chunks.clone(), sealed: self.chunks.len() }
    }

    /// Without what changes up to `lsn` have brought, which lies in files now.
    #[must_use]
    pub fn after(&self, lsn: Lsn) -> Self {
        let gone = self.chunks.partition_point(|held| held.chunk.changes.1 <= lsn);
        Self { chunks: self.chunks[gone..].to_vec(), sealed: self.sealed.saturating_sub(gone) }
    }

    /// The same rows under other columns, for a table whose columns another program has changed.
    pub fn conformed(&self, schema: &SchemaRef) -> Result<Self> {
        let conform = |held: &Held| {
            let Chunk { changes, came_ms, keys, .. } = held.chunk.as_ref();
            let of_key = |keys: &RecordBatch| {
                let names: Vec<String> = keys.schema().fields().iter().map(|field| field.name().clone()).collect();
                conformed(keys, &super::primary_key::schema(schema, &names)?)
            };
            let keys = keys.as_ref().map(of_key).transpose()?;
            let chunk = Chunk::new(*changes, *came_ms, &conformed(&held.rows()?, schema)?, keys.as_ref())?;
            Ok(Held { chunk: Arc::new(chunk), counts: None })
        };
        let chunks = self.chunks.iter().map(conform).collect::<Result<_>>()?;
        Ok(Self { chunks, sealed: self.sealed })
    }

    /// Looks keys up, each of them once, with the columns of the table's primary key.
    pub fn find(&self, keys: &RecordBatch) -> Result<Found> {
        let (schema, encoded) = (keys.schema(), encoded(keys.columns())?);
        let (mut of, mut places, mut covers) = (Vec::new(), Vec::new(), vec![false; keys.num_rows()]);
        for (at, held) in self.chunks.iter().enumerate() {
            let index = held.chunk.index(&schema)?;
            let gone = held.chunk.gone()?;
            for (number, key) in encoded.iter().enumerate() {
                for row in index.places(key).filter(|row| held.counts.as_ref().is_none_or(|counts| counts.value(*row)))
                {
                    of.push(number);
                    places.push((at, row));
                }
                covers[number] |= gone.is_some_and(|gone| gone.places(key).next().is_some());
            }
        }
        let batches: Vec<&RecordBatch> = self.chunks.iter().map(|held| &held.chunk.rows).collect();
        let rows = if places.is_empty() { None } else { Some(interleave_record_batch(&batches, &places)?) };
        Ok(Found { rows, of, covers })
    }

    /// The rows, in the order of their changes.
    pub fn batches(&self) -> Result<Vec<RecordBatch>> {
        self.chunks.iter().map(Held::rows).collect()
    }

    /// The keys whose rows in files do not count any more, some of them more than once; nothing where there are none.
    pub fn keys(&self) -> Result<Option<RecordBatch>> {
        let keys: Vec<&RecordBatch> = self.chunks.iter().filter_map(|held| held.chunk.keys.as_ref()).collect();
        let Some(first) = keys.first() else { return Ok(None) };
        Ok(Some(concat_batches(first.schema_ref(), keys.iter().copied())?))
    }

    /// True where there are [`Tail::keys`].
    pub fn has_keys(&self) -> bool {
        self.chunks.iter().any(|held| held.chunk.keys.is_some())
    }

    /// What is known of a column, chunk by chunk with its rows, those that do not count any more among them.
    pub fn facts(&self, column: usize) -> impl Iterator<Item = (usize, &ColumnFacts)> {
        self.chunks.iter().map(move |held| (held.chunk.rows.num_rows(), held.chunk.facts.get(&held.chunk.rows, column)))
    }

    /// True without changes.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The oldest change.
    pub fn first(&self) -> Option<Lsn> {
        self.chunks.first().map(|held| held.chunk.changes.0)
    }

    /// The newest change.
    pub fn last(&self) -> Option<Lsn> {
        self.chunks.last().map(|held| held.chunk.changes.1)
    }

    /// When the oldest row came, in milliseconds since 1970.
    pub fn since_ms(&self) -> Option<i64> {
        self.chunks.first().map(|held| held.chunk.came_ms.0)
    }

    /// When the newest row came, in milliseconds since 1970.
    pub fn until_ms(&self) -> Option<i64> {
        self.chunks.last().map(|held| held.chunk.came_ms.1)
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(Held::count).sum()
    }

    /// The memory they take.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(|held| held.chunk.bytes + held.chunk.index_bytes()).sum()
    }
}

/// Rows with exactly these columns, found by name: those that are missing are null.
pub(super) fn conformed(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if Arc::ptr_eq(rows.schema_ref(), schema) {
        return Ok(rows.clone());
    }
    let column = |field: &FieldRef| match rows.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => {
            cast_with_options(column, field.data_type(), &CastOptions { safe: false, ..Default::default() })
        }
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns: Vec<ArrayRef> = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// All rows, in their order, with exactly these columns.
pub(super) fn joined(rows: &[&RecordBatch], schema: &SchemaRef) -> Result<RecordBatch> {
    match rows {
        [one] => conformed(one, schema),
        many => {
            let many: Vec<RecordBatch> = many.iter().map(|rows| conformed(rows, schema)).collect::<Result<_>>()?;
            Ok(concat_batches(schema, &many)?)
        }
    }
}

/// The rows without memory that is not theirs: a slice, or a text of a filtered batch, keeps all of the whole.
fn compact(rows: &RecordBatch) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = rows.columns().iter().map(compacted).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(rows.schema(), columns, &options)?)
}

fn compacted(column: &ArrayRef) -> Result<ArrayRef> {
    let data = column.to_data();
    let is_part = data.get_slice_memory_size()? * 2 < data.get_buffer_memory_size();
    let column = match is_part && !matches!(column.data_type(), DataType::Utf8View | DataType::BinaryView) {
        true => take(column, &UInt32Array::from_iter_values(0..column.len() as u32), None)?,
        false => Arc::clone(column),
    };
    Ok(match column.data_type() {
        DataType::Utf8View => compacted_views(column.as_string_view()),
        DataType::BinaryView => compacted_views(column.as_binary_view()),
        _ => column,
    })
}

fn compacted_views<T: ByteViewType>(views: &GenericByteViewArray<T>) -> ArrayRef {
    let held: usize = views.data_buffers().iter().map(|buffer| buffer.len()).sum();
    let is_loose = views.data_buffers().len() > 1 || held > 2 * views.total_buffer_bytes_used();
    Arc::new(if is_loose { views.gc() } else { views.clone() })
}

#[cfg(test)]
mod tests;
