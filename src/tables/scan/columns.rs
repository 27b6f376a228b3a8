//! Where each column of a scan comes from: the files, the partition values, the file's own path, or the row's place in it.
//!
//! A table's columns stand in their declared order; a native Parquet scan puts the columns of the files first and the
//! partition values after them. Everything that speaks to DataFusion's scan uses the second order, everything else the first.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::table_schema::TableSchema;
use parquet::arrow::RowNumber;

use super::index::{ColumnIndex, FileIndex};

/// The columns of one scan.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// In declared order, the file's and the row's last.
    pub schema: SchemaRef,
    /// Per column of `schema`.
    pub sources: Arc<[Source]>,
    /// Columns of the files, then partition values, then the file's and the row's.
    pub scan: TableSchema,
    /// Where each column of `schema` is in `scan`.
    pub places: Arc<[usize]>,
}

/// Where a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Data,
    /// The n-th partition column.
    Partition(usize),
    /// The path of the file.
    Path,
    /// The row's place in its file, from 0.
    Row,
}

/// The names of two more columns, which tell rows apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceColumns<'a> {
    pub file: &'a str,
    pub row: &'a str,
}

impl Source {
    /// True for a column that is one value a file.
    pub fn is_constant(self) -> bool {
        matches!(self, Self::Partition(_) | Self::Path)
    }
}

impl Columns {
    pub fn new(table: &SchemaRef, partition_columns: &[String], places: Option<PlaceColumns<'_>>) -> Self {
        let mut fields: Vec<FieldRef> = table.fields().iter().cloned().collect();
        let source = |field: &FieldRef| match partition_columns.iter().position(|name| name == field.name()) {
            Some(at) => Source::Partition(at),
            None => Source::Data,
        };
        let mut sources: Vec<Source> = fields.iter().map(source).collect();
        if let Some(PlaceColumns { file, row }) = places {
            fields.push(Arc::new(Field::new(file, DataType::Utf8, false)));
            fields.push(Arc::new(Field::new(row, DataType::Int64, false).with_extension_type(RowNumber)));
            sources.extend([Source::Path, Source::Row]);
        }
        let order = scan_order(&sources, partition_columns.len());
        let data = sources.iter().filter(|source| **source == Source::Data).count();
        let ordered: Vec<FieldRef> = order.iter().map(|at| Arc::clone(&fields[*at])).collect();
        let file_schema = Arc::new(Schema::new_with_metadata(ordered[..data].to_vec(), table.metadata().clone()));
        let constant = sources.iter().filter(|source| source.is_constant()).count();
        let scan = TableSchema::builder(file_schema)
            .with_table_partition_cols(ordered[data..data + constant].to_vec())
            .with_virtual_columns(ordered[data + constant..].to_vec())
            .build();
        let mut places = vec![0; fields.len()];
        for (place, at) in order.into_iter().enumerate() {
            places[at] = place;
        }
        let schema = Arc::new(Schema::new_with_metadata(fields, table.metadata().clone()));
        Self { schema, sources: sources.into(), scan, places: places.into() }
    }

    /// The columns that are one value a file.
    pub fn constant_names(&self) -> Vec<&str> {
        let constant = |(_, source): &(&FieldRef, &Source)| source.is_constant();
        self.schema
            .fields()
            .iter()
            .zip(self.sources.iter())
            .filter(constant)
            .map(|(field, _)| field.name().as_str())
            .collect()
    }

    /// The statistics of the `at`-th column of `schema`; none for the file's and the row's.
    pub fn index(&self, index: &FileIndex, at: usize) -> Result<Option<Arc<ColumnIndex>>> {
        let field = self.schema.field(at);
        match self.sources[at] {
            Source::Data => index.data_column(field).map(Some),
            Source::Partition(partition) => index.partition_column(field, partition).map(Some),
            Source::Path | Source::Row => Ok(None),
        }
    }

    /// The values, one a file, of the `at`-th column, which must be constant within a file.
    pub fn constants(&self, index: &FileIndex, at: usize) -> Result<ArrayRef> {
        match self.index(index, at)? {
            Some(column) => Ok(Arc::clone(&column.min)),
            None => Ok(Arc::new(index.files().iter().map(|file| Some(file.path.as_str())).collect::<StringArray>())),
        }
    }
}

/// The columns of a table in the order of the scan.
fn scan_order(sources: &[Source], partitions: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|at| match sources[*at] {
        Source::Data => (0, *at),
        Source::Partition(partition) => (1, partition),
        Source::Path => (1, partitions),
        Source::Row => (2, 0),
    });
    order
}
