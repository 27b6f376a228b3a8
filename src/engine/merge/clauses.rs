//! The WHEN clauses of a MERGE as expressions: for each row the number of the clause that applies, or 0.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator, col, ident, lit, when};
use datafusion::sql::sqlparser::ast::{self, MergeAction, MergeClauseKind, MergeInsertKind};

use crate::catalog::pg_type::PgType;
use crate::dialect;
use crate::engine::assign::assigned;
use crate::engine::delete::own_columns;
use crate::engine::merge::is_matched;
use crate::engine::merge::source::bound_expression;
use crate::engine::plan::Planner;
use crate::engine::target::Target;
use crate::engine::update::{assignments, with_parameter_type};
use crate::engine::write::{Filling, MARK_GONE, MARK_HIT, MARK_KEPT, mark};
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};

/// The column that is true in every row of the source.
pub(super) const SOURCE_COLUMN: &str = "__source";
/// The column with the number of the clause that applies.
const ACTION_COLUMN: &str = "__action";

/// The clauses, by what they apply to.
pub(super) struct Clauses {
    matched: Vec<Clause>,
    unmatched: Vec<Clause>,
    inserts: Vec<Clause>,
}

struct Clause {
    predicate: Option<Expr>,
    action: Action,
}

enum Action {
    Update(Vec<Option<Filling>>),
    Delete,
    Insert(Vec<Filling>),
}

impl Clauses {
    /// Plans the clauses: WHEN MATCHED sees both sides, BY SOURCE the target, NOT MATCHED the source.
    pub(super) fn plan(
        planner: &Planner<'_>,
        target: &Target,
        scan: &LogicalPlan,
        source: &LogicalPlan,
        given: Vec<ast::MergeClause>,
        parameters: &[Option<PgType>],
    ) -> Result<Self> {
        let both = LogicalPlanBuilder::from(scan.clone()).cross_join(source.clone())?.build()?;
        let (mut matched, mut unmatched, mut inserts) = (Vec::new(), Vec::new(), Vec::new());
        for clause in given {
            let (list, over) = match clause.clause_kind {
                MergeClauseKind::Matched => (&mut matched, &both),
                MergeClauseKind::NotMatchedBySource => (&mut unmatched, scan),
                MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => (&mut inserts, source),
            };
            let predicate = clause
                .predicate
                .map(|predicate| planner.expression(predicate, over.schema(), parameters))
                .transpose()?;
            list.push((predicate, action(planner, target, over, clause.action, parameters)?));
        }
        Ok(Self { matched: acting(matched), unmatched: acting(unmatched), inserts: acting(inserts) })
    }

    /// Replaces `$1`, `$2`, ...
    pub(super) fn bind(&mut self, parameters: &[ScalarValue]) -> Result<()> {
        for clause in self.matched.iter_mut().chain(&mut self.unmatched).chain(&mut self.inserts) {
            if let Some(predicate) = clause.predicate.take() {
                clause.predicate = Some(bound_expression(predicate, parameters)?);
            }
            let fillings: Vec<&mut Filling> = match &mut clause.action {
                Action::Update(values) => values.iter_mut().flatten().collect(),
                Action::Insert(values) => values.iter_mut().collect(),
                Action::Delete => Vec::new(),
            };
            for filling in fillings {
                if let Filling::Given(value) = filling {
                    *value = bound_expression(value.clone(), parameters)?;
                }
            }
        }
        Ok(())
    }

    /// When a pair of rows matches and a clause applies; `None` without a WHEN MATCHED clause. What may fail is asked of
    /// pairs that match only: the number of a clause, unlike a truth value, is not taken apart and moved below the join.
    pub(super) fn matched_condition(&self, on: &Expr) -> Result<Option<Expr>> {
        let Some(acting) = any_applies(&self.matched) else { return Ok(None) };
        Ok(Some(match acting {
            Expr::Literal(ScalarValue::Boolean(Some(true)), _) => on.clone(),
            acting if cannot_fail(&acting) => on.clone().and(acting),
            _ => {
                let pair = on.clone().and(ident(SOURCE_COLUMN));
                let number = when(pair, first_that_applies(&self.matched)?).otherwise(lit(0_i32))?;
                on.clone().and(number.gt(lit(0_i32)))
            }
        }))
    }

