//! DELETE and TRUNCATE: files without matching rows stay, files full of them go, the rest is written again.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col};
use datafusion::sql::sqlparser::ast;
use tokio_util::sync::CancellationToken;

use crate::catalog::name::ObjectName;
use crate::catalog::pg_type::PgType;
use crate::dialect;
use crate::engine::plan::{Planner, known_parameters};
use crate::engine::returning::Described;
use crate::engine::rewrite::entries;
use crate::engine::run::bound;
use crate::engine::target::Target;
use crate::engine::write::{Affected, Filling};
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{Change, FileEntry, Operation};

impl Engine {
    /// The parameters and the RETURNING columns of a DELETE.
    pub async fn describe_delete(
        &self,
        scope: &Scope,
        delete: &ast::Delete,
        parameters: &[Option<PgType>],
    ) -> Result<Described> {
        let target = delete_target(scope, delete)?;
        let matching = self.matching(scope, &target, delete, parameters).await?;
        let known = known_parameters(&matching, parameters)?;
        self.described(scope, &target, known, delete.returning.as_deref()).await
    }

    /// The rows that a DELETE takes away.
    pub(in crate::engine) async fn explained_delete(
        &self,
        scope: &Scope,
        delete: &ast::Delete,
        parameters: &[Option<PgType>],
    ) -> Result<(Target, LogicalPlan)> {
        let target = delete_target(scope, delete)?;
        let matching = self.matching(scope, &target, delete, parameters).await?;
        Ok((target, matching))
    }

    /// Deletes the matching rows.
    pub async fn delete(
        &self,
        scope: &Scope,
        delete: &ast::Delete,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Affected> {
        let target = delete_target(scope, delete)?;
        if delete.selection.is_none() && delete.using.is_none() && delete.returning.is_none() {
            let rows = self.delete_all(scope, &target, "DELETE", cancel).await?;
            return Ok(Affected { rows, returned: None });
        }
        let (writer, scope) = self.lock_rows(scope, &target).await?;
        let types: Vec<_> = parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
        let matching = self.matching(&scope, &target, delete, &types).await?;
        let hits = self.hits(&scope, bound(matching, parameters)?, cancel).await?;
        let touched = entries(writer.snapshot(), hits.paths())?;
        let gone = match delete.returning {
            Some(_) => {
                let gone = LogicalPlanBuilder::from(target.scan(&scope, Some(touched.clone()))?)
                    .filter(hits.condition())?
                    .build()?;
                Some(self.kept("RETURNING", &scope, &self.unchanged_rows(&target, gone)?, cancel).await?)
            }
            None => None,
        };
        let items = delete.returning.as_deref();
        let returned = self.returning(&scope, &target, items, gone.as_ref(), parameters, cancel).await?;
        let rows = hits.rows();
        if rows == 0 {
            return Ok(Affected { rows, returned });
        }
        let is_partial = |file: &Arc<FileEntry>| file.live_rows() != Some(hits.rows_of(&file.path));
        let partial: Vec<_> = touched.into_iter().filter(is_partial).collect();
        let added = match partial.is_empty() {
            true => Vec::new(),
            false => {
                let kept = LogicalPlanBuilder::from(target.scan(&scope, Some(partial))?)
                    .filter(hits.condition().is_not_true())?
                    .build()?;
                let kept = self.unchanged_rows(&target, kept)?;
                self.store(&scope, &target.relation, kept, &writer, cancel).await?
            }
        };
        let operation = Operation::new("DELETE")
            .with("predicate", delete.selection.as_ref().map(ToString::to_string))
            .measured("numDeletedRows", rows);
        let change = Change::replace(operation, added, hits.paths().cloned().collect());
        self.commit(target.relation.oid, writer, change, cancel).await?;
        Ok(Affected { rows, returned })
    }

    /// Removes every row of a table without reading any.
    pub async fn truncate(&self, scope: &Scope, name: &ObjectName, cancel: &CancellationToken) -> Result<u64> {
        let target = Target::find(scope, name, None)?;
        self.delete_all(scope, &target, "TRUNCATE", cancel).await
    }

    async fn delete_all(&self, scope: &Scope, target: &Target, word: &str, cancel: &CancellationToken) -> Result<u64> {
        let (writer, scope) = self.lock_rows(scope, target).await?;
        let files = writer.snapshot().files().clone();
        if files.is_empty() {
            return Ok(0);
        }
        let rows = match files.rows() {
            Some(rows) => rows,
            None => self.touched(&scope, target.scan(&scope, None)?, cancel).await?.values().sum(),
        };
        let removed = files.iter().map(|file| file.path.clone()).collect();
        let change = Change::replace(Operation::new(word), Vec::new(), removed);
        self.commit(target.relation.oid, writer, change, cancel).await?;
        Ok(rows)
    }

    /// The rows that the condition holds for.
    async fn matching(
        &self,
        scope: &Scope,
        target: &Target,
        delete: &ast::Delete,
        parameters: &[Option<PgType>],
    ) -> Result<LogicalPlan> {
        self.refuse_ambiguous(scope, delete, parameters).await?;
        let selection = selection(delete)?;
        let overlay = self.overlay(scope, &selection).await?;
        let scan = target.scan(scope, None)?;
        let predicate = Planner::new(scope, &overlay).expression(selection, scan.schema(), parameters)?;
        Ok(LogicalPlanBuilder::from(scan).filter(predicate)?.build()?)
    }

    /// With USING, the condition's names are those of all tables side by side; [`selection`] looks in the others first.
    async fn refuse_ambiguous(&self, scope: &Scope, delete: &ast::Delete, parameters: &[Option<PgType>]) -> Result<()> {
        let Some(using) = &delete.using else { return Ok(()) };
        let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
        let mut query = dialect::parse_query("SELECT 1")?;
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.from = [from.as_slice(), using.as_slice()].concat();
            select.selection = delete.selection.clone();
        }
        let overlay = self.overlay(scope, &query).await?;
        Planner::new(scope, &overlay).query(query, parameters).map(drop)
    }

