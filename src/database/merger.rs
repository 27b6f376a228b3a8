//! The merger: small files that flushes have left become larger ones, in the background.
//!
//! A table is looked at after each of its flushes, and what it gathers is merged by size, one group at a time ([`crate::tables::compaction_groups`]), beside
//! everybody else: who changes the same rows meanwhile comes first. Tables that nothing is flushed to stay as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::catalog::name::Oid;
use crate::error::{ErrorKind, Result};
use crate::session::Server;

/// Starts the merger, which hears of tables that were flushed; it ends with who tells it, or when the database closes.
pub(super) fn start(server: &Arc<Server>, closing: CancellationToken) -> UnboundedSender<Oid> {
    let (sender, mut flushed) = unbounded_channel();
    let server = Arc::downgrade(server);
    tokio::spawn(async move {
        while let Some(first) = flushed.recv().await {
            let mut tables = BTreeSet::from([first]);
            while let Ok(next) = flushed.try_recv() {
                tables.insert(next);
            }
            for table in tables {
                let Some(server) = server.upgrade() else { return };
                // Closing waits for who works.
                let Some(_working) = server.buffer().stores().work() else { return };
                match merge(&server, table, &closing).await {
                    Err(error) if error.kind() != ErrorKind::QueryCanceled => {
                        tracing::warn!(%error, "small files stay until the next flush: they could not be merged");
                    }
                    _ => {}
                }
            }
        }
    });
    sender
}

async fn merge(server: &Server, table: Oid, closing: &CancellationToken) -> Result<()> {
    let (files_min, scope) = (server.config().merge_files_min, server.engine().background_scope());
    let Some(relation) = scope.version.catalog.relation_by_oid(table).filter(|_| files_min > 0) else { return Ok(()) };
    let merged = server.engine().merge_small_files(&scope, &relation, files_min, closing).await;
    let report = merged.map_err(|error| error.within(format!("table \"{}\"", relation.name)))?;
    if report.files_removed > 0 {
        let (before, after) = (report.files_removed, report.files_added);
        tracing::debug!(table = %relation.name, before, after, "small files are merged");
    }
    Ok(())
}
