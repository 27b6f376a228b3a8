//! MERGE: the source is read once, joined to the target's keys to find the files to change, and only those are
//! written again.
//!
//! Three passes: (1) which rows of which files have an action, (2) those files joined to the source, written again,
//! (3) source rows without a match, appended. Invariant: pass 2 gives each target row exactly once; more rows than
//! the files hold means that a row matched twice, which is an error (21000) as in PostgreSQL. Memory holds the source
//! and one join's build side over it, never a file.

use std::collections::BTreeMap;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{JoinType, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident, lit, when};
use datafusion::sql::sqlparser::ast::{self, SelectItem};
use tokio_util::sync::CancellationToken;

use crate::catalog::pg_type::PgType;
use crate::engine::kept::Kept;
use crate::engine::merge::clauses::{Clauses, SOURCE_COLUMN, cannot_fail};
use crate::engine::plan::parameters_of;
use crate::engine::returning::Described;
use crate::engine::rewrite::{Touched, entries};
use crate::engine::target::Target;
use crate::engine::write::Affected;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::tables::{Change, FileEntry, FileWriter, Operation, Reads};

mod clauses;
mod source;

/// The column that is true in every row of the other side of a join.
const OTHER_COLUMN: &str = "__other";

/// A MERGE whose source has been read.
struct MergePlan {
    target: Target,
    /// The source's rows, with [`SOURCE_COLUMN`] behind them.
    source: LogicalPlan,
    on: Expr,
    clauses: Clauses,
}

impl Engine {
    /// The parameters of a MERGE; it gives no rows.
    pub async fn describe_merge(
        &self,
        scope: &Scope,
        merge: &ast::Merge,
        parameters: &[Option<PgType>],
    ) -> Result<Described> {
        let (_, joined) = self.explained_merge(scope, merge, parameters).await?;
        Ok(Described { parameters: parameters_of(&joined, parameters)?, columns: None })
    }

    /// The rows of the target with those of the source that match them.
    pub(in crate::engine) async fn explained_merge(
        &self,
        scope: &Scope,
        merge: &ast::Merge,
        parameters: &[Option<PgType>],
    ) -> Result<(Target, LogicalPlan)> {
        let target = Target::of_factor(scope, &merge.table)?;
        let source = self.merge_source_plan(scope, &merge.source, parameters).await?;
        let plan = self.merge_plan(scope, target, merge, source, parameters).await?;
        let joined = plan.join(plan.target.scan(scope, None)?, JoinType::Inner, plan.on.clone())?;
        Ok((plan.target, joined))
    }

