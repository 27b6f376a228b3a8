//! One Delta table at one version: open, commit, scan, maintain.
//!
//! A row comes in as record batches, goes to Parquet files that nobody sees yet ([`TableWriter::write`]) and becomes
//! visible with the one commit that names the files ([`TableWriter::commit`]). A query holds a [`Snapshot`]: an immutable
//! list of files with their statistics. Invariants: every commit of this process goes through [`strict_log`], which never
//! lets a commit remove a file that is not active; and what an acknowledged commit names is on stable storage.

mod deletion_vector;
pub mod file_set;
pub mod file_stats;
pub mod scan;
pub mod snapshot;

pub use file_set::{DeletionVector, FileEntry, FileSet};
pub use file_stats::{ColumnStats, FileStats};
pub use scan::{LakeScan, ScanSummary};
pub use snapshot::{Protocol, Snapshot};
