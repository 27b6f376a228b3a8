//! The files of `tests/slt`: statements with what they must answer.
//!
//! A file is a list of records with empty lines between them; `#` begins a comment.
//!
//! ```text
//! statement ok                 statement count 3            statement error 42P01 relation "t" does not exist
//! CREATE TABLE t (a int)       DELETE FROM t                SELECT * FROM t
//!
//! query                        query rowsort                what a query must answer: names, then rows; `|` between
//! SELECT 1 AS a, 2 AS b        SELECT ...                   cells; NULL, (empty). rowsort: the order does not matter
//! ----                         ----
//! a | b                        ...
//! 1 | 2
//! ```
//!
//! `# only headwater` anywhere says that PostgreSQL does not have the feature; other files must hold on both servers.
//! `# every statement writes files` runs the file on a server without tails: it looks at versions and files.
//! `# not yet: reason` on the line before a record says that headwater does not answer so yet; a record that holds although it
//! is marked fails, so that the list can only shrink. HEADWATER_MARK=1 marks what fails now.
//! With HEADWATER_BLESS=1 the answers of PostgreSQL (or ours, for such files) are written into the file.

use tokio_postgres::Client;

use crate::rows::{Answer, ask, line};

/// Marks a record that does not hold on headwater yet.
const MARK: &str = "# not yet: ";

/// One record of a file.
pub struct Record {
    pub line: usize,
    /// Comments and empty lines before it, kept when the file is written again.
    pub before: String,
    pub header: Header,
    pub sql: String,
    /// Why headwater does not answer so yet.
    pub not_yet: bool,
    pub expected: Vec<String>,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    Ok,
    Count(u64),
    /// SQLSTATE, and a part of the message.
    Error(String, String),
    /// Names and rows; whether the order of rows does not matter.
    Rows {
        sorted: bool,
    },
}

/// A file, read.
pub struct Script {
    pub records: Vec<Record>,
    pub only_headwater: bool,
    pub writes_files: bool,
    after: String,
}

impl Script {
    /// Reads a file; a mistake in it names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<&str> = text.lines().collect();
        let (mut records, mut before, mut at) = (Vec::new(), String::new(), 0);
        while at < lines.len() {
            if lines[at].trim().is_empty() || lines[at].starts_with('#') {
                before.push_str(lines[at]);
                before.push('\n');
                at += 1;
                continue;
            }
            let header =
                Header::parse(lines[at]).ok_or_else(|| format!("line {}: unknown record `{}`", at + 1, lines[at]))?;
            let end = (at..lines.len()).find(|line| lines[*line].trim().is_empty()).unwrap_or(lines.len());
            let body = &lines[at + 1..end];
            let split = body.iter().position(|line| *line == "----").unwrap_or(body.len());
            let expected = body.iter().skip(split + 1).map(|line| (*line).to_owned()).collect();
            let before = std::mem::take(&mut before);
            let not_yet = before.lines().next_back().is_some_and(|line| line.starts_with(MARK));
            records.push(Record { line: at + 1, before, header, sql: body[..split].join("\n"), not_yet, expected });
            at = end;
        }
        let (only_headwater, writes_files) =
            (text.contains("# only headwater"), text.contains("# every statement writes files"));
        Ok(Self { records, only_headwater, writes_files, after: before })
    }

    /// The text of the file.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for record in &self.records {
            text.push_str(&format!("{}{}\n{}\n", record.before, record.header.print(), record.sql));
            if let Header::Rows { .. } = record.header {
                text.push_str("----\n");
                record.expected.iter().for_each(|line| text.push_str(&format!("{line}\n")));
            }
        }
        text + &self.after
    }
}

impl Header {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["statement", "ok"] => Some(Self::Ok),
            ["statement", "count", number] => number.parse().ok().map(Self::Count),
            ["statement", "error"] => Some(Self::Error(String::new(), String::new())),
            ["statement", "error", state, message @ ..] => Some(Self::Error((*state).to_owned(), message.join(" "))),
            ["query"] => Some(Self::Rows { sorted: false }),
            ["query", "rowsort"] => Some(Self::Rows { sorted: true }),
            _ => None,
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Ok => "statement ok".to_owned(),
            Self::Count(number) => format!("statement count {number}"),
            Self::Error(state, message) => format!("statement error {state} {message}").trim_end().to_owned(),
            Self::Rows { sorted: false } => "query".to_owned(),
            Self::Rows { sorted: true } => "query rowsort".to_owned(),
        }
    }
}

impl Record {
    /// Runs the record; `Err` tells what was expected and what came.
    pub async fn check(&self, client: &Client) -> Result<(), String> {
        let answer = ask(client, &self.sql).await;
        match (&self.header, &answer) {
            (Header::Ok, Answer::Done(_) | Answer::Rows(..)) => Ok(()),
            (Header::Count(wanted), Answer::Done(count)) if wanted == count => Ok(()),
            (Header::Error(state, message), Answer::Failed(code, text))
                if (state.is_empty() || state == code) && text.contains(message.as_str()) =>
            {
                Ok(())
            }
            (Header::Rows { sorted }, Answer::Rows(names, rows)) => self.check_rows(*sorted, names, rows),
            (header, answer) => Err(format!("expected {}, got {answer:?}", header.print())),
        }
    }

    fn check_rows(&self, sorted: bool, names: &[String], rows: &[Vec<Option<String>>]) -> Result<(), String> {
        let got = lines(sorted, names, rows);
        match got == self.expected {
            true => Ok(()),
            false => Err(format!("expected\n    {}\ngot\n    {}", self.expected.join("\n    "), got.join("\n    "))),
        }
    }

    /// Runs the record on headwater, where a marked one must fail.
    pub async fn check_marked(&mut self, client: &Client, mark: bool) -> Result<(), String> {
        match (self.check(client).await, self.not_yet) {
            (Ok(()), false) | (Err(_), true) => Ok(()),
            (Ok(()), true) if mark => {
                self.before.truncate(self.before.rfind(MARK).unwrap_or(self.before.len()));
                Ok(())
            }
            (Ok(()), true) => Err("holds now: take its mark away".to_owned()),
            (Err(failure), false) if mark => {
                let reason = failure.split_once("got").map_or("", |(_, got)| got).split_whitespace();
                let reason: String = reason.collect::<Vec<_>>().join(" ").chars().take(100).collect();
                self.before.push_str(&format!("{MARK}{reason}\n"));
                Ok(())
            }
            (failed, false) => failed,
        }
    }

    /// Takes what the server answers as what is expected; a failure where none was expected is an error.
    pub async fn bless(&mut self, client: &Client) -> Result<(), String> {
        match (&mut self.header, ask(client, &self.sql).await) {
            (Header::Rows { sorted }, Answer::Rows(names, rows)) => self.expected = lines(*sorted, &names, &rows),
            (Header::Count(count), Answer::Done(number)) => *count = number,
            (Header::Error(state, message), Answer::Failed(code, text)) if state.is_empty() || *state == code => {
                *state = code;
                if !text.contains(message.as_str()) {
                    *message = text;
                }
            }
            (Header::Ok, Answer::Done(_) | Answer::Rows(..)) => {}
            (header, answer) => return Err(format!("expected {}, got {answer:?}", header.print())),
        }
        Ok(())
    }
}

fn lines(sorted: bool, names: &[String], rows: &[Vec<Option<String>>]) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
    if sorted {
        lines.sort();
    }
    lines.insert(0, names.join(" | "));
    lines
}
