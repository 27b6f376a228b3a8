//! INSERT, and rows that come as batches (COPY): appended in one commit.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Column as PlanColumn, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::buffer::{Addition, Rows};
use crate::catalog::definition::RelationDef;
use crate::catalog::name::ObjectName;
use crate::catalog::pg_type::PgType;
use crate::dialect;
use crate::engine::assign::{refuse_text_of, type_literal};
use crate::engine::conflict::{Conflict, Upsert};
use crate::engine::event_time::newest_events;
use crate::engine::plan::{Planner, known_parameters};
use crate::engine::returning::Described;
use crate::engine::run::bound;
use crate::engine::target::Target;
use crate::engine::update::{is_default, with_parameter_type};
use crate::engine::write::{Affected, Filling, MARK_HIT, clustered, mark};
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Durability;
use crate::tables::{Change, FileEntry, FileWriter};

mod cell;
mod direct;

pub use direct::Direct;

/// A statement with more goes to files at once: it is a load, and pays for its commit.
pub(in crate::engine) const TAIL_STATEMENT_BYTES_MAX: usize = 8 << 20;

/// New rows before they are visible.
enum Stored {
    Rows(Vec<RecordBatch>),
    Files(FileWriter, Vec<FileEntry>),
}

impl Stored {
    fn rows(&self) -> u64 {
        match self {
            Self::Rows(batches) => batches.iter().map(|batch| batch.num_rows() as u64).sum(),
            Self::Files(_, added) => added.iter().filter_map(|file| file.rows).sum(),
        }
    }

    /// What came out. When it is an error, nothing is left.
    async fn or_discard<T>(&self, outcome: Result<T>) -> Result<T> {
        match self {
            Self::Rows(_) => outcome,
            Self::Files(files, added) => files.or_discard(added, outcome).await,
        }
    }
}

impl Engine {
    /// The parameters and the RETURNING columns of an INSERT, and what is known of it where it needs no plan.
    pub async fn describe_insert(
        &self,
        scope: &Scope,
        insert: &ast::Insert,
        parameters: &[Option<PgType>],
    ) -> Result<(Described, Option<Direct>)> {
        let items = insert.returning.as_deref();
        let mut direct = Direct::of(scope, insert, parameters);
        if let Some(direct) = &mut direct {
            direct.compile(self, scope);
        }
        let (target, known) = match &direct {
            Some(direct) if !direct.looks() || direct.setter.is_some() => {
                (direct.target.clone(), direct.parameters.clone())
            }
            _ => {
                let (target, plan) = self.explained_insert(scope, insert, parameters).await?;
                (target, known_parameters(&plan, parameters)?)
            }
        };
        Ok((self.described(scope, &target, known, items).await?, direct))
    }

    /// The rows that an INSERT stores.
    pub(in crate::engine) async fn explained_insert(
        &self,
        scope: &Scope,
        insert: &ast::Insert,
        parameters: &[Option<PgType>],
    ) -> Result<(Target, LogicalPlan)> {
        let target = target_of(scope, insert)?;
        let rows = self.insert_plan(scope, &target, insert, parameters).await?;
        match Conflict::of(&target, insert)? {
            Some(conflict) => {
                let plan = self.explained_conflict(scope, &target, &conflict, rows, parameters).await?;
                Ok((target, plan))
            }
            None => Ok((target, rows)),
        }
    }

