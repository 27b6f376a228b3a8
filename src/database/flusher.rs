//! The flusher: writes tails to files once they are old or large enough.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::buffer::Tail;
use crate::catalog::name::Oid;
use crate::error::{Error, Result};
use crate::session::Server;

/// How often the flusher looks: four times as often as rows get old, but within these.
const TICK_MS: std::ops::RangeInclusive<u64> = 5..=100;
/// After a flush that failed the flusher lets things be for this long.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Starts the flusher, which tells of each table that it has flushed; it ends with the server.
pub(super) fn start(server: &Arc<Server>, flushed: UnboundedSender<Oid>) {
    let tick_ms = (server.config().flush_interval_ms / 4).clamp(*TICK_MS.start(), *TICK_MS.end());
    let (clock, server) = (server.clock().clone(), Arc::downgrade(server));
    tokio::spawn(async move {
        loop {
            clock.sleep(Duration::from_millis(tick_ms)).await;
            match flush_due(&server, &flushed).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(%error, "rows stay in the log and the tail: a flush has failed and is tried again");
                    clock.sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    });
}

/// Writes all tails to files.
pub(super) async fn flush_all(server: &Server) -> Result<()> {
    flush(server, |_| true, |_| {}).await
}

/// False once the server is gone.
async fn flush_due(server: &Weak<Server>, flushed: &UnboundedSender<Oid>) -> Result<bool> {
    let Some(server) = server.upgrade() else { return Ok(false) };
    let config = server.config();
    let interval_ms = i64::try_from(config.flush_interval_ms).unwrap_or(i64::MAX);
    let late_ms = server.clock().now().timestamp_millis().saturating_sub(interval_ms);
    let is_pressed = server.buffer().is_pressed();
    let is_due = |tail: &Tail| {
        is_pressed
            || tail.bytes() as u64 >= config.flush_bytes
            || tail.since_ms().is_some_and(|since_ms| since_ms <= late_ms)
    };
    // Nobody hears of it where the merger has ended, because the database closes.
    flush(&server, is_due, |table| {
        let _ = flushed.send(table);
    })
    .await
    .map(|()| true)
}

/// One table that cannot be flushed keeps none of the others from it.
async fn flush(server: &Server, is_wanted: impl Fn(&Tail) -> bool, flushed: impl Fn(Oid)) -> Result<()> {
    let version = server.buffer().current();
    let wanted: Vec<Oid> = version.tails().filter(|(_, tail)| is_wanted(tail)).map(|(oid, _)| oid).collect();
    let mut failed: Option<Error> = None;
    for oid in wanted {
        let scope = server.engine().background_scope();
        let Some(relation) = scope.version.catalog.relation_by_oid(oid) else { continue };
        match server.engine().flush(&scope, &relation, &CancellationToken::new()).await {
            Ok(_) => flushed(oid),
            Err(error) => {
                failed = Some(error.within(format!("the rows of table \"{}\" cannot be flushed", relation.name)));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
