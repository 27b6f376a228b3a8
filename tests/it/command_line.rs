//! The program as it is typed: settings and their origin, the embedded shell, start and stop.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::program::{Running, read_until, run, text_of};
use crate::rows::{Answer, ask};
use crate::server::{Server, headwater};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `headwater sql` on a folder that lasts as long as the test.
fn sql(folder: &tempfile::TempDir) -> Command {
    let mut command = headwater();
    command.arg("sql").arg("--data").arg(folder.path().join("data"));
    command
}

#[test]
fn settings_come_from_file_environment_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headwater.toml");
    fs::write(&file, "connections_max = 7\nshutdown_deadline_ms = '5s'\n").unwrap();
    let mut command = headwater();
    command.args(["config", "--pg", "off", "--config"]).arg(&file).env("HEADWATER_CONNECTIONS_MAX", "8");
    command.env("HEADWATER_PASSWORD", "swordfish");
    let text = text_of(&mut command);
    let line = |name: &str| text.lines().find(|line| line.starts_with(&format!("{name} ="))).unwrap().to_owned();
    assert!(line("connections_max").contains("\"8\"") && line("connections_max").ends_with("# environment"));
    assert!(line("shutdown_deadline_ms").contains("\"5s\"") && line("shutdown_deadline_ms").contains("# file"));
    assert!(line("pg").contains("\"off\"") && line("pg").ends_with("# flag"));
    assert!(line("http").ends_with("# default"));
    assert!(!text.contains("swordfish"));
}

#[test]
fn mistakes_are_explained() {
    for (arguments, code, message) in [
        (vec!["serve", "--memory-bytes-max", "lots"], 2, "invalid value for parameter \"memory_bytes_max\""),
        (vec!["serve", "--pg", "5432"], 2, "HOST:PORT"),
        (vec!["serve", "--no-such-flag"], 2, "--no-such-flag"),
        (vec!["serve", "--flight", "127.0.0.1:0"], 2, "Flight"),
        (vec!["sql", "--format", "xml", "-c", "SELECT 1"], 2, "xml"),
        (vec!["serve", "--config", "/no/such/file"], 2, "/no/such/file"),
    ] {
        let output = run(headwater().args(&arguments));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(message), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn the_shell_prints_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let query = "SELECT 1 AS id, 'a,b' AS name";
    let print = |format: &str| text_of(sql(&folder).args(["--format", format, "-c", query]));
    assert_eq!(print("csv"), "id,name\n1,\"a,b\"\n");
    assert_eq!(print("ndjson"), "{\"id\": 1, \"name\": \"a,b\"}\n");
    assert_eq!(print("json"), "[\n{\"id\": 1, \"name\": \"a,b\"}\n]\n");
    assert!(print("table").starts_with(" id | name\n----+------\n  1 | a,b\n(1 row)\n"));
    let parquet = run(sql(&folder).args(["--format", "parquet", "-c", query])).stdout;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let two = run(sql(&folder).args([
        "--format",
        "parquet",
        "-c",
        "CREATE TABLE t AS SELECT 1 AS a; SELECT a FROM t; SELECT 2",
    ]));
    assert!(two.status.code() == Some(1) && err(&two).contains("a Parquet file holds one result"), "{}", err(&two));
    assert_eq!(two.stdout.windows(4).filter(|bytes| bytes == b"PAR1").count(), 2, "one file is written");
}

#[test]
fn flags_of_one_job_have_variables_and_slips_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = sql(&folder);
    command.args(["-c", "SELECT 1 AS a"]).env("HEADWATER_FORMAT", "ndjson").env("HEADWATER_PASWORD", "x");
    let done = run(&mut command);
    assert_eq!(out(&done), "{\"a\": 1}\n");
    let warning = "headwater: warning: nobody reads the variable HEADWATER_PASWORD: did you mean HEADWATER_PASSWORD?";
    assert_eq!(err(&done).lines().next(), Some(warning));
    let refused = run(headwater().arg("demo").env("HEADWATER_CUSTOMERS", "none"));
    assert!(refused.status.code() == Some(2) && err(&refused).contains("--customers"), "{}", err(&refused));
}

#[test]
fn the_shell_runs_texts_and_files_in_order_and_stops_at_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("insert.sql");
    fs::write(&file, "-- a comment\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\n").unwrap();
    let steps = ["-c", "CREATE TABLE t (a int)", "-f", file.to_str().unwrap(), "-c", "SELECT sum(a) AS s FROM t"];
    assert_eq!(text_of(sql(&folder).args(steps)), "s\n3\n");
    let failed =
        run(sql(&folder).args(["-c", "SELECT 1 AS one", "-c", "SELECT * FROM missing", "-c", "SELECT 2 AS two"]));
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(out(&failed), "one\n1\n");
    assert!(err(&failed).contains("relation \"missing\" does not exist"));
}

