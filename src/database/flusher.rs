//! The flusher: writes tails to files once they are old or large enough.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::buffer::Tail;
use crate::catalog::name::Oid;
use crate::error::{Error, Result};
use crate::session::Server;

/// How often the flusher looks.
const TICK: Duration = Duration::from_millis(100);
/// After a flush that failed the flusher lets things be for this long.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Starts the flusher; it ends with the server.
pub(super) fn start(server: &Arc<Server>) {
    let (clock, server) = (server.clock().clone(), Arc::downgrade(server));
    tokio::spawn(async move {
        loop {
            clock.sleep(TICK).await;
            match flush_due(&server).await {
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
    flush(server, |_| true).await
}

/// False once the server is gone.
async fn flush_due(server: &Weak<Server>) -> Result<bool> {
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
    flush(&server, is_due).await.map(|()| true)
}

/// One table that cannot be flushed keeps none of the others from it.
async fn flush(server: &Server, is_wanted: impl Fn(&Tail) -> bool) -> Result<()> {
    let version = server.buffer().current();
    let wanted: Vec<Oid> = version.tails().filter(|(_, tail)| is_wanted(tail)).map(|(oid, _)| oid).collect();
    let mut failed: Option<Error> = None;
    for oid in wanted {
        let scope = server.engine().background_scope();
        let Some(relation) = scope.version.catalog.relation_by_oid(oid) else { continue };
        if let Err(error) = server.engine().flush(&scope, &relation, &CancellationToken::new()).await {
            failed = Some(error.within(format!("the rows of table \"{}\" cannot be flushed", relation.name)));
        }
    }
    failed.map_or(Ok(()), Err)
}
