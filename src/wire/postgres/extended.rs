//! The extended protocol: statements that are parsed once, bound to values, described, and executed in parts.

use std::sync::Arc;

use crate::catalog::pg_type::oid_of;
use crate::dialect;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{Column, Prepared, Reply, Tag};
use crate::wire::postgres::answer::Format;
use crate::wire::postgres::connection::Connection;
use crate::wire::postgres::message::{Bind, Target};
use crate::wire::postgres::portal::{Outcome, Portal, Running, State};
use crate::wire::postgres::rows::spread_formats;
use crate::wire::postgres::{Fault, answer, parameters};

/// A prepared statement; `None` for a text without one.
pub(super) struct Statement {
    pub(super) prepared: Option<Prepared>,
}

impl Statement {
    fn columns(&self) -> Option<&Arc<[Column]>> {
        self.prepared.as_ref()?.columns.as_ref()
    }
}

fn unknown_statement(name: &str) -> Error {
    let message = match name {
        "" => "unnamed prepared statement does not exist".to_owned(),
        name => format!("prepared statement \"{name}\" does not exist"),
    };
    Error::new(ErrorKind::InvalidSqlStatementName, message)
}

fn unknown_portal(name: &str) -> Error {
    Error::new(ErrorKind::InvalidCursorName, format!("portal \"{name}\" does not exist"))
}

impl Connection {
    pub(super) async fn parse(&mut self, name: String, text: &str, types: &[u32]) -> Result<(), Fault> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(ErrorKind::DuplicatePreparedStatement, message).into());
        }
        // A failed Parse leaves no unnamed statement behind.
        self.statements.remove("");
        let types = parameters::declared_types(types)?;
        let mut parsed = self.session.parse(text)?;
        if parsed.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Error::new(ErrorKind::SyntaxError, message).into());
        }
        let prepared = match parsed.pop() {
            Some(parsed) => Some(self.session.prepare(&parsed, &types).await?),
            None => None,
        };
        self.statements.insert(name, Arc::new(Statement { prepared }));
        answer::bare(&mut self.outbox.buffer, answer::PARSE_COMPLETE);
        Ok(())
    }

    pub(super) fn bind(&mut self, bind: Bind) -> Result<()> {
        let statement = self.statements.get(&bind.statement).ok_or_else(|| unknown_statement(&bind.statement))?;
        let statement = Arc::clone(statement);
        if !bind.portal.is_empty() && self.portals.contains_key(&bind.portal) {
            return Err(Error::new(ErrorKind::DuplicateCursor, format!("cursor \"{}\" already exists", bind.portal)));
        }
        let types = statement.prepared.as_ref().map_or(&[][..], |prepared| &prepared.parameters);
        let values = parameters::decode(&bind, types, self.zone())?;
        let columns = statement.columns().map_or(0, |columns| columns.len());
        // Without rows there is nothing to format; drivers send a format all the same.
        let formats = if columns == 0 { Vec::new() } else { spread_formats(&bind.result_formats, columns)? };
        self.portals.insert(bind.portal, Portal { statement, formats, state: State::Bound(values) });
        answer::bare(&mut self.outbox.buffer, answer::BIND_COMPLETE);
        Ok(())
    }

    pub(super) fn describe(&mut self, target: &Target) -> Result<()> {
        let out = &mut self.outbox.buffer;
        let (statement, formats): (&Statement, &[Format]) = match target {
            Target::Statement(name) => {
                let statement = self.statements.get(name).ok_or_else(|| unknown_statement(name))?;
                let types = statement.prepared.as_ref().map_or(&[][..], |prepared| &prepared.parameters);
                answer::parameter_description(out, types.iter().map(oid_of));
                (statement, &[])
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| unknown_portal(name))?;
                (&portal.statement, &portal.formats)
            }
        };
        match statement.columns() {
            Some(columns) => {
                let format = |index: usize| formats.get(index).copied().unwrap_or(Format::Text);
                answer::row_description(out, columns, format);
            }
            None => answer::bare(out, answer::NO_DATA),
        }
        Ok(())
    }

    /// Runs a portal for at most `rows_max` rows; 0 is all.
    pub(super) async fn execute(&mut self, name: &str, rows_max: u32) -> Result<(), Fault> {
        let mut portal = self.portals.remove(name).ok_or_else(|| unknown_portal(name))?;
        let outcome = self.run_portal(name, &mut portal, rows_max).await;
        // A portal that failed is not put back.
        let outcome = outcome?;
        self.portals.insert(name.to_owned(), portal);
        self.write_notices();
        match outcome {
            Some(Outcome::Complete(tag)) => {
                self.forget_discarded(&tag);
                answer::command_complete(&mut self.outbox.buffer, &tag);
            }
            Some(Outcome::Suspended) => answer::bare(&mut self.outbox.buffer, answer::PORTAL_SUSPENDED),
            None => answer::bare(&mut self.outbox.buffer, answer::EMPTY_QUERY),
        }
        self.outbox.relieve().await
    }

    /// `None` for a statement that is empty.
    async fn run_portal(&mut self, name: &str, portal: &mut Portal, rows_max: u32) -> Result<Option<Outcome>, Fault> {
        let statement = Arc::clone(&portal.statement);
        let Some(prepared) = &statement.prepared else { return Ok(None) };
        if let State::Bound(values) = &mut portal.state {
            let values = std::mem::take(values);
            portal.state = State::Finished;
            if let Some(tag) = self.deallocate(&prepared.parsed().statement) {
                return Ok(Some(Outcome::Complete(tag)));
            }
            match self.session.execute(prepared, values).await? {
                Reply::Rows(rows) => portal.state = State::Running(Running::new(rows, &portal.formats, self.style())?),
                Reply::Done(tag) => return Ok(Some(Outcome::Complete(tag))),
                Reply::CopyIn(copy) => return Ok(Some(Outcome::Complete(self.copy_in(copy).await?))),
                Reply::CopyOut(copy) => return Ok(Some(Outcome::Complete(self.copy_out(copy).await?))),
                Reply::Empty => return Ok(None),
            }
        }
        match &mut portal.state {
            State::Running(running) => self.send_rows(running, rows_max).await.map(Some),
            State::Bound(_) | State::Finished => {
                Err(Error::new(ErrorKind::ObjectNotInPrerequisiteState, format!("portal \"{name}\" cannot be run"))
                    .into())
            }
        }
    }

    pub(super) fn close(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => {
                self.statements.remove(name);
            }
            Target::Portal(name) => {
                self.portals.remove(name);
            }
        }
        answer::bare(&mut self.outbox.buffer, answer::CLOSE_COMPLETE);
    }

    /// DEALLOCATE of a statement that the protocol prepared: SQL and protocol share their names.
    pub(super) fn deallocate(&mut self, statement: &dialect::Statement) -> Option<Tag> {
        let dialect::Statement::Deallocate(Some(name)) = statement else { return None };
        self.statements.remove(name).map(|_| Tag("DEALLOCATE".to_owned()))
    }

    /// After DISCARD ALL and DEALLOCATE ALL no prepared statement is left, pools rely on it.
    pub(super) fn forget_discarded(&mut self, tag: &Tag) {
        if matches!(tag.0.as_str(), "DISCARD ALL" | "DEALLOCATE ALL") {
            self.statements.clear();
        }
    }
}
