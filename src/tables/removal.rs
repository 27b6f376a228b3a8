//! Taking a table's folder away: after DROP, or when a table did not come to be.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::table::Table;

/// How often it is looked whether a dropped table's files are still read.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

impl Table {
    /// Deletes every object of the table's folder, the log last: a crash in between leaves a table that still opens
    /// or a folder without a log, never a log that names other rows than before.
    pub async fn delete_folder(&self) -> Result<()> {
        let snapshot = self.snapshot();
        let failed = |error: object_store::Error| {
            Error::new(ErrorKind::IoError, format!("the files of \"{}\" cannot be deleted", self.location()))
                .detail(error.to_string())
        };
        let listed: Vec<_> = snapshot.store().list(Some(snapshot.root())).try_collect().await.map_err(failed)?;
        let (log, data): (Vec<_>, Vec<_>) =
            listed.into_iter().map(|object| object.location).partition(|path| path.as_ref().contains("/_delta_log/"));
        for paths in [data, log] {
            let mut paths = futures::stream::iter(paths);
            while let Some(path) = paths.next().await {
                snapshot.store().delete(&path).await.map_err(failed)?;
            }
        }
        if let Ok(folder) = self.location().to_file_path() {
            // Objects are gone; the empty folders of a local disk go with them.
            std::fs::remove_dir_all(folder)?;
        }
        Ok(())
    }

    /// Deletes the folder once no statement reads it any more.
    pub fn delete_folder_when_unused(self: &Arc<Self>) {
        let table = Arc::clone(self);
        tokio::spawn(async move {
            let clock = table.clock().clone();
            while Arc::strong_count(&table) > 1 || table.log().is_read() {
                clock.sleep(LOOK_INTERVAL).await;
            }
            if let Err(error) = table.delete_folder().await {
                tracing::warn!(location = %table.location(), %error, "the folder of a dropped table stays");
            }
        });
    }
}
