//! Text into pieces that end between two records.
//!
//! Bytes are pushed as they come and looked at once. A record that is larger than it may be is put aside with its beginning
//! only; records that are stored already are left out. Records are numbered from 1 in the whole file.

use std::sync::Arc;

use bytes::Bytes;

use crate::ingest::decode::Refused;
use crate::ingest::sources::options::Limits;

/// What some programs write before text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How records are told apart.
pub(super) enum Records {
    /// JSON, before its first character is seen.
    Json,
    Lines,
    Csv {
        in_quotes: bool,
        /// The first record goes before every piece.
        wants_header: bool,
    },
    Array(Array),
}

/// Where in a JSON array the text is.
#[derive(Default)]
pub(super) struct Array {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    in_element: bool,
    is_closed: bool,
}

impl Records {
    pub fn csv(wants_header: bool) -> Self {
        Self::Csv { in_quotes: false, wants_header }
    }

    /// Takes text up to the end of a record, or all. What belongs to the record goes to `out`.
    fn scan(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, bool) {
        match self {
            Self::Json => {
                let Some(start) = input.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                    return (input.len(), false);
                };
                if input[start] == b'[' {
                    *self = Self::Array(Array::default());
                    return (start + 1, false);
                }
                *self = Self::Lines;
                (start, false)
            }
            Self::Lines => {
                let end = input.iter().position(|byte| *byte == b'\n');
                let taken = end.map_or(input.len(), |end| end + 1);
                out.extend_from_slice(&input[..taken]);
                (taken, end.is_some())
            }
            Self::Csv { in_quotes, .. } => {
                let is_end = |byte: &u8| {
                    *in_quotes ^= *byte == b'"';
                    *byte == b'\n' && !*in_quotes
                };
                let end = input.iter().position(is_end);
                let taken = end.map_or(input.len(), |end| end + 1);
                out.extend_from_slice(&input[..taken]);
                (taken, end.is_some())
            }
            Self::Array(array) => array.scan(input, out),
        }
    }
}

impl Array {
    /// Elements become lines: a line break can stand between values only.
    fn scan(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, bool) {
        for (at, byte) in input.iter().enumerate() {
            if self.in_string {
                out.push(*byte);
                self.in_string = self.is_escaped || *byte != b'"';
                self.is_escaped = !self.is_escaped && *byte == b'\\';
                continue;
            }
            match byte {
                b',' | b']' if self.depth == 0 => {
                    self.is_closed |= *byte == b']';
                    if std::mem::take(&mut self.in_element) {
                        out.push(b'\n');
                        return (at + 1, true);
                    }
                }
                byte if byte.is_ascii_whitespace() => {
                    if self.in_element {
                        out.push(b' ');
                    }
                }
                byte => {
                    self.in_element = true;
                    self.in_string = *byte == b'"';
                    self.depth += usize::from(matches!(byte, b'{' | b'['));
                    self.depth = self.depth.saturating_sub(usize::from(matches!(byte, b'}' | b']')));
                    out.push(*byte);
                }
            }
        }
        (input.len(), false)
    }
}

/// Cuts one file.
pub(super) struct Cutter {
    records: Records,
    limits: Limits,
    source: Arc<str>,
    /// What was pushed and not looked at.
    rest: Bytes,
    header: Vec<u8>,
    has_header: bool,
    /// Whole records, and the beginning of the next from `begin` on.
    out: Vec<u8>,
    begin: usize,
    /// The present record is too large: only its beginning is kept.
    is_oversize: bool,
    refused: Vec<Refused>,
    /// Whole records since the last cut, those that were refused among them.
    count: u64,
    /// The number of the last whole record in the file.
    number: u64,
    /// Records up to this one are left out.
    skip_to: u64,
}

/// What was cut.
pub(super) struct Cut {
    /// The header, if there is one, and whole records; empty where there are none.
    pub bytes: Bytes,
    pub refused: Vec<Refused>,
    pub records: u64,
}

impl Cutter {
    /// For a file of which so many records are stored.
    pub fn new(records: Records, limits: Limits, stored: u64, source: Arc<str>) -> Self {
        Self {
            has_header: matches!(records, Records::Csv { wants_header: true, .. }),
            records,
            limits,
            source,
            rest: Bytes::new(),
            header: Vec::new(),
            out: Vec::new(),
            begin: 0,
            is_oversize: false,
            refused: Vec::new(),
            count: 0,
            number: 0,
            skip_to: stored,
        }
    }

    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// True where a piece is as large as it may be.
    pub fn is_full(&self) -> bool {
        self.begin >= self.limits.bytes || self.count >= self.limits.rows
    }

    /// True where nothing is left that has not been looked at.
    pub fn is_hungry(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next bytes of the file; only while it [`is_hungry`](Self::is_hungry).
    pub fn push(&mut self, bytes: Bytes) {
        let is_begun = self.number > 0 || !self.out.is_empty() || !self.header.is_empty();
        let has_mark = !is_begun && bytes.starts_with(BYTE_ORDER_MARK);
        self.rest = if has_mark { bytes.slice(BYTE_ORDER_MARK.len()..) } else { bytes };
    }

    /// Looks at what was pushed, until the piece is full.
    pub fn work(&mut self) {
        while !self.rest.is_empty() && !self.is_full() {
            let (taken, ended) = self.records.scan(&self.rest, &mut self.out);
            self.rest = self.rest.slice(taken..);
            if self.out.len() - self.begin > self.limits.record_bytes {
                self.is_oversize = true;
            }
            if self.is_oversize {
                self.out.truncate(self.begin + self.limits.oversize_kept_bytes());
            }
            if ended {
                self.end_record();
            }
        }
    }

    fn end_record(&mut self) {
        if std::mem::take(&mut self.has_header) {
            self.header = std::mem::take(&mut self.out);
            self.is_oversize = false;
            return;
        }
        self.number += 1;
        if self.number <= self.skip_to {
            self.out.truncate(self.begin);
            self.is_oversize = false;
            return;
        }
        self.count += 1;
        if std::mem::take(&mut self.is_oversize) {
            self.refuse(self.limits.oversize_reason());
        }
        self.begin = self.out.len();
    }

    /// Puts the present record aside.
    fn refuse(&mut self, reason: String) {
        let raw = Bytes::from(self.out.split_off(self.begin));
        let place = i64::try_from(self.number).unwrap_or(i64::MAX);
        self.refused.push(Refused { raw, reason, place, source: Arc::clone(&self.source) });
    }

    /// The file has ended: what is left is the last record, if it is one.
    pub fn finish(&mut self) {
        if self.out.len() > self.begin {
            if let Records::Array(_) = &self.records {
                self.number += 1;
                self.count += 1;
                self.refuse("22P02: the JSON array is not closed".to_owned());
                return;
            }
            if self.out.last() != Some(&b'\n') {
                self.out.push(b'\n');
            }
            self.end_record();
        }
    }

    /// The whole records there are.
    pub fn cut(&mut self) -> Cut {
        let tail = self.out.split_off(self.begin);
        let whole = std::mem::replace(&mut self.out, tail);
        self.begin = 0;
        let bytes = match whole.is_empty() {
            true => Bytes::new(),
            false if self.header.is_empty() => whole.into(),
            false => [self.header.as_slice(), &whole].concat().into(),
        };
        Cut { bytes, refused: std::mem::take(&mut self.refused), records: std::mem::take(&mut self.count) }
    }
}

#[cfg(test)]
mod tests;
