//! What lies in a table's `_delta_log`: commits and checkpoints by version.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};

use crate::error::Result;
use crate::tables::action::commit_file_name;
use crate::tables::snapshot::Place;

/// The files of a log that we understand.
#[derive(Clone, Debug, Default)]
pub(in crate::tables) struct Listing {
    /// Versions whose commit is there, and when it was written (milliseconds).
    pub commits: BTreeMap<i64, i64>,
    /// Complete checkpoints: the files of each.
    pub checkpoints: BTreeMap<i64, Vec<Path>>,
    parts: BTreeMap<(i64, u32), BTreeSet<Path>>,
}

impl Listing {
    /// Everything that is there from version `from` on.
    pub async fn read(place: &Place, from: i64) -> Result<Self> {
        let folder = place.log_folder();
        // `.` sorts before every digit and letter that may follow a version, so this is just before its first file.
        let offset = folder.clone().join(format!("{from:020}"));
        let objects: Vec<ObjectMeta> = match from {
            0 => place.store.list(Some(&folder)).try_collect().await?,
            _ => place.store.list_with_offset(Some(&folder), &offset).try_collect().await?,
        };
        let mut listing = Self::default();
        for object in objects {
            listing.take(object);
        }
        Ok(listing)
    }

    fn take(&mut self, object: ObjectMeta) {
        let Some(name) = object.location.filename().map(str::to_owned) else { return };
        let mut words = name.split('.');
        let Some(version) = words.next().filter(|word| word.len() == 20).and_then(|word| word.parse::<i64>().ok())
        else {
            return;
        };
        match words.collect::<Vec<_>>().as_slice() {
            ["json"] => {
                self.commits.insert(version, object.last_modified.timestamp_millis());
            }
            ["checkpoint", "parquet"] | ["checkpoint", _, "parquet" | "json"] => {
                self.checkpoints.insert(version, vec![object.location]);
            }
            ["checkpoint", _, of, "parquet"] => {
                let Ok(of) = of.parse::<u32>() else { return };
                let parts = self.parts.entry((version, of)).or_default();
                parts.insert(object.location);
                if parts.len() == of as usize {
                    self.checkpoints.entry(version).or_insert_with(|| parts.iter().cloned().collect());
                }
            }
            _ => {}
        }
    }

    /// The newest version.
    pub fn latest(&self) -> Option<i64> {
        let commit = self.commits.last_key_value().map(|(version, _)| *version);
        commit.max(self.checkpoints.last_key_value().map(|(version, _)| *version))
    }

    /// The oldest version that can still be read, given that everything from `from` on is there.
    pub fn earliest(&self) -> Option<i64> {
        match self.commits.contains_key(&0) {
            true => Some(0),
            false => self.checkpoints.first_key_value().map(|(version, _)| *version),
        }
    }

    /// The newest checkpoint at or before `version`.
    pub fn checkpoint_before(&self, version: i64) -> Option<(i64, &[Path])> {
        self.checkpoints.range(..=version).next_back().map(|(version, files)| (*version, files.as_slice()))
    }
}

impl Place {
    /// `_delta_log` within the store.
    pub fn log_folder(&self) -> Path {
        self.root.clone().join("_delta_log")
    }

    /// The commit file of a version.
    pub fn commit_path(&self, version: i64) -> Path {
        self.log_folder().join(commit_file_name(version))
    }

    /// The version that `_last_checkpoint` names; a hint only, its absence or damage costs a longer listing.
    pub async fn last_checkpoint(&self) -> Result<Option<i64>> {
        let bytes = match self.store.get(&self.log_folder().join("_last_checkpoint")).await {
            Ok(found) => found.bytes().await?,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let hint: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        Ok(hint.and_then(|hint| hint.get("version")?.as_i64()))
    }
}
