//! The same queries on PostgreSQL 15 and on us: names, types and rows must be equal, or the SQLSTATE
//! and the place of the error. Statements with parameters are not run: their types must be equal.
//!
//! `tests/differential/setup.sql` makes the tables on both. Every other file there is a list of queries, each ended by a
//! semicolon at the end of a line. A query that must differ has a line `-- differs: reason` before it; one that no longer
//! differs fails the test, so that the list of differences can only shrink. HEADWATER_MARK=1 marks anew what differs now.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tokio_postgres::Client;
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::types::Type;

use crate::oracle::Oracle;
use crate::rows::{Answer, answered, failed, line};
use crate::server::Server;
use crate::tidy::files;

const QUERIES_MIN: usize = 400;

/// Differences that we know of may not grow beyond this.
const DIFFERENCES_MAX: usize = 21;

/// Errors about what stands in the text, a word, a name or a literal: clients point at it.
const PLACED: &[&str] = &["42703", "42702", "42P01", "42704", "42883", "22P02"];

const MARK: &str = "-- differs:";

struct Query {
    path: PathBuf,
    /// The lines of the file that it stands on, from 0.
    lines: Range<usize>,
    sql: String,
    reason: Option<String>,
}

impl Query {
    fn place(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}:{}", self.lines.start + 1)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_answer_as_postgresql_does() {
    let (server, oracle) = (Server::start(), Oracle::start());
    let (ours, theirs) = (server.connect().await, oracle.connect().await);
    for (_, text) in files("tests/differential", "sql").iter().filter(|(path, _)| path.ends_with("setup.sql")) {
        for client in [&ours, &theirs] {
            client.batch_execute(text).await.expect("the tables are made on both servers");
        }
    }
    let queries = queries();
    assert!(queries.len() >= QUERIES_MIN, "only {} queries", queries.len());
    let (mut failures, mut known) = (Vec::new(), 0);
    let marking = std::env::var_os("HEADWATER_MARK").is_some();
    let mut marks = Vec::new();
    for query in &queries {
        let (mine, right) = (answer(&ours, &query.sql).await, answer(&theirs, &query.sql).await);
        match (&query.reason, mine == right) {
            (None, true) => {}
            (Some(_), false) => known += 1,
            (None, false) if marking => marks.push((query, Some(mine))),
            (Some(_), true) if marking => marks.push((query, None)),
            (None, false) => {
                failures.push(format!("{}\n{}\n  PostgreSQL: {right}\n  headwater:  {mine}", query.place(), query.sql))
            }
            (Some(reason), true) => {
                failures.push(format!("{}\n{}\n  is equal now; it was: {reason}", query.place(), query.sql))
            }
        }
    }
    mark(marks);
    assert!(failures.is_empty(), "{} of {} queries:\n\n{}", failures.len(), queries.len(), failures.join("\n\n"));
    assert!(known <= DIFFERENCES_MAX, "{known} known differences");
    println!("{} queries, {known} known differences", queries.len());
}

/// Writes a mark before each query that differs and takes it from each that no longer does, from the last line to the
/// first, so that lines keep their numbers.
fn mark(mut changed: Vec<(&Query, Option<String>)>) {
    changed.sort_by_key(|(query, _)| (query.path.clone(), std::cmp::Reverse(query.lines.start)));
    for (query, mine) in changed {
        let text = std::fs::read_to_string(&query.path).expect("the list can be read");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        match mine {
            Some(mine) => {
                let mine: String = mine.chars().take(100).collect();
                lines.insert(query.lines.start, format!("{MARK} {mine}"));
            }
            None => {
                let marked = lines[..query.lines.start].iter().rposition(|line| line.starts_with(MARK));
                lines.remove(marked.expect("a query with a reason has a mark"));
            }
        }
        std::fs::write(&query.path, lines.join("\n") + "\n").expect("the list can be written");
    }
}

fn queries() -> Vec<Query> {
    let lists = files("tests/differential", "sql").into_iter().filter(|(path, _)| !path.ends_with("setup.sql"));
    lists.flat_map(|(path, text)| read(&path, &text)).collect()
}

fn read(path: &Path, text: &str) -> Vec<Query> {
    let (mut queries, mut sql, mut reason, mut start) = (Vec::new(), String::new(), None, 0);
    for (at, line) in text.lines().enumerate() {
        if let Some(rest) = line.strip_prefix(MARK) {
            reason = Some(rest.trim().to_owned());
        } else if line.starts_with("--") || (sql.is_empty() && line.trim().is_empty()) {
            continue;
        } else {
            start = if sql.is_empty() { at } else { start };
            sql.push_str(line);
            sql.push('\n');
            if line.trim_end().ends_with(';') {
                let sql = std::mem::take(&mut sql).trim_end().trim_end_matches(';').to_owned();
                queries.push(Query { path: path.to_owned(), lines: start..at + 1, sql, reason: reason.take() });
            }
        }
    }
    assert!(sql.is_empty(), "{} does not end with a semicolon", path.display());
    queries
}

/// Names, type numbers and rows of a query, or its SQLSTATE, as one comparable text. Of a statement with parameters: their
/// type numbers and those of its columns.
async fn answer(client: &Client, sql: &str) -> String {
    let types: Vec<u32> = match client.prepare(sql).await {
        Ok(statement) => {
            let types = statement.columns().iter().map(|column| column.type_().oid()).collect();
            let takes: Vec<u32> = statement.params().iter().map(Type::oid).collect();
            match takes.is_empty() {
                true => types,
                false => return format!("takes {takes:?}, gives {types:?}"),
            }
        }
        Err(error) => return refused(&error),
    };
    let answer = match client.simple_query(sql).await {
        Ok(messages) => answered(messages),
        Err(error) => return refused(&error),
    };
    match answer {
        Answer::Rows(names, rows) => {
            let mut lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
            if !is_ordered(sql) {
                lines.sort();
            }
            let columns: Vec<String> = names.iter().zip(&types).map(|(name, oid)| format!("{name}:{oid}")).collect();
            format!("[{}] {}", columns.join(", "), lines.join(" / "))
        }
        other => state(other),
    }
}

/// SQLSTATE of an error, and the place of the name that it is about.
fn refused(error: &tokio_postgres::Error) -> String {
    let found = error.as_db_error().filter(|error| PLACED.contains(&error.code().code()));
    match found.and_then(|error| error.position()) {
        Some(ErrorPosition::Original(at)) => format!("{} at {at}", state(failed(error))),
        _ => state(failed(error)),
    }
}

fn state(answer: Answer) -> String {
    match answer {
        Answer::Failed(state, message) if state == "connection" => format!("lost: {message}"),
        Answer::Failed(state, _) => format!("error {state}"),
        Answer::Done(count) => format!("done {count}"),
        Answer::Rows(..) => "rows".to_owned(),
    }
}

/// True for a query whose outermost part has an ORDER BY: no parenthesis closes after the last one.
fn is_ordered(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    sql.rfind("order by").is_some_and(|at| {
        let opened = sql[at..].matches('(').count();
        opened >= sql[at..].matches(')').count()
    })
}
