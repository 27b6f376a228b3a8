//! Edits of tables and views.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::definition::{ColumnDef, ConstraintKind, RelationDef, RelationKind};
use crate::catalog::dependency::{Dependents, dependents, describe, still_needed};
use crate::catalog::draft::{Draft, check_name, is_system_schema};
use crate::catalog::name::{NAME_BYTES_MAX, Oid};
use crate::error::{Error, ErrorKind, Result};

/// The most columns a relation has, as in PostgreSQL.
const COLUMNS_MAX: usize = 1600;

impl Draft {
    /// Makes a relation. Numbers that are [`Oid::NONE`] are given here, its own and its constraints'.
    pub fn create_relation(&mut self, mut relation: RelationDef) -> Result<Oid> {
        self.check_place(relation.schema, &relation.name)?;
        self.check_location(&relation)?;
        if relation.oid == Oid::NONE {
            relation.oid = self.allocate_oid()?;
        }
        self.put_checked(relation)
    }

    /// A folder is that of one table: VACUUM of another would take its files for its own.
    fn check_location(&self, relation: &RelationDef) -> Result<()> {
        let Some(wanted) = relation.table().map(|table| folder(&table.location)) else { return Ok(()) };
        let overlaps = |other: &RelationDef| {
            other.table().is_some_and(|table| {
                let held = folder(&table.location);
                held.starts_with(&wanted) || wanted.starts_with(&held)
            })
        };
        match self.relations().find(|other| overlaps(other)) {
            None => Ok(()),
            Some(other) => {
                let message = format!("the location \"{}\" is in use by table \"{}\"", wanted, other.name);
                Err(Error::new(ErrorKind::DuplicateObject, message)
                    .detail("The folder of a table is in no other table's, and no other's is in it.")
                    .hint("Name another folder. A view gives a table a second name."))
            }
        }
    }

    /// Puts another definition in the place of the one with its number; the name and schema stay.
    pub fn replace_relation(&mut self, relation: RelationDef) -> Result<()> {
        let old = self.existing(relation.oid)?;
        if old.name != relation.name || old.schema != relation.schema {
            return Err(Error::internal(format!("relation \"{}\" is renamed by a replacement", old.name)));
        }
        self.put_checked(relation)?;
        Ok(())
    }

    /// Changes a table from `old` to `new`. What others may have changed since without the table's lock stays theirs: its
    /// place, owner and comments, and keys to tables that are gone.
    pub fn change_relation(&mut self, old: &RelationDef, mut new: RelationDef) -> Result<()> {
        let held = self.existing(old.oid)?;
        (new.schema, new.name) = (held.schema, held.name.clone());
        if new.owner == old.owner {
            new.owner = held.owner;
        }
        if new.comment == old.comment {
            new.comment.clone_from(&held.comment);
        }
        for column in &mut new.columns {
            let same = |other: &&ColumnDef| other.number == column.number;
            let (before, now) = (old.columns.iter().find(same), held.columns.iter().find(same));
            if let (Some(before), Some(now)) = (before, now)
                && before.comment == column.comment
            {
                column.comment.clone_from(&now.comment);
            }
        }
        if let (RelationKind::Table(table), Some(before), Some(now)) = (&mut new.kind, old.table(), held.table()) {
            let kept = |constraint| match before.constraints.contains(&constraint) {
                true => now.constraints.iter().find(|held| held.oid == constraint.oid).cloned(),
                false => Some(constraint),
            };
            table.constraints = std::mem::take(&mut table.constraints).into_iter().filter_map(kept).collect();
        }
        self.refuse_change_of_key(&held, &new)?;
        self.refuse_change_of_sequence(&held, &new)?;
        self.put_checked(new)?;
        Ok(())
    }

    /// CREATE OR REPLACE VIEW over a view: the old columns must stay first, with their names and types.
    pub fn replace_view(&mut self, mut view: RelationDef) -> Result<Oid> {
        let old = self.existing(view.oid)?;
        if !matches!((&old.kind, &view.kind), (RelationKind::View(_), RelationKind::View(_))) {
            return Err(Error::new(ErrorKind::WrongObjectType, format!("\"{}\" is not a view", old.name)));
        }
        check_replaced_columns(&old, &view)?;
        view.comment = view.comment.or_else(|| old.comment.clone());
        if self.reaches(&view, old.oid) {
            return Err(Error::new(
                ErrorKind::InvalidObjectDefinition,
                format!("view \"{}\" would read itself", old.name),
            )
            .hint("Give the new view another name, or leave the old one out of its query."));
        }
        self.replace_relation(view)?;
        Ok(old.oid)
    }

