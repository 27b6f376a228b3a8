//! A row of CSV: quotes may open anywhere in a field; an unquoted NULL text is NULL.

use std::ops::Range;

use crate::error::Result;
use crate::session::copy_format::FieldText;
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
    fields: Vec<(Range<usize>, bool)>,
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
            fields: Vec::new(),
        }
    }

    /// Calls `then` with the fields of the row.
    pub(super) fn with_fields<T>(&mut self, row: &str, then: impl FnOnce(&[FieldText<'_>]) -> Result<T>) -> Result<T> {
        if !row.as_bytes().contains(&self.quote) {
            let split = row.split(char::from(self.delimiter)).enumerate();
            let fields: Vec<FieldText<'_>> = split.map(|(index, field)| self.settle(index, field, false)).collect();
            return then(&fields);
        }
        self.unquote(row.as_bytes());
        let text = utf8(&self.content)?;
        let fields: Vec<FieldText<'_>> = self
            .fields
            .iter()
            .enumerate()
            .map(|(index, (range, quoted))| self.settle(index, &text[range.clone()], *quoted))
            .collect();
        then(&fields)
    }

    /// Decides whether a field is NULL.
    fn settle<'a>(&self, index: usize, field: &'a str, quoted: bool) -> FieldText<'a> {
        let forced = |list: &[bool]| list.get(index).copied().unwrap_or(false);
        let is_null =
            field == self.null && if quoted { forced(&self.force_null) } else { !forced(&self.force_not_null) };
        (!is_null).then_some(field)
    }

    fn unquote(&mut self, row: &[u8]) {
        self.content.clear();
        self.fields.clear();
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
                self.fields.push((start..self.content.len(), saw_quote));
                (start, saw_quote) = (self.content.len(), false);
            } else {
                self.content.push(byte);
            }
            at += 1;
        }
        self.fields.push((start..self.content.len(), saw_quote));
    }
}
