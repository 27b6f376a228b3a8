//! A table's folder looked at as a whole: every commit of the log, every file that the newest version needs, and what lies
//! there beside them. Opening a table reads its log from the newest checkpoint on; this reads all of it. Read only.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;

use crate::error::Result;
use crate::tables::action::{Commit, commit_file_name};
use crate::tables::checkpoint;
use crate::tables::listing::Listing;
use crate::tables::snapshot::{Place, Snapshot};
use crate::tables::strict_log::Head;
use crate::tables::table::Table;
use crate::tables::vacuum::{is_hidden, relative, vector_path};

/// What is wrong with a table's folder.
#[derive(Debug, Default)]
pub struct FolderReport {
    /// Data files that were looked for.
    pub files: usize,
    /// Data files that are missing or of another size: the path, and what is wrong.
    pub bad_files: Vec<(String, String)>,
    /// Files of the log that are missing or damaged: the path, and what is wrong.
    pub bad_log: Vec<(String, String)>,
    /// Files that no version names: what an unfinished statement left.
    pub orphans: Vec<String>,
    /// Bytes of those.
    pub orphan_bytes: u64,
}

impl Table {
    /// Looks at every file of the table's folder; data files are not opened.
    pub async fn check(&self) -> Result<FolderReport> {
        let mut report = FolderReport::default();
        let snapshot = self.snapshot();
        let mut named = self.check_log(&snapshot, &mut report).await?;
        let place = self.log().place();
        let objects =
            place.store.list(Some(&place.root)).map_ok(|found| (relative(place, &found.location), found.size));
        let listed: HashMap<String, u64> = objects.try_collect().await?;
        for file in snapshot.files().iter() {
            report.files += 1;
            named.insert(file.path.clone());
            let vector = file.deletion_vector.as_ref();
            if let Some(path) = vector.map(|vector| vector_path(place, vector)).transpose()?.flatten()
                && !listed.contains_key(&path)
            {
                report.bad_files.push((path, "the file is missing".to_owned()));
            }
            match listed.get(&file.path) {
                None => report.bad_files.push((file.path.clone(), "the file is missing".to_owned())),
                Some(size) if *size != file.size_bytes => {
                    let problem = format!("the file has {size} bytes, the log says {}", file.size_bytes);
                    report.bad_files.push((file.path.clone(), problem));
                }
                Some(_) => {}
            }
        }
        let orphan = |(path, _): &(String, u64)| !is_hidden(path) && !named.contains(path);
        for (path, size) in listed.into_iter().filter(orphan) {
            report.orphans.push(path);
            report.orphan_bytes += size;
        }
        report.orphans.sort();
        Ok(report)
    }

    /// Replays the whole log; gives the paths that it names.
    async fn check_log(&self, newest: &Snapshot, report: &mut FolderReport) -> Result<HashSet<String>> {
        let (log, place) = (self.log(), self.log().place());
        let listing = Listing::read(place, 0).await?;
        let mut named = HashSet::new();
        let mut head: Option<Head> = None;
        for version in listing.earliest().unwrap_or_default()..=newest.version {
            let file = format!("_delta_log/{}", commit_file_name(version));
            let replayed = match log.read_commit(version).await {
                Ok(Some(commit)) => {
                    name_paths(place, &commit, &mut named)?;
                    // Behind a damaged commit there is nothing to go on from before the next checkpoint.
                    match head.is_some() || version == 0 {
                        true => Some(Head::after(head.as_ref(), place, &commit)),
                        false => None,
                    }
                }
                // Commits before a checkpoint may have been cleaned up, but not some of them.
                Ok(None) if head.is_none() && listing.checkpoints.contains_key(&version) => None,
                Ok(None) => {
                    report.bad_log.push((file.clone(), "the commit is missing".to_owned()));
                    None
                }
                Err(error) => Some(Err(error)),
            };
            head = match replayed.transpose() {
                Ok(head) => head,
                Err(error) => {
                    report.bad_log.push((file, error.to_string()));
                    None
                }
            };
            let Some(files) = listing.checkpoints.get(&version) else { continue };
            match checkpoint::load(log.unguarded(), place, version, files).await {
                Ok(saved) => {
                    named.extend(saved.files().iter().map(|file| file.path.clone()));
                    let differs = |head: &Head| !checkpoint::same_content(&head.replayed, &saved);
                    if head.as_ref().is_some_and(differs) {
                        let file = files.first().map_or_else(String::new, |file| relative(place, file));
                        report.bad_log.push((file, "the checkpoint does not hold what the commits say".to_owned()));
                    }
                    head = head.or(Some(Head::sound(saved)));
                }
                Err(error) => report.bad_log.push((format!("checkpoint of version {version}"), error.to_string())),
            }
        }
        if let Some(damage) = head.and_then(|head| head.damage) {
            let file = format!("_delta_log/{}", commit_file_name(damage.version));
            report.bad_log.push((file, damage.error(place).to_string()));
        }
        Ok(named)
    }
}

/// The paths that a commit names.
fn name_paths(place: &Place, commit: &Commit, named: &mut HashSet<String>) -> Result<()> {
    let vectors = commit.adds.iter().filter_map(|add| add.deletion_vector.as_ref());
    let vectors = vectors.chain(commit.removes.iter().filter_map(|remove| remove.deletion_vector.as_ref()));
    for vector in vectors {
        named.extend(vector_path(place, vector)?);
    }
    named.extend(commit.adds.iter().map(|add| add.path.clone()));
    named.extend(commit.removes.iter().map(|remove| remove.path.clone()));
    named.extend(commit.cdc.iter().map(|cdc| cdc.path.clone()));
    Ok(())
}
