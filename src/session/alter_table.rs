//! ALTER TABLE: each change is checked against the rows that are there, made in the table's log, then in the catalog.
//!
//! Delta cannot rename, drop or retype a column of a plain table in place: those changes write the table again, and say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use tokio_util::sync::CancellationToken;

use crate::buffer::TableChanges;
use crate::catalog::Draft;
use crate::catalog::definition::{ConstraintDef, ConstraintKind, RelationDef, RelationKind, TableDef};
use crate::catalog::name::quote_identifier;
use crate::dialect;
use crate::dialect::{AlterRelation, AlterTable, TableChange};
use crate::engine::Scope;
use crate::error::{Error, ErrorKind, Result};
use crate::session::Session;
use crate::session::create_table::{add_constraint, new_column, table_options};
use crate::session::reply::Tag;
use crate::tables::MetadataChange;

impl Session {
    pub(super) async fn alter_relation(
        &self,
        scope: &Scope,
        alter: &AlterRelation,
        cancel: &CancellationToken,
    ) -> Result<Tag> {
        let tag = Tag(if alter.is_view { "ALTER VIEW" } else { "ALTER TABLE" }.to_owned());
        let catalog = &scope.version.catalog;
        let relation = match catalog.resolve(&alter.name, scope.search_path()) {
            Some(relation) => relation,
            None if alter.if_exists => {
                self.notice(format!("relation \"{}\" does not exist, skipping", alter.name));
                return Ok(tag);
            }
            None => return Err(catalog.undefined(&alter.name, scope.search_path())),
        };
        match &alter.change {
            AlterTable::Rename(name) => self.define(|draft| draft.rename_relation(relation.oid, name))?,
            AlterTable::SetSchema(schema) => self.define(|draft| {
                let schema = draft.require_schema(schema)?.oid;
                draft.move_relation(relation.oid, schema)
            })?,
            AlterTable::RenameColumn { column, to } => self.rename_column(scope, &relation, column, to, cancel).await?,
            AlterTable::RenameConstraint { constraint, to } => self.rename_constraint(&relation, constraint, to)?,
            AlterTable::Changes(changes) => {
                for change in changes {
                    // Each change sees what the one before it has made.
                    let scope = self.scope();
                    let relation = scope.version.catalog.relation_by_oid(relation.oid).ok_or_else(|| {
                        Error::new(ErrorKind::UndefinedTable, format!("relation \"{}\" has been dropped", alter.name))
                    })?;
                    self.change_table(&scope, &relation, change, cancel).await?;
                }
            }
        }
        Ok(tag)
    }

    async fn change_table(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        change: &TableChange,
        cancel: &CancellationToken,
    ) -> Result<()> {
        match change {
            TableChange::OwnerTo(role) => self.define(|draft| {
                let owner = draft.require_role(role)?.oid;
                draft.own_relation(relation.oid, owner)
            }),
            TableChange::AddColumn { if_not_exists, column, constraints } => {
                if *if_not_exists && relation.column(&column.name).is_some() {
                    self.notice(format!(
                        "column \"{}\" of relation \"{}\" already exists, skipping",
                        column.name, relation.name
                    ));
                    return Ok(());
                }
                self.add_column(scope, relation, column, constraints, cancel).await
            }
            TableChange::DropColumn { if_exists, column, cascade } => {
                if *if_exists && relation.column(column).is_none() {
                    self.notice(format!(
                        "column \"{column}\" of relation \"{}\" does not exist, skipping",
                        relation.name
                    ));
                    return Ok(());
                }
                self.drop_column(scope, relation, column, *cascade, cancel).await
            }
            TableChange::SetType { column, pg_type, using } => {
                let (mut new, position) = edited(relation, column)?;
                new.columns[position].pg_type = pg_type.clone();
                let mut values = same_columns(relation)?;
                if let Some(using) = using {
                    values[position] = Some(using.clone());
                }
                self.rewrite(scope, relation, new, values, cancel).await
            }
            TableChange::SetDefault { column, default } => {
                let (mut new, position) = edited(relation, column)?;
                new.columns[position].default = default.as_ref().map(ToString::to_string);
                self.server.engine().check_definition(scope, &new)?;
                self.define(|draft| draft.replace_relation(new))
            }
            TableChange::SetNotNull { column, not_null } => {
                self.set_not_null(scope, relation, column, *not_null, cancel).await
            }
            TableChange::AddConstraint { constraint } => self.constrain(scope, relation, constraint, cancel).await,
            TableChange::DropConstraint { if_exists, constraint, .. } => {
                self.drop_constraint(scope, relation, constraint, *if_exists, cancel).await
            }
            TableChange::SetOptions(options) => {
                let (mut new, mut table) = table_of(relation)?;
                table.options.extend(table_options(options)?);
                new.kind = RelationKind::Table(table);
                self.define(|draft| draft.replace_relation(new))
            }
            TableChange::ResetOptions(names) => {
                let (mut new, mut table) = table_of(relation)?;
                table.options.retain(|name, _| !names.contains(name));
                new.kind = RelationKind::Table(table);
                self.define(|draft| draft.replace_relation(new))
            }
            TableChange::ClusterBy(columns) => self.cluster_by(scope, relation, columns, cancel).await,
        }
    }

