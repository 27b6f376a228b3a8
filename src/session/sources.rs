//! CREATE, ALTER, DROP of sources, and SHOW SOURCES.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::buffer::TableChanges;
use crate::catalog::definition::{ConnectorKind, EVENT_OPTIONS, RelationDef, SourceDef};
use crate::catalog::name::{ObjectName, Oid};
use crate::catalog::pg_type::PgType;
use crate::catalog::{Snapshot, describe_source};
use crate::dialect;
use crate::dialect::{
    AlterSource, Choice, CreateSource, CreateTable, DropSource, SourceChange, SourceStatement, Statement,
};
use crate::engine::Scope;
use crate::engine::create::event_watermark;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::sources::{LEDGER_COLUMNS, Reset, options};
use crate::session::Session;
use crate::session::define::{closed, delete_folders};
use crate::session::reply::{Reply, RowsTag, Tag};
use crate::session::rows::TextRows;

pub(super) const SHOW_COLUMNS: &[&str] =
    &["name", "table", "connector", "state", "rows", "dead_letters", "lag_rows", "lag_ms", "last_error"];

/// Why a source does not read that a user has paused.
const PAUSED_BY_USER: &str = "ALTER SOURCE ... PAUSE";

impl Session {
    pub(super) async fn source_statement(
        &self,
        scope: &Scope,
        statement: &SourceStatement,
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        match statement {
            SourceStatement::Create(create) => self.create_source(scope, create, cancel).await.map(Reply::Done),
            SourceStatement::Alter(alter) => self.alter_source(scope, alter).await.map(Reply::Done),
            SourceStatement::Drop(drop) => self.drop_source(scope, drop).await.map(Reply::Done),
            SourceStatement::Show => self.show_sources(scope),
        }
    }

    async fn create_source(&self, scope: &Scope, create: &CreateSource, cancel: &CancellationToken) -> Result<Tag> {
        let tag = Tag("CREATE SOURCE".to_owned());
        let (schema, _) = self.place(scope, &create.name)?;
        if scope.version.catalog.source_in(schema, &create.name.name).is_some() {
            let message = format!("source \"{}\" already exists", create.name.name);
            if !create.if_not_exists {
                return Err(Error::new(ErrorKind::DuplicateObject, message));
            }
            self.notice(format!("{message}, skipping"));
            return Ok(tag);
        }
        let create = &with_options_apart(create);
        let checked = options::check(create.format, create.encoding, &create.options)?;
        if checked.connector == ConnectorKind::Files {
            self.server.engine().allowed_location(&checked.options["path"])?;
        }
        let mut made = Vec::new();
        let finished = async {
            let table = self.table_of(scope, create, &mut made, cancel).await?;
            let ledger = match checked.connector {
                ConnectorKind::Files => Some(self.ledger_of(scope, create, &mut made, cancel).await?),
                ConnectorKind::Nats | ConnectorKind::Kafka => None,
            };
            let source = SourceDef {
                oid: Oid::NONE,
                schema,
                name: create.name.name.clone(),
                owner: scope.version.catalog.require_role(&self.login.user)?.oid,
                table,
                ledger,
                identity: uuid::Uuid::new_v4().simple().to_string(),
                connector: checked.connector,
                format: create.format,
                encoding: create.encoding,
                sequence: create.sequence.clone(),
                options: checked.options.clone(),
                secrets: checked.secrets.clone(),
                pause: None,
            };
            self.server.buffer().define(|draft| draft.create_source(source), |_| TableChanges::default())
        };
        if let Err(error) = finished.await {
            // What was made for it goes again.
            if !made.is_empty() {
                self.forget(&made, false)?;
            }
            return Err(error);
        }
        self.server.sources().follow().await;
        Ok(tag)
    }

