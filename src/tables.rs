//! One Delta table at one version: open, commit, scan, maintain.
//!
//! A row comes in as record batches, goes to Parquet files that nobody sees yet ([`FileWriter::write`]) and becomes
//! visible with the one commit that names the files ([`TableWriter::commit`]). A query holds a [`Snapshot`]: an immutable
//! list of files with their statistics. Invariants: every commit of this process goes through [`strict_log`], which never
//! lets a commit remove a file that is not active; and what an acknowledged commit names is on stable storage.

mod action;
mod change;
mod changes;
mod check;
mod checkpoint;
mod commit;
mod compaction;
mod definition;
mod deletion_vector;
mod delta_error;
mod delta_schema;
pub mod file_set;
pub mod file_stats;
#[cfg(test)]
mod fixture;
mod history;
mod listing;
mod properties;
mod protocol;
mod removal;
mod replay;
mod restore;
pub mod scan;
pub mod snapshot;
mod stores;
mod strict_log;
mod table;
mod vacuum;
mod write;

pub use change::{Change, Operation, Reads};
pub use changes::{CHANGE_TYPE, VersionChanges};
pub use commit::{FileWriter, TableWriter};
pub use compaction::{CompactionGroup, CompactionOptions, compaction_groups, groups_by_partition};
pub use definition::{MetadataChange, TableSpec};
#[cfg(test)]
pub use deletion_vector::tests::{Kind as VectorKind, write_vector};
pub use file_set::{DeletionVector, FileEntry};
pub use history::CommitRecord;
pub use properties::{is_property, property_names, property_value};
pub use scan::{LakeScan, SORTED_TAG, ScanMeter, ScanSummary, files_of_plan};
pub use snapshot::Snapshot;
pub use stores::Stores;
#[cfg(test)]
pub use stores::faulty::{Chance, FaultyStore};
#[cfg(test)]
pub use stores::hooked::HookedStore;
pub use table::{At, Table};
pub use vacuum::VacuumOptions;
pub use write::{WriteOptions, check_partition};
