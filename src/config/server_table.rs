//! The settings of the server: each is a flag, an environment variable and a key of the configuration file.

use crate::config::setting::{Kind, Place, Setting};

const fn setting(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, help, place: Place::Server }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { place: Place::Secret, ..setting(name, Kind::Text, "", help) }
}

const COUNT: Kind = Kind::Integer { min: 1, max: 1_000_000 };

/// Every setting of the server, in the order of `--help` and of `docs/settings.md`.
pub const SERVER_SETTINGS: &[Setting] = &[
    setting(
        "data",
        Kind::Location,
        "headwater-data",
        "The database: a folder, made if missing, or a bucket's URL such as s3://bucket/prefix. The catalog of a \
         bucket is kept in `catalog_folder`.",
    ),
    setting(
        "catalog_folder",
        Kind::Path,
        "",
        "The folder of the catalog and the lock, for a database whose tables are in a bucket. A database in a \
         folder keeps them there.",
    ),
    setting("pg", Kind::Address, "127.0.0.1:5432", "Where to listen for PostgreSQL clients."),
    setting("flight", Kind::Address, "off", "Where to listen for Arrow Flight SQL clients."),
    setting(
        "http",
        Kind::Address,
        "127.0.0.1:8080",
        "Where to listen for HTTP: /v1/ingest, /v1/events, /healthz, /readyz and /metrics.",
    ),
    setting(
        "connections_max",
        COUNT,
        "200",
        "Clients that may be connected at a time; the next one is refused with 53300.",
    ),
    secret(
        "password",
        "The first role's password, set when the server starts. Prefer `password_file` or the environment: flags \
         can be seen by other users of the machine.",
    ),
    setting("password_file", Kind::Path, "", "A file whose first line is the first role's password."),
    setting(
        "trust",
        Kind::Choice(&["loopback", "all", "none"]),
        "loopback",
        "From where a role without a password may log in. `all` lets anyone on the network in.",
    ),
    setting("tls_cert", Kind::Path, "", "The server's certificate chain (PEM). With `tls_key` it turns TLS on."),
    setting("tls_key", Kind::Path, "", "The private key of `tls_cert` (PEM)."),
    setting(
        "memory_bytes_max",
        Kind::Bytes,
        "60%",
        "Memory that all statements share. A statement that finds none left spills to disk, or fails with 53200.",
    ),
    setting(
        "spill_folder",
        Kind::Path,
        "",
        "Where statements that outgrow their memory write; `spill` in the database folder if not given.",
    ),
    setting("spill_bytes_max", Kind::Bytes, "100GiB", "Bytes that all spill files together may take."),
    setting(
        "target_partitions",
        Kind::Integer { min: 0, max: 1024 },
        "0",
        "Parts that a statement's plan is cut into and run at a time; 0 is one for each core.",
    ),
    setting(
        "flush_interval_ms",
        Kind::Milliseconds,
        "10s",
        "Rows of small INSERTs are durable in the log and visible at once; this long after they came they are in files, \
         where other programs see them. 0: every statement writes its own files.",
    ),
    setting(
        "flush_bytes",
        Kind::Bytes,
        "64MiB",
        "A table with this many bytes of such rows writes them to files earlier.",
    ),
    setting(
        "merge_files_min",
        Kind::Integer { min: 0, max: 1000 },
        "4",
        "So many small files of about one size, which flushes have left in a partition, are merged in the background; 0 leaves \
         that to OPTIMIZE, 1 means 2.",
    ),
    setting(
        "tail_bytes_max",
        Kind::Bytes,
        "512MiB",
        "Memory that such rows of all tables may take. Who adds more waits, and fails with 53400 if the flushes do not keep up.",
    ),
    setting(
        "log_segment_bytes",
        Kind::Bytes,
        "64MiB",
        "Files of the write-ahead log have about this size. One is deleted once the tables' files hold all of its rows.",
    ),
    setting(
        "ingest_body_bytes_max",
        Kind::Bytes,
        "64MiB",
        "The largest body of a request that brings rows, as it is sent; a larger one is refused with 413.",
    ),
    setting(
        "ingest_decoded_bytes_max",
        Kind::Bytes,
        "256MiB",
        "What such a body may take once it is decompressed, and it or the batch of a source once it is decoded.",
    ),
    setting(
        "ingest_json_depth_max",
        Kind::Integer { min: 1, max: 100 },
        "64",
        "How deep the values of a JSON record may be nested; a record with a deeper one is a dead letter.",
    ),
    setting("target_file_bytes", Kind::Bytes, "128MiB", "Data files are written to about this size."),
    setting(
        "statement_timeout_ms",
        Kind::Milliseconds,
        "0",
        "Statements that run longer are cancelled with 57014; 0 is no limit. SET statement_timeout overrides it.",
    ),
    setting(
        "shutdown_deadline_ms",
        Kind::Milliseconds,
        "10s",
        "On SIGTERM, running statements have this long to finish before they are cancelled.",
    ),
    setting(
        "file_locations",
        Kind::List,
        "",
        "Folders and URLs that read_parquet, read_csv, read_json, COPY and LOCATION may name, separated by \
         commas. Everything else is refused with 42501.",
    ),
    setting("s3_endpoint", Kind::Text, "", "The URL of the S3 API, for stores that are not Amazon's."),
    setting("s3_region", Kind::Text, "", "The region of S3 buckets."),
    setting(
        "s3_access_key_id",
        Kind::Text,
        "",
        "The access key of S3 buckets; without one, the variables AWS_* are used.",
    ),
    secret("s3_secret_access_key", "The secret of `s3_access_key_id`."),
    setting("s3_allow_http", Kind::Bool, "off", "Lets `s3_endpoint` be a plain http:// URL."),
    setting(
        "log_level",
        Kind::Text,
        "warn,headwater=info",
        "What is logged: error, warn, info, debug, trace, or a filter such as info,headwater=debug.",
    ),
    setting("log_format", Kind::Choice(&["text", "json"]), "text", "How log lines are written to standard error."),
];

/// The setting of a server by name.
pub fn server_setting(name: &str) -> Option<&'static Setting> {
    SERVER_SETTINGS.iter().find(|setting| setting.name == name)
}
