//! Files: every new file below a path, its rows once.
//!
//! Files come in any order, so no position says which ones were read: a table of the source, its ledger, has a row for each
//! step of each file, added in the same change of the log as the rows of that step ([`ledger`]). A file is known by its path.
//! It is read from its beginning ([`text`], [`columns`]), all of it at one version: where it changes on the way, what was
//! read stays and the rest is left, which is said. Invariant: a record is in the table exactly if the ledger counts it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use crate::catalog::definition::{SourceDef, SourceEncoding};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::decode::Refused;
use crate::ingest::sources::connector::{Chunk, Reset};
use crate::ingest::sources::options::Chosen;
use crate::ingest::sources::status::Status;
use crate::ingest::{Format, Payload};

mod columns;
mod cut;
mod ledger;
mod listing;
mod pattern;
mod text;
mod unpack;

pub use ledger::LEDGER_COLUMNS;

use columns::ColumnsFile;
use cut::{Cutter, Records};
use ledger::Ledger;
use pattern::Pattern;
use text::TextFile;

/// How long a listing is put off at least, where a file is still being written.
const UNSETTLED_WAIT_MIN: Duration = Duration::from_millis(50);

/// The files of a source.
pub(super) struct Files {
    engine: Arc<Engine>,
    source: Arc<SourceDef>,
    status: Arc<Status>,
    store: Arc<dyn ObjectStore>,
    url: Url,
    root: Path,
    pattern: Pattern,
    ledger: Ledger,
    /// Changed files that were spoken of.
    told: HashSet<String>,
    /// Files to read, the oldest first.
    pending: VecDeque<ObjectMeta>,
    reading: Option<Reading>,
    /// True before the first look, and after one that found something.
    looks_at_once: bool,
    wait: Duration,
}

/// A file that is being read.
struct Reading {
    file: ObjectMeta,
    body: Body,
    /// Its records that are stored.
    records: u64,
    /// As many more are in the chunk that was given, and true where it is the last one.
    given: (u64, bool),
}

enum Body {
    Text(Box<TextFile>),
    Columns(Box<ColumnsFile>),
}

/// A piece of a file.
struct Piece {
    format: Format,
    payload: Payload,
    refused: Vec<Refused>,
    records: u64,
    is_last: bool,
}

impl Files {
    pub async fn open(engine: &Arc<Engine>, source: &Arc<SourceDef>, status: &Arc<Status>) -> Result<Self> {
        let chosen = Chosen(source);
        // What was allowed when the source was made may not be any more.
        let url = engine.allowed_location(chosen.text("path"))?;
        let root = Path::from_url_path(url.path())
            .map_err(|error| Error::new(ErrorKind::InvalidParameterValue, format!("\"{url}\" is no path: {error}")))?;
        let ledger = Ledger::open(engine, source).await?;
        let read = ledger.finished();
        status.update(|seen| seen.partitions = read);
        Ok(Self {
            engine: Arc::clone(engine),
            store: engine.stores().get(&url)?,
            source: Arc::clone(source),
            status: Arc::clone(status),
            url,
            root,
            pattern: Pattern::new(chosen.text("pattern"))?,
            ledger,
            told: HashSet::new(),
            pending: VecDeque::new(),
            reading: None,
            looks_at_once: true,
            wait: Duration::ZERO,
        })
    }

    /// The next piece of a file; waits until there is one.
    pub async fn next(&mut self) -> Result<Chunk> {
        loop {
            if self.reading.is_none() {
                let Some(file) = self.pending.pop_front() else {
                    self.look().await?;
                    continue;
                };
                match self.begin(file).await? {
                    Some(chunk) => return Ok(chunk),
                    None => continue,
                }
            }
            if let Some(chunk) = self.go_on().await? {
                return Ok(chunk);
            }
        }
    }