    /// When a clause applies to a target row without a match.
    pub(super) fn unmatched_condition(&self) -> Option<Expr> {
        any_applies(&self.unmatched)
    }

    /// When a clause applies to a source row without a match.
    pub(super) fn insert_condition(&self) -> Option<Expr> {
        any_applies(&self.inserts)
    }

    /// True when there is a WHEN NOT MATCHED BY SOURCE clause.
    pub(super) fn has_unmatched(&self) -> bool {
        !self.unmatched.is_empty()
    }

    /// Rows of the target with the clauses applied, marked as kept, changed or gone: those of WHEN MATCHED where the rows
    /// come with what they are joined to, else those of WHEN NOT MATCHED BY SOURCE.
    pub(super) fn rewritten(
        &self,
        engine: &Engine,
        scope: &Scope,
        target: &Target,
        rows: LogicalPlan,
        joined: bool,
    ) -> Result<LogicalPlan> {
        let (clauses, number) = match joined {
            true => (&self.matched, when(is_matched(), first_that_applies(&self.matched)?).otherwise(lit(0_i32))?),
            false => (&self.unmatched, first_that_applies(&self.unmatched)?),
        };
        let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        columns.push(number.alias(ACTION_COLUMN));
        let numbered = LogicalPlanBuilder::from(rows).project(columns)?.build()?;
        let mut fillings = own_columns(target);
        let mut marks = Vec::new();
        for (position, clause) in clauses.iter().enumerate() {
            let applies = col(ACTION_COLUMN).eq(lit(number_literal(position + 1)));
            let Action::Update(values) = &clause.action else {
                marks.push((applies, MARK_GONE));
                continue;
            };
            marks.push((applies.clone(), MARK_HIT));
            for ((filling, value), column) in fillings.iter_mut().zip(values).zip(&target.relation.columns) {
                let new = match value {
                    None => continue,
                    Some(Filling::Given(new)) => assigned(scope, new.clone(), column, numbered.schema())?,
                    Some(Filling::Default) => engine.default_value(scope, column)?,
                };
                if let Filling::Given(old) = filling {
                    *filling = Filling::Given(when(applies.clone(), new).otherwise(old.clone())?);
                }
            }
        }
        let mut marked = lit(MARK_KEPT);
        for (applies, value) in marks {
            marked = when(applies, lit(value)).otherwise(marked)?;
        }
        engine.stored_rows(scope, &target.relation, numbered, &fillings, &[mark(marked)])
    }

    /// The rows that unmatched source rows become.
    pub(super) fn inserted(
        &self,
        engine: &Engine,
        scope: &Scope,
        target: &Target,
        unmatched: LogicalPlan,
    ) -> Result<LogicalPlan> {
        let mut fillings = vec![Filling::Default; target.relation.columns.len()];
        // From the last clause to the first: the first that applies wins.
        for clause in self.inserts.iter().rev() {
            let Action::Insert(values) = &clause.action else { continue };
            for ((filling, value), column) in fillings.iter_mut().zip(values).zip(&target.relation.columns) {
                let concrete = |filling: &Filling| match filling {
                    Filling::Given(value) => assigned(scope, value.clone(), column, unmatched.schema()),
                    Filling::Default => engine.default_value(scope, column),
                };
                *filling = match &clause.predicate {
                    None => value.clone(),
                    Some(predicate) if column.generated.is_none() => {
                        Filling::Given(when(predicate.clone(), concrete(value)?).otherwise(concrete(filling)?)?)
                    }
                    Some(_) => Filling::Default,
                };
            }
        }
        engine.stored_rows(scope, &target.relation, unmatched, &fillings, &[])
    }
}

/// True for comparisons of columns and constants, and what AND, OR and NOT make of them.
pub(super) fn cannot_fail(condition: &Expr) -> bool {
    let may_fail = condition.exists(|part| {
        Ok(match part {
            Expr::BinaryExpr(binary) => !matches!(
                binary.op,
                Operator::And
                    | Operator::Or
                    | Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            ),
            Expr::Column(_) | Expr::Literal(..) | Expr::Not(_) | Expr::IsNull(_) | Expr::IsNotNull(_) => false,
            Expr::IsTrue(_) | Expr::IsFalse(_) | Expr::IsNotTrue(_) | Expr::IsNotFalse(_) => false,
            Expr::Between(_) | Expr::InList(_) => false,
            _ => true,
        })
    });
    !may_fail.unwrap_or(true)
}

