//! Cuts text and CSV data into rows, whatever pieces it comes in.

use crate::error::{Error, ErrorKind, Result};
use crate::session::copy_format::csv::CsvRow;
use crate::session::copy_format::text::TextRow;
use crate::session::copy_format::{ROW_BYTES_MAX, Rows, bad_format};
use crate::session::intake::utf8;
use crate::session::reply::{CopyFormat, CopyOptions};

/// Finds the ends of rows.
pub(super) struct Lines {
    /// The start of a row whose end has not come yet; the search has been through it.
    pending: Vec<u8>,
    scan: Scan,
    row: Row,
    header: bool,
    carriage_return: Option<bool>,
    ended: bool,
}

/// What the search for the end of a row must remember.
struct Scan {
    quote: Option<u8>,
    escape: u8,
    in_quote: bool,
    after_escape: bool,
    newlines: u64,
    /// The row has an escape or a quote.
    is_marked: bool,
}

enum Row {
    Text(TextRow),
    Csv(CsvRow),
}

impl Lines {
    pub(super) fn new(options: &CopyOptions) -> Self {
        let csv = options.format == CopyFormat::Csv;
        let scan = Scan {
            quote: csv.then_some(options.quote),
            escape: if csv { options.escape } else { b'\\' },
            in_quote: false,
            after_escape: false,
            newlines: 0,
            is_marked: false,
        };
        let row = if csv { Row::Csv(CsvRow::new(options)) } else { Row::Text(TextRow::new(options)) };
        let header = options.header || options.header_match;
        Self { pending: Vec::new(), scan, row, header, carriage_return: None, ended: false }
    }

    pub(super) fn push(&mut self, data: &[u8], rows: &mut Rows) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let mut rest = data;
        if !self.pending.is_empty() {
            let Some(end) = self.scan.find_end(data, 0) else {
                self.pending.extend_from_slice(data);
                return self.check_length(rows);
            };
            let mut row = std::mem::take(&mut self.pending);
            row.extend_from_slice(&data[..end]);
            self.row(&row, None, rows)?;
            rest = &data[end + 1..];
        }
        let unfinished = self.rows_of(rest, rows)?;
        self.pending.extend_from_slice(unfinished);
        self.check_length(rows)
    }

    fn check_length(&self, rows: &Rows) -> Result<()> {
        if self.pending.len() > ROW_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::ProgramLimitExceeded,
                format!("a row is longer than {ROW_BYTES_MAX} bytes"),
            )
            .context(rows.at_line(&self.pending[..200])));
        }
        Ok(())
    }

    /// Handles every complete row of `data`; gives what is left.
    fn rows_of<'a>(&mut self, data: &'a [u8], rows: &mut Rows) -> Result<&'a [u8]> {
        let text = valid_start(data);
        let mut start = 0;
        while let Some(end) = self.scan.find_end(data, start).filter(|_| !self.ended) {
            self.row(&data[start..end], text.get(start..end), rows)?;
            start = end + 1;
        }
        Ok(if self.ended { &[] } else { &data[start..] })
    }

    pub(super) fn finish(&mut self, rows: &mut Rows) -> Result<()> {
        let last = std::mem::take(&mut self.pending);
        if self.scan.in_quote && !self.ended {
            rows.line += 1 + self.scan.newlines;
            return Err(bad_format("unterminated CSV quoted field").context(rows.at_line(&last)));
        }
        if self.ended || last.is_empty() {
            return Ok(());
        }
        self.row(&last, None, rows)
    }

    /// A row, and its text if it is known to be one.
    fn row(&mut self, line: &[u8], text: Option<&str>, rows: &mut Rows) -> Result<()> {
        rows.line += 1 + std::mem::take(&mut self.scan.newlines);
        let is_marked = std::mem::take(&mut self.scan.is_marked);
        let text = text.map_or_else(|| utf8(line), Ok);
        let text = text.map_err(|error| error.context(format!("COPY {}, line {}", rows.relation, rows.line)))?;
        // The first line decides whether lines end with a carriage return, as in PostgreSQL.
        let returns = *self.carriage_return.get_or_insert(text.ends_with('\r'));
        let text = if returns { text.strip_suffix('\r').unwrap_or(text) } else { text };
        if text == "\\." {
            self.ended = true;
            return Ok(());
        }
        let fields = match &mut self.row {
            Row::Text(row) => row.fields(text, is_marked)?,
            Row::Csv(row) => row.fields(text, is_marked)?,
        };
        match std::mem::take(&mut self.header) {
            true => rows.check_header(fields, text.as_bytes()),
            false => rows.push_text_row(fields, text.as_bytes()),
        }
    }
}

/// The data up to the first byte that is not UTF-8.
fn valid_start(data: &[u8]) -> &str {
    match std::str::from_utf8(data) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&data[..error.valid_up_to()]).unwrap_or_default(),
    }
}

impl Scan {
    /// The place of the newline that ends the row which is being searched from `from` on.
    fn find_end(&mut self, data: &[u8], from: usize) -> Option<usize> {
        match self.quote {
            Some(quote) => self.find_csv_end(data, from, quote),
            None => self.find_text_end(data, from),
        }
    }

    /// In text, a backslash before the newline makes it part of the data.
    fn find_text_end(&mut self, data: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        if std::mem::take(&mut self.after_escape) {
            self.newlines += u64::from(data.get(at) == Some(&b'\n'));
            at += 1;
        }
        while at < data.len() {
            at += memchr::memchr2(b'\n', b'\\', &data[at..])?;
            if data[at] == b'\n' {
                return Some(at);
            }
            self.is_marked = true;
            match data.get(at + 1) {
                None => {
                    self.after_escape = true;
                    return None;
                }
                Some(next) => self.newlines += u64::from(*next == b'\n'),
            }
            at += 2;
        }
        None
    }

    fn find_csv_end(&mut self, data: &[u8], from: usize, quote: u8) -> Option<usize> {
        let mut at = from;
        while at < data.len() {
            if std::mem::take(&mut self.after_escape) {
                self.newlines += u64::from(data[at] == b'\n');
                at += 1;
                continue;
            }
            at += match self.in_quote {
                true => memchr::memchr3(b'\n', quote, self.escape, &data[at..])?,
                false => memchr::memchr2(b'\n', quote, &data[at..])?,
            };
            match data[at] {
                b'\n' if !self.in_quote => return Some(at),
                b'\n' => self.newlines += 1,
                byte if byte == quote => {
                    self.in_quote = !self.in_quote;
                    self.is_marked = true;
                }
                _ => self.after_escape = true,
            }
            at += 1;
        }
        None
    }
}
