//! Answers as text, the same for both servers.

use tokio_postgres::{Client, Error, SimpleQueryMessage};

/// What a statement answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Column names and rows, NULL as `None`.
    Rows(Vec<String>, Vec<Vec<Option<String>>>),
    /// The number of the command tag.
    Done(u64),
    /// SQLSTATE and message.
    Failed(String, String),
}

/// Runs one statement with the simple protocol.
pub async fn ask(client: &Client, sql: &str) -> Answer {
    match client.simple_query(sql).await {
        Ok(messages) => answered(messages),
        Err(error) => failed(&error),
    }
}

/// What the messages of one statement say.
pub fn answered(messages: Vec<SimpleQueryMessage>) -> Answer {
    let (mut names, mut rows, mut count) = (None, Vec::new(), 0);
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                names = Some(columns.iter().map(|column| column.name().to_owned()).collect());
            }
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
            }
            SimpleQueryMessage::CommandComplete(number) => count = number,
            _ => {}
        }
    }
    match names {
        Some(names) => Answer::Rows(names, rows),
        None => Answer::Done(count),
    }
}

/// What a statement answered as one text: its rows, `done` and a count, or its SQLSTATE and message.
pub async fn told(client: &Client, sql: &str) -> String {
    match ask(client, sql).await {
        Answer::Rows(_, rows) => rows.iter().map(|row| line(row)).collect::<Vec<_>>().join("; "),
        Answer::Done(count) => format!("done {count}"),
        Answer::Failed(code, message) => format!("{code} {message}"),
    }
}

/// SQLSTATE and message of an error.
pub fn failed(error: &Error) -> Answer {
    match error.as_db_error() {
        Some(error) => Answer::Failed(error.code().code().to_owned(), error.message().to_owned()),
        None => Answer::Failed("connection".to_owned(), error.to_string()),
    }
}

/// A row on one line: `NULL` for NULL, `(empty)` for a text of nothing.
pub fn line(row: &[Option<String>]) -> String {
    let cell = |cell: &Option<String>| match cell.as_deref() {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.replace('\n', "\\n"),
    };
    row.iter().map(cell).collect::<Vec<_>>().join(" | ")
}
