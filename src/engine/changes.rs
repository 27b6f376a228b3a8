//! `table_changes('t', from [, to])`: the rows that versions inserted, updated and deleted.
//!
//! A version is known by the files that it removed and added. A row counts -1 where it was removed and +1 where it was
//! added; what sums up to nothing was only moved from file to file. Invariant: the rows at version `from - 1`, less the
//! rows of `delete` and `update_preimage`, with those of `insert` and `update_postimage`, are the rows at version `to`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::datasource::{TableProvider, ViewTable, provider_as_source};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_nested::expr_fn::array_repeat;
use datafusion::logical_expr::expr::{FieldMetadata, WindowFunction};
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, cast, ident, lit, when};
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr};

use crate::catalog::definition::{RelationDef, TableDef};
use crate::catalog::name::ObjectName;
use crate::dialect;
use crate::engine::Scope;
use crate::engine::values::constant;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{CHANGE_TYPE, FileEntry, LakeScan, Snapshot, VersionChanges};

const VERSION: &str = "_commit_version";
const TIMESTAMP: &str = "_commit_timestamp";
/// How often a row was added, less how often it was removed.
const WEIGHT: &str = "__weight";
const COPIES: &str = "__copies";
const LOWEST: &str = "__lowest";
const HIGHEST: &str = "__highest";

/// The relation that `table_changes(arguments)` stands for.
pub(in crate::engine) async fn provider(scope: &Scope, arguments: &[FunctionArg]) -> Result<Arc<dyn TableProvider>> {
    let usage = || {
        Error::new(ErrorKind::UndefinedFunction, "table_changes takes a table and one or two versions")
            .hint("Write table_changes('t', from) or table_changes('t', from, to).")
    };
    let value = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Ok(value.clone()),
        _ => Err(usage()),
    };
    let (name, from, to) = match arguments {
        [name, from] => (value(name)?, value(from)?, None),
        [name, from, to] => (value(name)?, value(from)?, Some(value(to)?)),
        _ => return Err(usage()),
    };
    let relation = table_named(scope, name)?;
    let table = scope.version.table(relation.oid)?;
    let to = match to {
        Some(to) => version(scope, to)?,
        None => scope.version.snapshot(relation.oid)?.version,
    };
    let changes = table.changes(version(scope, from)?, to).await?;
    Ok(Arc::new(ViewTable::new(plan(&relation, changes)?, None)))
}

fn table_named(scope: &Scope, name: ast::Expr) -> Result<Arc<RelationDef>> {
    let name = match constant(scope, name, &DataType::Utf8)? {
        ScalarValue::Utf8(Some(name)) => name_of(&name)?,
        _ => return Err(Error::new(ErrorKind::InvalidParameterValue, "the name of a table must not be null")),
    };
    scope.versioned_table(&name)
}

/// `schema.t` as SQL would read it.
fn name_of(text: &str) -> Result<ObjectName> {
    let parts = match dialect::parse_expression(text)? {
        ast::Expr::Identifier(name) => vec![name],
        ast::Expr::CompoundIdentifier(parts) => parts,
        _ => return Err(Error::new(ErrorKind::InvalidName, format!("\"{text}\" is not the name of a table"))),
    };
    dialect::object_name(&ast::ObjectName::from(parts))
}

fn version(scope: &Scope, value: ast::Expr) -> Result<i64> {
    match constant(scope, value, &DataType::Int64)? {
        ScalarValue::Int64(Some(version)) => Ok(version),
        _ => Err(Error::new(ErrorKind::InvalidParameterValue, "the version of a table must not be null")),
    }
}

/// All changes, under the columns that the table has in the end.
fn plan(relation: &RelationDef, changes: Vec<VersionChanges>) -> Result<LogicalPlan> {
    let Some(last) = changes.last() else { return Err(Error::internal("a range of versions is never empty")) };
    let schema = Arc::clone(last.after.arrow_schema());
    if let Some(taken) = [CHANGE_TYPE, VERSION, TIMESTAMP].iter().find(|name| schema.column_with_name(name).is_some()) {
        return Err(Error::new(ErrorKind::DuplicateColumn, format!("the table has a column \"{taken}\" of its own"))
            .hint("Rename it: table_changes adds a column of this name."));
    }
    let keys = relation.table().map(TableDef::primary_key).unwrap_or_default();
    let known = keys.iter().all(|key| schema.column_with_name(key).is_some());
    let keys: Vec<Expr> = keys.iter().filter(|_| known).map(ident).collect();
    let mut all: Option<LogicalPlanBuilder> = None;
    for version in &changes {
        let Some(rows) = changed_rows(version, &schema, &keys)? else { continue };
        let rows = finished(rows, &schema, version)?;
        all = Some(match all {
            Some(all) => all.union(rows)?,
            None => LogicalPlanBuilder::from(rows),
        });
    }
    match all {
        Some(all) => Ok(all.build()?),
        None => {
            let nothing = LogicalPlanBuilder::empty(false).project(vec![lit("").alias(CHANGE_TYPE)])?.build()?;
            finished(shaped(nothing, &schema, &[CHANGE_TYPE])?, &schema, last)
        }
    }
}

