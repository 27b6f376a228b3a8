//! Versions of the catalog file. A step is never edited once released: a later step changes what it made.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::catalog::definition::{RoleDef, SchemaDef};
use crate::catalog::name::Oid;
use crate::catalog::store::sqlite_error;
use crate::error::{Error, ErrorKind, Result};

/// Marks the file as ours (`HDWR`), so that another program's SQLite file is not taken for a catalog.
const APPLICATION_ID: i64 = 0x4844_5752;

type Step = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Step `n` brings a file from version `n` to version `n + 1`.
const STEPS: &[Step] = &[create, admit_sources];

/// Brings the file to the version that this program writes, or says why it cannot be used.
pub(super) fn run(connection: &mut Connection, name: &str) -> Result<()> {
    take(STEPS, connection, name)
}

/// Takes the steps that the file lacks, all in one transaction.
fn take(steps: &[Step], connection: &mut Connection, name: &str) -> Result<()> {
    let failed = |error: rusqlite::Error| sqlite_error(name, &error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let pragma =
        |pragma: &str| transaction.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failed);
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let is_new = application == 0 && version == 0 && tables == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(Error::new(ErrorKind::DataCorrupted, format!("\"{name}\" is not a Headwater catalog"))
            .detail("It is an SQLite file of another program.")
            .hint("Name another folder with --data."));
    }
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > steps.len() {
        return Err(Error::new(
            ErrorKind::ObjectNotInPrerequisiteState,
            format!("the catalog \"{name}\" has version {version}; this program reads up to {}", steps.len()),
        )
        .hint("Use the release of Headwater that wrote it, or a later one."));
    }
    for step in &steps[version..] {
        step(&transaction).map_err(failed)?;
    }
    if version < steps.len() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", i64::try_from(steps.len()).unwrap_or(i64::MAX))
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Version 1: objects, what they depend on, counters; the first role and the schema `public`.
fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE object (
             oid INTEGER PRIMARY KEY,
             kind TEXT NOT NULL CHECK (kind IN ('schema', 'relation', 'role')),
             schema_oid INTEGER NOT NULL,
             name TEXT NOT NULL,
             body TEXT NOT NULL,
             UNIQUE (kind, schema_oid, name)
         ) STRICT;
         CREATE TABLE dependency (
             oid INTEGER NOT NULL REFERENCES object (oid),
             depends_on INTEGER NOT NULL,
             PRIMARY KEY (oid, depends_on)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
    )?;
    let insert =
        |name: &str, value: u32| transaction.execute("INSERT INTO counter VALUES (?1, ?2)", params![name, value]);
    insert("next_oid", Oid::FIRST_USER.0)?;
    insert("generation", 0)?;
    let public = SchemaDef {
        oid: Oid::PUBLIC,
        name: "public".to_owned(),
        owner: Oid::FIRST_ROLE,
        comment: Some("standard public schema".to_owned()),
    };
    let role = RoleDef {
        oid: Oid::FIRST_ROLE,
        name: "headwater".to_owned(),
        verifier: None,
        superuser: true,
        login: true,
        settings: std::collections::BTreeMap::new(),
    };
    object(transaction, "schema", public.oid, &public.name, &public)?;
    object(transaction, "role", role.oid, &role.name, &role)
}

/// Version 2: sources are objects too. SQLite cannot change a CHECK: the table is made anew, without those who point to it.
fn admit_sources(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE dependency_before AS SELECT oid, depends_on FROM dependency;
         DROP TABLE dependency;
         ALTER TABLE object RENAME TO object_before;
         CREATE TABLE object (
             oid INTEGER PRIMARY KEY,
             kind TEXT NOT NULL CHECK (kind IN ('schema', 'relation', 'role', 'source')),
             schema_oid INTEGER NOT NULL,
             name TEXT NOT NULL,
             body TEXT NOT NULL,
             UNIQUE (kind, schema_oid, name)
         ) STRICT;
         INSERT INTO object SELECT oid, kind, schema_oid, name, body FROM object_before;
         DROP TABLE object_before;
         CREATE TABLE dependency (
             oid INTEGER NOT NULL REFERENCES object (oid),
             depends_on INTEGER NOT NULL,
             PRIMARY KEY (oid, depends_on)
         ) STRICT, WITHOUT ROWID;
         INSERT INTO dependency SELECT oid, depends_on FROM dependency_before;
         DROP TABLE dependency_before;",
    )
}

fn object(
    transaction: &Transaction<'_>,
    kind: &str,
    oid: Oid,
    name: &str,
    definition: &impl serde::Serialize,
) -> rusqlite::Result<()> {
    let body =
        serde_json::to_string(definition).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    transaction.execute("INSERT INTO object VALUES (?1, ?2, 0, ?3, ?4)", params![oid.0, kind, name, body])?;
    Ok(())
}

#[cfg(test)]
mod tests;
