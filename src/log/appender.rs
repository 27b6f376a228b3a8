//! The appender: one thread that writes what is submitted, and makes many changes durable with one fsync.
//!
//! While one group is being synced the next one gathers, so the busier the log, the more changes share an fsync; a lone
//! change waits for nobody. A group that cannot be written is taken back as a whole: the log stays as it was, and the
//! next group tries again. Invariant: changes are handed back in the order of their numbers, each once, and after their
//! fsync unless nobody waits for it ([`Durability::Written`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::log::frame::Frame;
use crate::log::rows::RowFormat;
use crate::log::segment::Segment;
use crate::log::{LogOptions, Lsn, Shared};

/// When a change is handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on stable storage.
    Synced,
    /// Once the operating system has it: a crash of the machine may lose it, together with all that came after it.
    Written,
}

/// What the log says of changes that were submitted, in order.
pub enum News<T> {
    /// They have these numbers and are as durable as was asked for.
    Landed(Vec<(Lsn, T)>),
    /// They are not there. Where the error is 40003, a crash right now might bring them back.
    Failed(Error, Vec<T>),
}

/// A change on its way to the appender.
pub(super) struct Submitted<T> {
    pub frame: Frame,
    pub durability: Durability,
    pub payload: T,
}

/// What waits for the appender.
pub(super) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
}

struct Waiting<T> {
    changes: Vec<Submitted<T>>,
    is_closed: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: Mutex::new(Waiting { changes: Vec::new(), is_closed: false }), changed: Condvar::new() }
    }
}

impl<T> Queue<T> {
    pub fn push(&self, change: Submitted<T>) -> Result<()> {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed {
            return Err(Error::new(ErrorKind::AdminShutdown, "the database is closing"));
        }
        waiting.changes.push(change);
        self.changed.notify_one();
        Ok(())
    }

    pub fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// What has come, waiting for it, at most for `quiet` if given. Nothing once the queue is closed and empty.
    fn take(&self, quiet: Option<Duration>) -> Option<Vec<Submitted<T>>> {
        let mut waiting = self.waiting.lock();
        while waiting.changes.is_empty() && !waiting.is_closed {
            match quiet {
                None => self.changed.wait(&mut waiting),
                Some(quiet) if self.changed.wait_for(&mut waiting, quiet).timed_out() => break,
                Some(_) => {}
            }
        }
        let is_over = waiting.changes.is_empty() && waiting.is_closed;
        (!is_over).then(|| std::mem::take(&mut waiting.changes))
    }
}

/// The thread's state.
pub(super) struct Appender<T, H> {
    queue: Arc<Queue<T>>,
    shared: Arc<Shared>,
    options: LogOptions,
    hear: H,
    segment: Segment,
    /// The formats that the segment holds.
    formats: HashMap<Vec<u8>, u32>,
    next: Lsn,
    /// The newest change that is durable.
    synced: Lsn,
    /// Where the segment has to be cut before it can be written to again.
    cut_at: Option<u64>,
    buffer: Vec<u8>,
}

impl<T, H: FnMut(News<T>)> Appender<T, H> {
    pub fn new(
        queue: Arc<Queue<T>>,
        shared: Arc<Shared>,
        options: LogOptions,
        segment: Segment,
        next: Lsn,
        hear: H,
    ) -> Self {
        let (formats, buffer, synced) = (HashMap::new(), Vec::new(), Lsn(next.0 - 1));
        Self { queue, shared, options, hear, segment, formats, next, synced, cut_at: None, buffer }
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self, unsynced_max: Duration) {
        loop {
            let is_unsynced = self.synced.next() < self.next;
            let Some(changes) = self.queue.take(is_unsynced.then_some(unsynced_max)) else { break };
            if changes.is_empty() {
                self.sync_quietly();
            }
            let mut changes = changes.into_iter().peekable();
            while changes.peek().is_some() {
                let mut bytes = 0;
                let group: Vec<_> = std::iter::from_fn(|| {
                    let fits = bytes == 0 || bytes + changes.peek()?.frame.bytes() <= self.options.group_bytes_max;
                    let change = fits.then(|| changes.next()).flatten()?;
                    bytes += change.frame.bytes();
                    Some(change)
                })
                .collect();
                self.land(group);
            }
        }
        self.sync_quietly();
    }

