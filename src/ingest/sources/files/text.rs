//! A file of text: its bytes as they come, unpacked, cut between records.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{GetOptions, ObjectMeta, ObjectStore};

use super::cut::{Cut, Cutter};
use super::unpack::Unpacker;
use super::{Piece, store_error};
use crate::error::Result;
use crate::ingest::{Format, Payload};

/// A file of text that is open.
pub(super) struct TextFile {
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    /// What came and is not unpacked yet.
    packed: Bytes,
    unpacker: Unpacker,
    has_ended: bool,
    cutter: Cutter,
    format: Format,
}

impl TextFile {
    pub async fn open(store: &Arc<dyn ObjectStore>, file: &ObjectMeta, cutter: Cutter, format: Format) -> Result<Self> {
        let unpacker = Unpacker::new(file.location.as_ref())?;
        let options = GetOptions { if_match: file.e_tag.clone(), ..GetOptions::default() };
        let got = store.get_opts(&file.location, options).await.map_err(store_error)?;
        Ok(Self { bytes: got.into_stream(), packed: Bytes::new(), unpacker, has_ended: false, cutter, format })
    }

    /// The next piece; `before` records came earlier.
    pub async fn next(&mut self, before: u64) -> Result<Piece> {
        let mut is_last = false;
        while !self.cutter.is_full() && !is_last {
            if self.cutter.is_hungry() {
                is_last = !self.feed().await?;
            }
            self.cutter.work();
        }
        let Cut { bytes, refused, records } = self.cutter.cut();
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let payload =
            Payload { bytes, is_key: false, raw: None, place: None, before, source: Arc::clone(self.cutter.source()) };
        Ok(Piece { format: self.format, payload, refused, records, is_last })
    }

    /// Gives the cutter the next bytes; false at the end of the file.
    async fn feed(&mut self) -> Result<bool> {
        if self.has_ended {
            self.cutter.finish();
            return Ok(false);
        }
        if self.packed.is_empty() {
            match self.bytes.next().await.transpose().map_err(store_error)? {
                Some(bytes) => self.packed = bytes,
                None => {
                    self.has_ended = true;
                    self.cutter.push(self.unpacker.finish()?);
                    return Ok(true);
                }
            }
        }
        let step = self.packed.split_to(self.packed.len().min(self.unpacker.step_bytes()));
        self.cutter.push(self.unpacker.unpack(step)?);
        Ok(true)
    }
}
