//! Records of brokers on their way into one change of the log: what each means, where a change ends, and how far it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::buffer::Addition;
use crate::catalog::definition::{SourceDef, SourceEncoding, SourceFormat};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::Refused;
use crate::ingest::sources::connector::Chunk;
use crate::ingest::sources::options::{Chosen, Limits};
use crate::ingest::sources::status::Status;
use crate::ingest::{Format, Payload};
use crate::log::Durability;

/// A record as a broker hands it on.
pub(super) struct Record<'a> {
    /// Where it stands.
    pub partition: i32,
    pub place: i64,
    /// The same, as dead letters name it.
    pub source: Arc<str>,
    pub key: Option<&'a [u8]>,
    /// None where it says that its key is gone.
    pub value: Option<&'a [u8]>,
    pub at_ms: Option<i64>,
}

/// Records that were read and are not handed on yet.
pub(super) struct Records {
    source: Arc<SourceDef>,
    limits: Limits,
    payloads: Vec<Payload>,
    refused: Vec<Refused>,
    bytes: usize,
    /// The place to go on from, by partition.
    next: BTreeMap<i32, i64>,
    newest_ms: Option<i64>,
}

impl Records {
    pub fn new(source: &Arc<SourceDef>) -> Self {
        let (limits, source) = (Chosen(source).limits(), Arc::clone(source));
        let (payloads, refused, next) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { source, limits, payloads, refused, bytes: 0, next, newest_ms: None }
    }

    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// True where they are enough for one change.
    pub fn is_full(&self) -> bool {
        (self.payloads.len() + self.refused.len()) as u64 >= self.limits.rows || self.bytes >= self.limits.bytes
    }

    pub fn take(&mut self, record: Record<'_>) {
        let Record { partition, place, source, key, value, at_ms } = record;
        self.next.insert(partition, place + 1);
        self.newest_ms = self.newest_ms.max(at_ms);
        let is_key = value.is_none();
        let deletes =
            is_key && self.source.format == SourceFormat::Upsert && self.source.encoding == SourceEncoding::Json;
        if is_key && self.source.format == SourceFormat::Debezium {
            // The deletion itself came before it.
            return;
        }
        let text = value.or(key).unwrap_or_default();
        self.bytes += text.len();
        let refuse = |kept: &[u8], reason: String| {
            let (raw, source) = (Bytes::copy_from_slice(kept), Arc::clone(&source));
            Refused { raw, reason, place, source }
        };
        if is_key && (!deletes || key.is_none()) {
            let has_key = if key.is_some() { "a key and no value" } else { "neither key nor value" };
            self.refused.push(refuse(text, format!("23502: the record has {has_key}")));
        } else if text.len() > self.limits.record_bytes {
            let kept = &text[..self.limits.oversize_kept_bytes()];
            self.refused.push(refuse(kept, self.limits.oversize_reason()));
        } else {
            let bytes = Bytes::copy_from_slice(text);
            self.payloads.push(Payload { bytes, is_key, raw: None, place: Some(place), before: 0, source });
        }
    }

    /// What is added in one change; `status` hears how old it is.
    pub fn chunk(self, status: &Status, now: DateTime<Utc>) -> Chunk {
        let age_ms = self.newest_ms.map(|newest_ms| (now.timestamp_millis() - newest_ms).max(0));
        status.update(|seen| seen.lag_ms = age_ms.or(seen.lag_ms));
        let position = |(partition, next): (i32, i64)| (position_name(&self.source, partition), next);
        let is_csv = self.source.encoding == SourceEncoding::Csv;
        Chunk {
            format: Some(if is_csv { Format::Csv(Chosen(&self.source).csv_layout()) } else { Format::Json }),
            positions: self.next.into_iter().map(position).collect(),
            payloads: self.payloads,
            refused: self.refused,
            bytes: self.bytes as u64,
            ..Chunk::default()
        }
    }
}

/// The name under which the log keeps how far a partition was read.
pub(super) fn position_name(source: &SourceDef, partition: i32) -> String {
    format!("{}/{partition}", source.identity)
}

/// Sets positions without rows.
pub(super) async fn note(engine: &Engine, source: &SourceDef, positions: Vec<(String, i64)>) -> Result<()> {
    let positions = positions.into_iter().map(|(name, value)| (source.table, name, value)).collect();
    let addition = Addition { positions, ..Addition::default() };
    engine.buffer().add(addition, Durability::Synced).await.map(drop)
}

/// The broker does not hold all that is to be read.
pub(super) fn removed(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::DataCorrupted, what)
        .hint("ALTER SOURCE ... RESET TO OFFSET 0 goes on with the oldest that are left.")
}
