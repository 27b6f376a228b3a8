//! The interactive shell: lines are read until a statement is complete; history is kept in a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use headwater::{Error, OutputFormat, Result};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use crate::shell::Shell;
use crate::shell::completion::Completion;

const HISTORY_LINES_MAX: usize = 10_000;

const HELP: &str = "A statement ends with a semicolon. Tab completes words and names.
\\d      tables and views            \\d NAME  columns of one
\\f FMT  print as table, csv, json, ndjson
\\q      leave (also Ctrl-D)";

/// What a line was.
enum Line {
    Text(String),
    Interrupted,
    End,
}

/// Reads and runs statements until the end of input.
pub async fn run(shell: &Shell, history: Option<PathBuf>) -> Result<ExitCode> {
    let history = history.or_else(|| std::env::home_dir().map(|home| home.join(".headwater_history")));
    let mut editor = editor(history.as_deref())?;
    editor.set_helper(Some(Completion::of(shell).await));
    println!("headwater {}: \\? for help", env!("CARGO_PKG_VERSION"));
    let mut statement = String::new();
    loop {
        let prompt = if statement.is_empty() { "headwater=> " } else { "headwater-> " };
        let read = tokio::task::block_in_place(|| editor.readline(prompt));
        match line(read)? {
            Line::End => break,
            Line::Interrupted => statement.clear(),
            Line::Text(text) if statement.is_empty() && text.trim_start().starts_with('\\') => {
                if !command(shell, text.trim()).await {
                    break;
                }
            }
            Line::Text(text) => {
                statement.push_str(&text);
                statement.push('\n');
                if is_complete(&statement) {
                    editor.add_history_entry(statement.trim()).map_err(broken)?;
                    report(shell.run_text(&statement).await);
                    statement.clear();
                    editor.set_helper(Some(Completion::of(shell).await));
                }
            }
        }
    }
    if let Some(path) = history {
        editor.save_history(&path).map_err(broken)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn editor(history: Option<&Path>) -> Result<Editor<Completion, FileHistory>> {
    let config =
        Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY_LINES_MAX).map_err(broken)?;
    let mut editor = Editor::with_config(config.build()).map_err(broken)?;
    if let Some(path) = history.filter(|path| path.exists()) {
        editor.load_history(path).map_err(broken)?;
    }
    Ok(editor)
}

fn line(read: rustyline::Result<String>) -> Result<Line> {
    match read {
        Ok(text) => Ok(Line::Text(text)),
        Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
        Err(ReadlineError::Eof) => Ok(Line::End),
        Err(error) => Err(broken(error)),
    }
}

fn broken(error: ReadlineError) -> Error {
    Error::internal(format!("the terminal cannot be read: {error}"))
}

/// An error ends the statement, not the shell.
fn report(outcome: Result<()>) {
    if let Err(error) = outcome {
        eprintln!("ERROR:  {error}");
    }
}

/// Runs a command that starts with a backslash; false when it is time to leave.
async fn command(shell: &Shell, text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (name, argument) = (words.next().unwrap_or_default(), words.next());
    match (name, argument) {
        ("\\q", _) => return false,
        ("\\d", None) => report(shell.run_text(RELATIONS).await),
        ("\\d", Some(relation)) => report(shell.run_text(&format!("DESCRIBE {relation}")).await),
        ("\\f", Some(format)) => match format.parse::<OutputFormat>() {
            Ok(OutputFormat::Parquet) => {
                eprintln!("a Parquet file is not for the screen: use --format parquet with -c")
            }
            Ok(format) => shell.set_format(format),
            Err(error) => eprintln!("{error}"),
        },
        _ => println!("{HELP}"),
    }
    true
}

const RELATIONS: &str = "SELECT table_schema AS schema, table_name AS name, table_type AS type \
    FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'system') ORDER BY 1, 2";

/// True when a semicolon ends the text outside of quotes and comments.
fn is_complete(text: &str) -> bool {
    let (mut quote, mut complete) = (None, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => (quote, complete) = (Some(c), false),
            (None, '-') if chars.peek() == Some(&'-') => while chars.next().is_some_and(|c| c != '\n') {},
            (None, ';') => complete = true,
            (None, c) if c.is_whitespace() => {}
            (None, _) => complete = false,
        }
    }
    complete && quote.is_none()
}

#[cfg(test)]
mod tests;