    /// Drops relations and, with `cascade`, the views that stand on them. Returns what went, the relations first.
    /// One of the list may depend on another without CASCADE.
    pub fn drop_relations(&mut self, oids: &[Oid], cascade: bool) -> Result<Vec<Arc<RelationDef>>> {
        let roots = oids.iter().map(|oid| self.existing(*oid)).collect::<Result<Vec<_>>>()?;
        if !cascade {
            let found = dependents(self, &roots);
            if !found.lines.is_empty() {
                let object = match roots.as_slice() {
                    [root] => describe(self, root),
                    _ => "desired object(s)".to_owned(),
                };
                return Err(still_needed(&object, &found.lines));
            }
        }
        Ok(self.drop_all(roots))
    }

    /// Drops `roots` and everything that stands on them; foreign keys that point to them go too.
    pub(super) fn drop_all(&mut self, roots: Vec<Arc<RelationDef>>) -> Vec<Arc<RelationDef>> {
        let Dependents { views, tables, sources, .. } = dependents(self, &roots);
        let gone: Vec<Arc<RelationDef>> = roots.into_iter().chain(views).collect();
        let numbers: BTreeSet<Oid> = gone.iter().map(|relation| relation.oid).collect();
        for table in tables {
            let mut table = RelationDef::clone(&table);
            if let RelationKind::Table(definition) = &mut table.kind {
                definition.constraints.retain(|constraint| match &constraint.kind {
                    ConstraintKind::ForeignKey { references, .. } => !numbers.contains(references),
                    _ => true,
                });
            }
            self.put_relation(table);
        }
        for oid in numbers {
            self.take_relation(oid);
        }
        for source in sources {
            self.take_source(source.oid);
        }
        gone
    }

    /// Gives a relation another name in its schema.
    pub fn rename_relation(&mut self, oid: Oid, name: &str) -> Result<()> {
        let relation = self.existing(oid)?;
        self.check_place(relation.schema, name)?;
        self.put_relation(RelationDef { name: name.to_owned(), ..RelationDef::clone(&relation) });
        Ok(())
    }

    /// Moves a relation to another schema.
    pub fn move_relation(&mut self, oid: Oid, schema: Oid) -> Result<()> {
        let relation = self.existing(oid)?;
        if relation.schema != schema {
            self.check_place(schema, &relation.name)?;
            self.put_relation(RelationDef { schema, ..RelationDef::clone(&relation) });
        }
        Ok(())
    }

    /// Gives a relation another owner.
    pub fn own_relation(&mut self, oid: Oid, owner: Oid) -> Result<()> {
        let relation = self.existing(oid)?;
        self.put_relation(RelationDef { owner, ..RelationDef::clone(&relation) });
        Ok(())
    }

    /// Gives a column another name, in the constraints and layout of its table too.
    ///
    /// SQL texts (CHECK, generated columns, views) are the caller's to rewrite or to refuse.
    pub fn rename_column(&mut self, oid: Oid, column: &str, name: &str) -> Result<()> {
        check_name("column", name)?;
        let mut relation = RelationDef::clone(&*self.existing(oid)?);
        if relation.column(name).is_some() {
            return Err(duplicate_column(&relation.name, name));
        }
        let Some(position) = relation.columns.iter().position(|candidate| candidate.name == column) else {
            return Err(undefined_column(&relation, column));
        };
        relation.columns[position].name = name.to_owned();
        if let RelationKind::Table(table) = &mut relation.kind {
            table.rename_column(column, name);
        }
        self.rename_referenced_column(oid, column, name);
        self.put_relation(relation);
        Ok(())
    }

    /// Foreign keys of other tables name this table's columns.
    fn rename_referenced_column(&mut self, oid: Oid, column: &str, name: &str) {
        for dependent in self.dependents_of(oid) {
            let mut dependent = RelationDef::clone(&dependent);
            let RelationKind::Table(table) = &mut dependent.kind else { continue };
            for constraint in &mut table.constraints {
                if let ConstraintKind::ForeignKey { references, referenced_columns, .. } = &mut constraint.kind
                    && *references == oid
                {
                    for entry in referenced_columns.iter_mut().filter(|entry| *entry == column) {
                        name.clone_into(entry);
                    }
                }
            }
            self.put_relation(dependent);
        }
    }

    /// Sets or, with `None`, removes a relation's comment.
    pub fn comment_on_relation(&mut self, oid: Oid, comment: Option<String>) -> Result<()> {
        let relation = self.existing(oid)?;
        self.put_relation(RelationDef { comment, ..RelationDef::clone(&relation) });
        Ok(())
    }

