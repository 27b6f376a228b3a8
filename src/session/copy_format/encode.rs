//! Rows to COPY data.

use crate::error::Result;
use crate::session::cells::Cells;
use crate::session::copy_format::binary::SIGNATURE;
use crate::session::reply::{Column, CopyFormat, CopyOptions};

/// Writes rows in one of the formats.
pub struct Encoder {
    options: CopyOptions,
    names: Vec<String>,
    /// Bytes that a text field escapes, or that make a CSV field quoted.
    special: [bool; 256],
    field: Vec<u8>,
}

impl Encoder {
    /// An encoder of these columns.
    pub fn new(columns: &[Column], options: &CopyOptions) -> Self {
        let mut special = [false; 256];
        let bytes: &[u8] = match options.format {
            CopyFormat::Csv => &[options.delimiter, options.quote, b'\n', b'\r'],
            _ => &[options.delimiter, b'\\', 8, 9, 10, 11, 12, 13],
        };
        for byte in bytes {
            special[usize::from(*byte)] = true;
        }
        let names = columns.iter().map(|column| column.name.clone()).collect();
        Self { options: options.clone(), names, special, field: Vec::new() }
    }

    /// What comes before the first row; may be nothing.
    pub fn write_header(&mut self, out: &mut Vec<u8>) {
        match self.options.format {
            CopyFormat::Binary => {
                out.extend_from_slice(SIGNATURE);
                out.extend_from_slice(&[0; 8]);
            }
            _ if self.options.header => {
                let count = self.names.len();
                for (index, name) in std::mem::take(&mut self.names).into_iter().enumerate() {
                    self.separate(index, out);
                    self.write_field(count, name.as_bytes(), false, out);
                    self.names.push(name);
                }
                out.push(b'\n');
            }
            _ => {}
        }
    }

    /// Appends one row.
    pub fn write_row(&mut self, cells: &[Cells<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
        if self.options.format == CopyFormat::Binary {
            out.extend_from_slice(&(cells.len() as i16).to_be_bytes());
            return cells.iter().try_for_each(|cell| cell.write_sized_binary(row, out));
        }
        for (index, cell) in cells.iter().enumerate() {
            self.separate(index, out);
            if cell.is_null(row) {
                out.extend_from_slice(self.options.null.as_bytes());
                continue;
            }
            let mut field = std::mem::take(&mut self.field);
            field.clear();
            cell.write_text(row, &mut field);
            let force = self.options.force_quote.get(index).copied().unwrap_or(false);
            self.write_field(cells.len(), &field, force, out);
            self.field = field;
        }
        out.push(b'\n');
        Ok(())
    }

    /// What comes after the last row; may be nothing.
    pub fn write_trailer(&self, out: &mut Vec<u8>) {
        if self.options.format == CopyFormat::Binary {
            out.extend_from_slice(&(-1_i16).to_be_bytes());
        }
    }

    fn separate(&self, index: usize, out: &mut Vec<u8>) {
        if index > 0 {
            out.push(self.options.delimiter);
        }
    }

    fn write_field(&self, width: usize, field: &[u8], force: bool, out: &mut Vec<u8>) {
        let has_special = field.iter().any(|byte| self.special[usize::from(*byte)]);
        match self.options.format {
            CopyFormat::Csv => {
                // A lone `\.` would end the data, and a value equal to the NULL text would come back as NULL.
                let mistakable = field == self.options.null.as_bytes() || width == 1 && field == b"\\.";
                if force || has_special || mistakable {
                    return self.write_quoted(field, out);
                }
                out.extend_from_slice(field);
            }
            _ if has_special => self.write_escaped(field, out),
            _ => out.extend_from_slice(field),
        }
    }

    fn write_quoted(&self, field: &[u8], out: &mut Vec<u8>) {
        out.push(self.options.quote);
        for byte in field {
            if *byte == self.options.quote || *byte == self.options.escape {
                out.push(self.options.escape);
            }
            out.push(*byte);
        }
        out.push(self.options.quote);
    }

    fn write_escaped(&self, field: &[u8], out: &mut Vec<u8>) {
        for byte in field {
            let letter = match byte {
                8 => b'b',
                9 => b't',
                10 => b'n',
                11 => b'v',
                12 => b'f',
                13 => b'r',
                other if self.special[usize::from(*other)] => *other,
                other => {
                    out.push(*other);
                    continue;
                }
            };
            out.extend_from_slice(&[b'\\', letter]);
        }
    }
}
