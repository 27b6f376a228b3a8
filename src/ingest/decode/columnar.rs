//! Arrow and Parquet: rows that come as columns already.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::{Message, RecordBatch as BatchMessage, root_as_message};
use arrow::json::LineDelimitedWriter;
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::gather::Gather;
use super::{Format, Work};
use crate::error::{Error, ErrorKind, Result};

/// An Arrow file is this, zeros, and a stream at a multiple of eight; what stands behind it is for who wants to read here
/// and there.
const ARROW_FILE_MAGIC: &[u8] = b"ARROW1";
/// Stands before the length of a message.
const CONTINUATION: u32 = u32::MAX;
/// Rows of Parquet that are decoded at a time.
const PARQUET_BATCH_ROWS: usize = 1 << 16;

/// Takes the rows of a payload. A payload that makes its reader panic is as wrong as one that makes it fail.
pub(super) fn gather_columns(gather: &mut Gather<'_>, payload: &Bytes, work: &Work) -> Result<()> {
    let mut left = work.limits.bytes_max;
    let mut take = |rows: std::result::Result<RecordBatch, ArrowError>| {
        let rows = rows.map_err(|error| unreadable(work.format, &error))?;
        let taken = taken_bytes(&rows)?;
        left = left.checked_sub(taken).ok_or_else(|| too_large(work.limits.bytes_max))?;
        gather.put_rows(&rows)
    };
    let read = || match work.format {
        Format::Parquet => {
            let file = ParquetRecordBatchReaderBuilder::try_new(payload.clone());
            let file = file.map_err(|error| unreadable(work.format, &error))?;
            let rows = file.with_batch_size(PARQUET_BATCH_ROWS).build();
            rows.map_err(|error| unreadable(work.format, &error))?.try_for_each(&mut take)
        }
        _ => {
            let stream = stream(payload, work.format)?;
            if claimed_bytes(&stream).is_none_or(|claimed| claimed > work.limits.bytes_max as u64) {
                return Err(too_large(work.limits.bytes_max));
            }
            let rows = StreamReader::try_new(Cursor::new(stream), None);
            rows.map_err(|error| unreadable(work.format, &error))?.try_for_each(&mut take)
        }
    };
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(unreadable(work.format, &"its parts contradict each other")))
}

fn stream(payload: &Bytes, format: Format) -> Result<Bytes> {
    match format {
        Format::ArrowFile => {
            let rest = payload.strip_prefix(ARROW_FILE_MAGIC);
            let rest = rest.ok_or_else(|| unreadable(format, &"it does not begin with ARROW1"))?;
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            Ok(payload.slice((ARROW_FILE_MAGIC.len() + zeros) / 8 * 8..))
        }
        _ => Ok(payload.clone()),
    }
}

/// The memory of a batch; a row without any counts as a byte.
fn taken_bytes(rows: &RecordBatch) -> Result<usize> {
    let columns = rows.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    Ok(columns.sum::<Result<usize, _>>()?.max(rows.num_rows()))
}

/// What the compressed buffers of a stream say that they hold: the reader takes so much memory before it looks.
fn claimed_bytes(stream: &[u8]) -> Option<u64> {
    let (mut rest, mut claimed) = (stream, 0_u64);
    while rest.len() >= 8 {
        let is_continued = number32(rest) == CONTINUATION;
        let length = number32(&rest[if is_continued { 4 } else { 0 }..]) as usize;
        rest = &rest[if is_continued { 8 } else { 4 }..];
        // What cannot be read is for the reader to say.
        let Some(message) = rest.get(..length).filter(|_| length > 0).and_then(|head| root_as_message(head).ok())
        else {
            break;
        };
        let body_length = usize::try_from(message.bodyLength()).ok()?;
        let Some(body) = rest[length..].get(..body_length) else { break };
        if let Some(batch) = batch_of(&message) {
            claimed = claimed.checked_add(claimed_by(&batch, body)?)?;
        }
        rest = &rest[length + body_length..];
    }
    Some(claimed)
}

fn batch_of<'a>(message: &Message<'a>) -> Option<BatchMessage<'a>> {
    message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data())
}

fn claimed_by(batch: &BatchMessage<'_>, body: &[u8]) -> Option<u64> {
    if batch.compression().is_none() {
        return Some(0);
    }
    let mut claimed = 0_u64;
    for buffer in batch.buffers()? {
        let start = usize::try_from(buffer.offset()).ok()?;
        let head = body.get(start..).and_then(|bytes| bytes.get(..8)).filter(|_| buffer.length() >= 8);
        let length = head.map_or(0, |head| i64::from_le_bytes(std::array::from_fn(|at| head[at])));
        // -1 stands before a buffer that is not compressed.
        claimed = claimed.checked_add(u64::try_from(length.max(0)).ok()?)?;
    }
    Some(claimed)
}

fn number32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|at| bytes[at]))
}

/// A row as a dead letter shows it: JSON, or its values where JSON has no word for them.
pub(super) fn row_text(rows: &RecordBatch, row: usize) -> Bytes {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    let written = writer.write(&rows.slice(row, 1)).and_then(|()| writer.finish());
    drop(writer);
    if written.is_err() {
        let value = |values: &ArrayRef| array_value_to_string(values, row).unwrap_or_else(|error| error.to_string());
        return rows.columns().iter().map(value).collect::<Vec<_>>().join(", ").into();
    }
    while text.last() == Some(&b'\n') {
        text.pop();
    }
    text.into()
}

fn unreadable(format: Format, error: &dyn std::fmt::Display) -> Error {
    let format = if format == Format::Parquet { "Parquet" } else { "Arrow" };
    Error::new(ErrorKind::InvalidBinaryRepresentation, format!("the data cannot be read as {format}: {error}"))
}

fn too_large(bytes_max: usize) -> Error {
    Error::new(ErrorKind::ProgramLimitExceeded, format!("the decoded rows take more than {bytes_max} bytes"))
        .hint("Send them in several parts, or raise ingest_decoded_bytes_max.")
}