    /// Sets or, with `None`, removes a column's comment.
    pub fn comment_on_column(&mut self, oid: Oid, column: &str, comment: Option<String>) -> Result<()> {
        let mut relation = RelationDef::clone(&*self.existing(oid)?);
        match relation.columns.iter_mut().find(|candidate| candidate.name == column) {
            Some(found) => found.comment = comment,
            None => return Err(undefined_column(&relation, column)),
        }
        self.put_relation(relation);
        Ok(())
    }

    fn existing(&self, oid: Oid) -> Result<Arc<RelationDef>> {
        self.relation_by_oid(oid).ok_or_else(|| {
            Error::new(ErrorKind::UndefinedTable, format!("relation with number {oid} does not exist"))
                .detail("It was dropped by another session.")
        })
    }

    /// That a relation of this name may be put into the schema.
    fn check_place(&self, schema: Oid, name: &str) -> Result<()> {
        check_name("relation", name)?;
        let Some(schema) = self.schema_by_oid(schema) else {
            return Err(Error::new(
                ErrorKind::InvalidSchemaName,
                format!("schema with number {schema} does not exist"),
            ));
        };
        if is_system_schema(schema.oid) {
            return Err(Error::new(
                ErrorKind::InsufficientPrivilege,
                format!("permission denied to create \"{}.{name}\"", schema.name),
            )
            .detail("System schemas cannot be changed."));
        }
        if self.relation_in(schema.oid, name).is_some() {
            return Err(Error::new(ErrorKind::DuplicateTable, format!("relation \"{name}\" already exists")));
        }
        Ok(())
    }

    fn put_checked(&mut self, mut relation: RelationDef) -> Result<Oid> {
        check_columns(&relation)?;
        if let RelationKind::Table(table) = &mut relation.kind {
            let mut names = BTreeSet::new();
            for constraint in &mut table.constraints {
                if !names.insert(constraint.name.clone()) {
                    return Err(Error::new(
                        ErrorKind::DuplicateObject,
                        format!("constraint \"{}\" for relation \"{}\" already exists", constraint.name, relation.name),
                    ));
                }
                if constraint.oid == Oid::NONE {
                    constraint.oid = self.allocate_oid()?;
                }
            }
        }
        let oid = relation.oid;
        self.put_relation(relation);
        Ok(oid)
    }

    /// True when the view, as it would be, reads `target` at any depth.
    fn reaches(&self, view: &RelationDef, target: Oid) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<Oid> = view.view().into_iter().flat_map(|view| view.depends_on.iter().copied()).collect();
        while let Some(oid) = waiting.pop() {
            if oid == target {
                return true;
            }
            if seen.insert(oid)
                && let Some(relation) = self.relation_by_oid(oid)
            {
                waiting.extend(relation.view().into_iter().flat_map(|view| view.depends_on.iter().copied()));
            }
        }
        false
    }
}

fn check_columns(relation: &RelationDef) -> Result<()> {
    if relation.columns.len() > COLUMNS_MAX {
        return Err(Error::new(
            ErrorKind::ProgramLimitExceeded,
            format!("relations can have at most {COLUMNS_MAX} columns"),
        ));
    }
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for column in &relation.columns {
        if column.name.is_empty() || column.name.len() > NAME_BYTES_MAX {
            check_name("column", &column.name)?;
        }
        if !names.insert(column.name.as_str()) {
            return Err(duplicate_column_in_list(&column.name));
        }
        if !numbers.insert(column.number) || column.number < 1 {
            return Err(Error::internal(format!(
                "column number {} of \"{}\" is not free",
                column.number, relation.name
            )));
        }
    }
    Ok(())
}

/// A location with one slash at its end.
fn folder(location: &str) -> String {
    format!("{}/", location.trim_end_matches('/'))
}

fn check_replaced_columns(old: &RelationDef, new: &RelationDef) -> Result<()> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidTableDefinition, message);
    if new.columns.len() < old.columns.len() {
        return Err(invalid("cannot drop columns from view".to_owned()));
    }
    for (before, after) in old.columns.iter().zip(&new.columns) {
        if before.name != after.name {
            return Err(invalid(format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                before.name, after.name
            ))
            .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
        }
        if before.pg_type != after.pg_type {
            return Err(invalid(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                before.name, before.pg_type, after.pg_type
            )));
        }
    }
    Ok(())
}

fn duplicate_column(relation: &str, column: &str) -> Error {
    Error::new(ErrorKind::DuplicateColumn, format!("column \"{column}\" of relation \"{relation}\" already exists"))
}

fn duplicate_column_in_list(column: &str) -> Error {
    Error::new(ErrorKind::DuplicateColumn, format!("column \"{column}\" specified more than once"))
}

fn undefined_column(relation: &RelationDef, column: &str) -> Error {
    Error::new(
        ErrorKind::UndefinedColumn,
        format!("column \"{column}\" of relation \"{}\" does not exist", relation.name),
    )
}
