//! Edits of sources.

use std::sync::Arc;

use crate::catalog::definition::{RelationDef, SourceDef, SourceFormat, TableDef};
use crate::catalog::dependency::{describe, describe_source};
use crate::catalog::draft::{Draft, Object};
use crate::catalog::name::Oid;
use crate::catalog::pg_type::PgType;
use crate::error::{Error, ErrorKind, Result};

impl Draft {
    /// Makes a source, with a number of its own.
    pub fn create_source(&mut self, mut source: SourceDef) -> Result<Oid> {
        if self.source_in(source.schema, &source.name).is_some() {
            let message = format!("source \"{}\" already exists", source.name);
            return Err(Error::new(ErrorKind::DuplicateObject, message));
        }
        if let Some(missing) = source.references().find(|oid| self.relation_by_oid(*oid).is_none()) {
            let message = format!("the table of source \"{}\" (number {missing}) does not exist", source.name);
            return Err(Error::new(ErrorKind::UndefinedTable, message).detail("It was dropped by another session."));
        }
        if let Some(table) = self.relation_by_oid(source.table).filter(|_| source.format != SourceFormat::Plain) {
            require_key(&table)?;
        }
        if let Some((table, column)) = self.relation_by_oid(source.table).zip(source.sequence.as_deref()) {
            require_sequence(&table, column, source.format)?;
        }
        source.oid = self.allocate_oid()?;
        let oid = source.oid;
        self.put_source(source);
        Ok(oid)
    }

    /// Says why a source does not read, or with `None` that it does.
    pub fn pause_source(&mut self, oid: Oid, pause: Option<String>) -> Result<()> {
        let source = self.existing_source(oid)?;
        if source.pause != pause {
            self.put_source(SourceDef { pause, ..SourceDef::clone(&source) });
        }
        Ok(())
    }

    /// Drops a source. Gives its definition; the tables stay.
    pub fn drop_source(&mut self, oid: Oid) -> Result<Arc<SourceDef>> {
        let source = self.existing_source(oid)?;
        self.take_source(oid);
        Ok(source)
    }

    /// An error where the column would go, or be another one, by which a source tells rows that are newer.
    pub(super) fn refuse_change_of_sequence(&self, old: &RelationDef, new: &RelationDef) -> Result<()> {
        let held = |relation: &RelationDef, name: &str| {
            relation.column(name).map(|column| (column.number, column.pg_type.clone(), column.generated.clone()))
        };
        let of_table = self.sources().filter(|source| source.table == old.oid);
        let mut sequences = of_table.filter_map(|source| Some((source, source.sequence.as_deref()?)));
        let Some((source, column)) = sequences.find(|(_, column)| held(old, column) != held(new, column)) else {
            return Ok(());
        };
        let (table, source) = (describe(self, old), describe_source(self, source));
        let message = format!("cannot change column \"{column}\" of {table} because {source} depends on it");
        Err(Error::new(ErrorKind::DependentObjectsStillExist, message).hint("Drop the source first."))
    }

    /// An error where a table's key would change while a source finds rows by it.
    pub(super) fn refuse_change_of_key(&self, old: &RelationDef, new: &RelationDef) -> Result<()> {
        let key = |relation: &RelationDef| -> Vec<Option<i16>> {
            let names = relation.table().map(TableDef::primary_key).unwrap_or_default();
            names.iter().map(|name| relation.column(name).map(|column| column.number)).collect()
        };
        let needs = |source: &&Arc<SourceDef>| source.table == old.oid && source.format != SourceFormat::Plain;
        let Some(source) = self.sources().find(needs) else { return Ok(()) };
        if key(old) == key(new) && require_key(new).is_ok() {
            return Ok(());
        }
        let (table, source) = (describe(self, old), describe_source(self, source));
        let message = format!("cannot change the primary key of {table} because {source} depends on it");
        Err(Error::new(ErrorKind::DependentObjectsStillExist, message).hint("Drop the source first."))
    }

    fn existing_source(&self, oid: Oid) -> Result<Arc<SourceDef>> {
        self.source_by_oid(oid).ok_or_else(|| {
            Error::new(ErrorKind::UndefinedObject, format!("source with number {oid} does not exist"))
                .detail("It was dropped by another session.")
        })
    }

    fn put_source(&mut self, source: SourceDef) {
        self.touched.insert(Object::Source(source.oid));
        self.working.put_source(source);
    }

    pub(super) fn take_source(&mut self, oid: Oid) {
        self.touched.insert(Object::Source(oid));
        self.working.remove_source(oid);
    }
}

/// An error where that column cannot tell which row is the newer.
fn require_sequence(table: &RelationDef, name: &str, format: SourceFormat) -> Result<()> {
    if format == SourceFormat::Plain {
        return Err(Error::unsupported("SEQUENCE BY needs FORMAT UPSERT or DEBEZIUM")
            .hint("FORMAT PLAIN adds every record as a row."));
    }
    let Some(column) = table.column(name) else {
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
        return Err(Error::new(ErrorKind::UndefinedColumn, message));
    };
    if column.generated.is_some() || matches!(column.pg_type, PgType::Json | PgType::Jsonb | PgType::Array(_)) {
        return Err(Error::unsupported(format!("rows cannot be told apart by column \"{name}\""))
            .hint("SEQUENCE BY takes a column that records carry: a number, a time or a text."));
    }
    Ok(())
}

/// An error where rows of the table cannot be found by a key that records carry.
fn require_key(table: &RelationDef) -> Result<()> {
    let key = table.table().map(TableDef::primary_key).unwrap_or_default();
    if key.is_empty() {
        let message = format!("FORMAT UPSERT and DEBEZIUM need a primary key, and table \"{}\" has none", table.name);
        return Err(Error::new(ErrorKind::InvalidTableDefinition, message)
            .hint("Give it one: PRIMARY KEY (...) among the columns, or ALTER TABLE ... ADD PRIMARY KEY (...)."));
    }
    let is_generated = |name: &&String| table.column(name).is_some_and(|column| column.generated.is_some());
    match key.iter().find(is_generated) {
        None => Ok(()),
        Some(name) => Err(Error::unsupported(format!(
            "column \"{name}\" of the primary key is generated: a record that deletes a row does not tell it"
        ))
        .hint("FORMAT PLAIN adds every record as a row.")),
    }
}
