//! The binary format: a signature, rows of sized fields, and a trailer.

use crate::error::{Error, ErrorKind, Result};
use crate::session::copy_format::{ROW_BYTES_MAX, Rows, bad_format};

/// The first bytes of the format.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Cuts binary data into rows.
#[derive(Default)]
pub(super) struct Frames {
    pending: Vec<u8>,
    stage: Stage,
}

#[derive(Default, PartialEq)]
enum Stage {
    #[default]
    Header,
    Rows,
    Ended,
}

/// What the bytes at hand were found to be.
enum Found {
    /// A whole part of this many bytes.
    Part(usize),
    /// The row count that ends the data.
    End,
    /// Not all there yet.
    Partial,
}

impl Frames {
    pub(super) fn push(&mut self, data: &[u8], rows: &mut Rows) -> Result<()> {
        if self.stage == Stage::Ended {
            return Ok(());
        }
        let mut joined = std::mem::take(&mut self.pending);
        joined.extend_from_slice(data);
        let mut start = 0;
        loop {
            let found = match self.stage {
                Stage::Header => header(&joined[start..])?,
                _ => row(&joined[start..], rows)?,
            };
            match found {
                Found::Part(length) => start += length,
                Found::Partial => break,
                Found::End => {
                    self.stage = Stage::Ended;
                    return Ok(());
                }
            }
            self.stage = Stage::Rows;
        }
        joined.drain(..start);
        self.pending = joined;
        if self.pending.len() > ROW_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::ProgramLimitExceeded,
                format!("a row is longer than {ROW_BYTES_MAX} bytes"),
            ));
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, rows: &Rows) -> Result<()> {
        match self.stage {
            Stage::Ended => Ok(()),
            Stage::Rows if self.pending.is_empty() => Ok(()),
            Stage::Header => Err(bad_format("COPY file signature not recognized")),
            Stage::Rows => Err(bad_format("unexpected EOF in COPY data").context(at_row(rows, rows.line + 1))),
        }
    }
}

fn at_row(rows: &Rows, line: u64) -> String {
    format!("COPY {}, line {line}", rows.relation)
}

fn int<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at + N)?.try_into().ok()
}

fn header(data: &[u8]) -> Result<Found> {
    let known = data.len().min(SIGNATURE.len());
    if data[..known] != SIGNATURE[..known] {
        return Err(bad_format("COPY file signature not recognized"));
    }
    let (Some(flags), Some(extension)) = (int::<4>(data, 11), int::<4>(data, 15)) else { return Ok(Found::Partial) };
    if u32::from_be_bytes(flags) & 0xffff_0000 != 0 {
        return Err(bad_format("unrecognized critical flags in COPY file header"));
    }
    let extension = usize::try_from(i32::from_be_bytes(extension))
        .map_err(|_| bad_format("invalid COPY file header (wrong length)"))?;
    Ok(if data.len() >= 19 + extension { Found::Part(19 + extension) } else { Found::Partial })
}

fn row(data: &[u8], rows: &mut Rows) -> Result<Found> {
    let Some(count) = int::<2>(data, 0).map(i16::from_be_bytes) else { return Ok(Found::Partial) };
    if count == -1 {
        return Ok(Found::End);
    }
    let width = rows.intakes.len();
    if usize::try_from(count) != Ok(width) {
        return Err(
            bad_format(format!("row field count is {count}, expected {width}")).context(at_row(rows, rows.line + 1))
        );
    }
    let Some(fields) = split(data, width, rows)? else { return Ok(Found::Partial) };
    rows.line += 1;
    let mut end = 2;
    for (index, field) in fields.into_iter().enumerate() {
        end += 4 + field.map_or(0, <[u8]>::len);
        match field {
            None => rows.intakes[index].push_null(),
            Some(bytes) => rows.intakes[index].push_binary(bytes).map_err(|error| {
                error.context(format!("{}, column {}", at_row(rows, rows.line), rows.columns[index]))
            })?,
        }
    }
    rows.end_row(end)?;
    Ok(Found::Part(end))
}

/// The fields of a row, or `None` while some of it is missing.
fn split<'a>(data: &'a [u8], width: usize, rows: &Rows) -> Result<Option<Vec<Option<&'a [u8]>>>> {
    let mut fields = Vec::with_capacity(width);
    let mut at = 2;
    for _ in 0..width {
        let Some(length) = int::<4>(data, at).map(i32::from_be_bytes) else { return Ok(None) };
        at += 4;
        if length == -1 {
            fields.push(None);
            continue;
        }
        let length = usize::try_from(length)
            .map_err(|_| bad_format("invalid field size").context(at_row(rows, rows.line + 1)))?;
        let Some(bytes) = data.get(at..at + length) else { return Ok(None) };
        fields.push(Some(bytes));
        at += length;
    }
    Ok(Some(fields))
}
