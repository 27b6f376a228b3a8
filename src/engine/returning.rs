//! RETURNING: the rows that a statement has written, as a query over them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast::{self, SelectItem};
use tokio_util::sync::CancellationToken;

use crate::catalog::pg_type::PgType;
use crate::dialect;
use crate::engine::column::Column;
use crate::engine::kept::Kept;
use crate::engine::plan::{Planner, columns_of, parameters_of};
use crate::engine::run::bound;
use crate::engine::target::{FILE_COLUMN, Target};
use crate::engine::{Engine, Scope};
use crate::error::Result;

/// What a client may ask of a statement before it runs.
pub struct Described {
    /// The types of `$1`, `$2`, ...
    pub parameters: Vec<PgType>,
    /// The columns of its rows, if it gives rows.
    pub columns: Option<Arc<[Column]>>,
}

/// The rows of RETURNING.
pub struct Returned {
    /// What clients see, one entry a column of the stream.
    pub columns: Arc<[Column]>,
    /// The rows, already in memory.
    pub stream: SendableRecordBatchStream,
}

/// RETURNING of columns as they are, which takes no plan.
pub(in crate::engine) struct PlainItems {
    columns: Arc<[Column]>,
    positions: Vec<usize>,
    schema: SchemaRef,
}

/// The items, if they are nothing but columns.
pub(in crate::engine) fn plain_items(target: &Target, items: &[SelectItem]) -> Option<PlainItems> {
    let own = &target.relation.columns;
    let find = |name: &ast::Ident| own.iter().position(|column| column.name == dialect::identifier(name));
    let column = |expr: &ast::Expr| match expr {
        ast::Expr::Identifier(name) => find(name),
        ast::Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, name] if dialect::identifier(table) == target.alias => find(name),
            _ => None,
        },
        _ => None,
    };
    let (mut positions, mut names) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            SelectItem::Wildcard(options) if *options == ast::WildcardAdditionalOptions::default() => {
                positions.extend(0..own.len());
                names.extend(own.iter().map(|column| column.name.clone()));
            }
            SelectItem::UnnamedExpr(expr) => {
                let position = column(expr)?;
                positions.push(position);
                names.push(own[position].name.clone());
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                positions.push(column(expr)?);
                names.push(dialect::identifier(alias));
            }
            _ => return None,
        }
    }
    let shown = positions.iter().zip(names).map(|(at, name)| {
        let pg_type = PgType::of(&own[*at].pg_type.field("", true));
        Column { name, pg_type, relation: None, number: 0 }
    });
    let schema = Arc::new(target.relation.arrow_schema().project(&positions).ok()?);
    Some(PlainItems { columns: shown.collect(), positions, schema })
}

impl PlainItems {
    /// The rows of RETURNING over rows that were written.
    pub fn rows(&self, written: &[RecordBatch]) -> Result<Returned> {
        let chosen = |batch: &RecordBatch| batch.project(&self.positions)?.with_schema(Arc::clone(&self.schema));
        let rows: Vec<RecordBatch> = written.iter().map(chosen).collect::<Result<_, _>>()?;
        let rows = futures::stream::iter(rows.into_iter().map(Ok));
        let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows));
        Ok(Returned { columns: Arc::clone(&self.columns), stream })
    }
}

impl Engine {
    /// What a statement that writes takes and gives: `known` are the types of its parameters, RETURNING may have more.
    pub(in crate::engine) async fn described(
        &self,
        scope: &Scope,
        target: &Target,
        known: Vec<Option<PgType>>,
        items: Option<&[SelectItem]>,
    ) -> Result<Described> {
        let plain = items.map(|items| plain_items(target, items));
        let Some((items, None)) = items.zip(plain.as_ref().map(Option::as_ref)) else {
            let parameters = known.into_iter().map(|known| known.unwrap_or(PgType::Text)).collect();
            return Ok(Described { parameters, columns: plain.flatten().map(|plain| plain.columns) });
        };
        let (plan, names) = self.returning_plan(scope, target, items, &[], &known).await?;
        Ok(Described { parameters: parameters_of(&plan, &known)?, columns: Some(columns_of(plan.schema(), &names)) })
    }

    /// The rows of RETURNING over `written`, which have exactly the table's columns; `None` is no row. They are all computed here, before the
    /// statement commits: an expression that fails undoes the statement.
    pub(in crate::engine) async fn returning(
        &self,
        scope: &Scope,
        target: &Target,
        items: Option<&[SelectItem]>,
        written: Option<&Kept>,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Option<Returned>> {
        let Some(items) = items else { return Ok(None) };
        let written = written.map_or(&[][..], |kept| &kept.batches);
        if let Some(plain) = plain_items(target, items) {
            return plain.rows(written).map(Some);
        }
        let types: Vec<_> = parameters.iter().map(|value| Some(PgType::of_arrow(&value.data_type()))).collect();
        let (plan, names) = self.returning_plan(scope, target, items, written, &types).await?;
        let columns = columns_of(plan.schema(), &names);
        let rows = self.kept("RETURNING", scope, &bound(plan, parameters)?, cancel).await?;
        Ok(Some(Returned { columns, stream: rows.into_stream() }))
    }

    async fn returning_plan(
        &self,
        scope: &Scope,
        target: &Target,
        items: &[SelectItem],
        written: &[RecordBatch],
        parameters: &[Option<PgType>],
    ) -> Result<(LogicalPlan, Vec<String>)> {
        debug_assert!(target.relation.column(FILE_COLUMN).is_none(), "the file column is internal");
        let schema = target.relation.arrow_schema();
        let aligned: Vec<RecordBatch> = written
            .iter()
            .map(|batch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()))
            .collect::<Result<_, _>>()?;
        let mut overlay = self.overlay(scope, &items.to_vec()).await?;
        let name = overlay.add(Arc::new(MemTable::try_new(schema, vec![aligned])?));
        let mut query = dialect::parse_query(&format!("SELECT 1 FROM {name}"))?;
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.projection = items.to_vec();
            for from in &mut select.from {
                if let ast::TableFactor::Table { alias, .. } = &mut from.relation {
                    let name = ast::Ident::with_quote('"', target.alias.clone());
                    *alias = Some(ast::TableAlias { explicit: true, name, columns: Vec::new(), at: None });
                }
            }
        }
        Planner::new(scope, &overlay).query(query, parameters)
    }
}
