//! `headwater sql`: statements without a server, from the command line, files, standard input or a prompt.

mod completion;
mod prompt;

use std::cell::Cell;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use headwater::{Config, Database, Error, OutputFormat, Reply, Result, Session};

use crate::command_line::{Script, Step};

/// Runs the script, or a prompt if there is none; the first failing statement of a script ends it.
pub async fn run(config: Config, script: Script) -> Result<ExitCode> {
    let database = Database::open(config).await?;
    let session = database.session()?;
    let terminal = std::io::stdout().is_terminal();
    let format = script.format.unwrap_or(if terminal { OutputFormat::Table } else { OutputFormat::Csv });
    let shell = Shell { session, format: Cell::new(format), results: Cell::new(0) };
    let outcome = shell.run(script).await;
    drop(shell);
    database.close().await?;
    outcome
}

/// A session and how its results are printed.
pub struct Shell {
    session: Session,
    format: Cell<OutputFormat>,
    /// How many results were printed.
    results: Cell<u64>,
}

impl Shell {
    /// The session that the shell runs statements in.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Prints results in this format from now on.
    pub fn set_format(&self, format: OutputFormat) {
        self.format.set(format);
    }

    async fn run(&self, script: Script) -> Result<ExitCode> {
        if script.steps.is_empty() && std::io::stdin().is_terminal() {
            return prompt::run(self, script.history).await;
        }
        if script.steps.is_empty() {
            self.run_file(Path::new("-")).await?;
        }
        for step in script.steps {
            match step {
                Step::Text(text) => self.run_text(&text).await?,
                Step::File(path) => self.run_file(&path).await?,
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn run_file(&self, path: &Path) -> Result<()> {
        let mut text = String::new();
        let read = match path.as_os_str() == "-" {
            true => std::io::stdin().read_to_string(&mut text),
            false => File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
        };
        read.map_err(|error| Error::from(error).within(path.display()))?;
        self.run_text(&text).await
    }

    /// Runs every statement of a text and prints its answer.
    pub async fn run_text(&self, text: &str) -> Result<()> {
        for parsed in self.session.parse(text)? {
            let started = Instant::now();
            let outcome = async {
                let prepared = self.session.prepare(&parsed, &[]).await?;
                if prepared.columns.is_some() {
                    self.expect_result()?;
                }
                self.session.execute(&prepared, Vec::new()).await
            };
            let reply = outcome.await;
            self.print_notices();
            self.print(reply?, started).await?;
        }
        Ok(())
    }

    /// Counts the results; two Parquet files glued together are none.
    fn expect_result(&self) -> Result<()> {
        self.results.set(self.results.get() + 1);
        match self.format.get() == OutputFormat::Parquet && self.results.get() > 1 {
            false => Ok(()),
            true => Err(Error::unsupported("a Parquet file holds one result, and here comes a second")
                .hint("Run one query, or write each to a file with COPY ... TO 'file.parquet'.")),
        }
    }

    /// Rows go to standard output; what was done is told on a terminal only, so that files hold nothing but data.
    async fn print(&self, reply: Reply, started: Instant) -> Result<()> {
        let mut out = std::io::stdout();
        let tag = match reply {
            Reply::Rows(rows) => self.session.write_rows(rows, self.format.get(), &mut out).await?,
            Reply::CopyOut(copy) => {
                self.expect_result()?;
                self.session.write_copy(copy, &mut out).await?
            }
            Reply::Done(tag) => tag,
            Reply::Empty => return Ok(()),
            Reply::CopyIn(_) => {
                return Err(Error::unsupported("COPY FROM STDIN needs a client").hint("Use COPY t FROM 'file'."));
            }
        };
        if self.format.get() == OutputFormat::Table {
            writeln!(out, "{} in {:.3} s", tag.0, started.elapsed().as_secs_f64())?;
        }
        Ok(())
    }

    fn print_notices(&self) {
        for notice in self.session.take_notices() {
            eprintln!("{}:  {}", format!("{:?}", notice.severity).to_uppercase(), notice.message);
        }
    }
}
