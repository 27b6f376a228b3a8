//! Reading the log that a former process has left.
//!
//! Segments are read from the oldest to the newest, every frame is checked against its sums and its number. In the
//! newest segment the first frame that is not whole may be the end that a crash has torn: it was never acknowledged, and
//! is cut. It is not if some frame behind it was written when it was durable already (`synced`): then acknowledged rows
//! are damaged. That, and any fault in an older segment, refuses the start; nothing is changed.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;

use crate::catalog::name::Oid;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Lsn;
use crate::log::frame::{self, Effect, HEADER_BYTES, Header, Kind};
use crate::log::note::Note;
use crate::log::rows::Decoder;
use crate::log::segment::{self, Sealed};

/// A part of a change that was read.
pub enum Logged<'decoder> {
    Rows(LoggedRows<'decoder>),
    /// A note, and the change that it belongs to.
    Note(Lsn, Note),
}

/// Rows of a change that was read.
pub struct LoggedRows<'decoder> {
    /// The number of the change.
    pub lsn: Lsn,
    /// The table that they change.
    pub table: Oid,
    pub effect: Effect,
    message: Buffer,
    decoder: &'decoder mut Decoder,
}

impl LoggedRows<'_> {
    /// The rows.
    pub fn decode(self) -> Result<RecordBatch> {
        self.decoder.batch(self.message)
    }
}

/// What was read.
#[derive(Default)]
pub(super) struct Replayed {
    /// The segments, oldest first. The newest is not among them if it holds no change: its name will be used again.
    pub sealed: Vec<Sealed>,
    /// The greatest number that is used.
    pub last: Lsn,
    /// Bytes of the end that a crash has torn.
    pub torn_bytes: usize,
}

/// What is done about an end that a crash has torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Torn {
    Cut,
    Leave,
}

/// Shows every change to `visit`, in order.
pub(super) fn replay(folder: &Path, torn: Torn, visit: &mut dyn FnMut(Logged<'_>) -> Result<()>) -> Result<Replayed> {
    let paths = segment::list(folder)?;
    let mut replayed = Replayed::default();
    for (place, path) in paths.iter().enumerate() {
        let is_newest = place + 1 == paths.len();
        let bytes = Buffer::from_vec(std::fs::read(path)?);
        let Some(header) = segment::Header::decode(&bytes) else {
            if is_newest && bytes.len() <= segment::HEADER_BYTES {
                // The crash came while the segment was made: nothing was ever written to it.
                replayed.torn_bytes = bytes.len();
                if torn == Torn::Cut {
                    tracing::warn!(segment = %path.display(), "an empty segment of the log is removed");
                    std::fs::remove_file(path)?;
                    segment::sync_folder(folder)?;
                }
                break;
            }
            return Err(damage(path, 0, "its header is not one"));
        };
        if let Some(before) = replayed.sealed.last()
            && before.last != header.previous
        {
            let what =
                format!("it follows change {}, but the segment before ends with {}", header.previous, before.last);
            return Err(damage(path, 0, &what));
        }
        let mut reader = Reader { path, bytes: &bytes, at: segment::HEADER_BYTES, next: header.first };
        reader.frames(visit)?;
        let (end, next) = (reader.at, reader.next);
        if end < bytes.len() {
            if !is_newest || reader.is_durable_behind() {
                return Err(damage(path, end, &format!("change {next} is not whole")));
            }
            replayed.torn_bytes = bytes.len() - end;
            if torn == Torn::Cut {
                cut(path, end, bytes.len())?;
            }
        }
        replayed.last = Lsn(next.0 - 1);
        if !is_newest || next > header.first {
            replayed.sealed.push(Sealed { path: path.clone(), last: replayed.last, bytes: end as u64 });
        }
    }
    Ok(replayed)
}

/// Reads the frames of one segment.
struct Reader<'segment> {
    path: &'segment PathBuf,
    bytes: &'segment Buffer,
    at: usize,
    /// The number that the frame at `at` must have.
    next: Lsn,
}

impl Reader<'_> {
    /// Goes forward to the first frame that is not whole, or the end.
    fn frames(&mut self, visit: &mut dyn FnMut(Logged<'_>) -> Result<()>) -> Result<()> {
        let mut decoders: HashMap<u32, Decoder> = HashMap::new();
        while let Some((header, body)) = self.frame() {
            let undecodable = |error: Error| error.within(format!("change {} of the log cannot be read", header.lsn));
            let Some(parts) = frame::parts(&body, header.parts) else {
                return Err(damage(self.path, self.at, "its parts do not fill it, though its sum is right"));
            };
            for part in parts {
                match part.kind {
                    Kind::Format => {
                        decoders.insert(part.format, Decoder::new(part.message).map_err(undecodable)?);
                    }
                    Kind::Rows(effect) => {
                        let decoder = decoders.get_mut(&part.format).ok_or_else(|| {
                            damage(self.path, self.at, "it has rows of a format that was never stated")
                        })?;
                        let (lsn, table) = (header.lsn, part.table);
                        let rows = LoggedRows { lsn, table, effect, message: part.message, decoder };
                        visit(Logged::Rows(rows)).map_err(undecodable)?;
                    }
                    Kind::Position | Kind::Key | Kind::EventTime => {
                        let note = Note::decode(part.kind, part.table, &part.message)
                            .ok_or_else(|| damage(self.path, self.at, "it has a note that is not one"))?;
                        visit(Logged::Note(header.lsn, note)).map_err(undecodable)?;
                    }
                }
            }
            self.at += HEADER_BYTES + header.body_bytes;
            self.next = self.next.next();
        }
        Ok(())
    }

    /// The frame at this place, if it is whole and has the right number.
    fn frame(&self) -> Option<(Header, Buffer)> {
        let header = Header::decode(&self.bytes[self.at..])?;
        let start = self.at + HEADER_BYTES;
        if header.lsn != self.next || header.body_bytes > self.bytes.len() - start {
            return None;
        }
        let body = self.bytes.slice_with_length(start, header.body_bytes);
        (crc32fast::hash(&body) == header.body_crc).then_some((header, body))
    }

    /// True where some frame behind this place says that the one here was durable.
    fn is_durable_behind(&self) -> bool {
        let places = self.at + 1..self.bytes.len().saturating_sub(HEADER_BYTES - 1);
        places.into_iter().any(|at| Header::decode(&self.bytes[at..]).is_some_and(|header| header.synced >= self.next))
    }
}

fn cut(path: &Path, end: usize, length: usize) -> Result<()> {
    tracing::warn!(
        segment = %path.display(), at = end, bytes = length - end,
        "the end of the log, torn by a crash and never acknowledged, is cut"
    );
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(end as u64)?;
    Ok(file.sync_all()?)
}

fn damage(path: &Path, at: usize, what: &str) -> Error {
    let message = format!("the log is damaged at byte {at} of \"{}\": {what}", path.display());
    Error::new(ErrorKind::DataCorrupted, message)
        .detail("Rows that were acknowledged cannot be read.")
        .hint("Restore the file from a copy. Moving it and all older segments away gives up the rows in them that the tables do not hold yet.")
}
