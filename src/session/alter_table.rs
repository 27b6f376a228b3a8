//! ALTER TABLE: the changes are gathered, checked against the rows that are there, made in the table's log by one commit,
//! then in the catalog.
//!
//! Delta cannot rename, drop or retype a column of a plain table in place: those changes write the table again, and say so.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::buffer::TableChanges;
use crate::catalog::Draft;
use crate::catalog::definition::{ConstraintKind, RelationDef};
use crate::catalog::name::Oid;
use crate::dialect::{AlterRelation, AlterTable, TableChange};
use crate::engine::Scope;
use crate::engine::definition::{NewRows, Redefined};
use crate::error::{Error, ErrorKind, Result};
use crate::session::Session;
use crate::session::alter_table::alteration::Alteration;
use crate::session::create_table::table_options;
use crate::session::reply::Tag;

mod alteration;

pub(super) const REMAKE_HINT: &str = "Drop the view first, and make it again afterwards.";
const CASCADE_HINT: &str = "Use DROP COLUMN ... CASCADE to drop the views too.";

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
            AlterTable::RenameConstraint { constraint, to } => {
                self.rename_constraint(scope, &relation, constraint, to).await?;
            }
            AlterTable::Changes(changes) => match changes.as_slice() {
                // Of the changes in a list this one is for views, too.
                [TableChange::OwnerTo(role)] => self.define(|draft| {
                    let owner = draft.require_role(role)?.oid;
                    draft.own_relation(relation.oid, owner)
                })?,
                changes => self.change_table(scope, &relation, changes, cancel).await?,
            },
        }
        Ok(tag)
    }

    async fn change_table(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        changes: &[TableChange],
        cancel: &CancellationToken,
    ) -> Result<()> {
        let mut alteration = Alteration::of(relation)?;
        for change in changes {
            self.gather(scope, &mut alteration, change).await?;
        }
        let operation = match changes {
            [TableChange::AddColumn { .. }] => "ADD COLUMNS",
            [TableChange::DropColumn { .. }] => "DROP COLUMNS",
            [TableChange::AddConstraint { .. }] => "ADD CONSTRAINT",
            [TableChange::DropConstraint { .. }] => "DROP CONSTRAINT",
            [TableChange::ClusterBy(_)] => "CLUSTER BY",
            [TableChange::SetOptions(_)] => "SET TBLPROPERTIES",
            [TableChange::ResetOptions(_)] => "UNSET TBLPROPERTIES",
            _ => "CHANGE COLUMN",
        };
        self.alter(scope, relation, alteration, operation, cancel).await
    }

    async fn gather(&self, scope: &Scope, alteration: &mut Alteration, change: &TableChange) -> Result<()> {
        let (engine, name) = (self.server.engine(), alteration.new.name.clone());
        match change {
            TableChange::OwnerTo(role) => alteration.new.owner = scope.version.catalog.require_role(role)?.oid,
            TableChange::AddColumn { if_not_exists: true, column, .. }
                if alteration.new.column(&column.name).is_some() =>
            {
                self.notice(format!("column \"{}\" of relation \"{name}\" already exists, skipping", column.name));
            }
            TableChange::AddColumn { column, constraints, .. } => alteration.add_column(scope, column, constraints)?,
            TableChange::DropColumn { if_exists: true, column, .. } if alteration.new.column(column).is_none() => {
                self.notice(format!("column \"{column}\" of relation \"{name}\" does not exist, skipping"));
            }
            TableChange::DropColumn { column, cascade, .. } => {
                match cascade {
                    true => {
                        let views = engine.views_reading(scope, &alteration.new, column).await;
                        alteration.views.extend(views.iter().map(|view| view.oid));
                    }
                    false => self.refuse_readers(scope, &alteration.new, column, CASCADE_HINT).await?,
                }
                alteration.drop_column(column, *cascade)?;
            }
            TableChange::SetType { column, pg_type, using } => {
                let position = alteration.position(column)?;
                self.refuse_readers(scope, &alteration.new, column, REMAKE_HINT).await?;
                alteration.new.columns[position].pg_type = pg_type.clone();
                if let Some(using) = using {
                    alteration.values[position] = Some(using.clone());
                }
                alteration.rewrites = true;
            }
            TableChange::SetDefault { column, default } => {
                let position = alteration.position(column)?;
                alteration.new.columns[position].default = default.as_ref().map(ToString::to_string);
            }
            TableChange::SetNotNull { column, not_null } => alteration.set_not_null(column, *not_null)?,
            TableChange::AddConstraint { constraint } => alteration.add_constraint(scope, constraint)?,
            TableChange::DropConstraint { if_exists, constraint, .. } => {
                let held = alteration.table.constraints.len();
                alteration.table.constraints.retain(|held| held.name != *constraint);
                let message = format!("constraint \"{constraint}\" of relation \"{name}\" does not exist");
                match (held > alteration.table.constraints.len(), if_exists) {
                    (true, _) => {}
                    (false, true) => self.notice(format!("{message}, skipping")),
                    (false, false) => return Err(Error::new(ErrorKind::UndefinedObject, message)),
                }
            }
            TableChange::SetOptions(options) => alteration.set_options(table_options(options)?),
            TableChange::ResetOptions(names) => alteration.reset_options(names),
            TableChange::AddWatermark(watermark) => alteration.add_watermark(scope, watermark)?,
            TableChange::DropWatermark(column) => alteration.drop_watermark(column)?,
            TableChange::ClusterBy(columns) => {
                columns.iter().try_for_each(|column| alteration.position(column).map(drop))?;
                alteration.table.clustered_by = columns.clone();
            }
        }
        Ok(())
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
        let mut alteration = Alteration::of(relation)?;
        alteration.position(column)?;
        self.refuse_readers(scope, relation, column, REMAKE_HINT).await?;
        alteration.rename_column(column, to)?;
        self.alter(scope, relation, alteration, "RENAME COLUMN", cancel).await
    }

    /// Makes the changes: in the log, if it has to say something of them, then in the catalog.
    async fn alter(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        mut alteration: Alteration,
        operation: &str,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let engine = self.server.engine();
        let requirements = alteration.requirements();
        let new = alteration.definition();
        engine.check_definition(scope, &new)?;
        self.tell_unenforced(&new, &relation.table().map(|table| table.constraints.clone()).unwrap_or_default());
        let Some(metadata) = alteration.metadata() else {
            return engine.redefine_in_catalog(scope, relation, new).await;
        };
        if alteration.rewrites && scope.version.snapshot(relation.oid)?.files().rows() != Some(0) {
            self.notice(format!("this change writes table \"{}\" again", relation.name));
        }
        let rows = if alteration.rewrites { NewRows::From(alteration.values) } else { NewRows::Kept };
        // With them go the views that stand on them.
        let roots: Vec<Oid> = alteration.views.into_iter().collect();
        let gone = self.server.buffer().rehearse(|draft| draft.drop_relations(&roots, true))?;
        let views = gone.iter().map(|view| view.oid).collect();
        let redefined = Redefined { old: Arc::clone(relation), new, metadata, rows, requirements, views };
        engine.redefine(scope, redefined, operation, cancel).await?;
        self.tell_cascade(scope, &gone, 0);
        Ok(())
    }

    async fn rename_constraint(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        constraint: &str,
        to: &str,
    ) -> Result<()> {
        let mut alteration = Alteration::of(relation)?;
        let found = alteration.table.constraints.iter_mut().find(|held| held.name == constraint).ok_or_else(|| {
            Error::new(
                ErrorKind::UndefinedObject,
                format!("constraint \"{constraint}\" of relation \"{}\" does not exist", relation.name),
            )
        })?;
        if let ConstraintKind::Check { .. } = found.kind {
            return Err(Error::unsupported("a check constraint cannot be renamed").hint("Drop it and add it again."));
        }
        found.name = to.to_owned();
        self.server.engine().redefine_in_catalog(scope, relation, alteration.definition()).await
    }

    /// A view that reads the column would break: name it.
    pub(super) async fn refuse_readers(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        column: &str,
        hint: &str,
    ) -> Result<()> {
        match self.server.engine().views_reading(scope, relation, column).await.first() {
            None => Ok(()),
            Some(view) => Err(Error::new(
                ErrorKind::DependentObjectsStillExist,
                format!(
                    "cannot change column \"{column}\" of table \"{}\" because view \"{}\" reads it",
                    relation.name, view.name
                ),
            )
            .hint(hint)),
        }
    }

    fn define(&self, edit: impl FnOnce(&mut Draft) -> Result<()>) -> Result<()> {
        self.server.buffer().define(edit, |()| TableChanges::default())
    }
}
