//! Which small files to merge into larger ones.
//!
//! Tiered: files of one size class are merged once there are enough of them, so that a row is rewritten about once a
//! class and not with every flush. Files over half the target are left alone, unless many of their rows are deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::tables::file_set::FileEntry;

/// When to merge.
#[derive(Clone, Debug)]
pub struct CompactionOptions {
    /// How large files should be.
    pub target_file_bytes: u64,
    /// How many files of one class make a merge worth it; at least two.
    pub files_min: usize,
    /// Rewrite every file with deleted rows, however few they are.
    pub purge: bool,
}

/// Files of one partition to be rewritten as one (or as few).
#[derive(Clone, Debug)]
pub struct CompactionGroup {
    /// Oldest first.
    pub files: Vec<Arc<FileEntry>>,
    pub size_bytes: u64,
}

/// The smallest size class ends here; each next one is four times as large. Files of five classes are under half of the default
/// target: three of each do not make twenty.
const CLASS_BYTES: u64 = 256 << 10;
/// A file with more of its rows deleted than this is rewritten by itself: one in ten.
const DELETED_ONE_IN: u64 = 10;

/// What a compaction of these files should rewrite now: groups that do not overlap.
pub fn compaction_groups<'a>(
    files: impl IntoIterator<Item = &'a Arc<FileEntry>>,
    options: &CompactionOptions,
) -> Vec<CompactionGroup> {
    let bins = groups_by_partition(files).into_iter().flat_map(|group| bins_of(group.files, options));
    bins.map(CompactionGroup::of).collect()
}

/// All files of a partition as one group.
pub fn groups_by_partition<'a>(files: impl IntoIterator<Item = &'a Arc<FileEntry>>) -> Vec<CompactionGroup> {
    let mut partitions: BTreeMap<&Vec<Option<String>>, Vec<Arc<FileEntry>>> = BTreeMap::new();
    for file in files {
        partitions.entry(&file.partition).or_default().push(Arc::clone(file));
    }
    partitions.into_values().map(CompactionGroup::of).collect()
}

impl CompactionGroup {
    fn of(files: Vec<Arc<FileEntry>>) -> Self {
        Self { size_bytes: files.iter().map(|file| file.size_bytes).sum(), files }
    }
}

fn bins_of(files: Vec<Arc<FileEntry>>, options: &CompactionOptions) -> Vec<Vec<Arc<FileEntry>>> {
    let mut bins = Vec::new();
    let mut classes: BTreeMap<u32, Vec<Arc<FileEntry>>> = BTreeMap::new();
    for file in files {
        match (file.size_bytes <= options.target_file_bytes / 2, options.is_worn(&file)) {
            (true, _) => classes.entry(class_of(file.size_bytes)).or_default().push(file),
            (false, true) => bins.push(vec![file]),
            (false, false) => {}
        }
    }
    let mut smaller = Vec::new();
    for (_, mut class) in classes {
        let enough = class.len() >= options.files_min.max(2);
        class.append(&mut smaller);
        match enough {
            true => pack(class, options, &mut bins),
            false => smaller = class,
        }
    }
    // What is left is too little to merge, except for files that are mostly deleted.
    bins.extend(smaller.into_iter().filter(|file| options.is_worn(file)).map(|file| vec![file]));
    bins
}

/// Fills bins in the order in which the files were written: what was loaded together stays together.
fn pack(mut files: Vec<Arc<FileEntry>>, options: &CompactionOptions, bins: &mut Vec<Vec<Arc<FileEntry>>>) {
    files.sort_by(|left, right| (left.modified_at_ms, &left.path).cmp(&(right.modified_at_ms, &right.path)));
    let is_of_use = |bin: &Vec<Arc<FileEntry>>| bin.len() > 1 || bin.iter().any(|file| options.is_worn(file));
    let mut bin: Vec<Arc<FileEntry>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        if bytes + file.size_bytes > options.target_file_bytes && !bin.is_empty() {
            bins.extend(Some(std::mem::take(&mut bin)).filter(is_of_use));
            bytes = 0;
        }
        bytes += file.size_bytes;
        bin.push(file);
    }
    bins.extend(Some(bin).filter(is_of_use));
}

fn class_of(size_bytes: u64) -> u32 {
    (size_bytes / CLASS_BYTES).checked_ilog(4).map_or(0, |class| class + 1)
}

impl CompactionOptions {
    /// True for a file that is to be rewritten even by itself.
    fn is_worn(&self, file: &FileEntry) -> bool {
        let deleted = file.deletion_vector.as_ref().map_or(0, |vector| vector.cardinality.unsigned_abs());
        match self.purge {
            true => deleted > 0,
            false => file.rows.is_some_and(|rows| deleted.saturating_mul(DELETED_ONE_IN) > rows),
        }
    }
}

#[cfg(test)]
mod tests;
