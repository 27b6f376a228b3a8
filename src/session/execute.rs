//! The one `match` over all statements; each arm is one call down.
#![deny(clippy::wildcard_enum_match_arm)]

use std::sync::Arc;

use datafusion::common::ScalarValue;
use tokio_util::sync::CancellationToken;

use crate::dialect::Statement;
use crate::engine::Scope;
use crate::engine::progress::Progress;
use crate::engine::write::Affected;
use crate::error::{Error, ErrorKind, Result};
use crate::session::Session;
use crate::session::reply::{Reply, Rows, RowsTag, Tag};
use crate::session::statement::Prepared;

/// Runs one statement.
pub(super) async fn run(
    session: &Session,
    prepared: &Prepared,
    parameters: Vec<ScalarValue>,
    progress: &Arc<Progress>,
    cancel: &CancellationToken,
) -> Result<Reply> {
    let statement = &prepared.parsed.statement;
    let parameters = parameters.as_slice();
    if let Some(word) = writes(statement) {
        session.transaction.lock().refuse_writes(word)?;
    }
    session.follow_other_writers(statement).await?;
    let mut scope = session.scope();
    scope.progress = Arc::clone(progress);
    let engine = session.server.engine();
    match statement {
        Statement::Query(query) => session.query(&scope, query, prepared, parameters, cancel).await,
        Statement::Explain(explain) => session.explain(&scope, explain, parameters, cancel).await,
        Statement::Insert(insert) => {
            let known = prepared.known_insert();
            Ok(affected(engine.insert(&scope, insert, known, parameters, cancel).await?, RowsTag::Insert))
        }
        Statement::Update(update) => {
            Ok(affected(engine.update(&scope, update, parameters, cancel).await?, RowsTag::Update))
        }
        Statement::Delete(delete) => {
            Ok(affected(engine.delete(&scope, delete, parameters, cancel).await?, RowsTag::Delete))
        }
        Statement::Merge(merge) => Ok(affected(engine.merge(&scope, merge, parameters, cancel).await?, RowsTag::Merge)),
        Statement::Copy(copy) => session.copy(&scope, copy, parameters, cancel).await,
        Statement::Truncate(truncate) => session.truncate(&scope, truncate, cancel).await.map(Reply::Done),
        Statement::CreateTable(create) => {
            session.create_table(&scope, create, parameters, cancel).await.map(Reply::Done)
        }
        Statement::CreateView(create) => session.create_view(&scope, create).await.map(Reply::Done),
        Statement::Source(source) => session.source_statement(&scope, source, cancel).await,
        Statement::CreateSchema(create) => session.create_schema(&scope, create).map(Reply::Done),
        Statement::CreateRole(create) => session.create_role(create).map(Reply::Done),
        Statement::Drop(drop) => session.drop_objects(&scope, drop).await.map(Reply::Done),
        Statement::AlterRelation(alter) => session.alter_relation(&scope, alter, cancel).await.map(Reply::Done),
        Statement::AlterSchema(alter) => session.alter_schema(alter).map(Reply::Done),
        Statement::AlterRole(alter) => session.alter_role(alter).map(Reply::Done),
        Statement::Comment(comment) => session.comment(&scope, comment).map(Reply::Done),
        Statement::Optimize(optimize) => session.optimize(&scope, optimize, cancel).await,
        Statement::Vacuum(vacuum) => session.vacuum(&scope, vacuum, cancel).await,
        Statement::Analyze(_) => Ok(done("ANALYZE")),
        Statement::Flush(flush) => session.flush(&scope, flush, cancel).await,
        Statement::Describe(describe) => session.describe_relation(&scope, describe),
        Statement::DescribeHistory(history) => session.history(&scope, history).await,
        Statement::Restore(restore) => session.restore(&scope, restore, cancel).await.map(Reply::Done),
        Statement::Set(set) => session.set(set).map(Reply::Done),
        Statement::SetTransaction { session: whole, modes } => session.set_transaction(*whole, *modes).map(Reply::Done),
        Statement::SetConstraints => Ok(done("SET CONSTRAINTS")),
        Statement::SetRole { role, .. } => session.set_role(role.as_deref()).map(Reply::Done),
        Statement::Show(setting) => session.show(setting),
        Statement::Reset(setting) => session.reset(setting).map(Reply::Done),
        Statement::Discard(what) => session.discard(*what).map(Reply::Done),
        Statement::Begin(modes) => session.begin(*modes).map(Reply::Done),
        Statement::Commit { chain } => session.end(true, *chain).map(Reply::Done),
        Statement::Rollback { chain } => session.end(false, *chain).map(Reply::Done),
        Statement::Prepare(prepare) => session.prepare_named(prepared, prepare).await.map(Reply::Done),
        Statement::Execute(execute) => session.execute_named(&scope, execute, cancel).await,
        Statement::Deallocate(name) => session.deallocate(name.as_deref()).map(Reply::Done),
        Statement::Unlisten(_) => Ok(done("UNLISTEN")),
        Statement::CloseCursor(None) => Ok(done("CLOSE CURSOR ALL")),
        Statement::Unsupported(unsupported) => Err(unsupported.error()),
        Statement::Grant(_) | Statement::Revoke(_) => Err(later("GRANT and REVOKE")),
        Statement::Savepoint(_) | Statement::Release(_) | Statement::RollbackTo(_) => Err(later("SAVEPOINT")),
        Statement::DeclareCursor(_) | Statement::FetchCursor(_) => Err(later("DECLARE CURSOR")),
        Statement::CloseCursor(Some(name)) => {
            Err(Error::new(ErrorKind::InvalidCursorName, format!("cursor \"{name}\" does not exist")))
        }
        Statement::Listen(_) | Statement::Notify(_) => Err(later("LISTEN and NOTIFY")),
    }
}

