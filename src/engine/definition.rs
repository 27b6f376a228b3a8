//! What definitions need of the engine: their expressions checked, their rows made, columns added, changed or taken away.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, Volatility};
use datafusion::sql::sqlparser::ast;
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::{ColumnDef, ConstraintKind, RelationDef};
use crate::dialect;
use crate::engine::functions::cast::{CAST, depends_on_session};
use crate::engine::insert::source_column;
use crate::engine::run::bound;
use crate::engine::target::Target;
use crate::engine::update::has_subquery;
use crate::engine::write::{Filling, column_expression};
use crate::engine::{Engine, Planned, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{Change, MetadataChange, Operation, Reads, Table};

impl Engine {
    /// Plans every default, generated column and CHECK of a definition, so that none fails at the first row.
    pub fn check_definition(&self, scope: &Scope, relation: &RelationDef) -> Result<()> {
        let plain: Vec<_> = relation
            .columns
            .iter()
            .filter(|column| column.generated.is_none())
            .map(|column| column.pg_type.field(&column.name, true))
            .collect();
        let plain = DFSchema::try_from(Schema::new(plain))?;
        let all = DFSchema::try_from(Schema::new(
            relation.columns.iter().map(|column| column.pg_type.field(&column.name, true)).collect::<Vec<_>>(),
        ))?;
        for column in &relation.columns {
            if let Some(text) = &column.default {
                let value = column_expression(scope, text, &DFSchema::empty())
                    .map_err(|error| within_default(error, column))?;
                refuse_subquery(&value, "a default")?;
                fits(&value, &DFSchema::empty(), column, "default expression")?;
            }
            if let Some(text) = &column.generated {
                let value = column_expression(scope, text, &plain)?;
                refuse_subquery(&value, "a column generation expression")?;
                refuse_changing(&value, &plain)?;
                fits(&value, &plain, column, "generation expression")?;
            }
        }
        for constraint in relation.table().map(|table| table.constraints.as_slice()).unwrap_or_default() {
            if let ConstraintKind::Check { expression } = &constraint.kind {
                let condition = column_expression(scope, expression, &all)?;
                refuse_subquery(&condition, "a check constraint")?;
                let given = condition.get_type(&all)?;
                if !matches!(given, DataType::Boolean | DataType::Null) {
                    let given = crate::catalog::pg_type::PgType::of_arrow(&given);
                    return Err(Error::new(
                        ErrorKind::DatatypeMismatch,
                        format!("argument of CHECK must be type boolean, not type {given}"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Stores a query's rows in a table that no catalog names yet. Gives the number of rows.
    pub async fn fill(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        table: &Arc<Table>,
        planned: &Planned,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<u64> {
        let source = bound(planned.plan.clone(), parameters)?;
        let fillings: Vec<Filling> =
            (0..relation.columns.len()).map(|position| Filling::Given(source_column(&source, position))).collect();
        let rows = self.stored_rows(scope, relation, source, &fillings, &[])?;
        let mut writer = table.lock().await?;
        let added = self.store(scope, relation, rows, &writer, cancel).await?;
        let count = added.iter().filter_map(|file| file.rows).sum();
        if count > 0 {
            writer.commit(Change::append(added)).await?;
        }
        Ok(count)
    }

    /// Writes the whole table again with the columns of `new`. `values` says for each where it comes from, as an
    /// expression over the old columns; `None` takes the default.
    pub async fn rewrite_table(
        &self,
        scope: &Scope,
        old: &Arc<RelationDef>,
        new: &RelationDef,
        values: Vec<Option<ast::Expr>>,
        metadata: MetadataChange,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let target = Target { relation: Arc::clone(old), alias: old.name.clone() };
        let (writer, scope) = self.lock(scope, &target).await?;
        let scan = target.scan(&scope, None)?;
        let overlay = crate::engine::overlay::Overlay::default();
        let planner = crate::engine::plan::Planner::new(&scope, &overlay);
        let mut fillings = Vec::with_capacity(values.len());
        for value in values {
            fillings.push(match value {
                Some(value) => Filling::Given(planner.expression(value, scan.schema(), &[])?),
                None => Filling::Default,
            });
        }
        let plan = self.stored_rows(&scope, new, scan, &fillings, &[])?;
        let stream = self.run_plan(&scope, &plan, cancel).await?;
        let checked = self.checked(&scope, new, stream)?;
        let added = writer.write_as(&metadata, checked, &self.write_options()).await?;
        let removed = writer.snapshot().files().iter().map(|file| file.path.clone()).collect();
        let change = Change {
            added,
            removed,
            metadata: Some(metadata),
            reads: Reads::Everything,
            ..Change::new(Operation::new("REPLACE COLUMNS"))
        };
        self.commit(old.oid, writer, change, cancel).await.map(|_| ())
    }

    /// Commits a change of metadata alone.
    pub async fn change_metadata(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        operation: &str,
        metadata: MetadataChange,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let writer = scope.version.table(relation.oid)?.lock().await?;
        let change =
            Change { metadata: Some(metadata), reads: Reads::Everything, ..Change::new(Operation::new(operation)) };
        self.commit(relation.oid, writer, change, cancel).await.map(|_| ())
    }

    /// The first row for which `condition` does not hold makes an error of `kind`.
    pub async fn require_of_rows(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        condition: &str,
        error: impl FnOnce() -> Error,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let target = Target { relation: Arc::clone(relation), alias: relation.name.clone() };
        let scan = target.scan(scope, None)?;
        let overlay = crate::engine::overlay::Overlay::default();
        let condition = crate::engine::plan::Planner::new(scope, &overlay).expression(
            dialect::parse_expression(condition)?,
            scan.schema(),
            &[],
        )?;
        let first = LogicalPlanBuilder::from(scan).filter(condition.is_false())?.limit(0, Some(1))?.build()?;
        let found = self.collect(scope, &first, cancel).await?;
        if found.iter().any(|batch| batch.num_rows() > 0) { Err(error()) } else { Ok(()) }
    }
}

fn within_default(error: Error, column: &ColumnDef) -> Error {
    match error.kind() {
        ErrorKind::UndefinedColumn => {
            Error::unsupported("cannot use column reference in DEFAULT expression").detail(error.message().to_owned())
        }
        _ => error.within(format!("default of column \"{}\"", column.name)),
    }
}

fn refuse_subquery(value: &Expr, place: &str) -> Result<()> {
    if has_subquery(value) {
        return Err(Error::unsupported(format!("cannot use subquery in {place}")));
    }
    Ok(())
}

/// A generated column must have the same value whenever it is computed.
fn refuse_changing(value: &Expr, schema: &DFSchema) -> Result<()> {
    let changes = value.exists(|part| match part {
        Expr::ScalarFunction(call) if call.func.name() == CAST => depends_on_session(&call.args, schema),
        Expr::ScalarFunction(call) => Ok(call.func.signature().volatility != Volatility::Immutable),
        _ => Ok(false),
    })?;
    if changes {
        return Err(Error::new(ErrorKind::InvalidObjectDefinition, "generation expression is not immutable"));
    }
    Ok(())
}

fn fits(value: &Expr, schema: &DFSchema, column: &ColumnDef, what: &str) -> Result<()> {
    let (given, wanted) = (value.get_type(schema)?, column.pg_type.arrow());
    if given == wanted || arrow::compute::can_cast_types(&given, &wanted) {
        return Ok(());
    }
    let given = crate::catalog::pg_type::PgType::of_arrow(&given);
    Err(Error::new(
        ErrorKind::DatatypeMismatch,
        format!("column \"{}\" is of type {} but {what} is of type {given}", column.name, column.pg_type),
    )
    .hint("You will need to rewrite or cast the expression."))
}