    async fn add_column(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        column: &dialect::NewColumn,
        constraints: &[dialect::Constraint],
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (mut new, mut table) = table_of(relation)?;
        if new.column(&column.name).is_some() {
            return Err(Error::new(
                ErrorKind::DuplicateColumn,
                format!("column \"{}\" of relation \"{}\" already exists", column.name, relation.name),
            ));
        }
        let number = new.columns.iter().map(|column| column.number).max().unwrap_or_default();
        let mut definition = new_column(new.columns.len(), column)?;
        definition.number = number + 1;
        new.columns.push(definition);
        for constraint in constraints {
            add_constraint(scope, &mut new, &mut table, constraint)?;
        }
        new.kind = RelationKind::Table(table);
        self.server.engine().check_definition(scope, &new)?;
        let rows = scope.version.snapshot(relation.oid)?.files().rows();
        let needs_values = column.default.is_some() || column.generated.is_some();
        if rows != Some(0) && (needs_values || column.not_null) {
            let mut values = same_columns(relation)?;
            values.push(None);
            return self.rewrite(scope, relation, new, values, cancel).await;
        }
        let metadata = MetadataChange { columns: Some(new.columns.clone()), ..MetadataChange::default() };
        self.server.engine().change_metadata(scope, relation, "ADD COLUMN", metadata, cancel).await?;
        self.define(|draft| draft.replace_relation(new))
    }

