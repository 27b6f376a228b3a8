//! Runs every file of `tests/slt` over the wire, each in a schema of its own, several at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::oracle::Oracle;
use crate::rows::{Answer, ask};
use crate::script::Script;
use crate::server::{Server, WITHOUT_TAILS};
use crate::tidy::files;

/// Files that run at a time.
const FILES_AT_A_TIME: usize = 4;

/// The least number of files of features.
const FILES_MIN: usize = 60;

/// Failures printed for each file; the first one usually explains the others.
const FAILURES_SHOWN: usize = 5;

/// What is done with a file.
#[derive(Clone, Copy)]
enum Mode {
    /// Every record must hold.
    Check,
    /// As on headwater: marked records must not hold yet.
    CheckMarked,
    /// Writes the answers into the file.
    Bless,
    /// Marks what does not hold.
    Mark,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_holds_on_headwater() {
    let (server, of_files) = (Server::start(), Server::start_with(&WITHOUT_TAILS));
    let connect = async |script: &Script| match script.writes_files {
        true => Some(of_files.connect().await),
        false => Some(server.connect().await),
    };
    let scripts = scripts();
    assert!(scripts.len() >= FILES_MIN || std::env::var_os("HEADWATER_SLT").is_some(), "only {} files", scripts.len());
    let failures = run_all(scripts, connect, |script| script.only_headwater, true).await;
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_rows_holds_where_every_statement_writes_files() {
    let server = Server::start_with(&WITHOUT_TAILS);
    let is_meant = |(path, script): &(PathBuf, Script)| {
        !script.writes_files && path.parent().is_some_and(|folder| folder.ends_with("dml"))
    };
    let scripts: Vec<_> = scripts().into_iter().filter(is_meant).collect();
    assert!(!scripts.is_empty() || std::env::var_os("HEADWATER_SLT").is_some());
    let failures =
        run_all(scripts, async |_: &Script| Some(server.connect().await), |script| script.only_headwater, true).await;
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_that_is_standard_holds_on_postgresql() {
    let oracle = Oracle::start();
    let standard = scripts().into_iter().filter(|(_, script)| !script.only_headwater).collect();
    let failures = run_all(standard, async |_: &Script| Some(oracle.connect().await), |_| true, false).await;
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// HEADWATER_SLT names the files to run, by a part of their path.
fn scripts() -> Vec<(PathBuf, Script)> {
    let wanted = std::env::var("HEADWATER_SLT").unwrap_or_default();
    let parse = |(path, text): (PathBuf, String)| {
        let script = Script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, script)
    };
    files("tests/slt", "slt")
        .into_iter()
        .map(parse)
        .filter(|(path, _)| path.to_string_lossy().contains(&wanted))
        .collect()
}

async fn run_all(
    scripts: Vec<(PathBuf, Script)>,
    connect: impl AsyncFn(&Script) -> Option<Client>,
    is_oracle_of: impl Fn(&Script) -> bool,
    ours: bool,
) -> Vec<String> {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let places = Arc::new(Semaphore::new(FILES_AT_A_TIME));
    let mut running = JoinSet::new();
    for (path, mut script) in scripts {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore stays open");
        let Some(client) = connect(&script).await else { continue };
        let mode = match (is_set("HEADWATER_BLESS"), is_oracle_of(&script)) {
            (true, true) => Mode::Bless,
            _ if !ours => Mode::Check,
            _ if is_set("HEADWATER_MARK") => Mode::Mark,
            _ => Mode::CheckMarked,
        };
        running.spawn(async move {
            let failures = run(&path, &mut script, &client, mode).await;
            drop(place);
            failures
        });
    }
    let mut failures: Vec<String> = running.join_all().await.into_iter().flatten().collect();
    failures.sort();
    failures
}

/// The failures of a file, the first few of them in one text.
async fn run(path: &Path, script: &mut Script, client: &Client, mode: Mode) -> Option<String> {
    let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let schema = format!("slt_{name}");
    let setup = format!("CREATE SCHEMA {schema}; SET search_path TO {schema}");
    if let Answer::Failed(_, message) = ask(client, &setup).await {
        return Some(format!("{}: no schema: {message}", path.display()));
    }
    let mut failures = Vec::new();
    for record in &mut script.records {
        let checked = match mode {
            Mode::Bless => record.bless(client).await,
            Mode::Check => record.check(client).await,
            Mode::CheckMarked => record.check_marked(client, false).await,
            Mode::Mark => record.check_marked(client, true).await,
        };
        if let Err(failure) = checked {
            failures.push(format!("{}:{}: {}\n  {failure}", path.display(), record.line, record.sql));
        }
    }
    ask(client, &format!("ROLLBACK; RESET ALL; DROP SCHEMA {schema} CASCADE")).await;
    if matches!(mode, Mode::Bless | Mode::Mark) {
        std::fs::write(path, script.print()).expect("the file can be written");
    }
    let more = failures.len().saturating_sub(FAILURES_SHOWN);
    failures.truncate(FAILURES_SHOWN);
    (!failures.is_empty()).then(|| format!("{}\n  and {more} more in this file", failures.join("\n")))
}
