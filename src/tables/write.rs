//! Rows to Parquet files that no commit names yet.
//!
//! Batches are conformed to the table's schema, split by partition values and written by one or more lanes; each lane
//! holds a bounded number of open files. Invariant: what is returned is complete and on stable storage; after an error
//! nothing is left, and what a killed process leaves is unnamed (VACUUM removes it).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::tables::file_set::FileEntry;
use crate::tables::snapshot::Snapshot;

mod conform;
mod file;
mod partition;
mod statistics;
#[cfg(test)]
mod tests;

use conform::Conform;
use file::{OpenFile, Target};
use partition::Splitter;
pub use partition::check_partition;

/// How files are written.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// A file is closed once it holds about this much.
    pub target_file_bytes: u64,
    pub row_group_rows_max: usize,
    pub row_group_bytes_max: usize,
    /// Files that one lane keeps open, one a partition; beyond that the largest is closed.
    pub open_files_max: usize,
    /// What the open files of one lane may hold in memory; beyond that the largest row group is ended.
    pub memory_bytes_max: usize,
    /// Lanes that encode at the same time. Above one, rows keep their order within a file but not across files.
    pub lanes: usize,
    /// Put into every file's `add` action.
    pub tags: BTreeMap<String, String>,
    /// Columns whose values hardly repeat: whole numbers and times of them are stored as differences, not in a dictionary,
    /// so that a point query reads one page of them.
    pub keys: Vec<String>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            target_file_bytes: 128 << 20,
            row_group_rows_max: 1 << 20,
            row_group_bytes_max: 64 << 20,
            open_files_max: 64,
            memory_bytes_max: 256 << 20,
            lanes: 1,
            tags: BTreeMap::new(),
            keys: Vec::new(),
        }
    }
}

/// Batches on their way to one lane.
const LANE_BATCHES: usize = 2;
/// So many rows go to the first lane before a second one starts: small writes make one file.
const LANE_RUN_ROWS: usize = 1 << 20;

/// Writes the rows to new files of the table.
pub(in crate::tables) async fn write(
    snapshot: &Snapshot,
    clock: &Clock,
    stream: SendableRecordBatchStream,
    options: &WriteOptions,
) -> Result<Vec<FileEntry>> {
    let conform = Conform::new(snapshot, &stream.schema())?;
    let target = Arc::new(Target::new(snapshot, clock, options)?);
    // Rows of one partition stay in one lane; else every lane would open every partition.
    let lanes_max = if snapshot.partition_columns().is_empty() { options.lanes.max(1) } else { 1 };
    let (mut lanes, mut senders) = (JoinSet::new(), Vec::new());
    let mut failed = feed(stream, &conform, &target, lanes_max, &mut lanes, &mut senders).await.err();
    if failed.is_some() {
        target.give_up();
    }
    drop(senders);
    let mut files = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        match lane.map_err(|error| Error::internal(format!("a writer ended early: {error}"))).flatten() {
            Ok(written) => files.push(written),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if let Some(error) = failed {
        target.remove_all().await;
        return Err(error);
    }
    files.sort_by_key(|(lane, _)| *lane);
    Ok(files.into_iter().flat_map(|(_, written)| written).collect())
}

type Written = Result<(usize, Vec<FileEntry>)>;

/// Deals the rows out to lanes.
async fn feed(
    mut stream: SendableRecordBatchStream,
    conform: &Conform,
    target: &Arc<Target>,
    lanes_max: usize,
    lanes: &mut JoinSet<Written>,
    senders: &mut Vec<mpsc::Sender<RecordBatch>>,
) -> Result<()> {
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        let batch = conform.apply(&batch?)?;
        if batch.num_rows() == 0 {
            continue;
        }
        let lane = (rows / LANE_RUN_ROWS) % lanes_max;
        if lane == senders.len() {
            let (sender, receiver) = mpsc::channel(LANE_BATCHES);
            senders.push(sender);
            lanes.spawn(run_lane(lane, Arc::clone(target), receiver));
        }
        rows += batch.num_rows();
        if senders[lane].send(batch).await.is_err() {
            // The lane has failed and will say why.
            break;
        }
    }
    Ok(())
}

async fn run_lane(lane: usize, target: Arc<Target>, mut batches: mpsc::Receiver<RecordBatch>) -> Written {
    let splitter = Splitter::new(&target)?;
    let mut open: BTreeMap<Vec<Option<String>>, OpenFile> = BTreeMap::new();
    let mut closed = Vec::new();
    while let Some(batch) = batches.recv().await {
        for (partition, rows) in splitter.split(&batch)? {
            let file = match open.remove(&partition) {
                Some(file) => file,
                None => {
                    make_room(&mut open, &mut closed, target.options.open_files_max).await?;
                    OpenFile::new(&target, &partition)?
                }
            };
            match file.write(&rows).await? {
                file if file.is_full() => closed.push(file.close().await?),
                file => {
                    open.insert(partition, file);
                }
            }
        }
        flush_largest(&mut open, target.options.memory_bytes_max).await?;
    }
    // Nobody aborts a lane: a file that is being closed would appear behind the back of who deletes it.
    if !target.is_given_up() {
        for file in open.into_values() {
            closed.push(file.close().await?);
        }
    }
    Ok((lane, closed))
}

/// Closes the largest file where one more would be too many.
async fn make_room(
    open: &mut BTreeMap<Vec<Option<String>>, OpenFile>,
    closed: &mut Vec<FileEntry>,
    max: usize,
) -> Result<()> {
    if open.len() < max.max(1) {
        return Ok(());
    }
    let largest = open.iter().max_by_key(|(_, file)| file.size_bytes()).map(|(partition, _)| partition.clone());
    if let Some(file) = largest.and_then(|partition| open.remove(&partition)) {
        closed.push(file.close().await?);
    }
    Ok(())
}

/// Ends row groups, the largest first, until the open files hold no more than `max` bytes.
async fn flush_largest(open: &mut BTreeMap<Vec<Option<String>>, OpenFile>, max: usize) -> Result<()> {
    let mut memory: usize = open.values().map(OpenFile::memory_bytes).sum();
    while memory > max {
        let Some(largest) = open.values_mut().max_by_key(|file| file.memory_bytes()) else { break };
        let before = largest.memory_bytes();
        largest.flush().await?;
        match before.saturating_sub(largest.memory_bytes()) {
            // No file has rows that are not written yet.
            0 => break,
            freed => memory = memory.saturating_sub(freed),
        }
    }
    Ok(())
}
