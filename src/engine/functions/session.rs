//! Functions about the session, the server and its settings.

use std::time::Duration;

use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::{Value, text_list};
use crate::error::{Error, ErrorKind, Result};

/// The PostgreSQL version that clients may rely on.
pub const SERVER_VERSION: &str = "16.6";

pub(super) const FUNCTIONS: &[Function] = &[
    Function::stable("version", &[Overload::new(&[], K::Text, version)]),
    Function::stable("current_database", &[Overload::new(&[], K::Name, |a| name(&a.session.database))]),
    Function::stable("current_catalog", &[Overload::new(&[], K::Name, |a| name(&a.session.database))]),
    Function::stable("current_schema", &[Overload::new(&[], K::Name, current_schema)]),
    Function::stable("current_schemas", &[Overload::new(&[K::Bool], K::Array(&K::Name), current_schemas)]),
    Function::stable("current_user", &[Overload::new(&[], K::Name, |a| name(&a.session.user))]),
    Function::stable("current_role", &[Overload::new(&[], K::Name, |a| name(&a.session.user))]),
    Function::stable("user", &[Overload::new(&[], K::Name, |a| name(&a.session.user))]),
    Function::stable("session_user", &[Overload::new(&[], K::Name, |a| name(&a.session.session_user))]),
    Function::stable(
        "pg_backend_pid",
        &[Overload::new(&[], K::Int4, |a| Ok(Value::Int(a.session.backend_pid.into())))],
    ),
    Function::stable("pg_postmaster_start_time", &[Overload::new(&[], K::Timestamptz, server_start)]),
    Function::stable("pg_conf_load_time", &[Overload::new(&[], K::Timestamptz, server_start)]),
    Function::stable(
        "current_setting",
        &[
            Overload::new(&[K::Text], K::Text, current_setting),
            Overload::new(&[K::Text, K::Bool], K::Text, current_setting),
        ],
    ),
    Function::volatile("set_config", &[Overload::with_nulls(&[K::Text, K::Text, K::Bool], K::Text, set_config)]),
    Function::stable("pg_is_in_recovery", &[Overload::new(&[], K::Bool, |_| Ok(Value::Bool(false)))]),
    Function::stable("pg_is_wal_replay_paused", &[Overload::new(&[], K::Bool, |_| Ok(Value::Bool(false)))]),
    Function::stable("inet_server_addr", &[Overload::new(&[], K::Text, |_| Ok(Value::Null))]),
    Function::stable("inet_server_port", &[Overload::new(&[], K::Int4, |_| Ok(Value::Null))]),
    Function::stable("inet_client_addr", &[Overload::new(&[], K::Text, client_address)]),
    Function::stable("inet_client_port", &[Overload::new(&[], K::Int4, |_| Ok(Value::Null))]),
    Function::stable("txid_current", &[Overload::new(&[], K::Int8, transaction)]),
    Function::stable("pg_current_xact_id", &[Overload::new(&[], K::Int8, transaction)]),
    Function::stable("pg_current_xact_id_if_assigned", &[Overload::new(&[], K::Int8, |_| Ok(Value::Null))]),
    Function::volatile("pg_sleep", &[Overload::new(&[K::Float8], K::Void, sleep)]),
    Function::stable("pg_my_temp_schema", &[Overload::new(&[], K::Oid, |_| Ok(Value::Int(0)))]),
    Function::stable("pg_is_other_temp_schema", &[Overload::new(&[K::Oid], K::Bool, |_| Ok(Value::Bool(false)))]),
    Function::stable("pg_client_encoding", &[Overload::new(&[], K::Name, |_| name("UTF8"))]),
    Function::volatile("pg_advisory_lock", &[Overload::new(&[K::Int8], K::Void, no_locks)]),
    Function::stable("pg_encoding_max_length", &[Overload::new(&[K::Int4], K::Int4, |_| Ok(Value::Int(4)))]),
    Function::volatile("clock_timestamp", &[Overload::new(&[], K::Timestamptz, clock_timestamp)]),
    Function::stable("now", &[Overload::new(&[], K::Timestamptz, now)]),
    Function::stable("current_timestamp", &[Overload::variadic(&[K::Int4], K::Timestamptz, now)]),
    Function::stable("transaction_timestamp", &[Overload::new(&[], K::Timestamptz, now)]),
    Function::stable("statement_timestamp", &[Overload::new(&[], K::Timestamptz, now)]),
    Function::stable("localtimestamp", &[Overload::variadic(&[K::Int4], K::Timestamp, local_timestamp)]),
    Function::stable("current_date", &[Overload::new(&[], K::Date, current_date)]),
    Function::stable("current_time", &[Overload::variadic(&[K::Int4], K::Time, local_time)]),
    Function::stable("localtime", &[Overload::variadic(&[K::Int4], K::Time, local_time)]),
];