    /// Writes a group, and says what became of it.
    fn land(&mut self, group: Vec<Submitted<T>>) {
        let news = match self.write(&group) {
            Ok(first) => {
                self.next = Lsn(first.0 + group.len() as i64);
                *self.shared.active.lock() = (Lsn(self.next.0 - 1), self.segment.bytes());
                let numbers = (first.0..).map(Lsn);
                News::Landed(numbers.zip(group.into_iter().map(|change| change.payload)).collect())
            }
            Err(error) => News::Failed(error, group.into_iter().map(|change| change.payload).collect()),
        };
        (self.hear)(news);
    }

    /// Gives the number of the group's first change. After an error nothing of the group is there.
    fn write(&mut self, group: &[Submitted<T>]) -> Result<Lsn> {
        self.mend()?;
        if self.segment.is_full(self.options.segment_bytes) {
            self.rotate()?;
        }
        let start = self.segment.bytes();
        let is_synced = group.iter().any(|change| change.durability == Durability::Synced);
        let written = self.append(group).and_then(|()| if is_synced { self.segment.sync() } else { Ok(()) });
        let last = Lsn(self.next.0 - 1 + group.len() as i64);
        match written {
            Ok(()) => {
                if is_synced {
                    self.synced = last;
                }
                Ok(self.next)
            }
            Err(error) => {
                tracing::error!(%error, changes = group.len(), "the log cannot be written");
                self.cut_at = Some(start);
                // Formats that went with the group are stated again.
                self.formats.clear();
                let error = error.within("the change cannot be logged");
                match self.mend() {
                    Ok(()) => Err(error),
                    Err(_) => Err(Error::new(ErrorKind::StatementCompletionUnknown, error.message()).detail(
                        "What was written of the change cannot be taken back: it may be there after a restart.",
                    )),
                }
            }
        }
    }

    fn append(&mut self, group: &[Submitted<T>]) -> Result<()> {
        self.buffer.clear();
        let (formats, synced) = (&mut self.formats, self.synced);
        for (change, lsn) in group.iter().zip(self.next.0..) {
            let format_of = |format: &Arc<RowFormat>| number_of(formats, format);
            change.frame.write(Lsn(lsn), synced, format_of, &mut self.buffer);
        }
        let appended = self.segment.append(&self.buffer);
        // One large group is no reason to hold its memory for ever.
        self.buffer.shrink_to(self.options.group_bytes_max);
        appended
    }

    /// Takes back what an earlier error has left behind the last good change.
    fn mend(&mut self) -> Result<()> {
        let Some(bytes) = self.cut_at else { return Ok(()) };
        self.segment.cut(bytes).map_err(|error| error.within("the log is not usable after an earlier error"))?;
        self.cut_at = None;
        self.synced = Lsn(self.next.0 - 1);
        Ok(())
    }

    /// Begins a new segment: what the old one holds is durable before.
    fn rotate(&mut self) -> Result<()> {
        let last = Lsn(self.next.0 - 1);
        self.segment.sync()?;
        self.synced = last;
        let segment = Segment::create(&self.shared.folder, self.next, last)?;
        let old = std::mem::replace(&mut self.segment, segment);
        self.formats.clear();
        self.shared.sealed.lock().push(old.sealed(last));
        Ok(())
    }

    /// Makes durable what nobody waits for.
    fn sync_quietly(&mut self) {
        if self.synced.next() >= self.next || self.cut_at.is_some() {
            return;
        }
        match self.segment.sync() {
            Ok(()) => self.synced = Lsn(self.next.0 - 1),
            Err(error) => tracing::error!(%error, "changes that were not waited for may be lost in a crash"),
        }
    }
}

/// The number of a format in the segment, and true where the segment does not hold it yet.
fn number_of(formats: &mut HashMap<Vec<u8>, u32>, format: &RowFormat) -> (u32, bool) {
    if let Some(number) = formats.get(format.message()) {
        return (*number, false);
    }
    let number = u32::try_from(formats.len()).unwrap_or(u32::MAX);
    formats.insert(format.message().to_vec(), number);
    (number, true)
}
