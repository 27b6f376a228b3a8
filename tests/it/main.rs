//! The one integration-test program. Add a module here with a line of guidance.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

// How to start our server, PostgreSQL, and programs; how to read their answers.
mod embedded;
mod oracle;
mod program;
mod rows;
mod server;

// Properties of the source itself: floors, fences, sizes, banned words.
mod tail;
mod tidy;
mod tls;

// Features, one file each under tests/slt: start here when you add a statement or a function.
mod script;
mod slt;

// Queries whose answers must be PostgreSQL's, under tests/differential.
mod differential;

// The command line: flags, environment, file; sql, check, config; start and stop.
mod command_line;

// What a server says and does beside answering: warnings, HTTP, the end.
mod serving;

// Rows over HTTP: formats, wrong input, retries, dead letters, new fields, limits, logins.
mod http;
mod ingest;
mod inserts;

// The interactive shell, typed into as a person does.
mod shell;

// The library as a program uses it.
mod library;

// What tables promise over their whole life: changes, readers beside maintenance, writers beside each other.
mod lake;

// INSERT ... ON CONFLICT: beside itself, beyond its memory, over many files.
mod conflict;

// Random statements against a plain model of a table, its older versions included.
mod model;

// What runs out or is broken: disk, memory, files, logs, paths. Others live on.
mod check;
mod limits;

// Sources: files, NATS, Kafka; broken, killed and started again.
mod changes;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_changes;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
mod nats_changes;
#[cfg(feature = "nats")]
mod nats_faults;
mod sources;

// Watermarks of events: late rows, two days replayed, kills.
mod watermarks;

// psql itself against the server: meta-commands, COPY, cancel.
mod psql;

// The PostgreSQL protocol: drivers, wrong bytes, COPY, cancel, logins, many clients, long results.
mod raw;
mod wire;

// kill -9 while clients of every kind write, torn ends of the log, a bucket that fails: what was acknowledged is there, once.
mod log_end;
mod proxy;
mod torture;

// Tables in a bucket, through a real S3 API.
mod bucket;

// Other readers of the same tables: deltalake (Python) and DuckDB.
mod readers;

// Every program in sql/ runs and prints what its end says.
mod programs;
