//! The formats of COPY: bytes to batches ([`Decoder`]) and rows to bytes ([`Encoder`]), for connections and files alike.
//!
//! A decoder takes bytes in pieces of any size and gives batches of bounded size; what it holds is one batch and one
//! unfinished row. An error names the line, and the column and its text where there is one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::error::{Error, ErrorKind, Result};
use crate::session::intake::Intake;
use crate::session::reply::{Column, CopyFormat, CopyOptions, CopyVerbosity, OnError};
use crate::session::text::zone::Zone;

mod binary;
mod csv;
mod encode;
mod lines;
#[cfg(test)]
mod tests;
mod text;

pub use encode::Encoder;

use lines::Lines;

/// A batch is given out at this many rows.
const BATCH_ROWS_MAX: usize = 8192;

/// A batch is given out once its rows came from this many bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A row longer than this is refused: without a limit one lost quote would take all memory.
const ROW_BYTES_MAX: usize = 256 << 20;

/// So many skipped rows are told one by one; a file may have millions.
const TOLD_MAX: usize = 1000;

/// Reads COPY data into batches.
pub struct Decoder {
    input: Input,
    rows: Rows,
}

enum Input {
    Lines(Lines),
    Binary(binary::Frames),
}

/// The rows that wait to become a batch.
struct Rows {
    relation: String,
    columns: Vec<String>,
    schema: SchemaRef,
    intakes: Vec<Intake>,
    options: CopyOptions,
    /// The line (or, in binary, the row) that is being read, from 1.
    line: u64,
    count: usize,
    bytes: usize,
    bad: Vec<usize>,
    skipped: u64,
    /// What LOG_VERBOSITY verbose says of skipped rows.
    told: Vec<String>,
    ready: VecDeque<RecordBatch>,
}

impl Decoder {
    /// A decoder of data for these columns of `relation`; a timestamptz without a zone is in `zone`.
    pub fn new(relation: &str, columns: &[Column], options: &CopyOptions, zone: Zone) -> Self {
        let fields: Vec<Field> = columns.iter().map(|column| column.pg_type.field(&column.name, true)).collect();
        let input = match options.format {
            CopyFormat::Binary => Input::Binary(binary::Frames::default()),
            CopyFormat::Text | CopyFormat::Csv => Input::Lines(Lines::new(options)),
        };
        let rows = Rows {
            relation: relation.to_owned(),
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            schema: Arc::new(Schema::new(fields)),
            intakes: columns.iter().map(|column| Intake::new(&column.pg_type, zone)).collect(),
            options: options.clone(),
            line: 0,
            count: 0,
            bytes: 0,
            bad: Vec::new(),
            skipped: 0,
            told: Vec::new(),
            ready: VecDeque::new(),
        };
        Self { input, rows }
    }

    /// Takes the next piece of the data.
    pub fn push(&mut self, data: &[u8]) -> Result<()> {
        match &mut self.input {
            Input::Lines(lines) => lines.push(data, &mut self.rows),
            Input::Binary(frames) => frames.push(data, &mut self.rows),
        }
    }

    /// The data is complete: what is left becomes the last batch.
    pub fn finish(&mut self) -> Result<()> {
        match &mut self.input {
            Input::Lines(lines) => lines.finish(&mut self.rows)?,
            Input::Binary(frames) => frames.finish(&self.rows)?,
        }
        self.rows.flush()
    }

    /// The next full batch, if there is one.
    pub fn next_batch(&mut self) -> Option<RecordBatch> {
        self.rows.ready.pop_front()
    }

    /// What the client is told of rows left out because of ON_ERROR ignore.
    pub fn told(self) -> Vec<String> {
        let Rows { options, skipped, mut told, .. } = self.rows;
        if skipped > 0 && options.verbosity != CopyVerbosity::Silent {
            let rows = if skipped == 1 { "row was" } else { "rows were" };
            told.push(format!("{skipped} {rows} skipped due to data type incompatibility"));
        }
        told
    }
}

/// The fields of a row: a text, and where in it each of them is. NULL is nowhere.
#[derive(Clone, Copy)]
struct Fields<'a> {
    text: &'a str,
    places: &'a [Option<Range<usize>>],
}

impl<'a> Fields<'a> {
    fn iter(self) -> impl Iterator<Item = Option<&'a str>> {
        self.places.iter().map(move |place| place.clone().map(|place| &self.text[place]))
    }
}

