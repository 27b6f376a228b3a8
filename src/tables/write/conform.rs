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
    source: Vec<usize>,
}

impl Conform {
    /// Columns are found by name. One that the stream lacks is an error, as is one too many: whoever writes rows knows
    /// all columns, or goes by a definition that is no longer the table's.
    pub fn new(snapshot: &Snapshot, stream: &Schema) -> Result<Self> {
        let schema = Arc::clone(snapshot.arrow_schema());
        if let Some(unknown) = stream.fields().iter().find(|field| schema.index_of(field.name()).is_err()) {
            let message = format!("column \"{}\" is not in the table at \"{}\"", unknown.name(), snapshot.location());
            return Err(Error::new(ErrorKind::UndefinedColumn, message));
        }
        let place = |name: &String| {
            let lacks = || format!("rows for the table at \"{}\" lack column \"{name}\"", snapshot.location());
            stream.index_of(name).map_err(|_| Error::internal(lacks()))
        };
        let source = schema.fields().iter().map(|field| place(field.name())).collect::<Result<_>>()?;
        Ok(Self { schema, source })
    }

    /// The batch with the table's columns, partition columns included.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().zip(&self.source).map(|(field, source)| {
            let column = batch.column(*source);
            let column = match column.data_type() == field.data_type() {
                true => Arc::clone(column),
                false => cast(column, field.data_type())?,
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