    /// Looks for new files. After a look that found none it waits first.
    async fn look(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.looks_at_once, true) {
            self.engine.buffer().clock().sleep(self.wait).await;
        }
        let chosen = Chosen(&self.source);
        let (poll, settle) = (chosen.duration("poll_interval"), chosen.duration("settle_time"));
        let now = self.engine.buffer().clock().now();
        let found = listing::list(&*self.store, &self.root, &self.pattern).await?;
        let (settled, unsettled): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|file| (now - file.last_modified).to_std().is_ok_and(|age| age >= settle));
        let mut new = Vec::new();
        for file in settled {
            match self.ledger.is_finished(&file) {
                Some(true) => {}
                Some(false) => self.tell_changed(&file),
                None => new.push(file),
            }
        }
        new.sort_by(|one, other| (one.last_modified, &one.location).cmp(&(other.last_modified, &other.location)));
        let is_writing = unsettled.iter().any(|file| self.ledger.is_finished(file).is_none());
        self.wait = if is_writing { poll.min(settle.max(UNSETTLED_WAIT_MIN)) } else { poll };
        self.looks_at_once = !new.is_empty();
        self.pending = new.into();
        Ok(())
    }

    /// Opens a file. Where none of it can be read any more, the chunk says so in the ledger.
    async fn begin(&mut self, file: ObjectMeta) -> Result<Option<Chunk>> {
        if self.url.scheme() == "file" {
            // A link may have come that leads elsewhere.
            let local = Url::parse("file:///").and_then(|root| root.join(&format!("/{}", file.location)));
            let local = local.map_err(|error| Error::internal(format!("\"{}\" is no path: {error}", file.location)))?;
            let local = local.to_file_path().map_err(|()| Error::internal(format!("\"{local}\" is no path")))?;
            self.engine.allowed_location(&local.to_string_lossy())?;
        }
        let records = match self.ledger.begun(&file) {
            None => 0,
            Some((version, records)) if version == ledger::version(&file) => records,
            Some((_, records)) => return self.leave(file, records),
        };
        let (limits, layout) = (Chosen(&self.source).limits(), Chosen(&self.source).csv_layout());
        let source: Arc<str> = file.location.as_ref().into();
        let body = match self.source.encoding {
            SourceEncoding::Parquet => {
                ColumnsFile::open(&self.store, &file, records, limits).await.map(|body| Body::Columns(Box::new(body)))
            }
            SourceEncoding::Json => {
                let cutter = Cutter::new(Records::Json, limits, records, source);
                TextFile::open(&self.store, &file, cutter, Format::NdJson).await.map(|body| Body::Text(Box::new(body)))
            }
            SourceEncoding::Csv => {
                let cutter = Cutter::new(Records::csv(layout.has_header), limits, records, source);
                TextFile::open(&self.store, &file, cutter, Format::Csv(layout))
                    .await
                    .map(|body| Body::Text(Box::new(body)))
            }
        };
        match body {
            Ok(body) => {
                self.reading = Some(Reading { file, body, records, given: (0, false) });
                Ok(None)
            }
            Err(error) => self.unreadable(file, records, error),
        }
    }

    /// The next piece of the file that is open.
    async fn go_on(&mut self) -> Result<Option<Chunk>> {
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let piece = match &mut reading.body {
            Body::Text(body) => body.next(reading.records).await,
            Body::Columns(body) => body.next(reading.records).await,
        };
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                let (file, records) = (reading.file.clone(), reading.records);
                self.reading = None;
                return self.unreadable(file, records, error);
            }
        };
        reading.given = (piece.records, piece.is_last);
        let now = self.engine.buffer().clock().now();
        let row = self.ledger.row(&reading.file, reading.records + piece.records, piece.is_last, now)?;
        let bytes = piece.payload.bytes.len() as u64;
        let has_rows = bytes > 0 || !piece.refused.is_empty();
        let payloads = if bytes > 0 { vec![piece.payload] } else { Vec::new() };
        let format = has_rows.then_some(piece.format);
        Ok(Some(Chunk { format, payloads, refused: piece.refused, also: vec![row], bytes, ..Chunk::default() }))
    }

    /// The chunk that was given last is stored.
    pub fn stored(&mut self) {
        let Some(reading) = &mut self.reading else { return };
        let (records, is_last) = std::mem::take(&mut reading.given);
        reading.records += records;
        self.ledger.note(&reading.file, reading.records, is_last);
        let (now, read) = (self.engine.buffer().clock().now(), self.ledger.finished());
        let age_ms = (now - reading.file.last_modified).num_milliseconds();
        self.status.update(|seen| (seen.partitions, seen.lag_ms) = (read, Some(age_ms)));
        if is_last {
            self.reading = None;
        }
    }

    /// A file cannot be read: it is gone, or is another one now; everything else is tried again.
    fn unreadable(&mut self, file: ObjectMeta, records: u64, error: Error) -> Result<Option<Chunk>> {
        match error.kind() {
            ErrorKind::UndefinedFile => {
                self.tell(&file, "it was removed before it was read to its end".to_owned());
                Ok(None)
            }
            // Another version: a new file if nothing of the old one is stored.
            ErrorKind::SerializationFailure if records == 0 => Ok(None),
            ErrorKind::SerializationFailure => self.leave(file, records),
            // Nothing would make it readable: it goes aside like a record, and the others are read.
            ErrorKind::DataCorrupted | ErrorKind::FeatureNotSupported => self.refuse(file, records, &error),
            _ => Err(error.within(format!("file \"{}\"", file.location))),
        }
    }

    fn refuse(&mut self, file: ObjectMeta, records: u64, error: &Error) -> Result<Option<Chunk>> {
        self.tell(&file, error.message().to_owned());
        let reason = format!("{}: {}", error.sqlstate(), error.message());
        let place = i64::try_from(records).unwrap_or(i64::MAX);
        let refused = Refused { raw: Bytes::new(), reason, place, source: file.location.as_ref().into() };
        let row = self.ledger.row(&file, records, true, self.engine.buffer().clock().now())?;
        self.ledger.note(&file, records, true);
        let format = Some(Format::NdJson);
        Ok(Some(Chunk { format, refused: vec![refused], also: vec![row], ..Chunk::default() }))
    }

    /// The rest of a file that was changed after some of it had been read is left.
    fn leave(&mut self, file: ObjectMeta, records: u64) -> Result<Option<Chunk>> {
        self.tell(
            &file,
            format!(
                "it was changed while it was read: {records} records of what it was are stored, the rest is not read"
            ),
        );
        let now = self.engine.buffer().clock().now();
        let row = self.ledger.row(&file, records, true, now)?;
        self.ledger.note(&file, records, true);
        Ok(Some(Chunk { also: vec![row], ..Chunk::default() }))
    }

    fn tell_changed(&mut self, file: &ObjectMeta) {
        if self.told.insert(ledger::version(file)) {
            self.tell(file, "it was changed after it had been read, and is not read again".to_owned());
        }
    }

    /// What happened to one file stops nothing, but is said.
    fn tell(&self, file: &ObjectMeta, what: String) {
        let error = Error::new(ErrorKind::DataCorrupted, format!("file \"{}\": {what}", file.location));
        tracing::warn!(source = %self.source.name, %error, "a file of a source is not read");
        let now = self.engine.buffer().clock().now();
        self.status.update(|seen| {
            seen.errors += 1;
            (seen.last_error, seen.last_error_at) = (Some(error.to_string()), Some(now));
        });
    }
}

/// Has files read again that were modified then or later: the ledger forgets them.
pub(super) async fn reset(engine: &Arc<Engine>, source: &SourceDef, to: Reset) -> Result<()> {
    match to {
        Reset::Moment(moment) => ledger::forget(engine, source, moment).await,
        Reset::Offset(offset) => {
            Err(Error::unsupported(format!("the files of source \"{}\" have no offset {offset}", source.name))
                .hint("RESET TO TIMESTAMP reads files again that were modified then or later."))
        }
    }
}

/// An error of the store, where a file that is another one by now is [`ErrorKind::SerializationFailure`].
fn store_error(error: object_store::Error) -> Error {
    match error {
        object_store::Error::Precondition { path, .. } => {
            Error::new(ErrorKind::SerializationFailure, format!("\"{path}\" was changed while it was read"))
        }
        error => error.into(),
    }
}

/// The ledger by path: records that are stored, and the version they are of.
type Begun = HashMap<String, (String, u64)>;