#[tokio::test]
async fn a_second_server_on_one_folder_is_refused() {
    let server = Server::start();
    let output =
        run(headwater().arg("serve").arg("--data").arg(server.folder()).args(["--pg", "127.0.0.1:0", "--http", "off"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("is in use"), "{}", err(&output));
    assert!(matches!(ask(&server.connect().await, "SELECT 1").await, Answer::Rows(..)));
}

#[tokio::test]
async fn sigterm_lets_a_statement_finish_and_exits_with_zero() {
    let mut server = Server::start();
    let client = server.connect().await;
    ask(&client, "CREATE TABLE t (a int)").await;
    let running =
        tokio::spawn(
            async move { ask(&client, "INSERT INTO t SELECT n FROM generate_series(1, 300000) AS g(n)").await },
        );
    tokio::time::sleep(Duration::from_millis(100)).await;
    let folder = server.folder().to_owned();
    let code = tokio::task::spawn_blocking(move || (server.terminate(), server)).await.unwrap();
    assert_eq!(code.0, Some(0));
    // Finished or refused, but never half done.
    let inserted = matches!(running.await.unwrap(), Answer::Done(300_000));
    let count = text_of(headwater().arg("sql").arg("--data").arg(&folder).args(["-c", "SELECT count(*) AS n FROM t"]));
    assert_eq!(count, if inserted { "n\n300000\n" } else { "n\n0\n" });
}

#[test]
fn the_demo_tells_what_to_type() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = headwater();
    command.args(["demo", "--customers", "500", "--pg", "127.0.0.1:0", "--http", "off", "--data"]).arg(folder.path());
    let mut program = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut told = String::new();
    let stdout = program.child().stdout.take().unwrap();
    let ((), _rest) = read_until(stdout, |line| {
        told.push_str(line);
        (line.trim() == "ready").then_some(())
    });
    let psql = told.lines().find_map(|line| line.trim().strip_prefix("psql ")).expect("the demo prints a psql line");
    let ask = |query: &str| text_of(Command::new("psql").args(psql.split(' ')).args(["-X", "-A", "-t", "-c", query]));
    let queries: Vec<&str> =
        told.split("\n-- ").skip(1).filter_map(|part| part.split_once('\n')).map(|part| part.1).collect();
    assert_eq!(queries.len(), 3, "{told}");
    for query in queries {
        let query = query.split_inclusive(';').next().unwrap();
        assert!(ask(query).lines().count() >= 4, "{query}\n{}", ask(query));
    }
    assert_eq!(ask("SELECT count(*) FROM orders").trim(), "4000");
    program.signal("TERM");
    assert_eq!(program.wait(Duration::from_secs(30)), Some(0));
}

#[test]
fn a_demo_that_was_killed_while_it_loaded_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let start = |errors: Stdio| {
        let mut command = headwater();
        command.args(["demo", "--customers", "300", "--pg", "127.0.0.1:0", "--http", "off", "--data"]);
        command.arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        Running::start(&mut command)
    };
    // Statement 2 fills the first table, 3 and 7 make the second and the last one, empty.
    for statement in [2, 3, 7] {
        let mut program = start(Stdio::piped());
        let mut done = 0;
        let ((), _rest) = read_until(program.child().stderr.take().unwrap(), |line| {
            done += usize::from(line.contains("tag="));
            (done == statement).then_some(())
        });
        program.kill();
    }
    let mut program = start(Stdio::inherit());
    let ((), _rest) = read_until(program.child().stdout.take().unwrap(), |line| (line.trim() == "ready").then_some(()));
    program.signal("TERM");
    assert_eq!(program.wait(Duration::from_secs(30)), Some(0));
    let count = "SELECT (SELECT count(*) FROM customers) AS customers, (SELECT count(*) FROM products) AS products, \
        (SELECT count(*) FROM orders) AS orders, count(*) AS items, count(DISTINCT order_id) AS ordered FROM order_items";
    let found = text_of(headwater().arg("sql").arg("--data").arg(folder.path()).args(["-c", count]));
    assert_eq!(found, "customers,products,orders,items,ordered\n300,1000,2400,4800,2400\n");
}

#[test]
fn check_finds_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    text_of(sql(&folder).args(["-c", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)"]));
    let check = || run(headwater().arg("check").arg("--data").arg(folder.path().join("data")));
    let sound = check();
    assert_eq!(sound.status.code(), Some(0), "{}{}", out(&sound), err(&sound));
    remove_one_data_file(&folder.path().join("data"));
    let damaged = check();
    assert_eq!(damaged.status.code(), Some(1));
    assert!(out(&damaged).contains("the file is missing"), "{}", out(&damaged));
}

fn remove_one_data_file(folder: &std::path::Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("_delta_log") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                return fs::remove_file(path).unwrap();
            }
        }
    }
    panic!("no data file");
}