    /// The table that the source fills: one that is there, or a new one.
    async fn table_of(
        &self,
        scope: &Scope,
        create: &CreateSource,
        made: &mut Vec<Oid>,
        cancel: &CancellationToken,
    ) -> Result<Oid> {
        let (schema, taken) = self.place(scope, &create.table.name)?;
        if taken && create.into {
            let relation = scope.version.catalog.require(&create.table.name, scope.search_path())?;
            if relation.table().is_none() {
                return Err(Error::new(ErrorKind::WrongObjectType, format!("\"{}\" is not a table", relation.name)));
            }
            refuse_other_columns(&relation, &create.table)?;
            refuse_other_watermark(scope, &relation, &create.table)?;
            return Ok(relation.oid);
        }
        if create.table.columns.is_empty() {
            let message = format!("table \"{}\" does not exist", create.table.name);
            return Err(Error::new(ErrorKind::UndefinedTable, message)
                .hint("Give the source columns, and it makes the table; or make the table first."));
        }
        self.make_table(scope, &create.table, schema, made, cancel).await
    }

    /// The table in which the source keeps which files it has read.
    async fn ledger_of(
        &self,
        scope: &Scope,
        create: &CreateSource,
        made: &mut Vec<Oid>,
        cancel: &CancellationToken,
    ) -> Result<Oid> {
        let name = ObjectName { name: format!("{}$files", create.name.name), ..create.name.clone() };
        let text = format!("CREATE TABLE {} ({LEDGER_COLUMNS})", name.quoted());
        let Some(Statement::CreateTable(ledger)) = dialect::parse(&text)?.pop().map(|parsed| parsed.statement) else {
            return Err(Error::internal("the ledger's definition is no CREATE TABLE"));
        };
        let (schema, _) = self.place(scope, &name)?;
        self.make_table(scope, &ledger, schema, made, cancel).await
    }

    async fn make_table(
        &self,
        scope: &Scope,
        table: &CreateTable,
        schema: Oid,
        made: &mut Vec<Oid>,
        cancel: &CancellationToken,
    ) -> Result<Oid> {
        self.create_table(scope, table, &[], cancel).await?;
        let held = self.server.buffer().current().catalog.relation_in(schema, &table.name.name);
        let oid = held.ok_or_else(|| Error::internal("a table that was just made is gone"))?.oid;
        made.push(oid);
        Ok(oid)
    }

    /// Drops tables that were made for something that did not come to be, or that is gone.
    fn forget(&self, tables: &[Oid], cascade: bool) -> Result<()> {
        let version = self.server.buffer().current();
        let gone = self.server.buffer().define(|draft| draft.drop_relations(tables, cascade), |gone| closed(gone))?;
        delete_folders(&version, &gone);
        Ok(())
    }

    async fn alter_source(&self, scope: &Scope, alter: &AlterSource) -> Result<Tag> {
        let tag = Tag("ALTER SOURCE".to_owned());
        let Some(source) = self.source(scope, &alter.name, alter.if_exists)? else { return Ok(tag) };
        let pause = |reason: Option<String>| {
            self.server.buffer().define(|draft| draft.pause_source(source.oid, reason), |()| TableChanges::default())
        };
        let sources = self.server.sources();
        match &alter.change {
            SourceChange::Pause => pause(Some(PAUSED_BY_USER.to_owned()))?,
            SourceChange::Resume => pause(None)?,
            SourceChange::ResetToOffset(offset) => {
                if *offset < 0 {
                    return Err(Error::new(ErrorKind::InvalidParameterValue, "an offset is not negative"));
                }
                sources.reset(&source, Reset::Offset(*offset)).await?;
            }
            SourceChange::ResetToTimestamp(expression) => {
                let moment = self.server.engine().moment(scope, expression)?;
                sources.reset(&source, Reset::Moment(moment)).await?;
            }
        }
        sources.follow().await;
        Ok(tag)
    }

    async fn drop_source(&self, scope: &Scope, drop: &DropSource) -> Result<Tag> {
        let tag = Tag("DROP SOURCE".to_owned());
        for name in &drop.names {
            let Some(source) = self.source(scope, name, drop.if_exists)? else { continue };
            let version = self.server.buffer().current();
            let ledger: Vec<Oid> = source.ledger.into_iter().collect();
            let gone = self.server.buffer().define(
                |draft| {
                    draft.drop_source(source.oid)?;
                    draft.drop_relations(&ledger, false)
                },
                |gone| closed(gone),
            )?;
            self.server.sources().follow().await;
            delete_folders(&version, &gone);
        }
        Ok(tag)
    }