fn number_literal(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX)
}

/// The number of the first clause whose predicate is true, counted from 1, else 0.
fn first_that_applies(clauses: &[Clause]) -> Result<Expr> {
    let mut number = lit(0_i32);
    for (position, clause) in clauses.iter().enumerate().rev() {
        let this = lit(number_literal(1 + position));
        number = match &clause.predicate {
            Some(predicate) => when(predicate.clone().is_true(), this).otherwise(number)?,
            None => this,
        };
    }
    Ok(number)
}

/// When any clause applies; `None` where there is no clause.
fn any_applies(clauses: &[Clause]) -> Option<Expr> {
    clauses.iter().map(|clause| clause.predicate.clone().unwrap_or_else(|| lit(true))).reduce(|one, other| {
        match (&one, &other) {
            (Expr::Literal(ScalarValue::Boolean(Some(true)), _), _) => one,
            (_, Expr::Literal(ScalarValue::Boolean(Some(true)), _)) => other,
            _ => one.or(other),
        }
    })
}

/// The clauses that do something: where one says DO NOTHING, those behind it do not apply.
fn acting(given: Vec<(Option<Expr>, Option<Action>)>) -> Vec<Clause> {
    let mut clauses = Vec::new();
    let mut otherwise: Option<Expr> = None;
    for (predicate, action) in given {
        match (action, predicate) {
            (Some(action), predicate) => {
                let predicate = otherwise.clone().into_iter().chain(predicate).reduce(Expr::and);
                clauses.push(Clause { predicate, action });
            }
            (None, Some(predicate)) => {
                otherwise = otherwise.into_iter().chain([predicate.is_not_true()]).reduce(Expr::and);
            }
            (None, None) => break,
        }
    }
    clauses
}

/// What a clause does, if anything.
fn action(
    planner: &Planner<'_>,
    target: &Target,
    over: &LogicalPlan,
    action: MergeAction,
    parameters: &[Option<PgType>],
) -> Result<Option<Action>> {
    if dialect::is_do_nothing(&action) {
        return Ok(None);
    }
    Ok(Some(match action {
        MergeAction::Delete { .. } => Action::Delete,
        MergeAction::Update(update) => {
            Action::Update(assignments(planner, target, &update.assignments, over.schema(), parameters)?)
        }
        MergeAction::Insert(insert) => {
            let values = match insert.kind {
                MergeInsertKind::Values(values) => values.rows.into_iter().next().map(|row| row.content),
                MergeInsertKind::Row => None,
            };
            let values =
                values.ok_or_else(|| Error::new(ErrorKind::SyntaxError, "INSERT of MERGE needs VALUES (...)"))?;
            Action::Insert(insert_fillings(planner, target, over, &insert.columns, values, parameters)?)
        }
    }))
}

fn insert_fillings(
    planner: &Planner<'_>,
    target: &Target,
    over: &LogicalPlan,
    named: &[ast::ObjectName],
    values: Vec<ast::Expr>,
    parameters: &[Option<PgType>],
) -> Result<Vec<Filling>> {
    let positions: Vec<usize> = match named {
        [] => (0..values.len()).collect(),
        named => named.iter().map(|name| target.column_position(name)).collect::<Result<_>>()?,
    };
    if positions.len() != values.len() || values.len() > target.relation.columns.len() {
        return Err(Error::new(ErrorKind::SyntaxError, "INSERT of MERGE has a different number of columns and values"));
    }
    let mut fillings = vec![Filling::Default; target.relation.columns.len()];
    for (position, value) in positions.into_iter().zip(values) {
        if crate::engine::update::is_default(&value) {
            continue;
        }
        let typed = with_parameter_type(parameters.to_vec(), &value, &target.relation.columns[position].pg_type);
        fillings[position] = Filling::Given(planner.expression(value, over.schema(), &typed)?);
    }
    Ok(fillings)
}
