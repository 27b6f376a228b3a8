//! What a client may ask before a statement runs: the types of its parameters, the columns of its rows.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use tokio_util::sync::CancellationToken;

use crate::buffer::DbVersion;
use crate::catalog::pg_type::PgType;
use crate::dialect::{Explain, Parsed, Statement};
use crate::engine::Scope;
use crate::engine::explain::{ExplainOptions, Explained, explain_columns};
use crate::engine::returning::Described;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::session::reply::{Reply, Rows, RowsTag};
use crate::session::statement::{Known, Prepared};

impl Session {
    /// Finds a statement's parameters and columns.
    pub(super) async fn describe(&self, parsed: &Parsed, types: &[Option<PgType>]) -> Result<Prepared> {
        self.follow_other_writers(&parsed.statement).await?;
        let scope = self.scope();
        let (described, known) = self.describe_statement(&scope, &parsed.statement, types).await?;
        Ok(Prepared { parsed: parsed.clone(), parameters: described.parameters, columns: described.columns, known })
    }

    async fn describe_statement(
        &self,
        scope: &Scope,
        statement: &Statement,
        types: &[Option<PgType>],
    ) -> Result<(Described, Option<Known>)> {
        let engine = self.server.engine();
        let described = match statement {
            Statement::Query(query) => {
                let planned = engine.plan_query(scope, query, types).await?;
                let described =
                    Described { parameters: planned.parameters.clone(), columns: Some(Arc::clone(&planned.columns)) };
                return Ok((described, Some(Known::Query(Arc::clone(&scope.version), planned))));
            }
            Statement::Insert(insert) => {
                let (described, direct) = engine.describe_insert(scope, insert, types).await?;
                return Ok((described, direct.map(Known::Insert)));
            }
            Statement::Update(update) => engine.describe_update(scope, update, types).await?,
            Statement::Delete(delete) => engine.describe_delete(scope, delete, types).await?,
            Statement::Merge(merge) => engine.describe_merge(scope, merge, types).await?,
            Statement::Explain(explain) => {
                let (inner, _) = Box::pin(self.describe_statement(scope, &explain.statement, types)).await?;
                Described { parameters: inner.parameters, columns: Some(explain_columns()) }
            }
            Statement::Execute(execute) => {
                Described { parameters: Vec::new(), columns: self.named(&execute.name)?.columns.clone() }
            }
            other => Described { parameters: Vec::new(), columns: self.fixed_columns(other) },
        };
        Ok((described, None))
    }

    pub(super) async fn query(
        &self,
        scope: &Scope,
        query: &datafusion::sql::sqlparser::ast::Query,
        prepared: &Prepared,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        let engine = self.server.engine();
        let planned = match &prepared.known {
            // A plan made for this very version is still good; otherwise names may mean something else now.
            Some(Known::Query(version, planned)) if same(version, &scope.version) => planned.clone(),
            _ => {
                let types: Vec<_> = prepared.parameters.iter().cloned().map(Some).collect();
                let planned = engine.plan_query(scope, query, &types).await?;
                if prepared.columns.as_ref().is_some_and(|columns| !same_types(columns, &planned.columns)) {
                    return Err(Error::unsupported("cached plan must not change result type"));
                }
                planned
            }
        };
        let stream = engine.run(scope, &planned, parameters, cancel).await?;
        Ok(Reply::Rows(Rows { columns: planned.columns, stream, tag: RowsTag::Select }))
    }

    pub(super) async fn explain(
        &self,
        scope: &Scope,
        explain: &Explain,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        let explained = match explain.statement.as_ref() {
            Statement::Query(query) => Explained::Query(query),
            Statement::Insert(insert) => Explained::Insert(insert),
            Statement::Update(update) => Explained::Update(update),
            Statement::Delete(delete) => Explained::Delete(delete),
            Statement::Merge(merge) => Explained::Merge(merge),
            _ => return Err(Error::unsupported("EXPLAIN takes SELECT, INSERT, UPDATE, DELETE and MERGE")),
        };
        let options = ExplainOptions { analyze: explain.analyze, verbose: explain.verbose };
        let stream = self.server.engine().explain(scope, explained, parameters, options, cancel).await?;
        Ok(Reply::Rows(Rows { columns: explain_columns(), stream, tag: RowsTag::Explain }))
    }
}

fn same(one: &Arc<DbVersion>, other: &Arc<DbVersion>) -> bool {
    Arc::ptr_eq(one, other)
}

fn same_types(one: &[crate::session::reply::Column], other: &[crate::session::reply::Column]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.pg_type == other.pg_type)
}
