//! SET, SHOW, RESET, DISCARD, BEGIN ... COMMIT, PREPARE ... EXECUTE: what changes the session and nothing else.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use tokio_util::sync::CancellationToken;

use crate::buffer::DbVersion;
use crate::catalog::name::Oid;
use crate::config::{SessionSettings, join_values};
use crate::dialect::{
    Discard, Execute, Isolation, Prepare, SetScope, SetValue, SetVariable, Setting, SourceStatement, Statement,
    TransactionModes,
};
use crate::engine::Scope;
use crate::engine::functions::FunctionContext;
use crate::error::{Error, ErrorKind, Result};
use crate::session::facts::SessionFacts;
use crate::session::reply::{Reply, Severity, Tag, TransactionStatus};
use crate::session::rows::TextRows;
use crate::session::statement::Prepared;
use crate::session::transaction::Transaction;
use crate::session::{Session, execute};

fn tag(text: &str) -> Tag {
    Tag(text.to_owned())
}

impl Session {
    pub(super) fn set(&self, set: &SetVariable) -> Result<Tag> {
        let mut settings = self.settings.lock();
        match (&set.value, &set.scope) {
            (SetValue::Default, _) => settings.reset(&set.name)?,
            (SetValue::Values(values), SetScope::Local) => {
                if self.transaction_status() == TransactionStatus::Idle {
                    drop(settings);
                    self.notify(Severity::Warning, "25P01", "SET LOCAL can only be used in transaction blocks");
                    return Ok(tag("SET"));
                }
                settings.set_local(&set.name, &join_values(&set.name, values))?;
            }
            (SetValue::Values(values), SetScope::Session) => {
                settings.set(&set.name, &join_values(&set.name, values))?
            }
        }
        Ok(tag("SET"))
    }

    pub(super) fn set_transaction(&self, whole: bool, modes: TransactionModes) -> Result<Tag> {
        if whole {
            if let Some(read_only) = modes.read_only {
                let value = if read_only { "on" } else { "off" };
                self.settings.lock().set("default_transaction_read_only", value)?;
            }
        } else if let (Transaction::Active { read_only, .. }, Some(wanted)) =
            (&mut *self.transaction.lock(), modes.read_only)
        {
            *read_only = wanted;
        }
        Ok(tag("SET"))
    }

    pub(super) fn set_role(&self, role: Option<&str>) -> Result<Tag> {
        match role {
            None => Ok(tag("SET")),
            Some(role) if role == self.login.user => Ok(tag("SET")),
            Some(_) => Err(Error::unsupported("SET ROLE is not supported yet")),
        }
    }

    pub(super) fn reset(&self, setting: &Setting) -> Result<Tag> {
        match setting {
            Setting::All => self.settings.lock().reset_all(),
            Setting::Named(name) => self.settings.lock().reset(name)?,
        }
        Ok(tag("RESET"))
    }

    pub(super) fn show(&self, setting: &Setting) -> Result<Reply> {
        match setting {
            Setting::Named(name) => {
                let value = self.settings.lock().show(name)?;
                TextRows::new(&[SessionSettings::shown_name(name)]).row(&[Some(value)]).show()
            }
            Setting::All => {
                let mut rows = TextRows::new(&["name", "setting", "description"]);
                for (name, value, description) in self.settings.lock().all() {
                    rows = rows.row(&[Some(name), Some(value), Some(description)]);
                }
                rows.show()
            }
        }
    }

    pub(super) fn discard(&self, what: Discard) -> Result<Tag> {
        if let Discard::All = what {
            if self.transaction_status() != TransactionStatus::Idle {
                return Err(Error::new(
                    ErrorKind::ActiveTransaction,
                    "DISCARD ALL cannot run inside a transaction block",
                ));
            }
            self.settings.lock().reset_all();
            self.prepared.lock().clear();
        }
        Ok(tag(match what {
            Discard::All => "DISCARD ALL",
            Discard::Plans => "DISCARD PLANS",
            Discard::Sequences => "DISCARD SEQUENCES",
            Discard::Temporary => "DISCARD TEMP",
        }))
    }

    pub(super) fn begin(&self, modes: TransactionModes) -> Result<Tag> {
        let read_only = match modes.read_only {
            Some(read_only) => read_only,
            None => self.settings.lock().get("default_transaction_read_only").is_some_and(|value| value == "on"),
        };
        let mut transaction = self.transaction.lock();
        if !matches!(&*transaction, Transaction::Idle) {
            drop(transaction);
            self.notify(Severity::Warning, "25001", "there is already a transaction in progress");
            return Ok(tag("BEGIN"));
        }
        *transaction = Transaction::begun(read_only);
        self.settings.lock().begin();
        if let Some(Isolation::ReadCommitted | Isolation::ReadUncommitted | Isolation::Serializable) = modes.isolation {
            drop(transaction);
            self.notice("transactions run at snapshot isolation, whatever level is asked for");
        }
        Ok(tag("BEGIN"))
    }

