//! What is one a server: schemas, the database, roles, access methods, languages, collations.

use crate::catalog::definition::RoleDef;
use crate::catalog::name::Oid;
use crate::engine::facts::shapes::Shape;
use crate::engine::facts::{Fact, FactContext, Key, Maker, Row};
use crate::engine::functions::value::Value;
use crate::error::Result;

pub(super) const FACTS: &[Fact] = &[
    Fact { relation: "pg_namespace", key: &["oid", "nspname"], make: Maker::Now(schemas) },
    Fact { relation: "pg_database", key: &[], make: Maker::Now(databases) },
    Fact { relation: "pg_authid", key: &[], make: Maker::Now(roles) },
    Fact { relation: "pg_roles", key: &[], make: Maker::Now(roles) },
    Fact { relation: "pg_user", key: &[], make: Maker::Now(users) },
    Fact { relation: "pg_shadow", key: &[], make: Maker::Now(users) },
    Fact { relation: "pg_am", key: &[], make: Maker::Now(access_methods) },
    Fact { relation: "pg_language", key: &[], make: Maker::Now(languages) },
    Fact { relation: "pg_collation", key: &[], make: Maker::Now(collations) },
    Fact { relation: "pg_tablespace", key: &[], make: Maker::Now(tablespaces) },
    Fact { relation: "pg_extension", key: &[], make: Maker::Now(extensions) },
    Fact { relation: "pg_stat_activity", key: &[], make: Maker::Now(activity) },
];

/// The number of the database.
const DATABASE: u32 = 5;
/// UTF8 in `pg_encoding_to_char`.
const UTF8: i32 = 6;

fn schemas(context: &FactContext, shape: &'static Shape, key: Option<&Key>) -> Result<Vec<Row>> {
    let schemas = context.session.catalog.schemas().filter(|schema| Key::wants(key, schema.oid.0, &schema.name));
    let row = |schema: &std::sync::Arc<crate::catalog::definition::SchemaDef>| {
        Row::new(shape).set("oid", schema.oid.0).set("nspname", schema.name.as_str()).set("nspowner", schema.owner.0)
    };
    Ok(schemas.map(row).collect())
}

fn databases(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    Ok(vec![
        Row::new(shape)
            .set("oid", DATABASE)
            .set("datname", context.session.database.as_str())
            .set("datdba", Oid::FIRST_ROLE.0)
            .set("encoding", UTF8)
            .set("datlocprovider", "c")
            .set("datallowconn", true)
            .set("datconnlimit", -1)
            .set("dattablespace", 1663u32)
            .set("datcollate", "C")
            .set("datctype", "C.UTF-8"),
    ])
}

fn roles(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let row = |role: &std::sync::Arc<RoleDef>| {
        Row::new(shape)
            .set("oid", role.oid.0)
            .set("rolname", role.name.as_str())
            .set("rolsuper", role.superuser)
            .set("rolinherit", true)
            .set("rolcreaterole", role.superuser)
            .set("rolcreatedb", role.superuser)
            .set("rolcanlogin", role.login)
            .set("rolbypassrls", role.superuser)
            .set("rolconnlimit", -1)
            .set("rolpassword", role.verifier.as_ref().map(|_| "********"))
    };
    Ok(context.session.catalog.roles().map(row).collect())
}

fn users(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let row = |role: &std::sync::Arc<RoleDef>| {
        Row::new(shape)
            .set("usename", role.name.as_str())
            .set("usesysid", role.oid.0)
            .set("usecreatedb", role.superuser)
            .set("usesuper", role.superuser)
            .set("usebypassrls", role.superuser)
            .set("passwd", "********")
    };
    Ok(context.session.catalog.roles().filter(|role| role.login).map(row).collect())
}

fn access_methods(_: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let row =
        |(oid, name, kind): (u32, &str, &str)| Row::new(shape).set("oid", oid).set("amname", name).set("amtype", kind);
    Ok([(2, "delta", "t"), (403, "btree", "i")].map(row).into())
}

fn languages(_: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let row = |(oid, name, trusted): (u32, &str, bool)| {
        let row = Row::new(shape).set("oid", oid).set("lanname", name).set("lanowner", Oid::FIRST_ROLE.0);
        row.set("lanpltrusted", trusted)
    };
    Ok([(12, "internal", false), (14, "sql", true)].map(row).into())
}

fn collations(_: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let row = |(oid, name, provider, locale): (u32, &str, &str, Option<&str>)| {
        Row::new(shape)
            .set("oid", oid)
            .set("collname", name)
            .set("collnamespace", Oid::PG_CATALOG.0)
            .set("collowner", Oid::FIRST_ROLE.0)
            .set("collprovider", provider)
            .set("collisdeterministic", true)
            .set("collencoding", -1)
            .set("collcollate", locale)
            .set("collctype", locale)
    };
    Ok([(100, "default", "d", None), (950, "C", "c", Some("C")), (951, "POSIX", "c", Some("POSIX"))].map(row).into())
}

fn tablespaces(_: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let row = |(oid, name): (u32, &str)| {
        Row::new(shape).set("oid", oid).set("spcname", name).set("spcowner", Oid::FIRST_ROLE.0)
    };
    Ok([(1663, "pg_default"), (1664, "pg_global")].map(row).into())
}

fn extensions(_: &FactContext, _: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    Ok(Vec::new())
}

/// The session that asks.
fn activity(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let session = &context.session;
    let role = session.catalog.role(&session.user).map(|role| role.oid.0);
    let started = Value::Timestamp(session.started_at.timestamp_micros());
    Ok(vec![
        Row::new(shape)
            .set("datid", DATABASE)
            .set("datname", session.database.as_str())
            .set("pid", session.backend_pid)
            .set("usesysid", role)
            .set("usename", session.user.as_str())
            .set("application_name", (session.read_setting)("application_name"))
            .set("client_addr", session.client_address.clone())
            .set("xact_start", started.clone())
            .set("query_start", started.clone())
            .set("state_change", started)
            .set("state", "active")
            .set("backend_type", "client backend"),
    ])
}
