//! The tail of a table: rows that are acknowledged and that no file holds yet.
//!
//! A tail is immutable: who appends to it or flushes it makes the next one. Small chunks are put together as they come,
//! the last ones by their sizes, so that an append copies each row a logarithmic number of times and a reader meets few
//! chunks. [`Tail::sealed`] freezes what a flush is about to write, so no later row gets into it. Invariant: chunks lie in
//! the order of their changes.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericByteViewArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, concat_batches, take};
use arrow::datatypes::{ByteViewType, DataType, FieldRef, SchemaRef};

use crate::error::Result;
use crate::log::Lsn;

mod facts;

pub use facts::ColumnFacts;

use facts::Facts;

/// Chunks of more rows are not put together any more.
const CHUNK_ROWS_MAX: usize = 1 << 16;

/// Rows that no file holds yet.
#[derive(Clone, Default)]
pub struct Tail {
    chunks: Vec<Arc<Chunk>>,
    /// So many chunks, the first ones, stay as they are.
    sealed: usize,
}

/// Rows of consecutive changes.
pub struct Chunk {
    /// The oldest of the changes.
    pub first: Lsn,
    /// The newest of the changes.
    pub last: Lsn,
    /// When the oldest and the newest of them came, in milliseconds since 1970.
    pub came_ms: (i64, i64),
    pub rows: RecordBatch,
    bytes: usize,
    facts: Facts,
}

impl Chunk {
    fn new(changes: (Lsn, Lsn), came_ms: (i64, i64), rows: &RecordBatch) -> Result<Self> {
        let rows = compact(rows)?;
        let (bytes, facts) = (rows.get_array_memory_size(), Facts::unknown(rows.num_columns()));
        Ok(Self { first: changes.0, last: changes.1, came_ms, rows, bytes, facts })
    }

    /// What is known of a column.
    pub fn facts(&self, column: usize) -> &ColumnFacts {
        self.facts.get(&self.rows, column)
    }

    /// True where two chunks are better one: neither is large, and the later one is not much smaller.
    fn takes(&self, next: &Self) -> bool {
        let (rows, more) = (self.rows.num_rows(), next.rows.num_rows());
        rows + more <= CHUNK_ROWS_MAX && rows <= more * 2
    }
}

impl Tail {
    /// With the rows of one more change, the newest of all.
    pub fn appended(&self, lsn: Lsn, now_ms: i64, rows: &RecordBatch) -> Result<Self> {
        let mut chunks = self.chunks.clone();
        let mut last = Chunk::new((lsn, lsn), (now_ms, now_ms), rows)?;
        while chunks.len() > self.sealed
            && let Some(before) = chunks.pop_if(|before| before.takes(&last))
        {
            let rows = concat_batches(before.rows.schema_ref(), [&before.rows, &last.rows])?;
            last = Chunk::new((before.first, last.last), (before.came_ms.0, last.came_ms.1), &rows)?;
        }
        chunks.push(Arc::new(last));
        Ok(Self { chunks, sealed: self.sealed })
    }

    /// The same rows, none of which is put together with later ones.
    #[must_use]
    pub fn sealed(&self) -> Self {
        Self { chunks: self.chunks.clone(), sealed: self.chunks.len() }
    }

    /// Without what changes up to `lsn` have added, which lies in files now.
    #[must_use]
    pub fn after(&self, lsn: Lsn) -> Self {
        let gone = self.chunks.partition_point(|chunk| chunk.last <= lsn);
        Self { chunks: self.chunks[gone..].to_vec(), sealed: self.sealed.saturating_sub(gone) }
    }

    /// The same rows under other columns, for a table whose columns another program has changed.
    pub fn conformed(&self, schema: &SchemaRef) -> Result<Self> {
        let conform = |chunk: &Arc<Chunk>| {
            let rows = conformed(&chunk.rows, schema)?;
            Chunk::new((chunk.first, chunk.last), chunk.came_ms, &rows).map(Arc::new)
        };
        let chunks = self.chunks.iter().map(conform).collect::<Result<_>>()?;
        Ok(Self { chunks, sealed: self.sealed })
    }

    /// The rows, in the order of their changes.
    pub fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The oldest change.
    pub fn first(&self) -> Option<Lsn> {
        self.chunks.first().map(|chunk| chunk.first)
    }

    /// The newest change.
    pub fn last(&self) -> Option<Lsn> {
        self.chunks.last().map(|chunk| chunk.last)
    }

    /// When the oldest row came, in milliseconds since 1970.
    pub fn since_ms(&self) -> Option<i64> {
        self.chunks.first().map(|chunk| chunk.came_ms.0)
    }

    /// When the newest row came, in milliseconds since 1970.
    pub fn until_ms(&self) -> Option<i64> {
        self.chunks.last().map(|chunk| chunk.came_ms.1)
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.rows.num_rows()).sum()
    }

    /// The memory they take.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }
}

/// Rows with exactly these columns, found by name: those that are missing are null.
pub(super) fn conformed(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
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
