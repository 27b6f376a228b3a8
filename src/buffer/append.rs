//! Rows on their way into tails: into the log, and once they are durable into the next version of the database.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use tokio::sync::oneshot;

use super::{Buffer, DbVersion, OpenTable, Published, TableState};
use crate::catalog::definition::RelationDef;
use crate::catalog::name::Oid;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Durability, Frame, Lsn, News};

/// How long an append waits for tails to be flushed.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);
const ROOM_POLL: Duration = Duration::from_millis(5);

/// Rows that the log has, or a change without any, and who waits for them.
pub(super) struct Arrival {
    rows: Option<(Oid, RecordBatch)>,
    done: oneshot::Sender<Result<Lsn>>,
}

impl Buffer {
    /// Adds rows, which have exactly the table's columns and were checked under `planned`. When it returns they are as
    /// durable as was asked for, and visible. Where the definition is another one by now, the error is 40001.
    pub async fn append(&self, planned: &RelationDef, rows: &[RecordBatch], durability: Durability) -> Result<Lsn> {
        self.wait_for_room().await?;
        let gate = Arc::clone(&self.current().open(planned.oid)?.gate);
        let _open = gate.read().await;
        let version = self.current();
        refuse_changed(&version.catalog, planned)?;
        let OpenTable { format, .. } = version.open(planned.oid)?;
        let rows = concat_batches(format.schema(), rows)?;
        let mut frame = Frame::default();
        frame.push(planned.oid, format, &rows)?;
        self.submit(frame, durability, Some((planned.oid, rows))).await
    }

    /// How much memory all tails take.
    pub fn tail_bytes(&self) -> usize {
        self.current().tails().map(|(_, tail)| tail.bytes()).sum()
    }

    /// True where tails must be flushed for their size alone.
    pub fn is_pressed(&self) -> bool {
        self.tail_bytes() > self.tail_bytes_max / 2
    }

    async fn wait_for_room(&self) -> Result<()> {
        let mut waited = Duration::ZERO;
        while self.tail_bytes() > self.tail_bytes_max {
            if waited >= ROOM_WAIT_MAX {
                return Err(Error::new(
                    ErrorKind::ConfigurationLimitExceeded,
                    "rows come faster than they can be written to files",
                )
                .detail(format!("The rows that wait take more than tail_bytes_max, {} bytes.", self.tail_bytes_max))
                .hint("Try again later. The server's log says if flushes fail."));
            }
            self.clock.sleep(ROOM_POLL).await;
            waited += ROOM_POLL;
        }
        Ok(())
    }

    /// Waits until everything that was appended before is durable.
    pub async fn sync(&self) -> Result<Lsn> {
        self.submit(Frame::default(), Durability::Synced, None).await
    }

    async fn submit(&self, frame: Frame, durability: Durability, rows: Option<(Oid, RecordBatch)>) -> Result<Lsn> {
        let (done, landed) = oneshot::channel();
        self.log.submit(frame, durability, Arrival { rows, done })?;
        landed.await.map_err(|_| {
            Error::new(ErrorKind::StatementCompletionUnknown, "the log ended before it had stored the rows")
        })?
    }
}

/// An error where rows are not written any more as `planned` says.
pub fn refuse_changed(catalog: &crate::catalog::Snapshot, planned: &RelationDef) -> Result<()> {
    match catalog.relation_by_oid(planned.oid) {
        Some(held) if held.stores_like(planned) => Ok(()),
        _ => {
            let message = format!(
                "could not serialize access to table \"{}\" due to a concurrent change of its definition",
                planned.name
            );
            Err(Error::new(ErrorKind::SerializationFailure, message).hint("Run the statement again."))
        }
    }
}

/// What the log's thread does with its news: the rows become visible together, then who waits for them hears of it.
pub(super) fn publisher(published: Arc<Published>, clock: Clock) -> impl FnMut(News<Arrival>) + Send + 'static {
    move |news| match news {
        News::Landed(changes) => {
            let now_ms = clock.now().timestamp_millis();
            let shown = published.replace(|current| Ok((with_rows(current, now_ms, &changes)?, ())));
            for (lsn, arrival) in changes {
                // Who does not wait any more has gone: the rows are there all the same.
                drop(arrival.done.send(shown.clone().map(|()| lsn)));
            }
        }
        News::Failed(error, arrivals) => {
            for arrival in arrivals {
                drop(arrival.done.send(Err(error.clone())));
            }
        }
    }
}

fn with_rows(current: &DbVersion, now_ms: i64, changes: &[(Lsn, Arrival)]) -> Result<DbVersion> {
    let mut tables = Arc::clone(&current.tables);
    let mut lsn = current.lsn;
    for (number, arrival) in changes {
        lsn = lsn.max(*number);
        let Some((oid, rows)) = &arrival.rows else { continue };
        // A table that is gone takes its rows along.
        if let Some(TableState::Open(open)) = Arc::make_mut(&mut tables).get_mut(oid) {
            open.tail = Arc::new(open.tail.appended(*number, now_ms, rows)?);
        }
    }
    Ok(DbVersion { catalog: Arc::clone(&current.catalog), tables, lsn })
}