/// The rows that one version changed: the table's columns and [`CHANGE_TYPE`].
fn changed_rows(version: &VersionChanges, schema: &SchemaRef, keys: &[Expr]) -> Result<Option<LogicalPlan>> {
    if let Some(recorded) = &version.recorded {
        let rows = scan(&recorded.snapshot, &recorded.files)?;
        return shaped(rows, schema, &[CHANGE_TYPE]).map(Some);
    }
    let removed = match &version.before {
        Some(before) if !version.removed.is_empty() => Some(scan(before, &version.removed)?),
        _ => None,
    };
    let added = (!version.added.is_empty()).then(|| scan(&version.after, &version.added)).transpose()?;
    let weighed = |rows: LogicalPlan, weight: i64| {
        let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        columns.push(lit(weight).alias(WEIGHT));
        shaped(LogicalPlanBuilder::from(rows).project(columns)?.build()?, schema, &[WEIGHT])
    };
    let (deleted, inserted, rows) = match (removed, added) {
        (None, None) => return Ok(None),
        (Some(removed), None) => ("delete", "insert", weighed(removed, -1)?),
        (None, Some(added)) => ("delete", "insert", weighed(added, 1)?),
        (Some(removed), Some(added)) => {
            let rows = netted(weighed(removed, -1)?, weighed(added, 1)?, schema)?;
            match version.operation == "UPDATE" {
                true => ("update_preimage", "update_postimage", rows),
                false if keys.is_empty() => ("delete", "insert", rows),
                false => return paired(rows, keys).map(Some),
            }
        }
    };
    let kind = when(ident(WEIGHT).gt(lit(0_i64)), lit(inserted)).otherwise(lit(deleted))?;
    with_kind(rows, kind).map(Some)
}

/// What is left of the rows where removed and added ones cancel each other out.
fn netted(removed: LogicalPlan, added: LogicalPlan, schema: &SchemaRef) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = schema.fields().iter().map(|field| ident(field.name())).collect();
    let weight = ident(WEIGHT);
    let copies = when(weight.clone().gt(lit(0_i64)), weight.clone()).otherwise(-weight.clone())?;
    let mut shown = columns.clone();
    shown.push(weight.clone());
    let kept = shown.clone();
    shown.push(array_repeat(lit(true), copies).alias(COPIES));
    Ok(LogicalPlanBuilder::from(removed)
        .union(added)?
        .aggregate(columns, vec![sum(weight.clone()).alias(WEIGHT)])?
        .filter(weight.not_eq(lit(0_i64)))?
        .project(shown)?
        .unnest_column(COPIES)?
        .project(kept)?
        .build()?)
}

/// Rows with one key that were both removed and added have been updated.
fn paired(rows: LogicalPlan, keys: &[Expr]) -> Result<LogicalPlan> {
    let over_key = |function, name: &str| -> Result<Expr> {
        let window = Expr::from(WindowFunction::new(function, vec![ident(WEIGHT)]));
        Ok(window.partition_by(keys.to_vec()).build()?.alias(name))
    };
    let windows = vec![over_key(min_udaf(), LOWEST)?, over_key(max_udaf(), HIGHEST)?];
    let rows = LogicalPlanBuilder::from(rows).window(windows)?.build()?;
    let (lowest, highest) = (ident(LOWEST), ident(HIGHEST));
    let is_new = ident(WEIGHT).gt(lit(0_i64));
    let kind = when(is_new.clone().and(lowest.clone().lt(lit(0_i64))), lit("update_postimage"))
        .when(is_new, lit("insert"))
        .when(highest.gt(lit(0_i64)), lit("update_preimage"))
        .otherwise(lit("delete"))?;
    with_kind(rows, kind)
}

fn with_kind(rows: LogicalPlan, kind: Expr) -> Result<LogicalPlan> {
    let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(kind.alias(CHANGE_TYPE));
    Ok(LogicalPlanBuilder::from(rows).project(columns)?.build()?)
}

/// The table's columns, then what says how and when they were changed.
fn finished(rows: LogicalPlan, schema: &Schema, version: &VersionChanges) -> Result<LogicalPlan> {
    let mut columns: Vec<Expr> = schema.fields().iter().map(|field| ident(field.name())).collect();
    columns.push(cast(ident(CHANGE_TYPE), DataType::Utf8View).alias(CHANGE_TYPE));
    columns.push(lit(version.version).alias(VERSION));
    let at_micros = version.committed_at_ms.saturating_mul(1000);
    let at = ScalarValue::TimestampMicrosecond(Some(at_micros), Some("UTC".into()));
    columns.push(cast(lit(at), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))).alias(TIMESTAMP));
    Ok(LogicalPlanBuilder::from(rows).project(columns)?.build()?)
}

fn scan(snapshot: &Arc<Snapshot>, files: &[Arc<FileEntry>]) -> Result<LogicalPlan> {
    let scan = LakeScan::new(Arc::clone(snapshot)).with_files(files.to_vec());
    Ok(LogicalPlanBuilder::scan("changed", provider_as_source(Arc::new(scan)), None)?.build()?)
}

/// The rows under the columns of `schema` and `extra`: one that the table did not have yet is NULL.
fn shaped(rows: LogicalPlan, schema: &SchemaRef, extra: &[&str]) -> Result<LogicalPlan> {
    let mut columns = Vec::with_capacity(schema.fields().len() + extra.len());
    for field in schema.fields() {
        let value = match rows.schema().field_with_unqualified_name(field.name()) {
            Ok(_) => cast(ident(field.name()), field.data_type().clone()),
            Err(_) => lit(ScalarValue::try_from(field.data_type())?),
        };
        let metadata = FieldMetadata::from(field.metadata());
        columns.push(value.alias_with_metadata(field.name(), Some(metadata)));
    }
    columns.extend(extra.iter().map(|name| ident(*name)));
    Ok(LogicalPlanBuilder::from(rows).project(columns)?.build()?)
}
