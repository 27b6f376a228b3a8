//! A source: where rows come from by themselves, and the table that they go to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::name::Oid;

/// A source. Its names are apart from those of relations: a source and its table may have the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceDef {
    pub oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    /// The table that it fills.
    pub table: Oid,
    /// The table with the files that were read, where the connector keeps one; it goes with the source.
    pub ledger: Option<Oid>,
    /// Names its positions: a source that is dropped and made again starts anew.
    pub identity: String,
    pub connector: ConnectorKind,
    pub format: SourceFormat,
    pub encoding: SourceEncoding,
    /// The column that says which of two rows with one key is the newer; without one, the later one is.
    #[serde(default)]
    pub sequence: Option<String>,
    /// The options of WITH, checked when they were set.
    pub options: BTreeMap<String, String>,
    /// The options that nobody is shown.
    pub secrets: BTreeMap<String, Secret>,
    /// Why it does not read; `None` while it does.
    pub pause: Option<String>,
}

/// What a source reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorKind {
    Files,
    Nats,
    Kafka,
}

/// What a record means for the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// A row.
    Plain,
    /// A row by its key; without a value the key's row goes.
    Upsert,
    /// A change as Debezium tells it.
    Debezium,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceEncoding {
    Json,
    Csv,
    Parquet,
}

/// A value that is stored and never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl ConnectorKind {
    /// All, for messages and look-ups.
    pub const ALL: [Self; 3] = [Self::Files, Self::Nats, Self::Kafka];

    /// The word in WITH and in system views.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Nats => "nats",
            Self::Kafka => "kafka",
        }
    }
}

impl SourceDef {
    /// The relations that must be there for the source.
    pub fn references(&self) -> impl Iterator<Item = Oid> {
        std::iter::once(self.table).chain(self.ledger)
    }
}
