//! A Parquet file: its batches, handed on as an Arrow stream.

use std::ops::Range;
use std::sync::Arc;

use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::{Piece, store_error};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::sources::options::Limits;
use crate::ingest::{Format, Payload};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8192;

/// A Parquet file that is open.
pub(super) struct ColumnsFile {
    batches: ParquetRecordBatchStream<Reader>,
    limits: Limits,
    source: Arc<str>,
}

/// Reads one version of a file.
struct Reader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    version: Option<String>,
}

impl ColumnsFile {
    /// Opens a file of which so many rows are stored.
    pub async fn open(store: &Arc<dyn ObjectStore>, file: &ObjectMeta, stored: u64, limits: Limits) -> Result<Self> {
        let (store, path, version) = (Arc::clone(store), file.location.clone(), file.e_tag.clone());
        let reader = Reader { store, path, size: file.size, version };
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(read_error)?;
        let rows = usize::try_from(stored).unwrap_or(usize::MAX);
        let batches = builder.with_batch_size(BATCH_ROWS).with_offset(rows).build().map_err(read_error)?;
        Ok(Self { batches, limits, source: file.location.as_ref().into() })
    }

    /// The next piece; `before` rows came earlier.
    pub async fn next(&mut self, before: u64) -> Result<Piece> {
        let mut stream = StreamWriter::try_new(Vec::new(), self.batches.schema())?;
        let (mut records, mut bytes, mut is_last) = (0, 0, false);
        while bytes < self.limits.bytes && records < self.limits.rows && !is_last {
            match self.batches.next().await.transpose().map_err(read_error)? {
                None => is_last = true,
                Some(batch) => {
                    records += batch.num_rows() as u64;
                    bytes += batch.get_array_memory_size();
                    stream.write(&batch)?;
                }
            }
        }
        let bytes = if records > 0 { stream.into_inner()?.into() } else { Bytes::new() };
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let payload =
            Payload { bytes, is_key: false, raw: None, place: None, before, source: Arc::clone(&self.source) };
        Ok(Piece { format: Format::ArrowStream, payload, refused: Vec::new(), records, is_last })
    }
}

impl Reader {
    async fn get(&self, range: Range<u64>) -> ParquetResult<Bytes> {
        let range = Some(GetRange::Bounded(range));
        let options = GetOptions { if_match: self.version.clone(), range, ..GetOptions::default() };
        let got =
            self.store.get_opts(&self.path, options).await.map_err(|error| ParquetError::External(Box::new(error)))?;
        got.bytes().await.map_err(|error| ParquetError::External(Box::new(error)))
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        Box::pin(self.get(range))
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        Box::pin(async move {
            let size = self.size;
            ParquetMetaDataReader::new().load_and_finish(self, size).await.map(Arc::new)
        })
    }
}

fn read_error(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<object_store::Error>() {
            Ok(error) => store_error(*error),
            Err(inner) => Error::new(ErrorKind::IoError, inner.to_string()),
        },
        error => Error::new(ErrorKind::DataCorrupted, format!("not a Parquet file that can be read: {error}")),
    }
}
