//! The active files of a table at one version.
//!
//! Invariant: sorted by path, no path twice. A new version shares its entries with the one before, so that keeping
//! the set current costs a commit O(files) pointer copies and no parsing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::tables::file_stats::FileStats;
use crate::tables::scan::FileIndex;

/// One data file of a table, as the log describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileEntry {
    /// Path relative to the table's folder, percent-decoded once (as object stores spell it).
    pub path: String,
    pub size_bytes: u64,
    pub modified_at_ms: i64,
    /// One value a partition column, in the order of [`Snapshot::partition_columns`](crate::tables::Snapshot::partition_columns),
    /// in Delta's text form; `None` is NULL.
    pub partition: Vec<Option<String>>,
    /// Rows in the file, those that its deletion vector hides included.
    pub rows: Option<u64>,
    pub stats: FileStats,
    pub tags: BTreeMap<String, String>,
    pub deletion_vector: Option<DeletionVector>,
}

/// Where the bitmap of a file's deleted rows is (Delta protocol, "Deletion Vector Descriptor").
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletionVector {
    /// `u` relative to the table, `i` inline, `p` absolute.
    pub storage_type: String,
    pub path_or_inline_dv: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i32>,
    pub size_in_bytes: i32,
    /// Rows that it deletes.
    pub cardinality: i64,
}

impl DeletionVector {
    /// Two descriptors with the same id name the same bitmap.
    pub fn unique_id(&self) -> String {
        match self.offset {
            Some(offset) => format!("{}{}@{offset}", self.storage_type, self.path_or_inline_dv),
            None => format!("{}{}", self.storage_type, self.path_or_inline_dv),
        }
    }
}

impl FileEntry {
    /// Rows that a scan gives: those of the file less the deleted ones.
    pub fn live_rows(&self) -> Option<u64> {
        let deleted = self.deletion_vector.as_ref().map_or(0, |vector| u64::try_from(vector.cardinality).unwrap_or(0));
        self.rows.map(|rows| rows.saturating_sub(deleted))
    }
}

/// The active files of a table at one version.
#[derive(Clone, Debug)]
pub struct FileSet {
    files: Arc<[Arc<FileEntry>]>,
    bytes: u64,
    rows: Option<u64>,
    index: Arc<FileIndex>,
}

impl Default for FileSet {
    fn default() -> Self {
        Self::from_sorted(Vec::new())
    }
}

impl FileSet {
    /// The set of these files; of two with one path the later wins.
    pub fn new(files: impl IntoIterator<Item = Arc<FileEntry>>) -> Self {
        let by_path: BTreeMap<String, Arc<FileEntry>> =
            files.into_iter().map(|file| (file.path.clone(), file)).collect();
        Self::from_sorted(by_path.into_values().collect())
    }

    fn from_sorted(files: Vec<Arc<FileEntry>>) -> Self {
        let bytes = files.iter().map(|file| file.size_bytes).sum();
        let rows = files.iter().map(|file| file.live_rows()).sum();
        let files: Arc<[Arc<FileEntry>]> = files.into();
        let index = Arc::new(FileIndex::new(Arc::clone(&files)));
        Self { files, bytes, rows, index }
    }

    /// This set without `removed`, with `added`.
    #[must_use]
    pub fn changed(&self, removed: &HashSet<String>, added: Vec<Arc<FileEntry>>) -> Self {
        let mut fresh: Vec<_> = Self::new(added).files.iter().cloned().collect();
        let mut files = Vec::with_capacity(self.files.len() + fresh.len());
        fresh.reverse();
        for file in self.files.iter() {
            while fresh.last().is_some_and(|new| new.path < file.path) {
                files.extend(fresh.pop());
            }
            let replaced = fresh.last().is_some_and(|new| new.path == file.path);
            if !replaced && !removed.contains(&file.path) {
                files.push(Arc::clone(file));
            }
        }
        files.extend(fresh.into_iter().rev());
        Self::from_sorted(files)
    }

    /// All files, sorted by path.
    #[cfg(test)]
    pub fn all(&self) -> &Arc<[Arc<FileEntry>]> {
        &self.files
    }

    /// The files' statistics by column, for scans.
    pub(in crate::tables) fn index(&self) -> &Arc<FileIndex> {
        &self.index
    }

    /// The files, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<FileEntry>> {
        self.files.iter()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True for a table without a file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The active file at `path`.
    pub fn get(&self, path: &str) -> Option<&Arc<FileEntry>> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at)
    }

    /// Bytes of all files.
    pub fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows that a scan of all files gives; `None` where a file does not say.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }
}