    fn source(&self, scope: &Scope, name: &ObjectName, if_exists: bool) -> Result<Option<Arc<SourceDef>>> {
        match scope.version.catalog.require_source(name, scope.search_path()) {
            Err(error) if if_exists && error.kind() == ErrorKind::UndefinedObject => {
                self.notice(format!("source \"{name}\" does not exist, skipping"));
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    fn show_sources(&self, scope: &Scope) -> Result<Reply> {
        let catalog = &scope.version.catalog;
        let mut rows = TextRows::new(SHOW_COLUMNS);
        for source in self.server.sources().list() {
            rows = rows.row(&[
                Some(source.name),
                catalog.relation_by_oid(source.table).map(|table| catalog.name_of(&table).to_string()),
                Some(source.connector.to_owned()),
                Some(source.state.name().to_owned()),
                Some(source.rows.to_string()),
                Some(source.dead_letters.to_string()),
                source.lag_rows.map(|lag| lag.to_string()),
                source.lag_ms.map(|lag| lag.to_string()),
                source.last_error,
            ]);
        }
        rows.reply(RowsTag::Show)
    }

    /// A DROP ... CASCADE has taken sources along: their tasks end, and it is said.
    pub(super) async fn follow_dropped_sources(&self, before: &Snapshot) -> Result<()> {
        let now = Arc::clone(&self.server.buffer().current().catalog);
        let gone: Vec<_> = before.sources().filter(|source| now.source_by_oid(source.oid).is_none()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.server.sources().follow().await;
        for source in gone {
            self.notice(format!("drop cascades to {}", describe_source(before, source)));
            if let Some(ledger) = source.ledger.filter(|ledger| now.relation_by_oid(*ledger).is_some()) {
                self.forget(&[ledger], true)?;
            }
        }
        Ok(())
    }
}

/// The statement with the options of the table beside the table.
fn with_options_apart(create: &CreateSource) -> CreateSource {
    let mut create = create.clone();
    let is_of_table = |choice: &mut Choice| EVENT_OPTIONS.contains(&choice.name.as_str());
    create.table.options.list = create.options.list.extract_if(.., is_of_table).collect();
    create
}

/// A watermark that is given for a table that is there must be its own.
fn refuse_other_watermark(scope: &Scope, relation: &RelationDef, given: &CreateTable) -> Result<()> {
    let held = relation.table().and_then(|table| table.event_watermark.as_ref());
    let alter = |message: String| {
        let error = Error::new(ErrorKind::InvalidTableDefinition, message);
        error.hint("ALTER TABLE changes the table: ADD WATERMARK FOR, DROP WATERMARK FOR, SET (late = ...).")
    };
    if let Some(choice) = given.options.list.first() {
        let message =
            format!("table \"{}\" is there: option \"{}\" is not set by a source", relation.name, choice.name);
        return Err(alter(message).at(choice.position));
    }
    let Some(watermark) = &given.watermark else { return Ok(()) };
    let new = event_watermark(scope, watermark)?;
    match held.is_some_and(|held| (&held.column, held.delay_micros) == (&new.column, new.delay_micros)) {
        true => Ok(()),
        false => {
            Err(alter(format!("table \"{}\" has another watermark, or none", relation.name)).at(watermark.position))
        }
    }
}

/// Columns that are given for a table that is there must be its own.
fn refuse_other_columns(relation: &RelationDef, given: &CreateTable) -> Result<()> {
    let fits = |name: &str, pg_type: &PgType| relation.column(name).is_some_and(|held| held.pg_type == *pg_type);
    match given.columns.iter().find(|column| !fits(&column.name, &column.pg_type)) {
        None => Ok(()),
        Some(column) => {
            let what =
                format!("table \"{}\" has no column \"{}\" of type {}", relation.name, column.name, column.pg_type);
            Err(Error::new(ErrorKind::DatatypeMismatch, what).hint("Leave the columns out to take those of the table."))
        }
    }
}
