//! A change as bytes.
//!
//! A frame is a header and a body; the body is a sequence of parts, each a small header and an Arrow IPC message:
//! the format of rows (once a segment), rows of one table with their [`Effect`], or a [`Note`]. All numbers are little endian, all lengths multiples of 8:
//!
//! ```text
//! frame: body length u32 | crc32 of the body u32 | lsn i64 | synced i64 | parts u32 | crc32 of the header u32
//! part:  kind u32 | table u32 | format u32 | length u32 | message
//! ```
//!
//! `synced` is the newest change that was durable when the frame was written: it tells an end that was torn by a crash
//! from damage to what was acknowledged (see [`super::replay`]).

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;

use crate::catalog::name::Oid;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Lsn;
use crate::log::note::Note;
use crate::log::rows::{self, RowFormat};

/// The largest body. What is larger goes to files at once and never to the log.
const BODY_BYTES_MAX: usize = 1 << 30;

pub(super) const HEADER_BYTES: usize = 32;
const PART_HEADER_BYTES: usize = 16;

/// What the rows of a change do to their table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They are added.
    Insert,
    /// Each takes the place of all rows with its primary key.
    Upsert,
    /// All rows with these primary keys go; the rows have the columns of the key alone.
    Delete,
}

/// A change, encoded but for what only the appender knows: its number, and the formats that the segment holds already.
#[derive(Default)]
pub struct Frame {
    rows: Vec<RowsPart>,
    notes: Vec<NotePart>,
    bytes: usize,
}

struct RowsPart {
    table: Oid,
    effect: Effect,
    format: Arc<RowFormat>,
    message: Vec<u8>,
}

struct NotePart {
    kind: Kind,
    table: Oid,
    message: Vec<u8>,
}

impl Frame {
    /// Adds rows of a table. Their schema must be the format's.
    pub fn push(&mut self, table: Oid, effect: Effect, format: &Arc<RowFormat>, rows: &RecordBatch) -> Result<()> {
        let message = rows::encode(rows)?;
        self.bytes += PART_HEADER_BYTES + message.len();
        if self.bytes > BODY_BYTES_MAX {
            let message = format!("a change of more than {BODY_BYTES_MAX} bytes does not fit the log");
            return Err(Error::new(ErrorKind::ProgramLimitExceeded, message).hint("Load it in several statements."));
        }
        self.rows.push(RowsPart { table, effect, format: Arc::clone(format), message });
        Ok(())
    }

    /// Adds a note.
    pub fn note(&mut self, note: &Note) {
        let message = note.encode();
        self.bytes += PART_HEADER_BYTES + message.len();
        self.notes.push(NotePart { kind: note.kind(), table: note.table(), message });
    }

    /// The size of the body, without formats.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes the frame behind `out`. `format_of` gives a format's number, and true where the segment does not have it.
    pub(super) fn write(
        &self,
        lsn: Lsn,
        synced: Lsn,
        mut format_of: impl FnMut(&Arc<RowFormat>) -> (u32, bool),
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        let mut parts = 0;
        for part in &self.rows {
            let (format, is_new) = format_of(&part.format);
            if is_new {
                push_part(out, Kind::Format, Oid(0), format, part.format.message());
                parts += 1;
            }
            push_part(out, Kind::Rows(part.effect), part.table, format, &part.message);
            parts += 1;
        }
        for note in &self.notes {
            push_part(out, note.kind, note.table, 0, &note.message);
            parts += 1;
        }
        let body = &out[start + HEADER_BYTES..];
        let header = Header { body_bytes: body.len(), body_crc: crc32fast::hash(body), lsn, synced, parts };
        out[start..start + HEADER_BYTES].copy_from_slice(&header.encode());
    }
}

/// What stands before a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub body_bytes: usize,
    pub body_crc: u32,
    pub lsn: Lsn,
    /// The newest change that was durable when this one was written.
    pub synced: Lsn,
    pub parts: u32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let body_bytes = u32::try_from(self.body_bytes).unwrap_or(u32::MAX);
        bytes[0..4].copy_from_slice(&body_bytes.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.lsn.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.synced.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.parts.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, if one stands there.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        if number32(bytes, 28) != crc32fast::hash(&bytes[..28]) {
            return None;
        }
        Some(Self {
            body_bytes: number32(bytes, 0) as usize,
            body_crc: number32(bytes, 4),
            lsn: Lsn(number64(bytes, 8)),
            synced: Lsn(number64(bytes, 16)),
            parts: number32(bytes, 24),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Format,
    Rows(Effect),
    Position,
    Key,
    EventTime,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Format,
        Self::Rows(Effect::Insert),
        Self::Position,
        Self::Key,
        Self::Rows(Effect::Upsert),
        Self::Rows(Effect::Delete),
        Self::EventTime,
    ];

    fn code(self) -> u32 {
        match self {
            Self::Format => 1,
            Self::Rows(Effect::Insert) => 2,
            Self::Position => 3,
            Self::Key => 4,
            Self::Rows(Effect::Upsert) => 5,
            Self::Rows(Effect::Delete) => 6,
            Self::EventTime => 7,
        }
    }
}

/// One part of a frame that was read.
pub(super) struct Part {
    pub kind: Kind,
    pub table: Oid,
    pub format: u32,
    pub message: Buffer,
}

/// The parts of a body; nothing where they do not fill it exactly.
pub(super) fn parts(body: &Buffer, count: u32) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let header = body.get(at..at + PART_HEADER_BYTES)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.code() == number32(header, 0))?;
        let (table, format) = (Oid(number32(header, 4)), number32(header, 8));
        let length = number32(header, 12) as usize;
        at += PART_HEADER_BYTES;
        if length > body.len() - at {
            return None;
        }
        parts.push(Part { kind, table, format, message: body.slice_with_length(at, length) });
        at += length;
    }
    (at == body.len()).then_some(parts)
}

fn push_part(out: &mut Vec<u8>, kind: Kind, table: Oid, format: u32, message: &[u8]) {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    for number in [kind.code(), table.0, format, length] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(message);
}

pub(super) fn number32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|place| bytes[at + place]))
}

pub(super) fn number64(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(std::array::from_fn(|place| bytes[at + place]))
}
