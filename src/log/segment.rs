//! Segment files: a header, then frames. Their names are the number of their first change, so they sort by age.
//!
//! ```text
//! header: "HWLOG\0\0\1" | first i64 | previous i64 | reserved u32 | crc32 of the header u32
//! ```
//!
//! `previous` is the last change of the segment before, so a missing segment is noticed.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::log::Lsn;
use crate::log::frame::{number32, number64};

const MAGIC: &[u8; 8] = b"HWLOG\0\0\x01";
pub(super) const HEADER_BYTES: usize = 32;
const ENDING: &str = "log";

/// The segment that is written to.
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    first: Lsn,
    bytes: u64,
}

/// A segment that is not written to any more.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub path: PathBuf,
    /// Its newest change; where it has none, the newest before it.
    pub last: Lsn,
    pub bytes: u64,
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub first: Lsn,
    pub previous: Lsn,
}

impl Segment {
    /// Makes an empty segment, and its entry in the folder, durable. One of the same name, which can hold no change
    /// that was acknowledged, is replaced.
    pub fn create(folder: &Path, first: Lsn, previous: Lsn) -> Result<Self> {
        let path = folder.join(format!("{:020}.{ENDING}", first.0));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&Header { first, previous }.encode())?;
        file.sync_all()?;
        sync_folder(folder)?;
        Ok(Self { file, path, first, bytes: HEADER_BYTES as u64 })
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// True where the next change is to begin another segment. One without changes has the name that the other would have.
    pub fn is_full(&self, bytes_max: u64) -> bool {
        self.bytes >= bytes_max && self.bytes > HEADER_BYTES as u64
    }

    /// Writes behind what is there.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was appended durable.
    pub fn sync(&self) -> Result<()> {
        Ok(self.file.sync_data()?)
    }

    /// Takes back what stands behind `bytes`, durably.
    pub fn cut(&mut self, bytes: u64) -> Result<()> {
        self.file.set_len(bytes)?;
        self.file.seek(SeekFrom::Start(bytes))?;
        self.file.sync_all()?;
        self.bytes = bytes;
        Ok(())
    }

    /// The segment as one that is not written to any more.
    pub fn sealed(&self, last: Lsn) -> Sealed {
        debug_assert!(last.next() >= self.first, "a segment's changes begin with its first");
        Sealed { path: self.path.clone(), last, bytes: self.bytes }
    }
}

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.previous.0.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of a segment, if it is one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        if &bytes[..8] != MAGIC || number32(bytes, 28) != crc32fast::hash(&bytes[..28]) {
            return None;
        }
        Some(Self { first: Lsn(number64(bytes, 8)), previous: Lsn(number64(bytes, 16)) })
    }
}

/// Makes the log's folder, which only its owner can enter.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Error::from(error).within(format!("the log folder {} cannot be made", folder.display())))?;
    // The folder's own entry must last as long as what is in it.
    folder.parent().map_or(Ok(()), sync_folder)
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

/// The segments in a folder, oldest first.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse::<i64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|ending| ending == ENDING)) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
