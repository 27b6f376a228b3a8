//! Small results of text that a statement makes by itself: SHOW, DESCRIBE, OPTIMIZE.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_plan::memory::MemoryStream;

use crate::catalog::pg_type::PgType;
use crate::error::Result;
use crate::session::reply::{Column, Reply, Rows, RowsTag};

/// A result of text columns, row by row.
pub(super) struct TextRows {
    names: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl TextRows {
    pub(super) fn new(names: &[impl AsRef<str>]) -> Self {
        Self { names: names.iter().map(|name| name.as_ref().to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row with one value a column.
    pub(super) fn row(mut self, values: &[Option<String>]) -> Self {
        self.rows.push(values.to_vec());
        self
    }

    /// The columns as clients see them.
    pub(super) fn columns(&self) -> Arc<[Column]> {
        let column = |name: &String| Column { name: name.clone(), pg_type: PgType::Text, relation: None, number: 0 };
        self.names.iter().map(column).collect()
    }

    /// The answer of SHOW.
    pub(super) fn show(self) -> Result<Reply> {
        self.reply(RowsTag::Show)
    }

    /// The answer with its tag.
    pub(super) fn reply(self, tag: RowsTag) -> Result<Reply> {
        let schema = Arc::new(Schema::new(
            self.names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>(),
        ));
        let columns: Vec<ArrayRef> = (0..self.names.len())
            .map(|column| {
                let values: StringArray = self.rows.iter().map(|row| row.get(column).cloned().flatten()).collect();
                Arc::new(values) as ArrayRef
            })
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let shown = self.columns();
        Ok(Reply::Rows(Rows {
            columns: shown,
            stream: Box::pin(MemoryStream::try_new(vec![batch], schema, None)?),
            tag,
        }))
    }
}
