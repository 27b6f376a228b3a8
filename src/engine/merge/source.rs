//! The source of a MERGE: read once, so that every pass sees the same rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ParamValues, ScalarValue, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, TableFactor};
use tokio_util::sync::CancellationToken;

use crate::catalog::pg_type::PgType;
use crate::dialect;
use crate::engine::kept::Kept;
use crate::engine::merge::clauses::{Clauses, SOURCE_COLUMN};
use crate::engine::merge::{MergePlan, source_mark};
use crate::engine::plan::Planner;
use crate::engine::run::bound;
use crate::engine::target::Target;
use crate::engine::values::renamed;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};

impl Engine {
    /// The source as a plan under its alias, with [`SOURCE_COLUMN`]; nothing is read.
    pub(super) async fn merge_source_plan(
        &self,
        scope: &Scope,
        factor: &TableFactor,
        parameters: &[Option<PgType>],
    ) -> Result<LogicalPlan> {
        let mut query = dialect::parse_query("SELECT * FROM t")?;
        if let ast::SetExpr::Select(select) = query.body.as_mut()
            && let Some(from) = select.from.first_mut()
        {
            from.relation = factor.clone();
        }
        let overlay = self.overlay(scope, &query).await?;
        let (plan, names) = Planner::new(scope, &overlay).query(query, parameters)?;
        refuse_repeated(&names)?;
        let plan = renamed(plan, &names)?;
        let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        columns.push(source_mark());
        Ok(LogicalPlanBuilder::from(plan).project(columns)?.alias(TableReference::bare(alias_of(factor)?))?.build()?)
    }

    /// The source as a plan over its rows, and the rows, which have to be kept as long.
    pub(super) async fn merge_source(
        &self,
        scope: &Scope,
        factor: &TableFactor,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<(LogicalPlan, Kept)> {
        let types: Vec<_> = parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
        let plan = bound(self.merge_source_plan(scope, factor, &types).await?, parameters)?;
        let kept = self.kept("MERGE source", scope, &plan, cancel).await?;
        let fields: Vec<Field> = plan.schema().fields().iter().map(|field| Field::clone(field)).collect();
        let table = MemTable::try_new(Arc::new(Schema::new(fields)), vec![kept.batches.clone()])?;
        let name = TableReference::bare(alias_of(factor)?);
        let scan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.build()?;
        Ok((scan, kept))
    }

    /// Plans the condition and the clauses over target and source.
    pub(super) async fn merge_plan(
        &self,
        scope: &Scope,
        target: Target,
        merge: &ast::Merge,
        source: LogicalPlan,
        parameters: &[Option<PgType>],
    ) -> Result<MergePlan> {
        let overlay = self.overlay(scope, merge).await?;
        let planner = Planner::new(scope, &overlay);
        let scan = target.scan(scope, None)?;
        if source.schema().iter().any(|(qualifier, _)| qualifier.is_some_and(|name| name.table() == target.alias)) {
            return Err(Error::new(
                ErrorKind::DuplicateAlias,
                format!("table name \"{}\" specified more than once", target.alias),
            )
            .hint("Give target and source different aliases."));
        }
        let both = scan.schema().join(source.schema())?;
        let on = planner.expression(merge.on.as_ref().clone(), &both, parameters)?;
        let clauses = Clauses::plan(&planner, &target, &scan, &source, merge.clauses.clone(), parameters)?;
        Ok(MergePlan { target, source, on, clauses })
    }
}

fn alias_of(factor: &TableFactor) -> Result<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Ok(dialect::identifier(&alias.name))
        }
        TableFactor::Table { name, .. } => Ok(dialect::object_name(name)?.name),
        _ => Err(Error::new(ErrorKind::SyntaxError, "the source of MERGE needs an alias")),
    }
}

fn refuse_repeated(names: &[String]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for name in names {
        if name == SOURCE_COLUMN || seen.insert(name, ()).is_some() {
            return Err(Error::new(
                ErrorKind::AmbiguousColumn,
                format!("column \"{name}\" of the source of MERGE is ambiguous"),
            )
            .hint("Give each column of the source a name of its own."));
        }
    }
    Ok(())
}

/// The expression with `$1`, `$2`, ... replaced.
pub(super) fn bound_expression(expression: Expr, parameters: &[ScalarValue]) -> Result<Expr> {
    if parameters.is_empty() {
        return Ok(expression);
    }
    let values = ParamValues::from(parameters.to_vec());
    let replaced = expression.transform_up(|part| match part {
        Expr::Placeholder(placeholder) => {
            let value = values.get_placeholders_with_values(&placeholder.id)?;
            Ok(Transformed::yes(Expr::Literal(value.value, value.metadata)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}
