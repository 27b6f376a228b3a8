//! Batches given the table's own columns: order, types, NOT NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};

use crate::error::{Error, ErrorKind, Result};
use crate::tables::snapshot::Snapshot;

/// From the columns of a stream to those of a table.
pub(super) struct Conform {
    schema: SchemaRef,
    /// Where each column of the table is in the stream.
    source: Vec<Option<usize>>,
}

impl Conform {
    /// Columns are found by name; one that the stream lacks is NULL, one too many is an error.
    pub fn new(snapshot: &Snapshot, stream: &Schema) -> Result<Self> {
        let schema = Arc::clone(snapshot.arrow_schema());
        if let Some(unknown) = stream.fields().iter().find(|field| schema.index_of(field.name()).is_err()) {
            let message = format!("column \"{}\" is not in the table at \"{}\"", unknown.name(), snapshot.location());
            return Err(Error::new(ErrorKind::UndefinedColumn, message));
        }
        let source = schema.fields().iter().map(|field| stream.index_of(field.name()).ok()).collect();
        Ok(Self { schema, source })
    }

    /// The batch with the table's columns, partition columns included.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().zip(&self.source).map(|(field, source)| {
            let column = match source {
                Some(at) if batch.column(*at).data_type() == field.data_type() => Arc::clone(batch.column(*at)),
                Some(at) => cast(batch.column(*at), field.data_type())?,
                None => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
            };
            match field.is_nullable() || !has_null(&column) {
                true => Ok(column),
                false => Err(Error::new(
                    ErrorKind::NotNullViolation,
                    format!("null value in column \"{}\" violates not-null constraint", field.name()),
                )),
            }
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn has_null(column: &ArrayRef) -> bool {
    column.logical_null_count() > 0
}
