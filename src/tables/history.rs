//! What was done to a table, from its commits.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::tables::action::{Add, Commit, Remove};
use crate::tables::table::Table;
use crate::tables::vacuum::{DELETED_BYTES, DELETED_FILES, VACUUMED};

/// Commit files that are read at once.
const READ_AT_ONCE: usize = 16;

/// One version of a table: who made it, how, and what it changed.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitRecord {
    pub version: i64,
    pub committed_at: Option<DateTime<Utc>>,
    /// As Delta names it: `WRITE`, `DELETE`, `OPTIMIZE`, ...
    pub operation: String,
    pub parameters: BTreeMap<String, String>,
    pub files_added: u64,
    /// From the table; of VACUUM from the folder.
    pub files_removed: u64,
    pub bytes_added: u64,
    pub bytes_removed: u64,
    /// As the writer counted them; a row that changed is one that went and one that came. Else the rows of the files, and
    /// `None` where one does not say.
    pub rows_added: Option<u64>,
    pub rows_removed: Option<u64>,
    pub user_name: Option<String>,
    /// Applications and how far they had come.
    pub apps: Vec<(String, i64)>,
}

impl Table {
    /// The newest `limit` commits, newest first, as far back as the log goes.
    pub async fn history(&self, limit: usize) -> Result<Vec<CommitRecord>> {
        let newest = self.log().advance().await?.replayed.version;
        let log = self.log();
        let mut commits = futures::stream::iter((0..=newest).rev())
            .map(|version| async move { log.read_commit(version).await })
            .buffered(READ_AT_ONCE.min(limit.max(1)));
        let mut records = Vec::new();
        while records.len() < limit
            && let Some(commit) = commits.next().await
        {
            // Older ones have been cleaned up.
            let Some(commit) = commit? else { break };
            records.push(record(&commit));
        }
        Ok(records)
    }
}

fn record(commit: &Commit) -> CommitRecord {
    let text = |key: &str| commit.info.get(key).and_then(Value::as_str).map(str::to_owned);
    let metrics = texts(commit.info.get("operationMetrics"));
    let (rows_added, rows_removed) = rows_changed(commit, &metrics);
    let counted = |key: &str| metrics.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let vacuumed = |key| if commit.operation() == VACUUMED { counted(key) } else { 0 };
    CommitRecord {
        version: commit.version,
        committed_at: commit.committed_at_ms().and_then(DateTime::from_timestamp_millis),
        operation: commit.operation().to_owned(),
        parameters: texts(commit.info.get("operationParameters")),
        files_added: commit.adds.len() as u64,
        files_removed: commit.removes.len() as u64 + vacuumed(DELETED_FILES),
        bytes_added: commit.adds.iter().map(|add| unsigned(add.size)).sum(),
        bytes_removed: commit.removes.iter().filter_map(|remove| remove.size).map(unsigned).sum::<u64>()
            + vacuumed(DELETED_BYTES),
        rows_added,
        rows_removed,
        user_name: text("userName"),
        apps: commit.txns.iter().map(|txn| (txn.app_id.clone(), txn.version)).collect(),
    }
}

/// How many rows came and went, by the metrics that Delta's writers give UPDATE, DELETE and MERGE, else by the files.
fn rows_changed(commit: &Commit, metrics: &BTreeMap<String, String>) -> (Option<u64>, Option<u64>) {
    let count = |key: &str| metrics.get(key).and_then(|text| text.parse::<u64>().ok());
    if let (Some(inserted), Some(updated), Some(deleted)) =
        (count("numTargetRowsInserted"), count("numTargetRowsUpdated"), count("numTargetRowsDeleted"))
    {
        return (Some(inserted + updated), Some(updated + deleted));
    }
    if let Some(updated) = count("numUpdatedRows") {
        return (Some(updated), Some(updated));
    }
    if let Some(deleted) = count("numDeletedRows") {
        return (Some(0), Some(deleted));
    }
    let removed = if commit.removes.is_empty() { Some(0) } else { count("numRemovedRows") };
    (commit.adds.iter().map(rows).sum(), removed)
}

fn unsigned(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or_default()
}

fn rows(add: &Add) -> Option<u64> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Rows {
        num_records: Option<u64>,
    }
    let stats: Rows = serde_json::from_str(add.stats.as_deref()?).ok()?;
    stats.num_records
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = |map: &Map<String, Value>| map.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    map.and_then(Value::as_object).map(pairs).unwrap_or_default()
}

/// When a path was removed, by the commit's time.
pub(in crate::tables) fn removal_time(commit: &Commit, remove: &Remove) -> i64 {
    remove.deletion_timestamp.max(commit.committed_at_ms()).unwrap_or(i64::MAX)
}
