//! Rows as Arrow IPC messages: the format once, then batches of it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::CompressionType;
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};

use crate::error::{Error, Result};

/// Buffers and messages start at multiples of this.
const ALIGNMENT_BYTES: usize = 8;
/// Rows that take less memory are not compressed: it would cost more than it saves.
const COMPRESSED_BYTES_MIN: usize = 16 << 10;

/// How the rows of a table are laid out: its Arrow schema, encoded once.
pub struct RowFormat {
    schema: SchemaRef,
    message: Vec<u8>,
}

impl RowFormat {
    /// The format of batches with this schema. Dictionaries are refused: tables have none.
    pub fn new(schema: SchemaRef) -> Result<Arc<Self>> {
        let options = options(false)?;
        let mut tracker = DictionaryTracker::new(false);
        let encoded =
            IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(&schema, &mut tracker, &options);
        if !tracker.dict_id().is_empty() {
            return Err(Error::internal("rows with dictionaries do not go to the log"));
        }
        let mut message = Vec::new();
        write_message(&mut message, encoded, &options)?;
        Ok(Arc::new(Self { schema, message }))
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }
}

/// One batch as a message.
pub(super) fn encode(rows: &RecordBatch) -> Result<Vec<u8>> {
    let options = options(rows.get_array_memory_size() >= COMPRESSED_BYTES_MIN)?;
    let mut tracker = DictionaryTracker::new(false);
    let (_, encoded) =
        IpcDataGenerator::default().encode(rows, &mut tracker, &options, &mut IpcWriteContext::default())?;
    let mut message = Vec::with_capacity(encoded.ipc_message.len() + encoded.arrow_data.len() + 2 * ALIGNMENT_BYTES);
    write_message(&mut message, encoded, &options)?;
    Ok(message)
}

fn options(is_compressed: bool) -> Result<IpcWriteOptions> {
    let options = IpcWriteOptions::try_new(ALIGNMENT_BYTES, false, MetadataVersion::V5)?;
    Ok(options.try_with_compression(is_compressed.then_some(CompressionType::LZ4_FRAME))?)
}

/// Reads batches of one format.
pub(super) struct Decoder(StreamDecoder);

impl Decoder {
    /// A decoder for the batches of the format in this message.
    pub fn new(mut format: Buffer) -> Result<Self> {
        let mut decoder = StreamDecoder::new();
        decoder.decode(&mut format)?;
        Ok(Self(decoder))
    }

    /// The batch in a message.
    pub fn batch(&mut self, mut message: Buffer) -> Result<RecordBatch> {
        self.0.decode(&mut message)?.ok_or_else(|| Error::internal("a message of the log holds no rows"))
    }
}
