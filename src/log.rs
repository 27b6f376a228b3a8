//! The write-ahead log: numbered changes, on stable storage before anybody hears of them.
//!
//! A change is one [`Frame`]: the rows that one statement or message adds, to one table or several, and notes ([`Note`]);
//! it is there whole or not at all. [`Log::open`] reads the segments that a former process has left ([`replay`]). After [`Opened::start`] one
//! thread ([`appender`]) numbers what is submitted, writes it to the newest segment ([`segment`]), makes it durable with
//! one fsync for all that came meanwhile, and hands it back as [`News`], in order. [`Log::release`] deletes segments that
//! nobody needs any more. Invariant: numbers rise and none is used twice; what was handed back as durable is there after
//! a crash; a torn end was never handed back and is cut, damage before it refuses the start.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Error, Result};

mod appender;
mod frame;
mod note;
mod replay;
mod rows;
mod segment;
#[cfg(test)]
mod tests;

pub use appender::{Durability, News};
pub use frame::{Effect, Frame};
pub use note::{EventFact, KeyFact, Note};
pub use replay::Logged;
pub use rows::RowFormat;

use appender::{Appender, Queue, Submitted};
use replay::{Replayed, Torn};
pub use segment::make_folder;

use segment::{Sealed, Segment};

/// The number of a change: log sequence number. The first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub i64);

impl Lsn {
    /// Before every change.
    pub const ZERO: Self = Self(0);

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How the log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A new segment is begun once one holds about this much.
    pub segment_bytes: u64,
    /// What one fsync may cover; more waits for the next one.
    pub group_bytes_max: usize,
    /// How long a change that nobody waits for ([`Durability::Written`]) stays without fsync.
    pub unsynced_ms_max: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, group_bytes_max: 8 << 20, unsynced_ms_max: 200 }
    }
}

/// What the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// The newest change that was handed back.
    pub last: Lsn,
    /// Segments, with the one that is written to.
    pub segments: usize,
    /// Their size.
    pub bytes: u64,
}

/// The log while it is written to. `T` is what a submitter attaches to a change and gets back with its number.
pub struct Log<T> {
    queue: Arc<Queue<T>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What the appender and its callers share.
struct Shared {
    folder: PathBuf,
    /// The segments that are not written to any more, oldest first.
    sealed: Mutex<Vec<Sealed>>,
    /// The newest change that was handed back, and the size of the segment that is written to.
    active: Mutex<(Lsn, u64)>,
}

/// A log that was read, and can be written to after [`Opened::start`].
pub struct Opened {
    options: LogOptions,
    shared: Shared,
    /// The greatest number that is used.
    last: Lsn,
}

/// What [`check`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    pub segments: usize,
    /// The newest change.
    pub last: Lsn,
    /// Bytes of an end that a crash has torn: the next start cuts it.
    pub torn_bytes: usize,
}

/// Reads the whole log in a folder and changes nothing. Damage is an error.
pub fn check(folder: &Path) -> Result<Checked> {
    if !folder.exists() {
        return Ok(Checked { segments: 0, last: Lsn::ZERO, torn_bytes: 0 });
    }
    let read = replay::replay(folder, Torn::Leave, &mut |logged| match logged {
        Logged::Rows(rows) => rows.decode().map(drop),
        Logged::Note(..) => Ok(()),
    })?;
    Ok(Checked { segments: read.sealed.len(), last: read.last, torn_bytes: read.torn_bytes })
}

impl<T: Send + 'static> Log<T> {
    /// Reads the log in a folder, which is made if it is missing, and shows every change to `visit`, in order.
    /// The damage of an end that was never acknowledged is mended; other damage is an error.
    pub fn open(folder: &Path, options: LogOptions, visit: &mut dyn FnMut(Logged<'_>) -> Result<()>) -> Result<Opened> {
        segment::make_folder(folder)?;
        let Replayed { sealed, last, .. } = replay::replay(folder, Torn::Cut, visit)?;
        let shared =
            Shared { folder: folder.to_owned(), sealed: Mutex::new(sealed), active: Mutex::new((Lsn::ZERO, 0)) };
        Ok(Opened { options, shared, last })
    }

    /// Gives a change to the appender, which hands `payload` back with its number or an error.
    pub fn submit(&self, frame: Frame, durability: Durability, payload: T) -> Result<()> {
        self.queue.push(Submitted { frame, durability, payload })
    }

    /// True where [`Log::release`] would delete something.
    pub fn has_free(&self, lsn: Lsn) -> bool {
        self.shared.sealed.lock().first().is_some_and(|segment| segment.last <= lsn)
    }

    /// Nobody needs the changes up to `lsn` any more. Gives the number of segments that were deleted.
    pub fn release(&self, lsn: Lsn) -> Result<usize> {
        let mut sealed = self.shared.sealed.lock();
        let free = sealed.iter().take_while(|segment| segment.last <= lsn).count();
        for (done, segment) in sealed.iter().take(free).enumerate() {
            if let Err(error) = std::fs::remove_file(&segment.path) {
                sealed.drain(..done);
                return Err(Error::from(error).within("a log segment cannot be deleted"));
            }
        }
        sealed.drain(..free);
        Ok(free)
    }

    /// What the log holds.
    pub fn status(&self) -> LogStatus {
        let sealed = self.shared.sealed.lock();
        let (last, active_bytes) = *self.shared.active.lock();
        let bytes = sealed.iter().map(|segment| segment.bytes).sum::<u64>() + active_bytes;
        LogStatus { last, segments: sealed.len() + 1, bytes }
    }

    /// Takes no more changes, and waits until all that were submitted are durable.
    pub fn close(&self) {
        self.queue.close();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the log's thread has panicked");
        }
    }
}

impl<T> Drop for Log<T> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Opened {
    /// The greatest number that is used.
    pub fn last(&self) -> Lsn {
        self.last
    }

    /// Begins a segment and the thread that writes it. Numbers go on after the newest that was read and after `used`,
    /// whichever is greater. `hear` is called on that thread and must not wait for anything.
    pub fn start<T: Send + 'static>(self, used: Lsn, hear: impl FnMut(News<T>) + Send + 'static) -> Result<Log<T>> {
        let first = self.last.max(used).next();
        let previous = self.shared.sealed.lock().last().map_or(Lsn::ZERO, |segment| segment.last);
        let segment = Segment::create(&self.shared.folder, first, previous)
            .map_err(|error| error.within("a segment of the log cannot be made"))?;
        *self.shared.active.lock() = (Lsn(first.0 - 1), segment.bytes());
        let (queue, shared) = (Arc::new(Queue::default()), Arc::new(self.shared));
        let quiet = Duration::from_millis(self.options.unsynced_ms_max);
        let appender = Appender::new(Arc::clone(&queue), Arc::clone(&shared), self.options, segment, first, hear);
        let thread = std::thread::Builder::new().name("headwater-log".to_owned()).spawn(move || appender.run(quiet))?;
        Ok(Log { queue, shared, thread: Mutex::new(Some(thread)) })
    }
}