    async fn drop_column(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        column: &str,
        cascade: bool,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (mut new, position) = edited(relation, column)?;
        let (_, mut table) = table_of(relation)?;
        self.refuse_dependents(scope, relation, column)?;
        if table.partitioned_by.iter().any(|name| name == column) {
            return Err(Error::new(
                ErrorKind::InvalidTableDefinition,
                format!("cannot drop partition column \"{column}\""),
            ));
        }
        let reads = |text: &Option<String>| text.as_deref().is_some_and(|text| names_column(text, column));
        if let Some(reader) = relation.columns.iter().find(|other| other.name != column && reads(&other.generated)) {
            return Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!("cannot drop column \"{column}\" because column \"{}\" is generated from it", reader.name),
            ));
        }
        let depends = |held: &ConstraintDef| match &held.kind {
            ConstraintKind::Check { expression } => names_column(expression, column),
            _ => held.columns().iter().any(|name| name == column),
        };
        if let (false, Some(check)) = (
            cascade,
            table.constraints.iter().find(|held| matches!(held.kind, ConstraintKind::Check { .. }) && depends(held)),
        ) {
            return Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!("cannot drop column \"{column}\" because constraint \"{}\" needs it", check.name),
            )
            .hint("Use DROP COLUMN ... CASCADE to drop the constraint too."));
        }
        table.constraints.retain(|held| !depends(held));
        table.clustered_by.retain(|name| name != column);
        new.columns.remove(position);
        if new.columns.is_empty() {
            return Err(Error::new(ErrorKind::InvalidTableDefinition, "a table needs at least one column"));
        }
        new.kind = RelationKind::Table(table);
        let mut values = same_columns(relation)?;
        values.remove(position);
        self.rewrite(scope, relation, new, values, cancel).await
    }

    async fn rename_column(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        column: &str,
        to: &str,
        cancel: &CancellationToken,
    ) -> Result<()> {
        if relation.table().is_none() {
            return self.define(|draft| draft.rename_column(relation.oid, column, to));
        }
        let (new, position) = edited(relation, column)?;
        let (_, table) = table_of(relation)?;
        self.refuse_dependents(scope, relation, column)?;
        let reads = |text: &str| names_column(text, column);
        let in_checks = table
            .constraints
            .iter()
            .any(|held| matches!(&held.kind, ConstraintKind::Check { expression } if reads(expression)));
        if in_checks || relation.columns.iter().any(|other| other.generated.as_deref().is_some_and(reads)) {
            return Err(Error::unsupported(format!(
                "column \"{column}\" is read by a check or a generated column and cannot be renamed"
            ))
            .hint("Drop the constraint, rename the column, add the constraint again."));
        }
        if table.partitioned_by.iter().any(|name| name == column) {
            return Err(Error::unsupported(format!("partition column \"{column}\" cannot be renamed"))
                .hint("CREATE TABLE ... AS SELECT with the new name."));
        }
        if new.column(to).is_some() {
            return Err(Error::new(
                ErrorKind::DuplicateColumn,
                format!("column \"{to}\" of relation \"{}\" already exists", relation.name),
            ));
        }
        let mut renamed = new;
        renamed.columns[position].name = to.to_owned();
        let clustered_by: Vec<String> =
            table.clustered_by.iter().map(|name| if name == column { to.to_owned() } else { name.clone() }).collect();
        let metadata = MetadataChange {
            columns: Some(renamed.columns.clone()),
            clustered_by: Some(clustered_by),
            ..MetadataChange::default()
        };
        self.notice(format!("renaming a column writes table \"{}\" again", relation.name));
        let values = same_columns(relation)?;
        self.server.engine().rewrite_table(scope, relation, &renamed, values, metadata, cancel).await?;
        self.define(|draft| draft.rename_column(relation.oid, column, to))
    }

    /// Writes the table again with the columns of `new`, then changes the catalog.
    async fn rewrite(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        new: RelationDef,
        values: Vec<Option<ast::Expr>>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        self.server.engine().check_definition(scope, &new)?;
        let (old_checks, checks) = (checks_of(relation), checks_of(&new));
        let mut changed: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (name, expression) in &checks {
            if !old_checks.contains_key(name) {
                changed.insert(name.clone(), Some(expression.clone()));
            }
        }
        changed.extend(old_checks.keys().filter(|name| !checks.contains_key(*name)).map(|name| (name.clone(), None)));
        let metadata = MetadataChange {
            columns: Some(new.columns.clone()),
            clustered_by: new.table().map(|table| table.clustered_by.clone()),
            checks: changed,
            ..MetadataChange::default()
        };
        if scope.version.snapshot(relation.oid)?.files().rows() != Some(0) {
            self.notice(format!("this change writes table \"{}\" again", relation.name));
        }
        self.server.engine().rewrite_table(scope, relation, &new, values, metadata, cancel).await?;
        self.define(|draft| draft.replace_relation(new))
    }

    async fn set_not_null(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        column: &str,
        not_null: bool,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (mut new, position) = edited(relation, column)?;
        if relation.columns[position].not_null == not_null {
            return Ok(());
        }
        if not_null {
            let violated = || {
                Error::new(
                    ErrorKind::NotNullViolation,
                    format!("column \"{column}\" of relation \"{}\" contains null values", relation.name),
                )
            };
            let condition = format!("{} IS NOT NULL", quote_identifier(column));
            self.server.engine().require_of_rows(scope, relation, &condition, violated, cancel).await?;
        } else if relation.table().is_some_and(|table| table.primary_key().iter().any(|key| key == column)) {
            return Err(Error::new(
                ErrorKind::InvalidTableDefinition,
                format!("column \"{column}\" is in a primary key"),
            ));
        }
        new.columns[position].not_null = not_null;
        let metadata = MetadataChange { columns: Some(new.columns.clone()), ..MetadataChange::default() };
        self.server.engine().change_metadata(scope, relation, "CHANGE COLUMN", metadata, cancel).await?;
        self.define(|draft| draft.replace_relation(new))
    }

    async fn constrain(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        constraint: &dialect::Constraint,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (mut new, mut table) = table_of(relation)?;
        let name = add_constraint(scope, &mut new, &mut table, constraint)?;
        new.kind = RelationKind::Table(table);
        self.server.engine().check_definition(scope, &new)?;
        for (column, old) in
            new.columns.iter().zip(&relation.columns).filter(|(new, old)| new.not_null && !old.not_null)
        {
            let _ = old;
            let violated = || {
                Error::new(
                    ErrorKind::NotNullViolation,
                    format!("column \"{}\" of relation \"{}\" contains null values", column.name, relation.name),
                )
            };
            let condition = format!("{} IS NOT NULL", quote_identifier(&column.name));
            self.server.engine().require_of_rows(scope, relation, &condition, violated, cancel).await?;
        }
        let mut metadata = MetadataChange { columns: Some(new.columns.clone()), ..MetadataChange::default() };
        if let Some(expression) = checks_of(&new).get(&name) {
            let violated = || {
                Error::new(
                    ErrorKind::CheckViolation,
                    format!("check constraint \"{name}\" of relation \"{}\" is violated by some row", relation.name),
                )
            };
            self.server.engine().require_of_rows(scope, relation, expression, violated, cancel).await?;
            metadata.checks.insert(name.clone(), Some(expression.clone()));
        }
        self.server.engine().change_metadata(scope, relation, "ADD CONSTRAINT", metadata, cancel).await?;
        self.define(|draft| draft.replace_relation(new))
    }

    async fn drop_constraint(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        constraint: &str,
        if_exists: bool,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (mut new, mut table) = table_of(relation)?;
        let Some(position) = table.constraints.iter().position(|held| held.name == constraint) else {
            if if_exists {
                self.notice(format!(
                    "constraint \"{constraint}\" of relation \"{}\" does not exist, skipping",
                    relation.name
                ));
                return Ok(());
            }
            return Err(Error::new(
                ErrorKind::UndefinedObject,
                format!("constraint \"{constraint}\" of relation \"{}\" does not exist", relation.name),
            ));
        };
        let gone = table.constraints.remove(position);
        new.kind = RelationKind::Table(table);
        if let ConstraintKind::Check { .. } = gone.kind {
            let mut metadata = MetadataChange::default();
            metadata.checks.insert(constraint.to_owned(), None);
            self.server.engine().change_metadata(scope, relation, "DROP CONSTRAINT", metadata, cancel).await?;
        }
        self.define(|draft| draft.replace_relation(new))
    }

    async fn cluster_by(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        columns: &[String],
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (mut new, mut table) = table_of(relation)?;
        for column in columns {
            edited(relation, column)?;
        }
        table.clustered_by = columns.to_vec();
        new.kind = RelationKind::Table(table);
        let metadata = MetadataChange { clustered_by: Some(columns.to_vec()), ..MetadataChange::default() };
        self.server.engine().change_metadata(scope, relation, "CLUSTER BY", metadata, cancel).await?;
        self.define(|draft| draft.replace_relation(new))
    }

    fn rename_constraint(&self, relation: &RelationDef, constraint: &str, to: &str) -> Result<()> {
        let (mut new, mut table) = table_of(relation)?;
        let found = table.constraints.iter_mut().find(|held| held.name == constraint).ok_or_else(|| {
            Error::new(
                ErrorKind::UndefinedObject,
                format!("constraint \"{constraint}\" of relation \"{}\" does not exist", relation.name),
            )
        })?;
        if let ConstraintKind::Check { .. } = found.kind {
            return Err(Error::unsupported("a check constraint cannot be renamed").hint("Drop it and add it again."));
        }
        found.name = to.to_owned();
        new.kind = RelationKind::Table(table);
        self.define(|draft| draft.replace_relation(new))
    }

    /// A view that stands on the table would break: name it.
    fn refuse_dependents(&self, scope: &Scope, relation: &RelationDef, column: &str) -> Result<()> {
        match scope.version.catalog.dependents_of(relation.oid).first() {
            None => Ok(()),
            Some(view) => Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!(
                    "cannot change column \"{column}\" of table \"{}\" because view \"{}\" stands on it",
                    relation.name, view.name
                ),
            )
            .hint("Drop the view first, and make it again afterwards.")),
        }
    }

    fn define(&self, edit: impl FnOnce(&mut Draft) -> Result<()>) -> Result<()> {
        self.server.buffer().define(edit, |()| TableChanges::default())
    }
}

