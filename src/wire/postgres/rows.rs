//! Rows to DataRow messages: columns are looked at once a batch, then written row by row into the output buffer.

use arrow::array::{ArrayRef, RecordBatch};

use crate::error::{Error, ErrorKind, Result};
use crate::session::Column;
use crate::session::cells::{Cells, Style, canonical};
use crate::wire::postgres::answer::{Format, begin, end};

/// A batch that is being sent.
pub(super) struct Sending {
    arrays: Vec<ArrayRef>,
    next: usize,
    rows: usize,
}

impl Sending {
    pub(super) fn new(batch: &RecordBatch, columns: &[Column]) -> Result<Self> {
        if batch.num_columns() != columns.len() {
            return Err(Error::internal(format!(
                "the plan gives {} columns, {} were announced",
                batch.num_columns(),
                columns.len()
            )));
        }
        let arrays = batch.columns().iter().zip(columns).map(|(array, column)| canonical(array, &column.pg_type));
        Ok(Self { arrays: arrays.collect::<Result<_>>()?, next: 0, rows: batch.num_rows() })
    }

    /// True when every row was written.
    pub(super) fn is_done(&self) -> bool {
        self.next >= self.rows
    }

    /// Views of the columns.
    pub(super) fn cells(&self, columns: &[Column], style: &Style) -> Result<Vec<Cells<'_>>> {
        self.arrays.iter().zip(columns).map(|(array, column)| Cells::new(array, &column.pg_type, style)).collect()
    }

    /// Calls `write` for the rows to come until it was called `most` times or `out` holds `bytes_max` bytes. Gives the
    /// number of calls.
    pub(super) fn each_row(
        &mut self,
        columns: &[Column],
        style: &Style,
        most: usize,
        (out, bytes_max): (&mut Vec<u8>, usize),
        mut write: impl FnMut(&[Cells<'_>], usize, &mut Vec<u8>) -> Result<()>,
    ) -> Result<usize> {
        let start = self.next;
        let stop = self.rows.min(start.saturating_add(most));
        let cells = self.cells(columns, style)?;
        let mut row = start;
        while row < stop && out.len() < bytes_max {
            let before = out.len();
            // A row that fails must not leave half a message behind.
            if let Err(error) = write(&cells, row, out) {
                out.truncate(before);
                return Err(error);
            }
            row += 1;
        }
        drop(cells);
        self.next = row;
        Ok(row - start)
    }
}

/// Appends a row as a DataRow message.
pub(super) fn write_data_row(cells: &[Cells<'_>], formats: &[Format], row: usize, out: &mut Vec<u8>) -> Result<()> {
    let start = begin(out, b'D');
    out.extend_from_slice(&(cells.len() as u16).to_be_bytes());
    for (cell, format) in cells.iter().zip(formats) {
        match format {
            Format::Text => cell.write_sized_text(row, out)?,
            Format::Binary => cell.write_sized_binary(row, out)?,
        }
    }
    if out.len() - start > ROW_BYTES_MAX {
        return Err(
            Error::new(ErrorKind::ProgramLimitExceeded, "a row is larger than 1 GiB").hint("Select fewer columns.")
        );
    }
    end(out, start);
    Ok(())
}

/// Clients refuse longer messages.
const ROW_BYTES_MAX: usize = 1 << 30;

/// One format for each of `columns` columns, from the list of a Bind: none is text, one is for all.
pub(super) fn spread_formats(codes: &[i16], columns: usize) -> Result<Vec<Format>> {
    let format = |code: &i16| match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(Error::new(ErrorKind::InvalidParameterValue, format!("unsupported format code: {other}"))),
    };
    match codes {
        [] => Ok(vec![Format::Text; columns]),
        [one] => Ok(vec![format(one)?; columns]),
        many if many.len() == columns => many.iter().map(format).collect(),
        many => Err(Error::new(
            ErrorKind::ProtocolViolation,
            format!("bind message has {} result formats but query has {columns} columns", many.len()),
        )),
    }
}
