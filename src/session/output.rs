//! Rows as text or files for people and programs: what the embedded shell prints.
//!
//! Rows are written as they come, so that a large result takes little memory; only a table on the screen looks at its
//! first rows to find the widths of its columns.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use futures::future::BoxFuture;
use parquet::arrow::ArrowWriter;

use crate::error::{Error, ErrorKind, Result};
use crate::session::Session;
use crate::session::cells::{Cells, Style, canonical};
use crate::session::copy_format::Encoder;
use crate::session::reply::{Column, CopyFormat, CopyOptions, CopyOut, Rows, Tag};
use crate::session::text::json::write_json_string;

mod table;

use table::TablePrinter;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Columns under each other, for reading.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON list of objects.
    Json,
    /// A JSON object a line.
    Ndjson,
    /// A Parquet file.
    Parquet,
}

const NAMES: [(&str, OutputFormat); 5] = [
    ("table", OutputFormat::Table),
    ("csv", OutputFormat::Csv),
    ("json", OutputFormat::Json),
    ("ndjson", OutputFormat::Ndjson),
    ("parquet", OutputFormat::Parquet),
];

impl FromStr for OutputFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, format)| *format).ok_or_else(|| {
            Error::new(ErrorKind::InvalidParameterValue, format!("unknown format \"{text}\""))
                .hint("The formats are table, csv, json, ndjson and parquet.")
        })
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, format)| format == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl Session {
    /// Writes all rows in a format, in the session's time zone, and gives the statement's tag.
    pub fn write_rows<'a>(
        &'a self,
        rows: Rows,
        format: OutputFormat,
        out: &'a mut (dyn Write + Send),
    ) -> BoxFuture<'a, Result<Tag>> {
        Box::pin(async move {
            let style = self.style(&rows.columns);
            write_rows(rows, format, &style, out).await
        })
    }

    /// Writes the rows of `COPY ... TO STDOUT` as its options say.
    pub fn write_copy<'a>(&'a self, copy: CopyOut, out: &'a mut (dyn Write + Send)) -> BoxFuture<'a, Result<Tag>> {
        Box::pin(async move {
            let style = self.style(&copy.rows.columns);
            write_copy(copy, &style, out).await
        })
    }
}

async fn write_rows(mut rows: Rows, format: OutputFormat, style: &Style, out: &mut (dyn Write + Send)) -> Result<Tag> {
    let columns = Arc::clone(&rows.columns);
    let mut count = 0_u64;
    let mut writer = Writer::new(&columns, format);
    writer.begin(out)?;
    while let Some(batch) = rows.stream.next().await {
        let batch = batch.map_err(Error::from)?;
        count += batch.num_rows() as u64;
        writer.write(&columns, &batch, style, out)?;
    }
    writer.end(count, &rows.stream.schema(), out)?;
    Ok(rows.tag.finish(count))
}

async fn write_copy(copy: CopyOut, style: &Style, out: &mut (dyn Write + Send)) -> Result<Tag> {
    let CopyOut { mut rows, options } = copy;
    let columns = Arc::clone(&rows.columns);
    let mut encoder = Encoder::new(&columns, &options);
    let (mut buffer, mut count) = (Vec::new(), 0_u64);
    encoder.write_header(&mut buffer);
    while let Some(batch) = rows.stream.next().await {
        let batch = batch.map_err(Error::from)?;
        count += batch.num_rows() as u64;
        encode(&mut encoder, &columns, &batch, style, &mut buffer)?;
        out.write_all(&buffer)?;
        buffer.clear();
    }
    encoder.write_trailer(&mut buffer);
    out.write_all(&buffer)?;
    Ok(Tag(format!("COPY {count}")))
}

/// The state of a format between batches.
enum Writer {
    Table(TablePrinter),
    Csv(Encoder),
    Json { lines: bool, first: bool },
    Parquet(Option<ArrowWriter<Vec<u8>>>),
}

impl Writer {
    fn new(columns: &[Column], format: OutputFormat) -> Self {
        match format {
            OutputFormat::Table => Self::Table(TablePrinter::new(columns)),
            OutputFormat::Csv => Self::Csv(Encoder::new(columns, &csv_options())),
            OutputFormat::Json => Self::Json { lines: false, first: true },
            OutputFormat::Ndjson => Self::Json { lines: true, first: true },
            OutputFormat::Parquet => Self::Parquet(None),
        }
    }