fn name(text: &str) -> Result<Value<'static>> {
    Ok(Value::text(text))
}

/// `PostgreSQL 16.6 (Headwater 0.1.0)`: tools read the first two words, people the rest.
fn version(_: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::text(format!(
        "PostgreSQL {SERVER_VERSION} (Headwater {}) on {}-{}, compiled by rustc, 64-bit",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )))
}

fn current_schema(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::optional_text(arguments.session.current_schema()))
}

fn current_schemas(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let path = &arguments.session.search_path;
    let implicit = arguments.boolean(0)? && !path.iter().any(|schema| schema == "pg_catalog");
    let listed = path.iter().map(String::as_str).filter(|schema| arguments.session.catalog.schema(schema).is_some());
    Ok(text_list(implicit.then_some("pg_catalog").into_iter().chain(listed).map(Some)))
}

fn server_start(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Timestamp(arguments.session.server_started_at.timestamp_micros()))
}

fn current_setting(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let name = arguments.text(0)?;
    match (arguments.session.read_setting)(&name.to_ascii_lowercase()) {
        Some(value) => Ok(Value::text(value)),
        None if arguments.len() > 1 && arguments.boolean(1)? => Ok(Value::Null),
        None => Err(Error::new(ErrorKind::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""))),
    }
}

fn set_config(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let name = arguments.text(0)?.to_ascii_lowercase();
    let value = if arguments.is_null(1) { "" } else { arguments.text(1)? };
    let local = !arguments.is_null(2) && arguments.boolean(2)?;
    (arguments.session.write_setting)(&name, value, local)?;
    Ok(Value::text((arguments.session.read_setting)(&name).unwrap_or_else(|| value.to_owned())))
}

fn client_address(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::optional_text(arguments.session.client_address.clone()))
}

/// A number that grows from statement to statement, as tools expect of a transaction's number.
fn transaction(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Int(arguments.session.started_at.timestamp_micros()))
}

/// Waits in the thread that evaluates the row, at most a tenth of a second at a time.
fn sleep(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let seconds = arguments.float(0)?;
    if seconds > 0.0 {
        let wait = Duration::try_from_secs_f64(seconds)
            .map_err(|_| Error::new(ErrorKind::InvalidParameterValue, "pg_sleep: the duration is too long"))?;
        std::thread::sleep(wait);
    }
    Ok(Value::text(""))
}

fn no_locks(_: &Arguments<'_>) -> Result<Value<'static>> {
    Err(Error::unsupported("advisory locks are not available")
        .hint("Writers to one table wait for each other already; use a table row as a lock where more is needed."))
}

fn now(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Timestamp(arguments.session.started_at.timestamp_micros()))
}

fn clock_timestamp(_: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Timestamp(crate::clock::Clock::Real.now().timestamp_micros()))
}

fn local_micros(arguments: &Arguments<'_>) -> i64 {
    let moment = arguments.session.moment();
    moment.now.with_timezone(&moment.zone).naive_local().and_utc().timestamp_micros()
}

fn local_timestamp(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Timestamp(local_micros(arguments)))
}

fn current_date(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let days = local_micros(arguments).div_euclid(86_400_000_000);
    Ok(Value::Date(i32::try_from(days).map_err(|_| Error::new(ErrorKind::DatetimeFieldOverflow, "date out of range"))?))
}

fn local_time(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Time(local_micros(arguments).rem_euclid(86_400_000_000)))
}
