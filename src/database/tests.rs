use crate::config::Config;
use crate::database::Database;
use crate::session::Reply;

#[tokio::test]
async fn what_sessions_do_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let session = database.session().unwrap();
    session.sql("CREATE TABLE t (a int)").await.unwrap();
    session.sql("INSERT INTO t VALUES (1), (2), (3)").await.unwrap();
    let Reply::Rows(rows) = session.sql("SELECT a FROM t").await.unwrap() else { unreachable!("a SELECT gives rows") };
    assert!(database.server().metrics_page().contains("\nheadwater_statements_running 1\n"));
    rows.collect().await.unwrap();
    assert_eq!(session.sql("SELECT nothing FROM t").await.err().map(|error| error.sqlstate()), Some("42703"));
    let page = database.server().metrics_page();
    for line in [
        "headwater_connections_total 1",
        "headwater_connections_open 1",
        "headwater_statements_running 0",
        "headwater_statements_total 3",
        "headwater_rows_returned_total 3",
        "headwater_commits_total 1",
        "headwater_tables 1",
        "headwater_statement_errors_total{sqlstate=\"42703\"} 1",
        "headwater_statement_seconds_count 3",
    ] {
        assert!(page.lines().any(|written| written == line), "no line {line:?} in\n{page}");
    }
}

#[tokio::test]
async fn a_session_knows_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let session = database.session().unwrap();
    let settings = session.settings();
    assert_eq!(settings.lock().show("session_authorization").unwrap(), "headwater");
    assert_eq!(settings.lock().show("is_superuser").unwrap(), "on");
}

#[tokio::test]
async fn a_series_of_bigint_counts_beyond_integer() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    let session = database.session().unwrap();
    let far = "SELECT max(n * 1000003) FROM generate_series(1::bigint, 2000 * 8) AS s(n)";
    let Reply::Rows(rows) = session.sql(far).await.unwrap() else { unreachable!("a SELECT gives rows") };
    assert_eq!(rows.collect().await.unwrap().iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    let near = "SELECT max(n * 1000003) FROM generate_series(1, 2000 * 8) AS s(n)";
    let Reply::Rows(rows) = session.sql(near).await.unwrap() else { unreachable!("a SELECT gives rows") };
    assert_eq!(rows.collect().await.err().map(|error| error.sqlstate()), Some("22003"));
}

#[tokio::test]
async fn what_a_killed_process_spilled_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("spill/datafusion-old");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("rows"), "x").unwrap();
    let _database = Database::open(Config::in_folder(folder.path())).await.unwrap();
    assert!(!left.exists());
}
