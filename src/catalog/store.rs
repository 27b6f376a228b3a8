//! The catalog on disk: an SQLite file with one row an object, its definition as JSON.
//!
//! Every change is one transaction, on disk before it returns (WAL mode, `synchronous = FULL`).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::catalog::definition::{RelationDef, RoleDef, SchemaDef, SourceDef};
use crate::catalog::draft::Write;
use crate::catalog::name::Oid;
use crate::catalog::snapshot::{Snapshot, references};
use crate::error::{Error, ErrorKind, Result};

mod migrations;

/// How long a change waits for another process that has the file, such as a backup.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The open catalog file.
pub(super) struct Store {
    connection: Connection,
    /// For messages.
    name: String,
}

/// What a store holds.
pub(super) struct Loaded {
    pub snapshot: Snapshot,
    pub next_oid: u32,
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        protect(path).map_err(|error| Error::from(error).within(format!("cannot open the catalog \"{name}\"")))?;
        let connection = Connection::open(path).map_err(|error| sqlite_error(&name, &error))?;
        Self::prepare(connection, name)
    }

    #[cfg(test)]
    pub(super) fn in_memory() -> Result<Self> {
        let name = ":memory:".to_owned();
        let connection = Connection::open_in_memory().map_err(|error| sqlite_error(&name, &error))?;
        Self::prepare(connection, name)
    }

    fn prepare(connection: Connection, name: String) -> Result<Self> {
        let mut store = Self { connection, name };
        store.configure().map_err(|error| store.error(&error))?;
        let damage = store.damage()?;
        if let Some(first) = damage.first() {
            return Err(Error::new(ErrorKind::DataCorrupted, format!("the catalog \"{}\" is damaged", store.name))
                .detail(first.clone())
                .hint("Restore the file from a backup. The tables are Delta folders and are not affected."));
        }
        migrations::run(&mut store.connection, &store.name)?;
        Ok(store)
    }

    fn configure(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(BUSY_WAIT)?;
        let _mode: String = self.connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        self.connection.pragma_update(None, "synchronous", "full")?;
        self.connection.pragma_update(None, "foreign_keys", "on")
    }

    /// What SQLite finds wrong with the file.
    pub(super) fn damage(&self) -> Result<Vec<String>> {
        let check = || {
            let mut statement = self.connection.prepare("PRAGMA integrity_check(20)")?;
            let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
            lines.collect::<rusqlite::Result<Vec<_>>>()
        };
        let lines = check().map_err(|error| self.error(&error))?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// Reads everything.
    pub(super) fn load(&self) -> Result<Loaded> {
        let mut snapshot = Snapshot::empty();
        for row in self.rows()? {
            match row.kind.as_str() {
                "schema" => snapshot.put_schema(self.decode::<SchemaDef>(&row)?),
                "relation" => snapshot.put_relation(self.decode::<RelationDef>(&row)?),
                "role" => snapshot.put_role(self.decode::<RoleDef>(&row)?),
                "source" => snapshot.put_source(self.decode::<SourceDef>(&row)?),
                other => {
                    return Err(self.corrupted(format!("object {} has the unknown kind \"{other}\"", row.oid)));
                }
            }
        }
        let counter = |name: &str| {
            self.connection
                .query_row("SELECT value FROM counter WHERE name = ?1", [name], |row| row.get::<_, i64>(0))
                .map_err(|error| self.error(&error))
        };
        let next_oid = u32::try_from(counter("next_oid")?)
            .map_err(|_| self.corrupted("the counter of object numbers is out of range".to_owned()))?;
        snapshot.generation = counter("generation")?.unsigned_abs();
        Ok(Loaded { snapshot, next_oid })
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let read = || {
            let mut statement = self.connection.prepare("SELECT oid, kind, name, body FROM object ORDER BY oid")?;
            let rows = statement.query_map([], |row| {
                Ok(Row { oid: row.get(0)?, kind: row.get(1)?, name: row.get(2)?, body: row.get(3)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| self.error(&error))
    }

    fn decode<T: DeserializeOwned>(&self, row: &Row) -> Result<T> {
        serde_json::from_str(&row.body).map_err(|error| {
            self.corrupted(format!(
                "the definition of {} \"{}\" (number {}) cannot be read: {error}",
                row.kind, row.name, row.oid
            ))
        })
    }

    /// Writes the final states in one transaction. On an error nothing was written.
    pub(super) fn commit(&mut self, writes: &[Write], next_oid: u32) -> Result<()> {
        let name = self.name.clone();
        let failed = |error: rusqlite::Error| sqlite_error(&name, &error);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        for write in writes {
            match write {
                Write::Delete(oid) => delete(&transaction, *oid).map_err(failed)?,
                Write::Schema(schema) => {
                    put(&transaction, &Key::of("schema", schema.oid, None, &schema.name), &**schema)?;
                }
                Write::Role(role) => put(&transaction, &Key::of("role", role.oid, None, &role.name), &**role)?,
                Write::Relation(relation) => {
                    let key = Key::of("relation", relation.oid, Some(relation.schema), &relation.name);
                    put(&transaction, &key, &**relation)?;
                    depend(&transaction, relation.oid, references(relation)).map_err(failed)?;
                }
                Write::Source(source) => {
                    put(&transaction, &Key::of("source", source.oid, Some(source.schema), &source.name), &**source)?;
                    depend(&transaction, source.oid, source.references()).map_err(failed)?;
                }
            }
        }
        transaction.execute("UPDATE counter SET value = ?1 WHERE name = 'next_oid'", [next_oid]).map_err(failed)?;
        transaction.execute("UPDATE counter SET value = value + 1 WHERE name = 'generation'", []).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    fn error(&self, error: &rusqlite::Error) -> Error {
        sqlite_error(&self.name, error)
    }

    fn corrupted(&self, detail: String) -> Error {
        Error::new(ErrorKind::DataCorrupted, format!("the catalog \"{}\" is damaged", self.name)).detail(detail)
    }

    /// For tests that let SQLite fail.
    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

struct Row {
    oid: u32,
    kind: String,
    name: String,
    body: String,
}

struct Key<'a> {
    kind: &'static str,
    oid: Oid,
    schema: Oid,
    name: &'a str,
}

impl<'a> Key<'a> {
    fn of(kind: &'static str, oid: Oid, schema: Option<Oid>, name: &'a str) -> Self {
        Self { kind, oid, schema: schema.unwrap_or(Oid::NONE), name }
    }
}

fn put(connection: &Connection, key: &Key<'_>, definition: &impl Serialize) -> Result<()> {
    let body = serde_json::to_string(definition)
        .map_err(|error| Error::internal(format!("the definition of \"{}\" cannot be written: {error}", key.name)))?;
    let write = || {
        delete(connection, key.oid)?;
        connection.execute(
            "INSERT INTO object (oid, kind, schema_oid, name, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![key.oid.0, key.kind, key.schema.0, key.name, body],
        )
    };
    write().map_err(|error| sqlite_error("catalog", &error))?;
    Ok(())
}

fn depend(connection: &Connection, oid: Oid, on: impl IntoIterator<Item = Oid>) -> rusqlite::Result<()> {
    for referenced in on {
        connection.execute("INSERT INTO dependency VALUES (?1, ?2)", params![oid.0, referenced.0])?;
    }
    Ok(())
}

fn delete(connection: &Connection, oid: Oid) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM dependency WHERE oid = ?1", [oid.0])?;
    connection.execute("DELETE FROM object WHERE oid = ?1", [oid.0])?;
    Ok(())
}

/// Makes sure that the file is its owner's alone before anything is written: it holds password verifiers.
fn protect(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn sqlite_error(name: &str, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (ErrorKind::DiskFull, "Free space on the disk of the database folder."),
        Some(ErrorCode::NotADatabase) => {
            (ErrorKind::DataCorrupted, "The file is not a catalog: restore it from a backup, or name another folder.")
        }
        Some(ErrorCode::DatabaseCorrupt) => (ErrorKind::DataCorrupted, "Restore the file from a backup."),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::LockNotAvailable, "Another process has the file: end it, or try again.")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (ErrorKind::InsufficientPrivilege, "Make the file and its folder writable for the user of the server.")
        }
        _ => (ErrorKind::IoError, "Look at the disk and at the permissions of the folder."),
    };
    Error::new(kind, format!("the catalog \"{name}\" failed: {error}")).hint(hint)
}
