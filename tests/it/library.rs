//! The library as a program uses it: open, query, change, read other versions, close.

use std::process::Command;

use arrow::util::pretty::pretty_format_batches;
use headwater::{Config, Database, Reply, Session};

use crate::program::text_of;

/// Runs one text; rows as a table, anything else as its tag.
async fn run(session: &Session, sql: &str) -> String {
    match session.sql(sql).await {
        Ok(Reply::Rows(rows)) => match rows.collect().await {
            Ok(batches) => pretty_format_batches(&batches).unwrap().to_string(),
            Err(error) => format!("{error:?}"),
        },
        Ok(Reply::Done(tag)) => tag.0,
        Ok(_) => "other".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// The values of the one column of the rows, joined by commas.
async fn values(session: &Session, sql: &str) -> String {
    let table = run(session, sql).await;
    let mut lines: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
    if lines.is_empty() {
        return table;
    }
    lines.remove(0);
    lines.iter().map(|line| line.trim_matches(|c| c == '|' || c == ' ')).collect::<Vec<_>>().join(",")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_lives_through_changes_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let session = database.session().unwrap();
    assert_eq!(
        run(&session, "CREATE TABLE t (id bigint PRIMARY KEY, v text DEFAULT 'x', CHECK (id >= 0))").await,
        "CREATE TABLE"
    );
    assert_eq!(run(&session, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, DEFAULT)").await, "INSERT 0 3");
    assert_eq!(values(&session, "SELECT v FROM t ORDER BY id").await, "a,b,x");
    assert!(run(&session, "INSERT INTO t VALUES (-1)").await.starts_with("[23514]"));
    assert!(run(&session, "INSERT INTO t VALUES (NULL)").await.starts_with("[23502]"));
    assert_eq!(run(&session, "UPDATE t SET v = v || '!' WHERE id > 1").await, "UPDATE 2");
    assert_eq!(values(&session, "SELECT v FROM t ORDER BY id").await, "a,b!,x!");
    assert_eq!(run(&session, "DELETE FROM t WHERE id = 2").await, "DELETE 1");
    let merge = "MERGE INTO t USING (VALUES (1, 'new'), (9, 'nine')) AS s(id, v) ON t.id = s.id \
                 WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)";
    assert_eq!(run(&session, merge).await, "MERGE 2");
    assert_eq!(values(&session, "SELECT v FROM t ORDER BY id").await, "new,x!,nine");
    assert_eq!(values(&session, "SELECT v FROM t VERSION AS OF 1 ORDER BY id").await, "a,b,x");
    assert_eq!(values(&session, "INSERT INTO t VALUES (10, 'ten') RETURNING v").await, "ten");
    database.close().await.unwrap();
    assert!(run(&session, "INSERT INTO t VALUES (11, 'late')").await.starts_with("[57P01]"));

    let database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let session = database.session().unwrap();
    assert_eq!(values(&session, "SELECT count(*) FROM t").await, "4");
    assert_eq!(run(&session, "DROP TABLE t").await, "DROP TABLE");
    assert!(run(&session, "SELECT * FROM t").await.starts_with("[42P01]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_matches_twice_stops_the_merge() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let session = database.session().unwrap();
    run(&session, "CREATE TABLE t AS SELECT 1::bigint AS id, 'a' AS v").await;
    let merge = "MERGE INTO t USING (VALUES (1, 'b'), (1, 'c')) AS s(id, v) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v";
    assert!(run(&session, merge).await.starts_with("[21000]"));
    assert_eq!(values(&session, "SELECT v FROM t").await, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_one_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let second = Database::open(Config::in_folder(folder.path())).await;
    let error = second.err().expect("the folder is locked");
    assert_eq!(error.sqlstate(), "55006");
}

#[test]
fn the_example_opens_queries_streams_and_cancels() {
    let folder = tempfile::tempdir().unwrap();
    // `cargo test` has built it. No cargo from here: the environment of a test makes it build every dependency anew.
    let program = std::env::current_exe().unwrap().with_file_name("../examples/embed");
    assert!(program.exists(), "the example is not built: cargo build --example embed");
    let printed = text_of(Command::new(program).arg(folder.path()));
    let expected = [
        "INSERT 0 100000",
        "| /page/0 | 16666  |",
        "| /page/1 | 16667  |",
        "| /page/2 | 16667  |",
        "100000 rows streamed",
        "cancelled: 57014",
    ];
    for line in expected {
        assert!(printed.lines().any(|printed| printed == line), "{line} in\n{printed}");
    }
}