/// The word of a statement that changes data or definitions.
fn writes(statement: &Statement) -> Option<&'static str> {
    match statement {
        Statement::Insert(_) => Some("INSERT"),
        Statement::Update(_) => Some("UPDATE"),
        Statement::Delete(_) => Some("DELETE"),
        Statement::Merge(_) => Some("MERGE"),
        Statement::Copy(copy) if copy.from => Some("COPY FROM"),
        Statement::Truncate(_) => Some("TRUNCATE"),
        Statement::CreateTable(_) => Some("CREATE TABLE"),
        Statement::CreateView(_) => Some("CREATE VIEW"),
        Statement::Source(source) => source.writes(),
        Statement::CreateSchema(_) => Some("CREATE SCHEMA"),
        Statement::CreateRole(_) => Some("CREATE ROLE"),
        Statement::Drop(_) => Some("DROP"),
        Statement::AlterRelation(_) | Statement::AlterSchema(_) | Statement::AlterRole(_) => Some("ALTER"),
        Statement::Comment(_) => Some("COMMENT"),
        Statement::Optimize(_) => Some("OPTIMIZE"),
        Statement::Vacuum(_) => Some("VACUUM"),
        Statement::Restore(_) => Some("RESTORE TABLE"),
        Statement::Explain(explain) if explain.analyze => writes(&explain.statement),
        Statement::Query(_) | Statement::Copy(_) | Statement::Explain(_) | Statement::Describe(_) => None,
        Statement::DescribeHistory(_) | Statement::Analyze(_) | Statement::Flush(_) | Statement::Grant(_) => None,
        Statement::Revoke(_) | Statement::Set(_) | Statement::SetTransaction { .. } | Statement::SetConstraints => None,
        Statement::SetRole { .. } | Statement::Show(_) | Statement::Reset(_) | Statement::Discard(_) => None,
        Statement::Begin(_) | Statement::Commit { .. } | Statement::Rollback { .. } | Statement::Savepoint(_) => None,
        Statement::Release(_) | Statement::RollbackTo(_) | Statement::Prepare(_) | Statement::Execute(_) => None,
        Statement::Deallocate(_) | Statement::DeclareCursor(_) | Statement::FetchCursor(_) => None,
        Statement::CloseCursor(_) | Statement::Listen(_) | Statement::Unlisten(_) | Statement::Notify(_) => None,
        Statement::Unsupported(_) => None,
    }
}

fn later(what: &str) -> Error {
    Error::unsupported(format!("{what} is not supported yet"))
}

/// A statement that gives nothing but its tag.
pub(super) fn done(tag: &str) -> Reply {
    Reply::Done(Tag(tag.to_owned()))
}

fn affected(affected: Affected, tag: RowsTag) -> Reply {
    match affected.returned {
        Some(returned) => Reply::Rows(Rows { columns: returned.columns, stream: returned.stream, tag }),
        None => Reply::Done(tag.finish(affected.rows)),
    }
}

impl Session {
    /// What a statement that starts now sees, and as whom.
    pub(super) fn scope(&self) -> Scope {
        let buffer = self.server.buffer();
        let version = self.transaction.lock().version(|| buffer.current());
        let functions = self.function_context(&version);
        self.server.engine().scope(version, functions)
    }
}