    /// Merges.
    pub async fn merge(
        &self,
        scope: &Scope,
        merge: &ast::Merge,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Affected> {
        self.merge_returning(scope, merge, None, parameters, cancel).await
    }

    pub(in crate::engine) async fn merge_returning(
        &self,
        scope: &Scope,
        merge: &ast::Merge,
        returning: Option<&[SelectItem]>,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Affected> {
        let target = Target::of_factor(scope, &merge.table)?;
        let types: Vec<_> = parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
        let (writer, scope) = self.lock_rows(scope, &target).await?;
        let (source, _held) = self.merge_source(&scope, &merge.source, parameters, cancel).await?;
        let mut plan = self.merge_plan(&scope, target, merge, source, &types).await?;
        plan.bind(parameters)?;
        plan.refuse_unsteady()?;
        let touched = self.merge_touched(&scope, &plan, cancel).await?;
        let (mut added, written) =
            self.merge_rewrite(&scope, &plan, &touched, &writer, returning.is_some(), cancel).await?;
        let inserted = self.merge_insert(&scope, &plan, &writer, cancel).await;
        let inserted = writer.or_discard(&added, inserted).await?;
        let stored = |files: &[FileEntry]| files.iter().filter_map(FileEntry::live_rows).sum::<u64>();
        let (changed, new) = (touched.values().sum::<u64>(), stored(&inserted));
        let before =
            entries(writer.snapshot(), touched.keys())?.iter().filter_map(|file| file.live_rows()).sum::<u64>();
        let deleted = before.saturating_sub(stored(&added));
        added.extend(inserted);
        let removed: Vec<String> = touched.into_keys().collect();
        let returned = self.returning(&scope, &plan.target, returning, written.as_ref(), parameters, cancel).await;
        let returned = writer.or_discard(&added, returned).await?;
        if !removed.is_empty() || !added.is_empty() {
            let operation = Operation::new("MERGE")
                .with("mergePredicate", Some(merge.on.to_string()))
                .measured("numTargetRowsInserted", new)
                .measured("numTargetRowsUpdated", changed.saturating_sub(deleted))
                .measured("numTargetRowsDeleted", deleted);
            let mut change = Change::replace(operation, added, removed);
            if plan.clauses.insert_condition().is_some() {
                // A row that somebody else adds may match what is inserted here.
                change.reads = Reads::Everything;
            }
            self.commit(plan.target.relation.oid, writer, change, cancel).await?;
        }
        Ok(Affected { rows: changed + new, returned })
    }

    /// Which files hold rows with an action, and how many.
    async fn merge_touched(&self, scope: &Scope, plan: &MergePlan, cancel: &CancellationToken) -> Result<Touched> {
        let mut touched = BTreeMap::new();
        if let Some(acting) = plan.clauses.matched_condition(&plan.on)? {
            let rows = plan.join(plan.target.scan(scope, None)?, JoinType::LeftSemi, acting)?;
            touched = self.touched(scope, rows, cancel).await?;
        }
        if let Some(acting) = plan.clauses.unmatched_condition() {
            let rows = plan.without_match(plan.target.scan(scope, None)?, plan.source.clone(), acting)?;
            for (path, count) in self.touched(scope, rows, cancel).await? {
                *touched.entry(path).or_default() += count;
            }
        }
        Ok(touched)
    }

    /// Writes the touched files again; gives the new files and, if wanted, the rows that were updated.
    async fn merge_rewrite(
        &self,
        scope: &Scope,
        plan: &MergePlan,
        touched: &Touched,
        writer: &FileWriter,
        keep_hits: bool,
        cancel: &CancellationToken,
    ) -> Result<(Vec<FileEntry>, Option<Kept>)> {
        if touched.is_empty() {
            return Ok((Vec::new(), None));
        }
        let files = entries(writer.snapshot(), touched.keys())?;
        let expected = match files.iter().map(|file| file.live_rows()).sum::<Option<u64>>() {
            Some(rows) => rows,
            None => {
                let all = plan.target.scan(scope, Some(files.clone()))?;
                self.touched(scope, all, cancel).await?.values().sum()
            }
        };
        let scan = plan.target.scan(scope, Some(files))?;
        let acting = plan.clauses.matched_condition(&plan.on)?.unwrap_or_else(|| lit(false));
        let rewritten = |rows, joined| plan.clauses.rewritten(self, scope, &plan.target, rows, joined);
        let rows = match plan.clauses.has_unmatched() {
            false => rewritten(plan.join(scan, JoinType::Left, acting)?, true)?,
            true => {
                // A row may match several times, as long as a clause applies to it once.
                let found = plan.join(scan.clone(), JoinType::LeftSemi, plan.on.clone())?;
                let matched = rewritten(plan.join(found, JoinType::Left, acting)?, true)?;
                let unmatched = rewritten(plan.join(scan, JoinType::LeftAnti, plan.on.clone())?, false)?;
                LogicalPlanBuilder::from(matched).union(unmatched)?.build()?
            }
        };
        let marked = self.store_marked(scope, &plan.target, rows, writer, keep_hits, cancel).await?;
        if marked.rows_seen != expected {
            writer.discard(&marked.files).await;
            return Err(Error::new(
                ErrorKind::CardinalityViolation,
                "MERGE command cannot affect row a second time".to_owned(),
            )
            .hint("Ensure that not more than one source row matches any one target row."));
        }
        Ok((marked.files, marked.hits))
    }

    /// Appends the source rows that match nothing.
    async fn merge_insert(
        &self,
        scope: &Scope,
        plan: &MergePlan,
        writer: &FileWriter,
        cancel: &CancellationToken,
    ) -> Result<Vec<FileEntry>> {
        let Some(acting) = plan.clauses.insert_condition() else { return Ok(Vec::new()) };
        let target = plan.target.scan(scope, None)?;
        let unmatched = plan.without_match(plan.source.clone(), target, acting)?;
        let rows = plan.clauses.inserted(self, scope, &plan.target, unmatched)?;
        self.store(scope, &plan.target.relation, rows, writer, cancel).await
    }
}

impl MergePlan {
    /// `target` joined to the source.
    fn join(&self, target: LogicalPlan, kind: JoinType, condition: Expr) -> Result<LogicalPlan> {
        Ok(LogicalPlanBuilder::from(target).join_on(self.source.clone(), kind, vec![condition])?.build()?)
    }

    /// The rows that match none of `others`, where `acting` is true. What may fail is asked of no row that matches: a filter
    /// over an anti join would be moved below it.
    fn without_match(&self, rows: LogicalPlan, others: LogicalPlan, acting: Expr) -> Result<LogicalPlan> {
        let on = vec![self.on.clone()];
        if cannot_fail(&acting) {
            let rows = LogicalPlanBuilder::from(rows).join_on(others, JoinType::LeftAnti, on)?;
            return Ok(rows.filter(acting)?.build()?);
        }
        let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
        let all = others.schema().columns().into_iter().map(Expr::Column);
        let others = LogicalPlanBuilder::from(others).project(all.chain([lit(true).alias(OTHER_COLUMN)]))?.build()?;
        let alone = ident(OTHER_COLUMN).is_null();
        let number = when(acting, lit(1_i32)).otherwise(lit(0_i32))?;
        let acts = when(alone.clone(), number).otherwise(lit(0_i32))?;
        let joined = LogicalPlanBuilder::from(rows).join_on(others, JoinType::Left, on)?;
        Ok(joined.filter(alone.and(acts.gt(lit(0_i32))))?.project(columns)?.build()?)
    }

    /// Each pass asks the conditions again.
    fn refuse_unsteady(&self) -> Result<()> {
        let conditions = [Some(self.on.clone()), self.clauses.matched_condition(&self.on)?];
        let others = [self.clauses.unmatched_condition(), self.clauses.insert_condition()];
        match conditions.iter().chain(&others).flatten().any(is_unsteady) {
            false => Ok(()),
            true => Err(Error::unsupported(
                "a condition of MERGE, or of UPDATE ... FROM, must not depend on chance or on a LIMIT",
            )
            .hint("Compute it in the source: USING (SELECT ...) AS s is read once.")),
        }
    }

    fn bind(&mut self, parameters: &[ScalarValue]) -> Result<()> {
        self.on = source::bound_expression(self.on.clone(), parameters)?;
        self.clauses.bind(parameters)
    }
}

/// True where an expression, or a subquery in it, may give something else when it is asked again.
fn is_unsteady(expression: &Expr) -> bool {
    let of_plan = |plan: &LogicalPlan| {
        let unsteady =
            plan.exists(|node| Ok(matches!(node, LogicalPlan::Limit(_)) || node.expressions().iter().any(is_unsteady)));
        unsteady.unwrap_or(true)
    };
    let unsteady = expression.exists(|part| {
        Ok(match part {
            Expr::Exists(exists) => of_plan(&exists.subquery.subquery),
            Expr::InSubquery(list) => of_plan(&list.subquery.subquery),
            Expr::ScalarSubquery(query) => of_plan(&query.subquery),
            Expr::SetComparison(set) => of_plan(&set.subquery.subquery),
            other => other.is_volatile_node(),
        })
    });
    unsteady.unwrap_or(true)
}

/// True in every row that comes from the source.
fn source_mark() -> Expr {
    lit(true).alias(SOURCE_COLUMN)
}

/// The mark, as it is read behind a join: NULL where there was no match.
fn is_matched() -> Expr {
    ident(SOURCE_COLUMN).is_true()
}
