use std::collections::BTreeMap;

use super::*;
use crate::tables::DeletionVector;
use crate::tables::file_stats::FileStats;

const OPTIONS: CompactionOptions = CompactionOptions { target_file_bytes: 128 << 20, files_min: 4, purge: false };

fn file(name: &str, mib: u64, at: i64) -> Arc<FileEntry> {
    Arc::new(FileEntry {
        path: name.into(),
        size_bytes: mib << 20,
        modified_at_ms: at,
        partition: Vec::new(),
        rows: Some(1000),
        stats: FileStats::default(),
        tags: BTreeMap::new(),
        deletion_vector: None,
    })
}

fn bins(files: Vec<Arc<FileEntry>>) -> Vec<Vec<String>> {
    let bins = bins_of(files, &OPTIONS);
    bins.iter().map(|bin| bin.iter().map(|file| file.path.clone()).collect()).collect()
}

#[test]
fn a_class_is_merged_once_it_is_full_and_takes_smaller_ones_along() {
    let three: Vec<_> = (0..3).map(|at| file(&format!("s{at}"), 2, at)).collect();
    assert!(bins(three.clone()).is_empty());
    let four = [three.clone(), vec![file("s3", 3, 9), file("tiny", 0, 5)]].concat();
    assert_eq!(bins(four), [["s0", "s1", "s2", "tiny", "s3"]]);
    // One large file beside many small ones is not rewritten for them.
    let beside = [three, vec![file("s3", 2, 3), file("large", 60, 0), file("full", 100, 0)]].concat();
    assert_eq!(bins(beside), [["s0", "s1", "s2", "s3"]]);
}

#[test]
fn bins_stay_at_the_target() {
    let files: Vec<_> = (0..8).map(|at| file(&format!("f{at}"), 40, at)).collect();
    assert_eq!(bins(files), [vec!["f0", "f1", "f2"], vec!["f3", "f4", "f5"], vec!["f6", "f7"]]);
}

#[test]
fn a_worn_file_is_rewritten_alone() {
    let mut worn = FileEntry::clone(&file("worn", 100, 0));
    let vector = |cardinality| DeletionVector {
        storage_type: "u".into(),
        path_or_inline_dv: String::new(),
        offset: None,
        size_in_bytes: 1,
        cardinality,
    };
    worn.deletion_vector = Some(vector(50));
    assert!(bins(vec![Arc::new(worn.clone())]).is_empty());
    let purge = CompactionOptions { purge: true, ..OPTIONS };
    assert_eq!(bins_of(vec![Arc::new(worn.clone()), file("whole", 100, 0)], &purge), [[Arc::new(worn.clone())]]);
    worn.deletion_vector = Some(vector(200));
    assert_eq!(bins(vec![Arc::new(worn.clone())]), [["worn"]]);
    // Also where it is what is left of a class that was merged.
    worn.size_bytes = 60 << 20;
    let three = (0..3).map(|at| file(&format!("f{at}"), 40, at));
    let bins = bins(three.chain([Arc::new(FileEntry { modified_at_ms: 9, ..worn })]).collect());
    assert_eq!(bins, [vec!["f0", "f1", "f2"], vec!["worn"]]);
}

#[test]
fn a_year_of_small_flushes_rewrites_a_row_a_few_times() {
    let mut files: Vec<Arc<FileEntry>> = Vec::new();
    let mut rewritten = 0;
    for at in 0..1000 {
        files.push(file(&format!("flush{at}"), 2, at));
        for (number, bin) in bins_of(files.clone(), &OPTIONS).into_iter().enumerate() {
            let mib = bin.iter().map(|file| file.size_bytes >> 20).sum::<u64>();
            rewritten += mib;
            files.retain(|kept| bin.iter().all(|gone| gone.path != kept.path));
            files.push(file(&format!("merged{at}.{number}"), mib, at));
        }
    }
    assert!(rewritten <= 4 * 2000, "{rewritten} MiB rewritten for 2000");
    assert!(files.len() < 40, "{} files", files.len());
}
