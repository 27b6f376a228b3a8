//! Readers that do not believe a Parquet file's bounds of floating-point columns.
//!
//! Parquet leaves NaN out of a row group's minimum and maximum, but for PostgreSQL and DataFusion NaN is greater than every
//! number: a row group with the maximum 1 may well hold a row for which `x > 5`. Where a file's own statistics in the log do
//! not rule NaN out, the bounds of its footer are dropped, so that no row group or page is skipped by them.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

/// Makes readers that drop the bounds of some columns.
#[derive(Debug)]
pub(super) struct WaryReaders {
    pub inner: Arc<dyn ParquetFileReaderFactory>,
    pub columns: Arc<HashSet<String>>,
}

impl ParquetFileReaderFactory for WaryReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let inner = self.inner.create_reader(partition, file, size_hint, metrics)?;
        Ok(Box::new(WaryReader { inner, columns: Arc::clone(&self.columns) }))
    }
}

struct WaryReader {
    inner: Box<dyn AsyncFileReader + Send>,
    columns: Arc<HashSet<String>>,
}

impl AsyncFileReader for WaryReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let columns = Arc::clone(&self.columns);
        self.inner.get_metadata(options).map(move |read| without_bounds(&read?, &columns)).boxed()
    }
}

fn without_bounds(metadata: &Arc<ParquetMetaData>, columns: &HashSet<String>) -> ParquetResult<Arc<ParquetMetaData>> {
    let hidden =
        |column: &ColumnChunkMetaData| matches!(column.column_path().parts(), [name] if columns.contains(name));
    if !metadata.row_groups().iter().any(|group| group.columns().iter().any(hidden)) {
        return Ok(Arc::clone(metadata));
    }
    let index = metadata.column_index().map(|index| {
        let group = |(group, pages): (&RowGroupMetaData, &Vec<ColumnIndexMetaData>)| {
            let page = |(column, page): (&ColumnChunkMetaData, &ColumnIndexMetaData)| {
                if hidden(column) { ColumnIndexMetaData::NONE } else { page.clone() }
            };
            group.columns().iter().zip(pages).map(page).collect::<Vec<_>>()
        };
        metadata.row_groups().iter().zip(index).map(group).collect::<Vec<_>>()
    });
    let strip = |column: &ColumnChunkMetaData| match hidden(column) {
        false => Ok(column.clone()),
        true => {
            let bare = column.clone().into_builder().clear_statistics();
            bare.set_column_index_offset(None).set_column_index_length(None).build()
        }
    };
    let groups = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().map(strip).collect::<ParquetResult<Vec<_>>>()?;
        group.clone().into_builder().set_column_metadata(columns).build()
    });
    let groups = groups.collect::<ParquetResult<Vec<_>>>()?;
    let builder = ParquetMetaData::clone(metadata).into_builder();
    Ok(Arc::new(builder.set_row_groups(groups).set_column_index(index).build()))
}