impl Rows {
    /// Appends a row of text fields, or skips it when it cannot be read and the options say so.
    fn push_text_row(&mut self, fields: Fields<'_>, line: &[u8]) -> Result<()> {
        match self.read_fields(fields, line) {
            Ok(()) => {}
            Err(error) if self.options.on_error == OnError::Ignore => self.skip_row(&error)?,
            Err(error) => return Err(error),
        }
        self.end_row(line.len())
    }

    fn read_fields(&mut self, fields: Fields<'_>, line: &[u8]) -> Result<()> {
        let (given, width) = (fields.places.len(), self.intakes.len());
        if given < width {
            let missing = &self.columns[given];
            return Err(bad_format(format!("missing data for column \"{missing}\"")).context(self.at_line(line)));
        }
        if given > width {
            return Err(bad_format("extra data after last expected column").context(self.at_line(line)));
        }
        for (index, field) in fields.iter().enumerate() {
            match field {
                None => self.intakes[index].push_null(),
                Some(text) => {
                    let read = self.intakes[index].push_text(text);
                    read.map_err(|error| error.context(self.at_column(index, text)))?;
                }
            }
        }
        Ok(())
    }

    /// Fills the row that went wrong with NULLs; it is taken out when the batch is made.
    fn skip_row(&mut self, error: &Error) -> Result<()> {
        for intake in &mut self.intakes {
            if intake.len() == self.count {
                intake.push_null();
            }
        }
        self.bad.push(self.count);
        self.skipped += 1;
        let place = error.context_text().unwrap_or_default();
        if self.skipped > self.options.reject_limit {
            return Err(Error::new(
                ErrorKind::InvalidTextRepresentation,
                format!(
                    "skipped more than REJECT_LIMIT ({}) rows due to data type incompatibility",
                    self.options.reject_limit
                ),
            )
            .context(place));
        }
        if self.options.verbosity == CopyVerbosity::Verbose && self.told.len() < TOLD_MAX {
            self.told.push(format!("skipping row: {} ({place})", error.message()));
        }
        Ok(())
    }

    fn end_row(&mut self, bytes: usize) -> Result<()> {
        self.count += 1;
        self.bytes += bytes;
        if self.count >= BATCH_ROWS_MAX || self.bytes >= BATCH_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = self.intakes.iter_mut().map(Intake::finish).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let mut batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        if !self.bad.is_empty() {
            let mut keep = vec![true; self.count];
            for row in self.bad.drain(..) {
                keep[row] = false;
            }
            batch = filter_record_batch(&batch, &BooleanArray::from(keep))?;
        }
        (self.count, self.bytes) = (0, 0);
        if batch.num_rows() > 0 {
            self.ready.push_back(batch);
        }
        Ok(())
    }

    /// `COPY t, line 3: "the line"`
    fn at_line(&self, line: &[u8]) -> String {
        format!("COPY {}, line {}: \"{}\"", self.relation, self.line, excerpt(&String::from_utf8_lossy(line)))
    }

    /// `COPY t, line 3, column b: "x"`
    fn at_column(&self, index: usize, text: &str) -> String {
        format!("COPY {}, line {}, column {}: \"{}\"", self.relation, self.line, self.columns[index], excerpt(text))
    }

    /// The first line of the data names the columns.
    fn check_header(&self, fields: Fields<'_>, line: &[u8]) -> Result<()> {
        if !self.options.header_match {
            return Ok(());
        }
        let (found, expected) = (fields.places.len(), self.columns.len());
        if found != expected {
            return Err(bad_format(format!("wrong number of fields in header line: got {found}, expected {expected}"))
                .context(self.at_line(line)));
        }
        for (index, (found, expected)) in fields.iter().zip(&self.columns).enumerate() {
            if found != Some(expected) {
                let found = found
                    .map_or_else(|| format!("null value (\"{}\")", self.options.null), |name| format!("\"{name}\""));
                return Err(bad_format(format!(
                    "column name mismatch in header line field {}: got {found}, expected \"{expected}\"",
                    index + 1
                ))
                .context(self.at_line(line)));
            }
        }
        Ok(())
    }
}

fn bad_format(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadCopyFileFormat, message)
}

/// Data in a message is cut at 100 characters, as in PostgreSQL.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}
