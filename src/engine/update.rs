//! UPDATE: files without matching rows stay; the others are written again with the matching rows changed.

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident, lit, when};
use datafusion::sql::sqlparser::ast::{self, AssignmentTarget};
use tokio_util::sync::CancellationToken;

use crate::catalog::pg_type::PgType;
use crate::dialect;
use crate::engine::assign::{assigned, refuse_text};
use crate::engine::delete::own_columns;
use crate::engine::plan::{Planner, known_parameters};
use crate::engine::returning::Described;
use crate::engine::rewrite::entries;
use crate::engine::run::bound;
use crate::engine::shim;
use crate::engine::target::Target;
use crate::engine::write::{Affected, Filling, MARK_HIT, MARK_KEPT, mark};
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{Change, Operation};

/// The column that is true where the row is changed.
const HIT_COLUMN: &str = "__hit";

/// An UPDATE, planned against its target.
struct UpdatePlan {
    /// For each column of the table: its new value, where it has one.
    values: Vec<Option<Filling>>,
    /// The rows that change.
    matching: LogicalPlan,
}

impl Engine {
    /// The parameters and the RETURNING columns of an UPDATE.
    pub async fn describe_update(
        &self,
        scope: &Scope,
        update: &ast::Update,
        parameters: &[Option<PgType>],
    ) -> Result<Described> {
        if let Some(merge) = joined(update)? {
            return self.describe_merge(scope, &merge, parameters).await;
        }
        let target = Target::of_factor(scope, &update.table.relation)?;
        let plan = self.update_plan(scope, &target, update, parameters).await?;
        let changed = self.changed_rows(scope, &target, plan.matching.clone(), &plan.values, &lit(true))?;
        let known = known_parameters(&changed, parameters)?;
        self.described(scope, &target, known, update.returning.as_deref()).await
    }

    /// The rows that an UPDATE changes.
    pub(in crate::engine) async fn explained_update(
        &self,
        scope: &Scope,
        update: &ast::Update,
        parameters: &[Option<PgType>],
    ) -> Result<(Target, LogicalPlan)> {
        if let Some(merge) = joined(update)? {
            return self.explained_merge(scope, &merge, parameters).await;
        }
        let target = Target::of_factor(scope, &update.table.relation)?;
        let plan = self.update_plan(scope, &target, update, parameters).await?;
        Ok((target, plan.matching))
    }

