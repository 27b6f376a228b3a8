//! What goes on: sessions, statements, sources, settings.

use chrono::{DateTime, Utc};

use crate::config::SettingRow;
use crate::engine::facts::shapes::Shape;
use crate::engine::facts::sources::SourceState;
use crate::engine::facts::{Fact, FactContext, Key, Maker, Row};
use crate::engine::functions::value::Value;
use crate::error::Result;

pub(super) const FACTS: &[Fact] = &[
    Fact { relation: "facts.sessions", key: &[], make: Maker::Now(sessions) },
    Fact { relation: "facts.statements", key: &[], make: Maker::Now(statements) },
    Fact { relation: "facts.sources", key: &[], make: Maker::Now(sources) },
    Fact { relation: "facts.settings", key: &[], make: Maker::Now(settings) },
];

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn sessions(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let sessions = context.session.server.sessions();
    let rows = sessions.into_iter().map(|session| {
        Row::new(shape)
            .set("pid", session.pid)
            .set("user_name", session.user)
            .set("wire", session.wire)
            .set("address", session.address)
            .set("encrypted", session.encrypted)
            .set("application_name", session.application_name)
            .set("started_at", Value::Timestamp(session.started_at.timestamp_micros()))
    });
    Ok(rows.collect())
}

fn statements(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let statements = context.session.server.statements();
    let rows = statements.into_iter().map(|statement| {
        Row::new(shape)
            .set("query_id", statement.id)
            .set("pid", statement.pid)
            .set("user_name", statement.user)
            .set("wire", statement.wire)
            .set("sql", statement.sql)
            .set("state", statement.state)
            .set("started_at", Value::Timestamp(statement.started_at.timestamp_micros()))
            .set("duration_ms", statement.duration_ms)
            .set("rows", count(statement.rows))
            .set("progress", statement.progress.map_or(Value::Null, Value::Float))
            .set("bytes_scanned", count(statement.scanned.bytes_scanned))
            .set("files_total", count(statement.scanned.files_total))
            .set("files_pruned", count(statement.scanned.files_pruned))
            .set("row_groups_total", count(statement.scanned.row_groups_total))
            .set("row_groups_pruned", count(statement.scanned.row_groups_pruned))
            .set("error", statement.error)
    });
    Ok(rows.collect())
}

fn sources(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let catalog = &context.session.catalog;
    let moment = |at: Option<DateTime<Utc>>| at.map_or(Value::Null, |at| Value::Timestamp(at.timestamp_micros()));
    let rows = context.session.server.sources().into_iter().map(|source| {
        let table = catalog.relation_by_oid(source.table).map(|table| catalog.name_of(&table).to_string());
        Row::new(shape)
            .set("id", source.id.0)
            .set("schema_name", catalog.schema_by_oid(source.schema).map(|schema| schema.name.clone()))
            .set("name", source.name)
            .set("table_name", table)
            .set("connector", source.connector)
            .set("state", source.state.name())
            .set("pause_reason", source.pause_reason)
            .set("rows", count(source.rows))
            .set("bytes", count(source.bytes))
            .set("batches", count(source.batches))
            .set("dead_letters", count(source.dead_letters))
            .set("rows_per_second", Value::Float(source.rows_per_second))
            .set("partitions", count(source.partitions))
            .set("lag_rows", source.lag_rows.map(count))
            .set("lag_ms", source.lag_ms)
            .set("event_watermark_at", source.event_watermark_micros.map_or(Value::Null, Value::Timestamp))
            .set("late_rows", source.late_rows)
            .set("future_rows", source.future_rows)
            .set("errors", count(source.errors))
            .set("last_error", source.last_error)
            .set("last_error_at", moment(source.last_error_at))
            .set("last_row_at", moment(source.last_row_at))
            .set("retry_at", moment(source.retry_at))
            .set("breaker", if source.state == SourceState::Broken { "open" } else { "closed" })
            .set("options", source.options)
    });
    Ok(rows.collect())
}

fn settings(context: &FactContext, shape: &'static Shape, _: Option<&Key>) -> Result<Vec<Row>> {
    let session = context.session.server.session_settings().into_iter().map(|row: SettingRow| {
        Row::new(shape)
            .set("name", row.setting.name)
            .set("value", row.value)
            .set("default_value", row.reset_value)
            .set("unit", row.setting.kind.unit())
            .set("source", row.source)
            .set("scope", "session")
            .set("description", row.setting.help)
    });
    let server = context.session.server.server_settings().into_iter().map(|row| {
        Row::new(shape)
            .set("name", row.setting.name)
            .set("value", row.value)
            .set("default_value", row.setting.default)
            .set("unit", row.setting.kind.unit())
            .set("source", row.origin.to_string())
            .set("scope", "server")
            .set("description", row.setting.help)
    });
    Ok(session.chain(server).collect())
}
