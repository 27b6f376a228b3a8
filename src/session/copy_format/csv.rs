//! A row of CSV: quotes may open anywhere in a field; an unquoted NULL text is NULL.

use std::ops::Range;

use crate::error::Result;
use crate::session::copy_format::Fields;
use crate::session::intake::utf8;
use crate::session::reply::CopyOptions;

/// Splits rows; its buffers are used again for each.
pub(super) struct CsvRow {
    delimiter: u8,
    quote: u8,
    escape: u8,
    null: String,
    force_not_null: Vec<bool>,
    force_null: Vec<bool>,
    content: Vec<u8>,
    places: Vec<Option<Range<usize>>>,
}

impl CsvRow {
    pub(super) fn new(options: &CopyOptions) -> Self {
        Self {
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            null: options.null.clone(),
            force_not_null: options.force_not_null.clone(),
            force_null: options.force_null.clone(),
            content: Vec::new(),
            places: Vec::new(),
        }
    }

    /// The fields of the row, which has quotes where it is marked.
    pub(super) fn fields<'a>(&'a mut self, row: &'a str, is_marked: bool) -> Result<Fields<'a>> {
        self.places.clear();
        if is_marked {
            self.unquote(row.as_bytes());
            let text = utf8(&self.content)?;
            return Ok(Fields { text, places: &self.places });
        }
        let mut start = 0;
        for end in memchr::memchr_iter(self.delimiter, row.as_bytes()).chain([row.len()]) {
            self.settle(start..end, &row.as_bytes()[start..end] == self.null.as_bytes(), false);
            start = end + 1;
        }
        Ok(Fields { text: row, places: &self.places })
    }

    /// The next field, which is NULL if its text says so and the options do not object.
    fn settle(&mut self, place: Range<usize>, says_null: bool, quoted: bool) {
        let forced = |list: &[bool]| list.get(self.places.len()).copied().unwrap_or(false);
        let is_null = says_null && if quoted { forced(&self.force_null) } else { !forced(&self.force_not_null) };
        self.places.push((!is_null).then_some(place));
    }

    fn end_field(&mut self, start: usize, quoted: bool) {
        let says_null = &self.content[start..] == self.null.as_bytes();
        self.settle(start..self.content.len(), says_null, quoted);
    }

    fn unquote(&mut self, row: &[u8]) {
        self.content.clear();
        let (mut start, mut at, mut in_quote, mut saw_quote) = (0, 0, false, false);
        while at < row.len() {
            let byte = row[at];
            let next = row.get(at + 1).copied();
            if in_quote {
                if byte == self.escape && next.is_some_and(|next| next == self.escape || next == self.quote) {
                    self.content.extend(next);
                    at += 1;
                } else if byte == self.quote {
                    in_quote = false;
                } else {
                    self.content.push(byte);
                }
            } else if byte == self.quote {
                (in_quote, saw_quote) = (true, true);
            } else if byte == self.delimiter {
                self.end_field(start, saw_quote);
                (start, saw_quote) = (self.content.len(), false);
            } else {
                self.content.push(byte);
            }
            at += 1;
        }
        self.end_field(start, saw_quote);
    }
}
