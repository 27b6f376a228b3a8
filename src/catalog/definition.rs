//! What the catalog knows of each object. Plain data: it is what the store keeps and what every floor reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::catalog::name::Oid;
use crate::catalog::pg_type::{PgType, parse_type_name};

mod event_watermark;
mod source;

pub use event_watermark::{EVENT_OPTIONS, EventWatermarkDef, LatePolicy, check_event_watermark, event_option_value};
pub use source::{ConnectorKind, Secret, SourceDef, SourceEncoding, SourceFormat};

/// A schema (namespace).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SchemaDef {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
    pub comment: Option<String>,
}

/// A relation: something with columns that a query can name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelationDef {
    pub oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    pub comment: Option<String>,
    pub columns: Vec<ColumnDef>,
    pub kind: RelationKind,
}

/// What stands behind a relation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RelationKind {
    Table(TableDef),
    View(ViewDef),
}

/// A column. `number` is never used twice in one relation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDef {
    /// `pg_attribute.attnum`, from 1.
    pub number: i16,
    pub name: String,
    pub pg_type: PgType,
    pub not_null: bool,
    /// SQL text of the default.
    pub default: Option<String>,
    /// SQL text of `GENERATED ALWAYS AS (...) STORED`.
    pub generated: Option<String>,
    pub comment: Option<String>,
}

/// A Delta table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableDef {
    /// URL of the Delta folder, without a trailing slash.
    pub location: String,
    /// True when DROP TABLE leaves the files alone: `LOCATION` or `USING DELTA LOCATION` was given.
    pub external: bool,
    pub partitioned_by: Vec<String>,
    pub clustered_by: Vec<String>,
    pub constraints: Vec<ConstraintDef>,
    /// `WATERMARK FOR`
    #[serde(default)]
    pub event_watermark: Option<EventWatermarkDef>,
    /// `WITH (...)` options, checked when they were set.
    pub options: BTreeMap<String, String>,
}

/// A named constraint of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConstraintDef {
    pub oid: Oid,
    pub name: String,
    pub kind: ConstraintKind,
}

/// What a constraint demands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ConstraintKind {
    /// SQL text of a condition that no row may make false.
    Check {
        expression: String,
    },
    PrimaryKey {
        columns: Vec<String>,
    },
    Unique {
        columns: Vec<String>,
    },
    ForeignKey {
        columns: Vec<String>,
        references: Oid,
        referenced_columns: Vec<String>,
    },
}

/// A view.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ViewDef {
    /// The SELECT as it was written.
    pub query: String,
    /// The search path it was written under.
    pub search_path: Vec<String>,
    /// Relations that it names: DROP asks for CASCADE.
    pub depends_on: Vec<Oid>,
    /// What each name meant when the view was made, by [`ObjectName::quoted`](crate::catalog::name::ObjectName::quoted):
    /// a view keeps reading its relations when they or their schemas are renamed. Names not listed are looked up.
    #[serde(default)]
    pub bindings: BTreeMap<String, Oid>,
}

/// A login role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleDef {
    pub oid: Oid,
    pub name: String,
    /// SCRAM-SHA-256 verifier in PostgreSQL's form; never the password.
    pub verifier: Option<String>,
    pub superuser: bool,
    pub login: bool,
    /// `ALTER ROLE ... SET`: settings that a new session starts with.
    pub settings: BTreeMap<String, String>,
}

impl ColumnDef {
    /// A column that may be NULL, without anything else.
    pub fn new(number: i16, name: impl Into<String>, pg_type: PgType) -> Self {
        let name = name.into();
        Self { number, name, pg_type, not_null: false, default: None, generated: None, comment: None }
    }
}

impl RelationDef {
    /// The Arrow schema that a scan of this relation gives.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            self.columns.iter().map(|column| column.pg_type.field(&column.name, !column.not_null)).collect::<Vec<_>>(),
        ))
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ColumnDef> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// True where rows are written under the other definition as under this one: names, owners and comments may differ.
    pub fn stores_like(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        let stored = |relation: &Self| -> Vec<ColumnDef> {
            relation.columns.iter().map(|column| ColumnDef { comment: None, ..column.clone() }).collect()
        };
        self.oid == other.oid && self.kind == other.kind && stored(self) == stored(other)
    }

    /// The word for the relation in messages: `table` or `view`.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            RelationKind::Table(_) => "table",
            RelationKind::View(_) => "view",
        }
    }

    /// The view behind the relation, if it is one.
    pub fn view(&self) -> Option<&ViewDef> {
        match &self.kind {
            RelationKind::View(view) => Some(view),
            RelationKind::Table(_) => None,
        }
    }

    /// The table behind the relation, if it is one.
    pub fn table(&self) -> Option<&TableDef> {
        match &self.kind {
            RelationKind::Table(table) => Some(table),
            RelationKind::View(_) => None,
        }
    }
}

impl ConstraintDef {
    /// The columns that the constraint is declared on; none for CHECK, whose expression names them.
    pub fn columns(&self) -> &[String] {
        match &self.kind {
            ConstraintKind::Check { .. } => &[],
            ConstraintKind::PrimaryKey { columns } | ConstraintKind::Unique { columns } => columns,
            ConstraintKind::ForeignKey { columns, .. } => columns,
        }
    }
}

impl TableDef {
    /// Gives a column another name in the keys, the layout and the watermark.
    pub fn rename_column(&mut self, column: &str, name: &str) {
        let lists = [&mut self.partitioned_by, &mut self.clustered_by];
        let keys = self.constraints.iter_mut().filter_map(|constraint| match &mut constraint.kind {
            ConstraintKind::PrimaryKey { columns } | ConstraintKind::Unique { columns } => Some(columns),
            ConstraintKind::ForeignKey { columns, .. } => Some(columns),
            ConstraintKind::Check { .. } => None,
        });
        for entry in lists.into_iter().chain(keys).flatten().filter(|entry| *entry == column) {
            name.clone_into(entry);
        }
        if let Some(watermark) = self.event_watermark.as_mut().filter(|watermark| watermark.column == column) {
            name.clone_into(&mut watermark.column);
        }
    }

    /// The columns of the primary key; empty when there is none.
    pub fn primary_key(&self) -> &[String] {
        self.constraints
            .iter()
            .find_map(|constraint| match &constraint.kind {
                ConstraintKind::PrimaryKey { columns } => Some(columns.as_slice()),
                _ => None,
            })
            .unwrap_or_default()
    }
}

impl Serialize for Oid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Oid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self)
    }
}

impl Serialize for PgType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PgType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        parse_type_name(&name).ok_or_else(|| serde::de::Error::custom(format!("unknown type \"{name}\"")))
    }
}