    /// Inserts the rows of VALUES or a query. `known` is what [`Engine::describe_insert`] has found.
    pub async fn insert(
        &self,
        scope: &Scope,
        insert: &ast::Insert,
        known: Option<&Direct>,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Affected> {
        let types = types_of(parameters);
        let fresh;
        let direct = match known.filter(|known| known.holds(scope)) {
            Some(known) => Some(known),
            None => {
                fresh = Direct::of(scope, insert, &types);
                fresh.as_ref()
            }
        };
        if let Some(direct) = direct
            && let Ok(rows) = direct.rows(self, scope, parameters)
        {
            let target = &direct.target;
            return match &direct.conflict {
                None => self.insert_direct(scope, target, insert, rows, parameters, cancel).await,
                Some(conflict) => {
                    let setter = direct.setter.as_ref().filter(|setter| setter.is_lasting);
                    let upsert = Upsert { engine: self, scope, target, conflict, setter, insert, parameters, cancel };
                    upsert.run(Some(rows)).await
                }
            };
        }
        let target = target_of(scope, insert)?;
        if let Some(conflict) = Conflict::of(&target, insert)? {
            let (target, conflict) = (&target, &Arc::new(conflict));
            let upsert = Upsert { engine: self, scope, target, conflict, setter: None, insert, parameters, cancel };
            return upsert.run(None).await;
        }
        let rows = self.insert_plan(scope, &target, insert, &types).await?;
        let keep = insert.returning.is_some();
        let (rows, seen) = self.unmarked(scope, &target, bound(rows, parameters)?, keep, cancel).await?;
        let stored = self.stored(scope, &target.relation, rows, cancel).await?;
        let written = seen.lock().hits.take();
        let items = insert.returning.as_deref();
        let returned = self.returning(scope, &target, items, written.as_ref(), parameters, cancel).await;
        let returned = stored.or_discard(returned).await?;
        let rows = self.added(scope, &target.relation, stored, cancel).await?;
        Ok(Affected { rows, returned })
    }

    /// Inserts rows that are shaped and checked.
    async fn insert_direct(
        &self,
        scope: &Scope,
        target: &Target,
        insert: &ast::Insert,
        rows: RecordBatch,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Affected> {
        scope.progress.wrote(rows.num_rows());
        let mut written = self.nothing_kept("RETURNING", rows.schema());
        let items = insert.returning.as_deref();
        if items.is_some() {
            written.push(rows.clone())?;
        }
        let (schema, rows) = (rows.schema(), futures::stream::iter([Ok(rows)]));
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let stored = self.stored(scope, &target.relation, rows, cancel).await?;
        let returned = self.returning(scope, target, items, Some(&written), parameters, cancel).await;
        let returned = stored.or_discard(returned).await?;
        let rows = self.added(scope, &target.relation, stored, cancel).await?;
        Ok(Affected { rows, returned })
    }

    /// Appends batches whose columns are `columns` of the table, in that order; the others take their defaults.
    pub async fn append(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        columns: &[usize],
        rows: SendableRecordBatchStream,
        cancel: &CancellationToken,
    ) -> Result<u64> {
        let source = crate::engine::values::stream_plan("copy", rows)?;
        let mut fillings = vec![Filling::Default; relation.columns.len()];
        for (from, to) in columns.iter().enumerate() {
            fillings[*to] = Filling::Given(source_column(&source, from));
        }
        let plan = self.stored_rows(scope, relation, source, &fillings, &[])?;
        let stream = self.run_plan(scope, &clustered(relation, plan)?, cancel).await?;
        let rows = self.checked(scope, relation, stream)?;
        let stored = self.stored(scope, relation, rows, cancel).await?;
        self.added(scope, relation, stored, cancel).await
    }

    /// Few rows stay in memory, for the tail; many go to files that nobody sees yet.
    async fn stored(
        &self,
        scope: &Scope,
        relation: &RelationDef,
        mut rows: SendableRecordBatchStream,
        cancel: &CancellationToken,
    ) -> Result<Stored> {
        files_of(scope, relation)?.check_writable()?;
        let (mut few, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = rows.next().await.transpose()? {
            bytes += batch.get_array_memory_size();
            few.push(batch);
            if bytes > TAIL_STATEMENT_BYTES_MAX || !self.config().uses_tails {
                let schema = rows.schema();
                let all = futures::stream::iter(few.into_iter().map(Ok)).chain(rows);
                let all = Box::pin(RecordBatchStreamAdapter::new(schema, all));
                let files = files_of(scope, relation)?;
                let added = self.store_checked(scope, relation, &files, all, cancel).await?;
                return Ok(Stored::Files(files, added));
            }
        }
        Ok(Stored::Rows(few))
    }

    /// Makes stored rows durable and visible: only a commit of files waits for other writers. Gives their number.
    async fn added(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        stored: Stored,
        cancel: &CancellationToken,
    ) -> Result<u64> {
        let count = stored.rows();
        match stored {
            _ if count == 0 => {}
            Stored::Rows(_) if cancel.is_cancelled() => return Err(Error::canceled()),
            Stored::Rows(rows) => {
                let addition = Addition { rows: vec![Rows::inserted(relation, rows)], ..Addition::default() };
                self.buffer().add(addition, durability(scope)).await?;
            }
            Stored::Files(files, added) => {
                let newest = newest_events(relation, &added);
                let writer = files.lock_for(&added).await?;
                self.commit(relation.oid, writer, Change::append(added), cancel).await?;
                self.tell_events(relation, newest).await;
            }
        }
        Ok(count)
    }

    /// The rows that an INSERT proposes, with the mark behind them.
    pub(in crate::engine) async fn insert_plan(
        &self,
        scope: &Scope,
        target: &Target,
        insert: &ast::Insert,
        parameters: &[Option<PgType>],
    ) -> Result<LogicalPlan> {
        let positions = positions(target, &insert.columns)?;
        let mark = mark(lit(MARK_HIT));
        let Some(source) = &insert.source else {
            let one_row = datafusion::logical_expr::LogicalPlanBuilder::empty(true).build()?;
            let fillings = vec![Filling::Default; target.relation.columns.len()];
            return self.stored_rows(scope, &target.relation, one_row, &fillings, &[mark]);
        };
        let mut source = source.as_ref().clone();
        let (parameters, defaults) = typed_values(&mut source, target, &positions, parameters)?;
        let overlay = self.overlay(scope, &source).await?;
        let (plan, _) = Planner::new(scope, &overlay).query(source, &parameters)?;
        let given = plan.schema().fields().len();
        if given > positions.len() || (!insert.columns.is_empty() && given < positions.len()) {
            let what = if given > positions.len() {
                "expressions than target columns"
            } else {
                "target columns than expressions"
            };
            return Err(Error::new(ErrorKind::SyntaxError, format!("INSERT has more {what}")));
        }
        let mut fillings = vec![Filling::Default; target.relation.columns.len()];
        for (from, to) in positions.iter().take(given).enumerate() {
            if defaults.contains(&from) {
                continue;
            }
            refuse_generated(target, *to)?;
            refuse_text_of(&plan, from, &target.relation.columns[*to])?;
            fillings[*to] = Filling::Given(source_column(&plan, from));
        }
        self.stored_rows(scope, &target.relation, plan, &fillings, &[mark])
    }
}

/// The types of values.
pub(in crate::engine) fn types_of(parameters: &[ScalarValue]) -> Vec<Option<PgType>> {
    parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect()
}

/// What the session wants to wait for.
pub(in crate::engine) fn durability(scope: &Scope) -> Durability {
    match (scope.functions.read_setting)("synchronous_commit").as_deref() {
        Some("off") => Durability::Written,
        _ => Durability::Synced,
    }
}

/// Writes files beside other writers of the table.
pub(in crate::engine) fn files_of(scope: &Scope, relation: &RelationDef) -> Result<FileWriter> {
    Ok(scope.version.table(relation.oid)?.files_at(Arc::clone(scope.version.snapshot(relation.oid)?)))
}

pub(in crate::engine) fn source_column(plan: &LogicalPlan, position: usize) -> Expr {
    let (qualifier, field) = plan.schema().qualified_field(position);
    Expr::Column(PlanColumn::new(qualifier.cloned(), field.name()))
}

fn target_of(scope: &Scope, insert: &ast::Insert) -> Result<Target> {
    if insert.overwrite {
        return Err(Error::unsupported("INSERT OVERWRITE is not supported").hint("TRUNCATE the table, then INSERT."));
    }
    match &insert.table {
        ast::TableObject::TableName(name) => {
            Target::named(scope, name, insert.table_alias.as_ref().map(|alias| &alias.alias))
        }
        _ => Err(Error::unsupported("INSERT into a table function is not supported")),
    }
}

fn refuse_generated(target: &Target, position: usize) -> Result<()> {
    let column = &target.relation.columns[position];
    if column.generated.is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::GeneratedAlways,
        format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
    )
    .detail(format!("Column \"{}\" is a generated column.", column.name)))
}

/// The positions in the table of the columns that values are given for.
fn positions(target: &Target, named: &[ast::ObjectName]) -> Result<Vec<usize>> {
    if named.is_empty() {
        return Ok((0..target.relation.columns.len()).collect());
    }
    let mut positions = Vec::with_capacity(named.len());
    for name in named {
        let position = target.column_position(name)?;
        if positions.contains(&position) {
            let column = &target.relation.columns[position].name;
            return Err(Error::new(
                ErrorKind::DuplicateColumn,
                format!("column \"{column}\" specified more than once"),
            ));
        }
        positions.push(position);
    }
    Ok(positions)
}

/// In VALUES and SELECT, a bare `$n` gets the type of its column, and `DEFAULT` the column's default.
/// Gives the parameters' types and the columns in which every row says DEFAULT.
fn typed_values(
    source: &mut ast::Query,
    target: &Target,
    positions: &[usize],
    parameters: &[Option<PgType>],
) -> Result<(Vec<Option<PgType>>, Vec<usize>)> {
    let mut types = parameters.to_vec();
    let values = match source.body.as_mut() {
        ast::SetExpr::Values(values) => values,
        ast::SetExpr::Select(select) => {
            for (item, position) in select.projection.iter().zip(positions) {
                let (ast::SelectItem::UnnamedExpr(value) | ast::SelectItem::ExprWithAlias { expr: value, .. }) = item
                else {
                    break;
                };
                types = with_parameter_type(types, value, &target.relation.columns[*position].pg_type);
            }
            return Ok((types, Vec::new()));
        }
        _ => return Ok((types, Vec::new())),
    };
    let width = values.rows.iter().map(|row| row.content.len()).max().unwrap_or_default();
    let mut defaults: Vec<usize> = (0..width).collect();
    for row in &mut values.rows {
        for (place, value) in row.content.iter_mut().enumerate() {
            let Some(column) = positions.get(place).map(|position| &target.relation.columns[*position]) else {
                continue;
            };
            types = with_parameter_type(types, value, &column.pg_type);
            type_literal(value, &column.pg_type);
            if !is_default(value) {
                defaults.retain(|default| *default != place);
                continue;
            }
            *value = match (&column.default, &column.generated) {
                (Some(text), None) => dialect::parse_expression(text)?,
                _ => ast::Expr::value(ast::Value::Null),
            };
        }
    }
    Ok((types, defaults))
}

/// The table of an INSERT or COPY by name.
pub fn insert_target(scope: &Scope, name: &ObjectName) -> Result<Arc<RelationDef>> {
    Ok(Target::find(scope, name, None)?.relation)
}
