//! The table a statement writes to: found, locked, scanned with the name of the file each row is in.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{self, Spanned, TableFactor};

use crate::buffer::refuse_changed;
use crate::catalog::Found;
use crate::catalog::definition::RelationDef;
use crate::catalog::name::ObjectName;
use crate::dialect;
use crate::engine::scan::table_source;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::tables::{FileEntry, LakeScan, Snapshot, TableWriter};
use tokio_util::sync::CancellationToken;

/// The column of a target's scan that says which file a row is in.
pub(in crate::engine) const FILE_COLUMN: &str = "__file";
/// The column of a target's scan that says which row of its file a row is, from 0.
pub(in crate::engine) const ROW_COLUMN: &str = "__row";

/// The table a statement writes to, and the name that its expressions call it by.
#[derive(Clone)]
pub(in crate::engine) struct Target {
    pub relation: Arc<RelationDef>,
    pub alias: String,
}

impl Target {
    /// Finds the table; views cannot be written.
    pub(in crate::engine) fn find(scope: &Scope, name: &ObjectName, alias: Option<&ast::Ident>) -> Result<Self> {
        let relation = match scope.version.catalog.find(name, scope.search_path()) {
            Some(Found::Relation(relation)) => relation,
            Some(Found::System(_)) => {
                return Err(Error::new(
                    ErrorKind::InsufficientPrivilege,
                    format!("permission denied: \"{name}\" is a system catalog"),
                ));
            }
            None => return Err(scope.version.catalog.undefined(name, scope.search_path())),
        };
        if relation.table().is_none() {
            return Err(Error::new(
                ErrorKind::WrongObjectType,
                format!("cannot change rows of view \"{}\"", relation.name),
            )
            .hint("Change the tables that the view reads."));
        }
        let alias = alias.map_or_else(|| relation.name.clone(), dialect::identifier);
        Ok(Self { relation, alias })
    }

    /// As [`Target::find`], by the name that a statement writes.
    pub(in crate::engine) fn named(scope: &Scope, name: &ast::ObjectName, alias: Option<&ast::Ident>) -> Result<Self> {
        Self::find(scope, &dialect::object_name(name)?, alias).map_err(|error| error.at_place(place(name)))
    }

    /// Finds the table of an UPDATE, DELETE or MERGE.
    pub(in crate::engine) fn of_factor(scope: &Scope, factor: &TableFactor) -> Result<Self> {
        match factor {
            TableFactor::Table { name, alias, args: None, version: None, .. } => {
                Self::named(scope, name, alias.as_ref().map(|alias| &alias.name))
            }
            other => Err(Error::new(ErrorKind::WrongObjectType, format!("cannot change rows of {other}"))),
        }
    }

    /// The target's rows: its columns, [`FILE_COLUMN`] and [`ROW_COLUMN`]; only those in `files`, if given.
    pub(in crate::engine) fn scan(&self, scope: &Scope, files: Option<Vec<Arc<FileEntry>>>) -> Result<LogicalPlan> {
        placed_scan(scope.version.snapshot(self.relation.oid)?, &self.alias, files)
    }

    /// All rows of the target, those of its tail too: its columns, [`FILE_COLUMN`] and [`ROW_COLUMN`], which mean nothing.
    pub(in crate::engine) fn scan_all(&self, scope: &Scope) -> Result<LogicalPlan> {
        let name = TableReference::bare(self.alias.clone());
        let rows = LogicalPlanBuilder::scan(name, table_source(&scope.version, self.relation.oid)?, None)?.build()?;
        let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        columns.extend([lit("").alias(FILE_COLUMN), lit(0_i64).alias(ROW_COLUMN)]);
        Ok(LogicalPlanBuilder::from(rows).project(columns)?.build()?)
    }

    /// The position of a column that an assignment names.
    pub(in crate::engine) fn column_position(&self, name: &ast::ObjectName) -> Result<usize> {
        // What stands behind a dot would be a field of the column.
        let column = match name.0.first().and_then(|part| part.as_ident()) {
            Some(identifier) => dialect::identifier(identifier),
            None => return Err(Error::new(ErrorKind::SyntaxError, format!("\"{name}\" is not a column name"))),
        };
        let found = self.relation.columns.iter().position(|known| known.name == column);
        if found.is_some() && name.0.len() > 1 {
            return Err(Error::new(
                ErrorKind::DatatypeMismatch,
                format!("cannot assign to a field of column \"{column}\" because its type is not a composite type"),
            )
            .at_place(place(name)));
        }
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::UndefinedColumn,
                format!("column \"{column}\" of relation \"{}\" does not exist", self.relation.name),
            )
            .at_place(place(name))
        })
    }
}

/// The rows of a snapshot under this name, with [`FILE_COLUMN`] and [`ROW_COLUMN`]; only those in `files`, if given.
pub(in crate::engine) fn placed_scan(
    snapshot: &Arc<Snapshot>,
    name: &str,
    files: Option<Vec<Arc<FileEntry>>>,
) -> Result<LogicalPlan> {
    let mut scan = LakeScan::new(Arc::clone(snapshot)).with_place_columns(FILE_COLUMN, ROW_COLUMN);
    if let Some(files) = files {
        scan = scan.with_files(files);
    }
    Ok(LogicalPlanBuilder::scan(TableReference::bare(name), provider_as_source(Arc::new(scan)), None)?.build()?)
}

impl Engine {
    /// As [`Engine::lock`], for who changes rows by what they hold: nobody else who does so is at work, not even by way of
    /// the tail.
    pub(in crate::engine) async fn lock_rows(&self, scope: &Scope, target: &Target) -> Result<(TableWriter, Scope)> {
        let rows = self.buffer().share_rows(&target.relation).await?;
        let (mut writer, scope) = self.lock(scope, target).await?;
        writer.hold(rows);
        Ok((writer, scope))
    }

    /// Locks the target for writing, and gives the scope that sees the version it will be based on. Who held the lock
    /// before may have changed the definition that the statement was planned against: then the error is 40001.
    pub(in crate::engine) async fn lock(&self, scope: &Scope, target: &Target) -> Result<(TableWriter, Scope)> {
        let planned = &target.relation;
        let mut writer = scope.version.table(planned.oid)?.lock().await?;
        refuse_changed(&self.buffer().current().catalog, planned)?;
        self.flush_locked(scope, planned, &mut writer, &CancellationToken::new()).await?;
        let snapshot = writer.snapshot();
        // Another program may have changed it, too; the catalog has not heard of that yet.
        let seen = scope.version.snapshot(planned.oid)?.arrow_schema();
        if !Arc::ptr_eq(seen, snapshot.arrow_schema()) && !crate::buffer::agrees(planned, snapshot)? {
            self.buffer().follow(planned.oid, Arc::clone(snapshot))?;
            return Err(changed(planned));
        }
        let version = scope.version.with_snapshot(planned.oid, Arc::clone(snapshot));
        Ok((writer, Scope { version: Arc::new(version), ..scope.clone() }))
    }
}

fn changed(planned: &RelationDef) -> Error {
    let message = format!(
        "could not serialize access to table \"{}\" due to a concurrent change of its definition",
        planned.name
    );
    Error::new(ErrorKind::SerializationFailure, message).hint("Run the statement again.")
}

/// Where a name stands in the statement.
fn place(name: &ast::ObjectName) -> Place {
    let start = name.span().start;
    (start.line, start.column)
}
