//! A row of the text format: fields between delimiters, backslash escapes, `\N` for NULL.

use std::ops::Range;

use crate::error::Result;
use crate::session::copy_format::Fields;
use crate::session::intake::utf8;
use crate::session::reply::CopyOptions;

/// Splits rows; its buffers are used again for each.
pub(super) struct TextRow {
    delimiter: u8,
    null: String,
    unescaped: Vec<u8>,
    places: Vec<Option<Range<usize>>>,
}

impl TextRow {
    pub(super) fn new(options: &CopyOptions) -> Self {
        Self { delimiter: options.delimiter, null: options.null.clone(), unescaped: Vec::new(), places: Vec::new() }
    }

    /// The fields of the line, which may have escapes where it is marked.
    pub(super) fn fields<'a>(&'a mut self, line: &'a str, is_marked: bool) -> Result<Fields<'a>> {
        self.places.clear();
        if is_marked {
            self.unescape(line.as_bytes());
            let text = utf8(&self.unescaped)?;
            return Ok(Fields { text, places: &self.places });
        }
        let mut start = 0;
        for end in memchr::memchr_iter(self.delimiter, line.as_bytes()).chain([line.len()]) {
            self.places.push((line[start..end] != self.null).then_some(start..end));
            start = end + 1;
        }
        Ok(Fields { text: line, places: &self.places })
    }

    fn unescape(&mut self, line: &[u8]) {
        self.unescaped.clear();
        let (mut raw_start, mut start, mut at) = (0, 0, 0);
        loop {
            match line.get(at) {
                Some(b'\\') if at + 1 < line.len() => at = self.escape(line, at + 1),
                Some(byte) if *byte != self.delimiter => {
                    self.unescaped.push(*byte);
                    at += 1;
                }
                end => {
                    // The NULL text is compared before escapes are resolved.
                    let is_null = &line[raw_start..at] == self.null.as_bytes();
                    self.places.push((!is_null).then_some(start..self.unescaped.len()));
                    if end.is_none() {
                        return;
                    }
                    at += 1;
                    (raw_start, start) = (at, self.unescaped.len());
                }
            }
        }
    }

    /// Appends what the escape whose letter is at `at` means; returns the place behind it.
    fn escape(&mut self, line: &[u8], at: usize) -> usize {
        let digits = |from: usize, most: usize, base: u32| {
            let count = line[from..].iter().take(most).take_while(|byte| char::from(**byte).is_digit(base)).count();
            let text = &line[from..from + count];
            (count, text.iter().fold(0, |sum, byte| sum * base + char::from(*byte).to_digit(base).unwrap_or(0)))
        };
        let plain = match line[at] {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => {
                let (count, value) = digits(at, 3, 8);
                self.unescaped.push((value & 0xff) as u8);
                return at + count;
            }
            b'x' => match digits(at + 1, 2, 16) {
                (0, _) => b'x',
                (count, value) => {
                    self.unescaped.push(value as u8);
                    return at + 1 + count;
                }
            },
            other => other,
        };
        self.unescaped.push(plain);
        at + 1
    }
}
