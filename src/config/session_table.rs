//! The settings of a session (SET, SHOW), as PostgreSQL names them.
//!
//! A setting that many clients send and that means nothing here is accepted and says so in its help; a value that
//! would change an answer and is not offered is refused, never ignored.

use crate::config::setting::{Kind, Place, Setting};

const fn set(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, help, place: Place::Session }
}

const fn reported(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, help, place: Place::Reported }
}

/// A setting that clients send and that changes nothing.
const fn inert(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    set(name, kind, default, "Accepted for PostgreSQL's clients; it has no effect here.")
}

const fn fact(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, help, place: Place::Fact }
}

const fn reported_fact(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, help, place: Place::ReportedFact }
}

const ON: Kind = Kind::Choice(&["on"]);
const OFF: Kind = Kind::Choice(&["off"]);
const COUNT: Kind = Kind::Integer { min: 0, max: i32::MAX as i64 };
const LEVEL: Kind =
    Kind::Choice(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "info", "notice", "warning", "error"]);
const ISOLATION: Kind = Kind::Choice(&["serializable", "repeatable read", "read committed", "read uncommitted"]);

/// Every setting of a session, by name.
pub const SESSION_SETTINGS: &[Setting] = &[
    reported("application_name", Kind::Text, "", "The name of the client's program, shown in pg_stat_activity."),
    inert("backslash_quote", Kind::Choice(&["safe_encoding", "on", "off"]), "safe_encoding"),
    fact("block_size", COUNT, "8192", "PostgreSQL's block size; tables here are Parquet files."),
    set("bytea_output", Kind::Choice(&["hex"]), "hex", "How bytea is printed: always in hexadecimal."),
    inert("check_function_bodies", Kind::Bool, "on"),
    reported("client_encoding", Kind::Encoding, "UTF8", "The encoding of text on the wire: always UTF-8."),
    set("client_min_messages", LEVEL, "notice", "The least severity of messages sent to the client."),
    inert("constraint_exclusion", Kind::Choice(&["partition", "on", "off"]), "partition"),
    inert("cursor_tuple_fraction", Kind::Real, "0.1"),
    reported("DateStyle", Kind::DateStyle, "ISO, MDY", "How dates are printed and read: always ISO, month before day."),
    inert("default_statistics_target", COUNT, "100"),
    fact("default_table_access_method", Kind::Text, "delta", "How tables are kept: as Delta Lake tables."),
    inert("default_tablespace", Kind::Text, ""),
    inert("default_text_search_config", Kind::Text, "pg_catalog.simple"),
    inert("default_transaction_deferrable", Kind::Bool, "off"),
    set(
        "default_transaction_isolation",
        ISOLATION,
        "repeatable read",
        "The isolation asked for; every transaction runs at snapshot isolation (repeatable read).",
    ),
    reported("default_transaction_read_only", Kind::Bool, "off", "Transactions that do not say otherwise only read."),
    inert("effective_cache_size", Kind::Kilobytes, "4GB"),
    inert("effective_io_concurrency", COUNT, "1"),
    inert("enable_hashjoin", Kind::Bool, "on"),
    inert("enable_indexscan", Kind::Bool, "on"),
    inert("enable_mergejoin", Kind::Bool, "on"),
    inert("enable_nestloop", Kind::Bool, "on"),
    inert("enable_seqscan", Kind::Bool, "on"),
    inert("escape_string_warning", Kind::Bool, "on"),
    set(
        "extra_float_digits",
        Kind::Integer { min: 1, max: 3 },
        "1",
        "Floating-point numbers are printed so that they read back as they were.",
    ),
    inert("force_parallel_mode", Kind::Choice(&["off", "on", "regress"]), "off"),
    inert("from_collapse_limit", COUNT, "8"),
    inert("gin_fuzzy_search_limit", COUNT, "0"),
    set(
        "idle_in_transaction_session_timeout",
        Kind::Choice(&["0"]),
        "0",
        "Ends sessions that idle in a transaction: not offered, 0 only.",
    ),
    set("idle_session_timeout", Kind::Choice(&["0"]), "0", "Ends sessions that idle: not offered, 0 only."),
    reported_fact("in_hot_standby", Kind::Bool, "off", "Whether the server follows another one."),
    reported_fact("integer_datetimes", Kind::Bool, "on", "Times are whole microseconds."),
    reported("IntervalStyle", Kind::Choice(&["postgres"]), "postgres", "How intervals are printed."),
    reported_fact("is_superuser", Kind::Bool, "on", "Whether the current role may do everything."),
    inert("jit", Kind::Bool, "off"),
    inert("join_collapse_limit", COUNT, "8"),
    fact("lc_collate", Kind::Text, "C", "How text is ordered: by its bytes."),
    fact("lc_ctype", Kind::Text, "C.UTF-8", "How characters are classified."),
    inert("lc_messages", Kind::Text, "C"),
    inert("lc_monetary", Kind::Text, "C"),
    inert("lc_numeric", Kind::Text, "C"),
    inert("lc_time", Kind::Text, "C"),
    inert("lock_timeout", Kind::Milliseconds, "0"),
    inert("log_min_messages", LEVEL, "warning"),
    inert("log_statement", Kind::Choice(&["none", "ddl", "mod", "all"]), "none"),
    inert("maintenance_work_mem", Kind::Kilobytes, "64MB"),
    fact("max_connections", COUNT, "200", "Clients that may be connected at a time (connections_max)."),
    fact("max_identifier_length", COUNT, "63", "The greatest length of a name, in bytes."),
    fact("max_index_keys", COUNT, "32", "PostgreSQL's limit; there are no indexes here."),
    inert("max_parallel_workers_per_gather", COUNT, "2"),
    inert("password_encryption", Kind::Choice(&["scram-sha-256"]), "scram-sha-256"),
    inert("plan_cache_mode", Kind::Choice(&["auto", "force_generic_plan", "force_custom_plan"]), "auto"),
    fact("port", COUNT, "5432", "The port of the PostgreSQL wire."),
    inert("quote_all_identifiers", Kind::Bool, "off"),
    inert("random_page_cost", Kind::Real, "4"),
    set("role", Kind::Choice(&["none"]), "none", "The role that SET ROLE took."),
    inert("row_security", Kind::Bool, "on"),
    reported_fact("scram_iterations", COUNT, "4096", "Rounds of the password hash."),
    set("search_path", Kind::Schemas, "\"$user\", public", "The schemas in which names without one are looked up."),
    inert("seq_page_cost", Kind::Real, "1"),
    reported_fact("server_encoding", Kind::Encoding, "UTF8", "The encoding of text in tables."),
    reported_fact(
        "server_version",
        Kind::Text,
        "16.6",
        "The version of PostgreSQL whose behaviour clients may expect.",
    ),
    fact("server_version_num", COUNT, "160006", "server_version as a number."),
    reported_fact("session_authorization", Kind::Text, "headwater", "The role that logged in."),
    inert("session_replication_role", Kind::Choice(&["origin", "replica", "local"]), "origin"),
    fact("ssl", Kind::Bool, "off", "Whether the server offers TLS."),
    reported("standard_conforming_strings", ON, "on", "A backslash in '...' is a backslash, always."),
    set(
        "statement_timeout",
        Kind::Milliseconds,
        "0",
        "Statements that run longer are cancelled with 57014; 0 is no limit.",
    ),
    inert("synchronize_seqscans", Kind::Bool, "on"),
    set(
        "synchronous_commit",
        Kind::Choice(&["on", "off", "local", "remote_write", "remote_apply"]),
        "on",
        "Whether an INSERT waits until its rows are on stable storage. off: it waits until they are visible; a crash of the machine may lose the newest of the last 200 ms.",
    ),
    inert("tcp_keepalives_idle", COUNT, "0"),
    inert("temp_buffers", Kind::Kilobytes, "8MB"),
    reported("TimeZone", Kind::TimeZone, "UTC", "The zone in which timestamptz is printed and read."),
    inert("timezone_abbreviations", Kind::Choice(&["Default"]), "Default"),
    inert("trace_notify", OFF, "off"),
    set("transaction_deferrable", OFF, "off", "Whether the transaction may wait to start."),
    set(
        "transaction_isolation",
        ISOLATION,
        "repeatable read",
        "The isolation asked for; snapshot isolation is what is given.",
    ),
    inert("transform_null_equals", OFF, "off"),
    inert("vacuum_freeze_min_age", COUNT, "50000000"),
    fact("wal_level", Kind::Text, "minimal", "PostgreSQL's setting; there is no write-ahead log of blocks here."),
    inert("work_mem", Kind::Kilobytes, "4MB"),
    inert("xmlbinary", Kind::Choice(&["base64", "hex"]), "base64"),
    inert("xmloption", Kind::Choice(&["content", "document"]), "content"),
];

/// A session's setting by its name in any case.
pub fn session_setting(name: &str) -> Option<&'static Setting> {
    SESSION_SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}
