//! The actions of a Delta commit, as JSON lines.
//!
//! Our own structures instead of deltalake's: what we write is exactly this, and what a foreign writer adds beside it is
//! skipped, never misread. Paths are percent-decoded here, at the wall, and encoded again on the way out.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::tables::file_set::DeletionVector;

/// A file becomes part of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tables) struct Add {
    #[serde(with = "encoded_path")]
    pub path: String,
    #[serde(default)]
    pub partition_values: BTreeMap<String, Option<String>>,
    pub size: i64,
    #[serde(default)]
    pub modification_time: i64,
    #[serde(default)]
    pub data_change: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<DeletionVector>,
}

/// A file is no longer part of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tables) struct Remove {
    #[serde(with = "encoded_path")]
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<i64>,
    #[serde(default)]
    pub data_change: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_file_metadata: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<DeletionVector>,
}

/// A file of changed rows (change data feed).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tables) struct Cdc {
    #[serde(with = "encoded_path")]
    pub path: String,
    #[serde(default)]
    pub partition_values: BTreeMap<String, Option<String>>,
    pub size: i64,
    #[serde(default)]
    pub data_change: bool,
}

/// The table's schema, partitioning and properties.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tables) struct Metadata {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub format: Format,
    pub schema_string: String,
    #[serde(default)]
    pub partition_columns: Vec<String>,
    #[serde(default)]
    pub configuration: BTreeMap<String, Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

/// How data files are written: always Parquet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::tables) struct Format {
    pub provider: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// What a reader and a writer must understand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tables) struct ProtocolAction {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reader_features: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer_features: Option<Vec<String>>,
}

/// How far an application has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tables) struct Txn {
    pub app_id: String,
    pub version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

/// One line of a commit: one of these is set, or none where the action is not for us.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tables) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_info: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_data: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txn: Option<Txn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<Remove>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<Add>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdc: Option<Cdc>,
}

/// A commit, sorted by kind.
#[derive(Clone, Debug, Default)]
pub(in crate::tables) struct Commit {
    pub version: i64,
    /// When the commit file was written, if the store said.
    pub modified_at_ms: Option<i64>,
    pub info: Map<String, Value>,
    pub protocol: Option<ProtocolAction>,
    pub metadata: Option<Metadata>,
    pub txns: Vec<Txn>,
    pub removes: Vec<Remove>,
    pub adds: Vec<Add>,
    pub cdc: Vec<Cdc>,
}

impl Commit {
    /// Reads the JSON lines of the commit file of `version`.
    pub fn parse(version: i64, text: &[u8]) -> Result<Self> {
        let mut commit = Self { version, ..Self::default() };
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let line = serde_json::from_slice(line).map_err(|error| {
                let file = commit_file_name(version);
                Error::new(ErrorKind::DataCorrupted, format!("commit file \"_delta_log/{file}\" is damaged"))
                    .detail(format!("Line {}: {error}.", number + 1))
            })?;
            commit.take(line);
        }
        Ok(commit)
    }

    fn take(&mut self, line: Line) {
        if let Some(info) = line.commit_info {
            self.info = info;
        }
        if let Some(protocol) = line.protocol {
            self.protocol = Some(protocol);
        }
        if let Some(metadata) = line.meta_data {
            self.metadata = Some(metadata);
        }
        self.txns.extend(line.txn);
        self.removes.extend(line.remove);
        self.adds.extend(line.add);
        self.cdc.extend(line.cdc);
    }

    /// The JSON lines.
    pub fn print(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let mut write = |line: Line| -> Result<()> {
            serde_json::to_writer(&mut text, &line)
                .map_err(|error| Error::internal(format!("cannot write a commit: {error}")))?;
            text.push(b'\n');
            Ok(())
        };
        write(Line { commit_info: Some(self.info.clone()), ..Line::default() })?;
        if self.protocol.is_some() {
            write(Line { protocol: self.protocol.clone(), ..Line::default() })?;
        }
        if self.metadata.is_some() {
            write(Line { meta_data: self.metadata.clone(), ..Line::default() })?;
        }
        for txn in &self.txns {
            write(Line { txn: Some(txn.clone()), ..Line::default() })?;
        }
        for remove in &self.removes {
            write(Line { remove: Some(remove.clone()), ..Line::default() })?;
        }
        for add in &self.adds {
            write(Line { add: Some(add.clone()), ..Line::default() })?;
        }
        Ok(text)
    }

    /// When the commit was made: what it says of itself, else when its file was written.
    pub fn committed_at_ms(&self) -> Option<i64> {
        let said = |key: &str| self.info.get(key).and_then(Value::as_i64);
        said("inCommitTimestamp").or_else(|| said("timestamp")).or(self.modified_at_ms)
    }

    /// The operation's name, e.g. `WRITE`.
    pub fn operation(&self) -> &str {
        self.info.get("operation").and_then(Value::as_str).unwrap_or_default()
    }
}

/// `00000000000000000012.json`
pub(in crate::tables) fn commit_file_name(version: i64) -> String {
    format!("{version:020}.json")
}

/// What RFC 2396 keeps out of a URI, and `%` itself. `/` and `=` stay.
const URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

mod encoded_path {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::{URI, percent_decode_str, utf8_percent_encode};

    pub fn serialize<S: Serializer>(path: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&utf8_percent_encode(path, URI))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let text = String::deserialize(deserializer)?;
        let decoded = percent_decode_str(&text).decode_utf8().map_err(de::Error::custom)?;
        Ok(decoded.into_owned())
    }
}

#[cfg(test)]
mod tests;
