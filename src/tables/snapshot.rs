//! A table at one version: what a query pins.
//!
//! Immutable and shared. Whoever holds one may read its files: VACUUM spares the files of every snapshot that is alive.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use crate::catalog::definition::ColumnDef;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::definition::Definition;
use crate::tables::file_set::{FileEntry, FileSet};

/// A table at one version.
#[derive(Clone)]
pub struct Snapshot {
    pub version: i64,
    /// When the version was committed, milliseconds since 1970 UTC.
    pub committed_at_ms: i64,
    pub(in crate::tables) place: Arc<Place>,
    pub(in crate::tables) definition: Arc<Definition>,
    pub(in crate::tables) files: FileSet,
    pub(in crate::tables) app_versions: Arc<BTreeMap<String, i64>>,
}

/// Where the table is.
pub(in crate::tables) struct Place {
    /// The folder, without a trailing slash.
    pub location: Url,
    /// The store of the whole scheme and host.
    pub store: Arc<dyn ObjectStore>,
    /// The folder within the store.
    pub root: Path,
}

impl Snapshot {
    /// The table's folder, without a trailing slash.
    pub fn location(&self) -> &Url {
        &self.place.location
    }

    /// The store that holds the files; its paths start at scheme and host (see [`Snapshot::object_path`]).
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.place.store
    }

    /// The table's folder within [`Snapshot::store`].
    pub fn root(&self) -> &Path {
        &self.place.root
    }

    /// Where a file of the table is within [`Snapshot::store`].
    pub fn object_path(&self, file: &FileEntry) -> Result<Path> {
        self.place.object_path(&file.path)
    }

    /// The columns that a scan gives, partition columns included: `pg.type` metadata, Utf8View and BinaryView.
    pub fn arrow_schema(&self) -> &SchemaRef {
        &self.definition.schema
    }

    /// The partition columns, in their order in [`FileEntry::partition`].
    pub fn partition_columns(&self) -> &[String] {
        &self.definition.metadata.partition_columns
    }

    /// The active files.
    pub fn files(&self) -> &FileSet {
        &self.files
    }

    /// The table's properties (`delta.*`, `headwater.*` and others).
    pub fn properties(&self) -> &BTreeMap<String, String> {
        &self.definition.properties
    }

    /// The columns as the catalog describes them, numbered from 1; defaults are not in the table.
    pub fn columns(&self) -> Result<Vec<ColumnDef>> {
        self.definition.columns()
    }

    /// CHECK constraints: name and SQL text.
    pub fn checks(&self) -> Vec<(String, String)> {
        self.definition.checks()
    }

    /// The clustering columns.
    pub fn clustered_by(&self) -> Vec<String> {
        self.definition.clustered_by()
    }

    /// The table's comment.
    pub fn comment(&self) -> Option<&str> {
        self.definition.metadata.description.as_deref()
    }

    /// The Delta feature that keeps us from writing to the table, if there is one.
    pub fn read_only_reason(&self) -> Option<&str> {
        self.definition.read_only.as_deref()
    }

    /// The last version that the application has committed (`txn` action).
    pub fn app_version(&self, app: &str) -> Option<i64> {
        self.app_versions.get(app).copied()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} @ {}, {} files)", self.place.location, self.version, self.files.len())
    }
}

impl Place {
    /// Where a file of the table is within the store. Paths of the log are relative.
    pub fn object_path(&self, path: &str) -> Result<Path> {
        let full = format!("{}/{path}", self.root);
        Path::parse(full.trim_start_matches('/')).map_err(|error| {
            Error::new(
                ErrorKind::DataCorrupted,
                format!("table \"{}\" names a file at an impossible path", self.location),
            )
            .detail(error.to_string())
        })
    }
}
