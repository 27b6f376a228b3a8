//! Files that are packed, by the ends of their names: `.gz` and `.zst`.

use std::io::Write;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use zstd::stream::write::Decoder;

use crate::error::{Error, ErrorKind, Result};

/// Packed bytes that are looked at in one step: what comes out of them is at most some thousand times as much.
pub(super) const STEP_BYTES: usize = 16 << 10;

/// Unpacks a file as it comes.
pub(super) enum Unpacker {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd(Box<Decoder<'static, Vec<u8>>>),
}

impl Unpacker {
    /// For a file of that name.
    pub fn new(name: &str) -> Result<Self> {
        Ok(match name.rsplit_once('.') {
            Some((_, "gz")) => Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Some((_, "zst")) => Self::Zstd(Box::new(Decoder::new(Vec::new()).map_err(damaged)?)),
            _ => Self::Plain,
        })
    }

    /// Bytes that are to be looked at in one step.
    pub fn step_bytes(&self) -> usize {
        if matches!(self, Self::Plain) { usize::MAX } else { STEP_BYTES }
    }

    /// What comes out of the next bytes of the file.
    pub fn unpack(&mut self, bytes: Bytes) -> Result<Bytes> {
        Ok(match self {
            Self::Plain => bytes,
            Self::Gzip(decoder) => {
                decoder.write_all(&bytes).map_err(damaged)?;
                std::mem::take(decoder.get_mut()).into()
            }
            Self::Zstd(decoder) => {
                decoder.write_all(&bytes).map_err(damaged)?;
                std::mem::take(decoder.get_mut()).into()
            }
        })
    }

    /// What is left at the end of the file.
    pub fn finish(&mut self) -> Result<Bytes> {
        Ok(match self {
            Self::Plain => Bytes::new(),
            Self::Gzip(decoder) => {
                decoder.try_finish().map_err(damaged)?;
                std::mem::take(decoder.get_mut()).into()
            }
            Self::Zstd(decoder) => {
                decoder.flush().map_err(damaged)?;
                std::mem::take(decoder.get_mut()).into()
            }
        })
    }
}

fn damaged(error: std::io::Error) -> Error {
    Error::new(ErrorKind::DataCorrupted, format!("it cannot be unpacked: {error}"))
}
