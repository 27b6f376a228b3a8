//! Which files there are.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::pattern::Pattern;
use super::store_error;
use crate::error::Result;

/// The files below a folder, or under a prefix, that the pattern wants. Names that begin with `.` or `_`, of files and of
/// folders, are those of files that are being written.
pub(super) async fn list(store: &dyn ObjectStore, root: &Path, pattern: &Pattern) -> Result<Vec<ObjectMeta>> {
    let is_wanted = |file: &ObjectMeta| {
        let Some(parts) = file.location.prefix_match(root) else { return false };
        let parts: Vec<_> = parts.collect();
        let is_hidden = parts.iter().any(|part| part.as_ref().starts_with(['.', '_']));
        let names: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        !is_hidden && !names.is_empty() && pattern.matches(&names.join("/"))
    };
    let files = store.list(Some(root)).try_filter(|file| std::future::ready(is_wanted(file)));
    files.try_collect().await.map_err(store_error)
}