/// A copy of the definition, and where the column is in it.
fn edited(relation: &RelationDef, column: &str) -> Result<(RelationDef, usize)> {
    let position = relation.columns.iter().position(|held| held.name == column).ok_or_else(|| {
        Error::new(
            ErrorKind::UndefinedColumn,
            format!("column \"{column}\" of relation \"{}\" does not exist", relation.name),
        )
    })?;
    Ok((relation.clone(), position))
}

/// Copies of the definition and of its table.
fn table_of(relation: &RelationDef) -> Result<(RelationDef, TableDef)> {
    match relation.table() {
        Some(table) => Ok((relation.clone(), table.clone())),
        None => Err(Error::new(ErrorKind::WrongObjectType, format!("\"{}\" is not a table", relation.name))),
    }
}

fn checks_of(relation: &RelationDef) -> BTreeMap<String, String> {
    relation.table().map(crate::session::create_table::checks).unwrap_or_default().into_iter().collect()
}

/// Every column as it is.
fn same_columns(relation: &RelationDef) -> Result<Vec<Option<ast::Expr>>> {
    relation.columns.iter().map(|column| dialect::parse_expression(&quote_identifier(&column.name)).map(Some)).collect()
}

/// True when the expression's text reads the column; also when it cannot be read.
fn names_column(text: &str, column: &str) -> bool {
    dialect::parse_expression(text)
        .map_or(true, |expression| dialect::column_names(&expression).iter().any(|name| name == column))
}
