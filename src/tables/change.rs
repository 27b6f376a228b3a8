//! What one commit does to a table, and whether it still may after others have committed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::Commit;
use crate::tables::definition::MetadataChange;
use crate::tables::file_set::FileEntry;

/// What one commit does to a table.
#[derive(Clone, Debug)]
pub struct Change {
    pub operation: Operation,
    pub added: Vec<FileEntry>,
    /// Paths of active files.
    pub removed: Vec<String>,
    pub metadata: Option<MetadataChange>,
    pub reads: Reads,
    /// False where rows only move from file to file.
    pub data_change: bool,
    /// The application and how far it has come. A change whose application has come that far already is not made again.
    pub app: Option<(String, i64)>,
    /// What else the log is to say of applications.
    pub positions: Vec<(String, i64)>,
}

/// What of the table the change depends on: it decides what a commit of somebody else in between means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nothing: the change only adds rows. Any data change in between is fine.
    Nothing,
    /// The rows of these files. Others may add rows (the change then counts as made before), but not touch these.
    Files(Vec<String>),
    /// All rows that are there. Others may add rows (the change then counts as made before), but not touch any.
    Present,
    /// All rows, also those that others may add: no data change in between.
    Everything,
}

/// The operation's name, parameters and counts, as the table's history shows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub name: String,
    pub parameters: BTreeMap<String, Value>,
    pub metrics: BTreeMap<String, Value>,
}

impl Operation {
    /// An operation by the name that Delta uses: `WRITE`, `DELETE`, `UPDATE`, `MERGE`, `OPTIMIZE`, `CREATE TABLE`,
    /// `ADD COLUMNS`, `SET TBLPROPERTIES`, `TRUNCATE`, ...
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), parameters: BTreeMap::new(), metrics: BTreeMap::new() }
    }

    /// With a parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(key.to_owned(), value.into());
        self
    }

    /// With a count for the history.
    #[must_use]
    pub fn measured(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metrics.insert(key.to_owned(), value.into());
        self
    }
}

impl Change {
    /// A change of this name that does nothing yet; by default it depends on everything.
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            added: Vec::new(),
            removed: Vec::new(),
            metadata: None,
            reads: Reads::Everything,
            data_change: true,
            app: None,
            positions: Vec::new(),
        }
    }

    /// A blind append of files.
    pub fn append(added: Vec<FileEntry>) -> Self {
        Self { added, reads: Reads::Nothing, ..Self::new(Operation::new("WRITE").with("mode", "Append")) }
    }

    /// Files replaced by others with some rows changed or gone.
    pub fn replace(operation: Operation, added: Vec<FileEntry>, removed: Vec<String>) -> Self {
        Self { added, removed, reads: Reads::Present, ..Self::new(operation) }
    }

    /// Files rewritten without a change of their rows (compaction, clustering).
    pub fn rewrite(operation: Operation, added: Vec<FileEntry>, removed: Vec<String>) -> Self {
        Self { added, reads: Reads::Files(removed.clone()), removed, data_change: false, ..Self::new(operation) }
    }

    /// The `commitInfo` action.
    pub(in crate::tables) fn info(
        &self,
        read_version: Option<i64>,
        now_ms: i64,
        counts: &[(&str, u64)],
    ) -> Map<String, Value> {
        // Delta's readers expect the values of both maps to be texts.
        let texts = |map: &BTreeMap<String, Value>| -> Map<String, Value> {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            map.iter().map(|(key, value)| (key.clone(), Value::from(text(value)))).collect()
        };
        let mut metrics = texts(&self.operation.metrics);
        for (key, count) in counts {
            metrics.entry((*key).to_owned()).or_insert_with(|| Value::from(count.to_string()));
        }
        let mut info = Map::new();
        info.insert("timestamp".into(), now_ms.into());
        info.insert("operation".into(), self.operation.name.clone().into());
        info.insert("operationParameters".into(), texts(&self.operation.parameters).into());
        if let Some(version) = read_version {
            info.insert("readVersion".into(), version.into());
        }
        info.insert("isBlindAppend".into(), (self.reads == Reads::Nothing && self.removed.is_empty()).into());
        info.insert("operationMetrics".into(), metrics.into());
        info.insert("engineInfo".into(), concat!("headwater/", env!("CARGO_PKG_VERSION")).into());
        info.insert("txnId".into(), uuid::Uuid::new_v4().to_string().into());
        info
    }

    /// An error where `winner`, committed after what this change has read, is in its way.
    pub(in crate::tables) fn check_against(&self, winner: &Commit) -> Result<()> {
        if winner.protocol.is_some() || winner.metadata.is_some() {
            return Err(conflict(winner, "has changed the table's definition"));
        }
        if let Some((app, _)) = &self.app
            && winner.txns.iter().any(|txn| txn.app_id == *app)
        {
            return Err(conflict(winner, &format!("is of the same application \"{app}\"")));
        }
        let added = winner.adds.iter().any(|add| add.data_change);
        if added && (self.metadata.is_some() || self.reads == Reads::Everything) {
            return Err(conflict(winner, "has added rows"));
        }
        for remove in &winner.removes {
            if self.removed.contains(&remove.path) {
                return Err(conflict(winner, &format!("has replaced the file \"{}\"", remove.path)));
            }
            let read = match &self.reads {
                Reads::Nothing => false,
                Reads::Files(files) => files.contains(&remove.path),
                Reads::Present | Reads::Everything => true,
            };
            if remove.data_change && (read || self.metadata.is_some()) {
                return Err(conflict(winner, "has changed rows that this statement has read"));
            }
        }
        Ok(())
    }
}

fn conflict(winner: &Commit, what: &str) -> Error {
    Error::new(ErrorKind::SerializationFailure, "could not serialize access to the table due to a concurrent change")
        .detail(format!("Version {} ({}) {what}.", winner.version, winner.operation()))
        .hint("Run the statement again.")
}