    fn begin(&mut self, out: &mut (dyn Write + Send)) -> Result<()> {
        match self {
            Self::Csv(encoder) => {
                let mut header = Vec::new();
                encoder.write_header(&mut header);
                out.write_all(&header)?;
            }
            Self::Json { lines: false, .. } => out.write_all(b"[")?,
            Self::Json { lines: true, .. } | Self::Table(_) | Self::Parquet(_) => {}
        }
        Ok(())
    }

    fn write(
        &mut self,
        columns: &[Column],
        batch: &RecordBatch,
        style: &Style,
        out: &mut (dyn Write + Send),
    ) -> Result<()> {
        let mut buffer = Vec::new();
        match self {
            Self::Table(table) => {
                with_cells(columns, batch, style, |cells| table.push(cells, batch.num_rows(), &mut buffer))?
            }
            Self::Csv(encoder) => encode(encoder, columns, batch, style, &mut buffer)?,
            Self::Json { lines, first } => with_cells(columns, batch, style, |cells| {
                for row in 0..batch.num_rows() {
                    if !*lines {
                        buffer.extend_from_slice(if *first { b"\n" } else { b",\n" });
                    }
                    *first = false;
                    write_object(columns, cells, row, &mut buffer);
                    if *lines {
                        buffer.push(b'\n');
                    }
                }
            })?,
            Self::Parquet(file) => {
                let shown = named(columns, batch)?;
                if file.is_none() {
                    *file = Some(ArrowWriter::try_new(Vec::new(), shown.schema(), None).map_err(parquet_error)?);
                }
                if let Some(file) = file {
                    file.write(&shown).map_err(parquet_error)?;
                    // What is already encoded leaves memory; the writer remembers how long it was.
                    file.sync()?;
                    out.write_all(&std::mem::take(file.inner_mut()))?;
                }
            }
        }
        out.write_all(&buffer)?;
        Ok(())
    }

    fn end(self, count: u64, schema: &Schema, out: &mut (dyn Write + Send)) -> Result<()> {
        let mut buffer = Vec::new();
        match self {
            Self::Table(table) => table.finish(count, &mut buffer),
            Self::Csv(_) | Self::Json { lines: true, .. } => {}
            Self::Json { lines: false, .. } => buffer.extend_from_slice(b"\n]\n"),
            Self::Parquet(file) => {
                // A result without rows is a file too: it has the columns.
                let file = match file {
                    Some(file) => file,
                    None => ArrowWriter::try_new(Vec::new(), Arc::new(schema.clone()), None).map_err(parquet_error)?,
                };
                buffer = file.into_inner().map_err(parquet_error)?;
            }
        }
        out.write_all(&buffer)?;
        out.flush()?;
        Ok(())
    }
}

fn csv_options() -> CopyOptions {
    CopyOptions { header: true, ..CopyOptions::of(CopyFormat::Csv) }
}

fn encode(
    encoder: &mut Encoder,
    columns: &[Column],
    batch: &RecordBatch,
    style: &Style,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut outcome = Ok(());
    with_cells(columns, batch, style, |cells| {
        outcome = (0..batch.num_rows()).try_for_each(|row| encoder.write_row(cells, row, out));
    })?;
    outcome
}

/// Gives the cells of a batch to `act`; they borrow arrays that live only here.
fn with_cells(columns: &[Column], batch: &RecordBatch, style: &Style, act: impl FnOnce(&[Cells<'_>])) -> Result<()> {
    let pairs = || batch.columns().iter().zip(columns);
    let arrays = pairs().map(|(array, column)| canonical(array, &column.pg_type)).collect::<Result<Vec<_>>>()?;
    let cells = arrays.iter().zip(columns).map(|(array, column)| Cells::new(array, &column.pg_type, style));
    act(&cells.collect::<Result<Vec<_>>>()?);
    Ok(())
}

fn write_object(columns: &[Column], cells: &[Cells<'_>], row: usize, out: &mut Vec<u8>) {
    for (index, (column, cell)) in columns.iter().zip(cells).enumerate() {
        out.extend_from_slice(if index == 0 { b"{" } else { b", " });
        write_json_string(out, &column.name);
        out.extend_from_slice(b": ");
        cell.write_json(row, out);
    }
    out.extend_from_slice(if columns.is_empty() { b"{}" } else { b"}" });
}

/// The batch with the names that clients see.
fn named(columns: &[Column], batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(columns);
    let fields: Vec<Field> = fields.map(|(field, column)| field.as_ref().clone().with_name(&column.name)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec())?)
}

fn parquet_error(error: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::IoError, format!("the Parquet file cannot be written: {error}"))
}

#[cfg(test)]
mod tests;
