//! Deletion vectors, as other writers leave them: which rows of a data file are gone.
//!
//! We read all three kinds of the protocol (inline, in a file of the table, in a file elsewhere) and turn the bitmap into
//! the row selection that a native Parquet scan takes, so that files with deleted rows are read in parallel and pruned like
//! all others. Invariant: what is handed on has passed its checksum, has the number of rows the log says, and stays in the file.

use std::ops::Range;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringTreemap;
use url::Url;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::file_set::{DeletionVector, FileEntry};

mod z85;

#[cfg(test)]
pub mod tests;

/// First word of a bitmap in the portable format of 64-bit roaring bitmaps; the only one the protocol's writers use.
const MAGIC: u32 = 1_681_511_377;

/// Where a bitmap is.
#[derive(Debug, PartialEq)]
enum Place {
    Inline(Vec<u8>),
    /// Bytes of an object: length, bitmap, checksum.
    Object(Path, Range<u64>),
}

/// The rows of `file` that are still there. `location` is the table's folder, `store` the store of its scheme and host.
pub(in crate::tables) async fn live_rows(
    store: &dyn ObjectStore,
    location: &Url,
    file: &FileEntry,
) -> Result<Option<RowSelection>> {
    let Some(vector) = &file.deletion_vector else { return Ok(None) };
    let named = |error: Error| error.within(format_args!("deletion vector of file \"{}\"", file.path));
    let rows = file.rows.ok_or_else(|| named(corrupt("the log does not say how many rows the file has")))?;
    let deleted = read(store, location, vector).await.map_err(named)?;
    select_live(&deleted, rows).map(Some).map_err(named)
}

/// The object that holds the bitmap; `None` where the log itself does.
pub(in crate::tables) fn object_path(location: &Url, vector: &DeletionVector) -> Result<Option<Path>> {
    match place(location, vector)? {
        Place::Inline(_) => Ok(None),
        Place::Object(path, _) => Ok(Some(path)),
    }
}

async fn read(store: &dyn ObjectStore, location: &Url, vector: &DeletionVector) -> Result<RoaringTreemap> {
    let deleted = match place(location, vector)? {
        Place::Inline(bytes) => parse_bitmap(&bytes)?,
        Place::Object(path, range) => {
            let bytes = store.get_range(&path, range).await?;
            parse_bitmap(checked(&bytes, vector.size_in_bytes)?)?
        }
    };
    match u64::try_from(vector.cardinality) {
        Ok(rows) if rows == deleted.len() => Ok(deleted),
        _ => Err(corrupt(format!("holds {} rows, the log says {}", deleted.len(), vector.cardinality))),
    }
}

fn place(location: &Url, vector: &DeletionVector) -> Result<Place> {
    let text = vector.path_or_inline_dv.as_str();
    let url = match vector.storage_type.as_str() {
        "i" => return z85::decode(text).map(Place::Inline).ok_or_else(|| corrupt("inline bitmap is not base 85")),
        "u" => relative_url(location, text)?,
        "p" => Url::parse(text).map_err(|error| corrupt("its path is no URL").detail(error.to_string()))?,
        other => return Err(Error::unsupported(format!("storage type \"{other}\" is not known"))),
    };
    if (url.scheme(), url.host_str(), url.port()) != (location.scheme(), location.host_str(), location.port()) {
        return Err(Error::unsupported(format!("it is kept in another store, at {url}")));
    }
    let path =
        Path::from_url_path(url.path()).map_err(|error| corrupt("its path is no path").detail(error.to_string()))?;
    let start = u64::try_from(vector.offset.unwrap_or(1)).map_err(|_| corrupt("its offset is negative"))?;
    let size = u64::try_from(vector.size_in_bytes).map_err(|_| corrupt("its size is negative"))?;
    // The length before the bitmap and the checksum after it are not in the size.
    Ok(Place::Object(path, start..start + 4 + size + 4))
}

/// A path of kind `u`: a folder, then 20 characters of base 85 that are a UUID.
fn relative_url(location: &Url, text: &str) -> Result<Url> {
    let bad = || corrupt("its path does not end with a UUID in base 85");
    let (folder, name) = text.len().checked_sub(20).and_then(|at| text.split_at_checked(at)).ok_or_else(bad)?;
    let uuid = z85::decode(name).and_then(|bytes| Uuid::from_slice(&bytes).ok()).ok_or_else(bad)?;
    let mut url = location.clone();
    let mut segments = url.path_segments_mut().map_err(|()| bad())?;
    segments.pop_if_empty();
    segments.extend(folder.split('/').filter(|segment| !segment.is_empty()));
    segments.push(&format!("deletion_vector_{uuid}.bin"));
    drop(segments);
    Ok(url)
}

/// The bitmap between its length and its checksum, both big-endian.
fn checked(bytes: &[u8], size: i32) -> Result<&[u8]> {
    let cut = || corrupt("the file ends before the bitmap does");
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
    let (bitmap, checksum) = rest.split_last_chunk::<4>().ok_or_else(cut)?;
    if i32::from_be_bytes(*length) != size || i64::try_from(bitmap.len()).ok() != Some(i64::from(size)) {
        return Err(corrupt(format!("has {} bytes, the log says {size}", i32::from_be_bytes(*length))));
    }
    match crc32fast::hash(bitmap) == u32::from_be_bytes(*checksum) {
        true => Ok(bitmap),
        false => Err(corrupt("its checksum does not match")),
    }
}

fn parse_bitmap(bytes: &[u8]) -> Result<RoaringTreemap> {
    match bytes.split_first_chunk::<4>() {
        Some((magic, bitmap)) if u32::from_le_bytes(*magic) == MAGIC => RoaringTreemap::deserialize_from(bitmap)
            .map_err(|error| corrupt("its bitmap cannot be read").detail(error.to_string())),
        _ => Err(Error::unsupported("its bitmap is not in the portable roaring format")),
    }
}

/// Selects what is not deleted out of `rows` rows.
fn select_live(deleted: &RoaringTreemap, rows: u64) -> Result<RowSelection> {
    if deleted.max().is_some_and(|last| last >= rows) {
        return Err(corrupt(format!("deletes a row beyond the file's {rows}")));
    }
    let length =
        |range: Range<u64>| usize::try_from(range.end - range.start).expect("a file's rows fit the address space");
    let mut selectors = Vec::new();
    let mut live_from = 0_u64;
    let mut bits = deleted.iter().peekable();
    while let Some(first) = bits.next() {
        let mut end = first + 1;
        while bits.next_if_eq(&end).is_some() {
            end += 1;
        }
        if live_from < first {
            selectors.push(RowSelector::select(length(live_from..first)));
        }
        selectors.push(RowSelector::skip(length(first..end)));
        live_from = end;
    }
    if live_from < rows {
        selectors.push(RowSelector::select(length(live_from..rows)));
    }
    Ok(RowSelection::from(selectors))
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::DataCorrupted, message)
}
