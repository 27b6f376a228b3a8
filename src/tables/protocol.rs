//! Delta's protocol versions and table features: what a table needs, and what we can read and write.
//!
//! A table that needs more than we know is refused, or read-only, with the feature's name; it is never read or written
//! by guessing. Our own tables ask for as little as possible, so that every other reader can open them.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::ProtocolAction;
use crate::tables::delta_schema::{GENERATED, StructType};

/// What a reader and a writer must understand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    pub reader: i32,
    pub writer: i32,
    pub reader_features: Vec<String>,
    pub writer_features: Vec<String>,
}

const READABLE: &[&str] = &["timestampNtz", "deletionVectors", "v2Checkpoint", "columnMapping"];
const WRITABLE: &[&str] = &[
    "appendOnly",
    "invariants",
    "checkConstraints",
    "changeDataFeed",
    "generatedColumns",
    "columnMapping",
    "identityColumns",
    "timestampNtz",
    "deletionVectors",
    "v2Checkpoint",
];
const NTZ: &str = "timestampNtz";

impl Protocol {
    /// The least protocol for a table with this schema and these properties.
    pub(in crate::tables) fn required(schema: &StructType, properties: &BTreeMap<String, String>) -> Self {
        let checks = properties.keys().any(|key| key.starts_with("delta.constraints."));
        let feed = is_true(properties, "delta.enableChangeDataFeed");
        let generated = schema.fields.iter().any(|field| field.metadata.contains_key(GENERATED));
        if !schema.has_timestamp_ntz() {
            let writer = if feed || generated {
                4
            } else if checks {
                3
            } else {
                2
            };
            return Self { reader: 1, writer, ..Self::default() };
        }
        let mut features = vec!["appendOnly", "invariants", NTZ];
        features.extend(checks.then_some("checkConstraints"));
        features.extend(feed.then_some("changeDataFeed"));
        features.extend(generated.then_some("generatedColumns"));
        Self {
            reader: 3,
            writer: 7,
            reader_features: vec![NTZ.to_owned()],
            writer_features: features.into_iter().map(str::to_owned).collect(),
        }
    }

    /// The protocol that holds both; `None` where `self` already does.
    pub(in crate::tables) fn raised_to(&self, needed: &Self) -> Option<Self> {
        let mut raised = self.clone();
        if self.writer == 7 || needed.writer == 7 {
            let features = [self.all_writer_features(), needed.all_writer_features()].concat();
            raised.writer = 7;
            raised.reader = self.reader.max(needed.reader);
            raised.writer_features = sorted(features);
            raised.reader_features = sorted([self.reader_features.clone(), needed.reader_features.clone()].concat());
        } else {
            raised.reader = self.reader.max(needed.reader);
            raised.writer = self.writer.max(needed.writer);
        }
        (raised != self.sorted()).then_some(raised)
    }

    fn sorted(&self) -> Self {
        Self {
            reader_features: sorted(self.reader_features.clone()),
            writer_features: sorted(self.writer_features.clone()),
            ..self.clone()
        }
    }

    /// The features that a writer version before 7 implies, by name.
    fn all_writer_features(&self) -> Vec<String> {
        let implied: &[(i32, &str)] = &[
            (2, "appendOnly"),
            (2, "invariants"),
            (3, "checkConstraints"),
            (4, "changeDataFeed"),
            (4, "generatedColumns"),
            (5, "columnMapping"),
            (6, "identityColumns"),
        ];
        match self.writer {
            7.. => self.writer_features.clone(),
            writer => {
                implied.iter().filter(|(since, _)| *since <= writer).map(|(_, name)| (*name).to_owned()).collect()
            }
        }
    }

    /// An error that names the first feature that we cannot read.
    pub(in crate::tables) fn check_readable(&self, properties: &BTreeMap<String, String>) -> Result<()> {
        if !(1..=3).contains(&self.reader) {
            return Err(unreadable(&format!("reader version {}", self.reader)));
        }
        if let Some(unknown) = self.reader_features.iter().find(|name| !READABLE.contains(&name.as_str())) {
            return Err(unreadable(unknown));
        }
        match properties.get("delta.columnMapping.mode").map_or("none", String::as_str) {
            "none" => Ok(()),
            _ => Err(unreadable("columnMapping")),
        }
    }

    /// Why we must not write to a table, if there is a reason.
    pub(in crate::tables) fn read_only_reason(&self, schema: &StructType) -> Option<String> {
        if !(1..=7).contains(&self.writer) {
            return Some(format!("writer version {}", self.writer));
        }
        if let Some(unknown) = self.writer_features.iter().find(|name| !WRITABLE.contains(&name.as_str())) {
            return Some(unknown.clone());
        }
        let with =
            |prefix: &str| schema.fields.iter().any(|field| field.metadata.keys().any(|key| key.starts_with(prefix)));
        if with("delta.identity.") {
            return Some("identityColumns".to_owned());
        }
        with("delta.invariants").then(|| "invariants".to_owned())
    }

    /// The action that declares this protocol.
    pub(in crate::tables) fn action(&self) -> ProtocolAction {
        let listed = |features: &Vec<String>, since: bool| since.then(|| features.clone());
        ProtocolAction {
            min_reader_version: self.reader,
            min_writer_version: self.writer,
            reader_features: listed(&self.reader_features, self.reader >= 3),
            writer_features: listed(&self.writer_features, self.writer >= 7),
        }
    }

    /// The protocol that an action declares.
    pub(in crate::tables) fn of_action(action: &ProtocolAction) -> Self {
        Self {
            reader: action.min_reader_version,
            writer: action.min_writer_version,
            reader_features: action.reader_features.clone().unwrap_or_default(),
            writer_features: action.writer_features.clone().unwrap_or_default(),
        }
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

fn is_true(properties: &BTreeMap<String, String>, key: &str) -> bool {
    properties.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn unreadable(feature: &str) -> Error {
    Error::new(
        ErrorKind::FeatureNotSupported,
        format!("the table needs the Delta feature \"{feature}\", which is not supported"),
    )
    .hint("Have its owner drop the feature, or copy the table with another engine.")
}

#[cfg(test)]
mod tests;