    pub(super) fn end(&self, commit: bool, chain: bool) -> Result<Tag> {
        let mut transaction = self.transaction.lock();
        let (failed, idle) = match &*transaction {
            Transaction::Idle => (false, true),
            Transaction::Active { .. } => (false, false),
            Transaction::Failed => (true, false),
        };
        *transaction = match chain && !idle {
            true => Transaction::begun(false),
            false => Transaction::Idle,
        };
        drop(transaction);
        let committed = commit && !failed;
        self.settings.lock().end_transaction(committed);
        if idle {
            self.notify(Severity::Warning, "25P01", "there is no transaction in progress");
        }
        Ok(tag(if committed { "COMMIT" } else { "ROLLBACK" }))
    }

    pub(super) async fn prepare_named(&self, outer: &Prepared, prepare: &Prepare) -> Result<Tag> {
        if self.prepared.lock().contains_key(&prepare.name) {
            return Err(Error::new(
                ErrorKind::DuplicatePreparedStatement,
                format!("prepared statement \"{}\" already exists", prepare.name),
            ));
        }
        let mut parsed = outer.parsed.clone();
        parsed.statement = prepare.statement.as_ref().clone();
        let prepared = self.describe(&parsed, &prepare.types).await?;
        self.prepared.lock().insert(prepare.name.clone(), Arc::new(prepared));
        Ok(tag("PREPARE"))
    }

    pub(super) fn named(&self, name: &str) -> Result<Arc<Prepared>> {
        self.prepared.lock().get(name).cloned().ok_or_else(|| {
            Error::new(ErrorKind::InvalidSqlStatementName, format!("prepared statement \"{name}\" does not exist"))
        })
    }

    pub(super) async fn execute_named(
        &self,
        scope: &Scope,
        given: &Execute,
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        let prepared = self.named(&given.name)?;
        if given.arguments.len() != prepared.parameters.len() {
            return Err(Error::new(
                ErrorKind::SyntaxError,
                format!("wrong number of parameters for prepared statement \"{}\"", given.name),
            )
            .detail(format!(
                "Expected {} parameters but got {}.",
                prepared.parameters.len(),
                given.arguments.len()
            )));
        }
        let values: Vec<ScalarValue> = given
            .arguments
            .iter()
            .zip(&prepared.parameters)
            .map(|(argument, pg_type)| self.server.engine().constant(scope, argument, pg_type))
            .collect::<Result<_>>()?;
        Box::pin(execute::run(self, &prepared, values, &scope.progress, cancel)).await
    }

    pub(super) fn deallocate(&self, name: Option<&str>) -> Result<Tag> {
        match name {
            None => {
                self.prepared.lock().clear();
                Ok(tag("DEALLOCATE ALL"))
            }
            Some(name) => match self.prepared.lock().remove(name) {
                Some(_) => Ok(tag("DEALLOCATE")),
                None => Err(Error::new(
                    ErrorKind::InvalidSqlStatementName,
                    format!("prepared statement \"{name}\" does not exist"),
                )),
            },
        }
    }

    /// What session functions answer in a statement that starts now.
    pub(super) fn function_context(&self, version: &Arc<DbVersion>) -> Arc<FunctionContext> {
        let (reading, writing, sized) = (self.settings(), self.settings(), Arc::clone(version));
        let settings = self.settings.lock();
        Arc::new(FunctionContext {
            database: crate::session::DATABASE.to_owned(),
            user: self.login.user.clone(),
            session_user: self.login.user.clone(),
            search_path: settings.search_path(),
            catalog: Arc::clone(&version.catalog),
            time_zone: settings.time_zone(),
            started_at: self.server.clock().now(),
            server_started_at: self.server.started_at(),
            backend_pid: self.pid,
            client_address: self.login.address.clone(),
            read_setting: Arc::new(move |name| reading.lock().get(name)),
            write_setting: Arc::new(move |name, value, local| match local {
                true => writing.lock().set_local(name, value),
                false => writing.lock().set(name, value),
            }),
            size_of: Arc::new(move |oid: Oid| sized.snapshot(oid).ok().map(|table| table.files().size_bytes())),
            server: Arc::new(SessionFacts { server: Arc::clone(&self.server), settings: self.settings() }),
        })
    }

    /// The columns of statements that always give the same ones.
    pub(super) fn fixed_columns(&self, statement: &Statement) -> Option<Arc<[crate::session::reply::Column]>> {
        match statement {
            Statement::Show(Setting::Named(name)) => {
                Some(TextRows::new(&[SessionSettings::shown_name(name)]).columns())
            }
            Statement::Show(Setting::All) => Some(TextRows::new(&["name", "setting", "description"]).columns()),
            Statement::Describe(_) => Some(TextRows::new(crate::session::maintain::DESCRIBE_COLUMNS).columns()),
            Statement::DescribeHistory(_) => Some(TextRows::new(crate::session::maintain::HISTORY_COLUMNS).columns()),
            Statement::Optimize(_) => Some(TextRows::new(crate::session::maintain::OPTIMIZE_COLUMNS).columns()),
            Statement::Source(SourceStatement::Show) => {
                Some(TextRows::new(crate::session::sources::SHOW_COLUMNS).columns())
            }
            Statement::Vacuum(vacuum) if vacuum.dry_run => {
                Some(TextRows::new(crate::session::maintain::VACUUM_COLUMNS).columns())
            }
            _ => None,
        }
    }
}
