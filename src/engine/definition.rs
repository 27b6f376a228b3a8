//! What definitions need of the engine: their expressions checked, their rows made, columns added, changed or taken away.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast;
use tokio_util::sync::CancellationToken;

use crate::buffer::TableChanges;
use crate::buffer::refuse_changed;
use crate::catalog::Draft;
use crate::catalog::definition::{ColumnDef, ConstraintKind, RelationDef, check_event_watermark};
use crate::catalog::name::Oid;
use crate::dialect;
use crate::engine::insert::source_column;
use crate::engine::overlay::Overlay;
use crate::engine::plan::Planner;
use crate::engine::run::bound;
use crate::engine::target::Target;
use crate::engine::update::has_subquery;
use crate::engine::values::is_steady;
use crate::engine::write::{Filling, column_expression};
use crate::engine::{Engine, Planned, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{Change, MetadataChange, Operation, Table};

impl Engine {
    /// Plans every default, generated column and CHECK of a definition, so that none fails at the first row.
    pub fn check_definition(&self, scope: &Scope, relation: &RelationDef) -> Result<()> {
        check_event_watermark(relation)?;
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

    /// The views that read a column of a table: those whose texts name one like it, or all columns. One that cannot be
    /// planned counts as well.
    pub async fn views_reading(&self, scope: &Scope, table: &RelationDef, column: &str) -> Vec<Arc<RelationDef>> {
        let mut found = Vec::new();
        for dependent in scope.version.catalog.dependents_of(table.oid) {
            if let Some(view) = dependent.view()
                && self.reads_column(&scope.in_view(&dependent), &view.query, column).await.unwrap_or(true)
            {
                found.push(dependent);
            }
        }
        found
    }

    async fn reads_column(&self, scope: &Scope, query: &str, column: &str) -> Result<bool> {
        let planned = self.plan_query(scope, &dialect::parse_query(query)?, &[]).await?;
        let names = |part: &Expr| Ok(matches!(part, Expr::Column(named) if named.name == column));
        let mut reads = false;
        planned.plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expression| {
                reads = reads || expression.exists(names)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(reads)
    }

    /// Gives a table another definition: one commit, and then its entry in the catalog, visible together. Once the commit
    /// has begun both are finished, also when the client has gone. Gives the number of rows that were written.
    pub async fn redefine(
        &self,
        scope: &Scope,
        redefined: Redefined,
        operation: &str,
        cancel: &CancellationToken,
    ) -> Result<u64> {
        let Redefined { old, new, metadata, rows, requirements, views } = redefined;
        let target = Target { alias: old.name.clone(), relation: Arc::clone(&old) };
        let gate = self.buffer().close_gate(&old).await?;
        let (mut writer, scope) = self.lock(scope, &target).await?;
        // What the catalog refuses must not be in the log.
        self.buffer().rehearse(|draft| draft.change_relation(&old, new.clone()))?;
        for requirement in requirements {
            self.require(&scope, &target, requirement, cancel).await?;
        }
        let mut change = Change::new(Operation::new(operation));
        if !matches!(rows, NewRows::Kept) {
            change.removed = writer.snapshot().files().iter().map(|file| file.path.clone()).collect();
        }
        if let Some(plan) = self.new_rows(&scope, &target, &new, rows).await? {
            let stream = self.run_plan(&scope, &plan, cancel).await?;
            let checked = self.checked(&scope, &new, stream)?;
            change.added = writer.write_as(&metadata, checked, &self.write_options(&new)).await?;
        }
        let count = change.added.iter().filter_map(|file| file.rows).sum();
        change.metadata = Some(metadata);
        if cancel.is_cancelled() {
            writer.discard(&change.added).await;
            return Err(Error::canceled());
        }
        let buffer = Arc::clone(self.buffer());
        let finished = tokio::spawn(async move {
            let _gate = gate;
            writer.commit(change).await?;
            let opened = vec![(old.oid, Arc::clone(writer.table()))];
            let edit = |draft: &mut Draft| {
                // A view may be gone by now.
                let views: Vec<Oid> = views.into_iter().filter(|view| draft.relation_by_oid(*view).is_some()).collect();
                draft.drop_relations(&views, true)?;
                draft.change_relation(&old, new)
            };
            buffer.define(edit, |()| TableChanges { opened, closed: Vec::new() })
        });
        let finished: Result<()> = finished.await.map_err(|error| {
            Error::new(ErrorKind::StatementCompletionUnknown, format!("the commit ended unexpectedly: {error}"))
        })?;
        finished.map(|()| count)
    }

    /// As [`Engine::redefine`], for what the table's log does not know. It waits for who changes the table, too: an ALTER
    /// TABLE must not find at its end that the definition is another one than at its start.
    pub async fn redefine_in_catalog(&self, scope: &Scope, old: &Arc<RelationDef>, new: RelationDef) -> Result<()> {
        let target = Target { alias: old.name.clone(), relation: Arc::clone(old) };
        let _gate = self.buffer().close_gate(old).await?;
        let (_writer, _) = self.lock(scope, &target).await?;
        let edit = |draft: &mut Draft| {
            refuse_changed(draft, old)?;
            draft.change_relation(old, new)
        };
        self.buffer().define(edit, |()| TableChanges::default())
    }

    /// The rows that the table gets instead of those it has, as its new columns store them.
    async fn new_rows(
        &self,
        scope: &Scope,
        target: &Target,
        new: &RelationDef,
        rows: NewRows,
    ) -> Result<Option<LogicalPlan>> {
        Ok(match rows {
            NewRows::Kept | NewRows::Given(None) => None,
            NewRows::From(values) => Some(rewritten(self, scope, new, target.scan(scope, None)?, values)?),
            NewRows::Given(Some((query, parameters))) => {
                let planned = self.plan_query(scope, &query, &[]).await?;
                let source = bound(planned.plan, &parameters)?;
                let given = |position| Filling::Given(source_column(&source, position));
                let fillings: Vec<Filling> = (0..new.columns.len()).map(given).collect();
                Some(self.stored_rows(scope, new, source, &fillings, &[])?)
            }
        })
    }

    /// An error where some row does not meet the requirement.
    async fn require(
        &self,
        scope: &Scope,
        target: &Target,
        requirement: Requirement,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let scan = target.scan(scope, None)?;
        let overlay = Overlay::default();
        let condition = dialect::parse_expression(&requirement.condition)?;
        let condition = Planner::new(scope, &overlay).expression(condition, scan.schema(), &[])?;
        let first = LogicalPlanBuilder::from(scan).filter(condition.is_false())?.limit(0, Some(1))?.build()?;
        let found = self.collect(scope, &first, cancel).await?;
        match found.iter().any(|batch| batch.num_rows() > 0) {
            true => Err(requirement.otherwise),
            false => Ok(()),
        }
    }
}

/// A table's way to another definition.
pub struct Redefined {
    /// What it was.
    pub old: Arc<RelationDef>,
    /// What it becomes.
    pub new: RelationDef,
    /// What its log has to say of it.
    pub metadata: MetadataChange,
    /// What becomes of its rows.
    pub rows: NewRows,
    /// What must hold for the rows that stay as they are.
    pub requirements: Vec<Requirement>,
    /// Views that go with the change.
    pub views: Vec<Oid>,
}

/// What a redefined table holds.
pub enum NewRows {
    /// The rows it has, in the files they are in.
    Kept,
    /// Those rows written again: for each new column where its values come from, as an expression over the old columns;
    /// `None` takes the default.
    From(Vec<Option<ast::Expr>>),
    /// The rows of a query with the values of its parameters, or none.
    Given(Option<(Box<ast::Query>, Vec<ScalarValue>)>),
}

/// What must be true for every row, or NULL.
pub struct Requirement {
    /// SQL text over the table's columns.
    pub condition: String,
    /// The error where it is false.
    pub otherwise: Error,
}

/// The rows of `scan` under the columns of `new`.
fn rewritten(
    engine: &Engine,
    scope: &Scope,
    new: &RelationDef,
    scan: LogicalPlan,
    values: Vec<Option<ast::Expr>>,
) -> Result<LogicalPlan> {
    let overlay = Overlay::default();
    let planner = Planner::new(scope, &overlay);
    let filling = |value: Option<ast::Expr>| match value {
        Some(value) => Ok(Filling::Given(planner.expression(value, scan.schema(), &[])?)),
        None => Ok(Filling::Default),
    };
    let fillings = values.into_iter().map(filling).collect::<Result<Vec<_>>>()?;
    engine.stored_rows(scope, new, scan, &fillings, &[])
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
    match is_steady(value, schema)? {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidObjectDefinition, "generation expression is not immutable")),
    }
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