    /// A plan with exactly the table's columns of rows that do not change.
    pub(in crate::engine) fn unchanged_rows(&self, target: &Target, plan: LogicalPlan) -> Result<LogicalPlan> {
        let columns: Vec<Expr> = target
            .relation
            .columns
            .iter()
            .map(|column| target_column(target, &column.name).alias(&column.name))
            .collect();
        Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
    }
}

/// A column of the target's scan.
pub(in crate::engine) fn target_column(target: &Target, name: &str) -> Expr {
    col(datafusion::common::Column::new(Some(target.alias.clone()), name))
}

/// The target's own columns, as values for new rows.
pub(in crate::engine) fn own_columns(target: &Target) -> Vec<Filling> {
    target.relation.columns.iter().map(|column| Filling::Given(target_column(target, &column.name))).collect()
}

fn delete_target(scope: &Scope, delete: &ast::Delete) -> Result<Target> {
    let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
    match from.as_slice() {
        [table] if table.joins.is_empty() => Target::of_factor(scope, &table.relation),
        _ => Err(Error::new(ErrorKind::SyntaxError, "DELETE names one table").hint("Join others with USING.")),
    }
}

/// The WHERE clause; with USING, "there is a joined row for which it holds".
fn selection(delete: &ast::Delete) -> Result<ast::Expr> {
    let condition = delete.selection.clone();
    let always = || dialect::parse_expression("true");
    let Some(using) = &delete.using else { return condition.map_or_else(always, Ok) };
    let mut query = dialect::parse_query("SELECT 1")?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.from = using.clone();
        select.selection = condition;
    }
    Ok(ast::Expr::Exists { subquery: Box::new(query), negated: false })
}