    /// Updates the matching rows.
    pub async fn update(
        &self,
        scope: &Scope,
        update: &ast::Update,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Affected> {
        if let Some(merge) = joined(update)? {
            return self.merge_returning(scope, &merge, update.returning.as_deref(), parameters, cancel).await;
        }
        let target = Target::of_factor(scope, &update.table.relation)?;
        let (writer, scope) = self.lock_rows(scope, &target).await?;
        let types: Vec<_> = parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
        let plan = self.update_plan(&scope, &target, update, &types).await?;
        let hits = self.hits(&scope, bound(plan.matching, parameters)?, cancel).await?;
        let rows = hits.rows();
        let mut written = None;
        let mut change = None;
        if rows > 0 {
            let scan = target.scan(&scope, Some(entries(writer.snapshot(), hits.paths())?))?;
            let rewritten = self.rewritten(&scope, &target, scan, &hits.condition(), &plan.values)?;
            let keep = update.returning.is_some();
            let marked =
                self.store_marked(&scope, &target, bound(rewritten, parameters)?, &writer, keep, cancel).await?;
            written = marked.hits;
            let operation = Operation::new("UPDATE")
                .with("predicate", update.selection.as_ref().map(ToString::to_string))
                .measured("numUpdatedRows", rows);
            change = Some(Change::replace(operation, marked.files, hits.paths().cloned().collect()));
        }
        let items = update.returning.as_deref();
        let returned = self.returning(&scope, &target, items, written.as_ref(), parameters, cancel).await;
        let added = change.as_ref().map(|change| change.added.as_slice()).unwrap_or_default();
        let returned = writer.or_discard(added, returned).await?;
        if let Some(change) = change {
            self.commit(target.relation.oid, writer, change, cancel).await?;
        }
        Ok(Affected { rows, returned })
    }

    async fn update_plan(
        &self,
        scope: &Scope,
        target: &Target,
        update: &ast::Update,
        parameters: &[Option<PgType>],
    ) -> Result<UpdatePlan> {
        if update.limit.is_some() || !update.order_by.is_empty() {
            return Err(Error::unsupported("UPDATE with ORDER BY or LIMIT is not supported"));
        }
        let overlay = self.overlay(scope, update).await?;
        let scan = target.scan(scope, None)?;
        let planner = Planner::new(scope, &overlay);
        let predicate = match &update.selection {
            Some(condition) => planner.expression(condition.clone(), scan.schema(), parameters)?,
            None => lit(true),
        };
        let values = assignments(&planner, target, &update.assignments, scan.schema(), parameters)?;
        let matching = LogicalPlanBuilder::from(scan).filter(predicate)?.build()?;
        Ok(UpdatePlan { values, matching })
    }

    /// All rows of `scan`, those for which `is_hit` is true changed.
    fn rewritten(
        &self,
        scope: &Scope,
        target: &Target,
        scan: LogicalPlan,
        is_hit: &Expr,
        values: &[Option<Filling>],
    ) -> Result<LogicalPlan> {
        if values.iter().flatten().any(filling_has_subquery) {
            // A subquery can be planned as a value of every row, not as one that is chosen for some.
            let hits = LogicalPlanBuilder::from(scan.clone()).filter(is_hit.clone())?.build()?;
            let others = LogicalPlanBuilder::from(scan).filter(is_hit.clone().is_not_true())?.build()?;
            let changed = self.changed_rows(scope, target, hits, values, &lit(true))?;
            let kept =
                self.stored_rows(scope, &target.relation, others, &own_columns(target), &[mark(lit(MARK_KEPT))])?;
            return Ok(LogicalPlanBuilder::from(kept).union(changed)?.build()?);
        }
        self.changed_rows(scope, target, scan, values, &is_hit.clone())
    }

    /// The rows of `plan`, changed where `hit` is true.
    fn changed_rows(
        &self,
        scope: &Scope,
        target: &Target,
        plan: LogicalPlan,
        values: &[Option<Filling>],
        hit: &Expr,
    ) -> Result<LogicalPlan> {
        let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        columns.push(hit.clone().alias(HIT_COLUMN));
        let marked = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
        let hit = ident(HIT_COLUMN);
        let mut fillings = own_columns(target);
        for ((filling, value), column) in fillings.iter_mut().zip(values).zip(&target.relation.columns) {
            *filling = match (value, &*filling) {
                (Some(Filling::Given(new)), Filling::Given(old)) => {
                    let new = assigned(scope, new.clone(), column, marked.schema())?;
                    Filling::Given(when(hit.clone(), new).otherwise(old.clone())?)
                }
                (Some(Filling::Default), Filling::Given(old)) => {
                    let new = self.default_value(scope, column)?;
                    Filling::Given(when(hit.clone(), new).otherwise(old.clone())?)
                }
                (_, same) => same.clone(),
            };
        }
        let marks = mark(when(hit, lit(MARK_HIT)).otherwise(lit(MARK_KEPT))?);
        self.stored_rows(scope, &target.relation, marked, &fillings, &[marks])
    }
}

/// The new values that SET gives, by the column's position.
pub(in crate::engine) fn assignments(
    planner: &Planner<'_>,
    target: &Target,
    given: &[ast::Assignment],
    over: &DFSchema,
    parameters: &[Option<PgType>],
) -> Result<Vec<Option<Filling>>> {
    let mut values = vec![None; target.relation.columns.len()];
    for (name, value) in flattened(given)? {
        let position = target.column_position(name)?;
        let column = &target.relation.columns[position];
        let is_default = is_default(&value);
        if column.generated.is_some() && !is_default {
            return Err(Error::new(
                ErrorKind::GeneratedAlways,
                format!("column \"{}\" can only be updated to DEFAULT", column.name),
            )
            .detail(format!("Column \"{}\" is a generated column.", column.name)));
        }
        if values[position].is_some() {
            return Err(Error::new(
                ErrorKind::SyntaxError,
                format!("multiple assignments to same column \"{}\"", column.name),
            ));
        }
        values[position] = Some(match is_default {
            true => Filling::Default,
            false => {
                let typed = with_parameter_type(parameters.to_vec(), &value, &column.pg_type);
                let value = planner.expression(value, over, &typed)?;
                refuse_other_rows(&value)?;
                refuse_text(&value, column, over)?;
                Filling::Given(value)
            }
        });
    }
    Ok(values)
}

/// SET has one row to compute with.
fn refuse_other_rows(value: &Expr) -> Result<()> {
    let holds = |is_wanted: fn(&Expr) -> bool| value.exists(|part| Ok(is_wanted(part))).unwrap_or(true);
    if holds(|part| matches!(part, Expr::AggregateFunction(_))) {
        return Err(Error::new(ErrorKind::GroupingError, "aggregate functions are not allowed in UPDATE"));
    }
    if holds(|part| matches!(part, Expr::WindowFunction(_))) {
        return Err(Error::new(ErrorKind::WindowingError, "window functions are not allowed in UPDATE"));
    }
    Ok(())
}

/// True for the word DEFAULT in place of a value.
pub(in crate::engine) fn is_default(value: &ast::Expr) -> bool {
    matches!(value, ast::Expr::Identifier(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default"))
}

/// A bare `$n` has the type of the column it is assigned to, unless the client said otherwise.
pub(in crate::engine) fn with_parameter_type(
    mut types: Vec<Option<PgType>>,
    value: &ast::Expr,
    pg_type: &PgType,
) -> Vec<Option<PgType>> {
    if let ast::Expr::Value(value) = value
        && let ast::Value::Placeholder(name) = &value.value
        && let Some(number) = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok())
        && number > 0
    {
        types.resize(types.len().max(number), None);
        types[number - 1].get_or_insert_with(|| pg_type.clone());
    }
    types
}

/// `(a, b) = (1, 2)`, or `ROW(1, 2)`, as two assignments.
fn flattened(given: &[ast::Assignment]) -> Result<Vec<(&ast::ObjectName, ast::Expr)>> {
    let mut pairs = Vec::with_capacity(given.len());
    for assignment in given {
        let names = match &assignment.target {
            AssignmentTarget::ColumnName(name) => {
                pairs.push((name, assignment.value.clone()));
                continue;
            }
            AssignmentTarget::Tuple(names) => names,
        };
        let Some(values) = shim::fields_of(&assignment.value) else {
            return Err(Error::unsupported("assigning a row from a subquery is not supported")
                .hint("Assign each column from its own subquery, or use MERGE."));
        };
        if names.len() != values.len() {
            let (names, values) = (names.len(), values.len());
            return Err(Error::new(ErrorKind::SyntaxError, "number of columns does not match number of values")
                .detail(format!("{names} columns, {values} values.")));
        }
        pairs.extend(names.iter().zip(values));
    }
    Ok(pairs)
}

/// UPDATE ... FROM is the MERGE that updates what it matches.
fn joined(update: &ast::Update) -> Result<Option<ast::Merge>> {
    let (Some(ast::UpdateTableFromKind::AfterSet(from) | ast::UpdateTableFromKind::BeforeSet(from)), []) =
        (&update.from, update.table.joins.as_slice())
    else {
        return Ok(None);
    };
    let condition = update.selection.clone().map_or_else(|| dialect::parse_expression("true"), Ok)?;
    let template = "MERGE INTO t USING (SELECT 1) AS s ON true WHEN MATCHED THEN UPDATE SET c = 1";
    let mut merge = dialect::parse_merge(template)?;
    merge.table = update.table.relation.clone();
    merge.source = match from.as_slice() {
        [single] if single.joins.is_empty() => single.relation.clone(),
        _ => {
            return Err(Error::unsupported("UPDATE with several tables in FROM is not supported")
                .hint("Join them in a subquery: FROM (SELECT ... FROM a JOIN b ...) AS s."));
        }
    };
    merge.on = Box::new(condition);
    if let Some(ast::MergeAction::Update(action)) = merge.clauses.first_mut().map(|clause| &mut clause.action) {
        action.assignments = update.assignments.clone();
    }
    Ok(Some(merge))
}

fn filling_has_subquery(filling: &Filling) -> bool {
    matches!(filling, Filling::Given(value) if has_subquery(value))
}

/// True where an expression holds a subquery of any kind.
pub(in crate::engine) fn has_subquery(expression: &Expr) -> bool {
    let is_subquery = |part: &Expr| {
        Ok(matches!(part, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)))
    };
    expression.exists(is_subquery).unwrap_or(true)
}
