//! Other readers of the same tables: the deltalake package and DuckDB's delta extension must see what we see.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{python, root, text_of};
use crate::rows::{Answer, ask, told};
use crate::server::{Server, WITHOUT_TAILS};

/// The table of the test: partitioned, changed, with NULLs, decimals, a new column and removed rows.
const STATEMENTS: [&str; 7] = [
    "CREATE TABLE shared (id bigint NOT NULL, name text, day date, price numeric(10, 2)) PARTITIONED BY (day)",
    "INSERT INTO shared SELECT n, 'name ' || n, DATE '2024-01-01' + (n % 3)::int, n / 4.0 FROM generate_series(1::bigint, 1000) AS g(n)",
    "INSERT INTO shared VALUES (2000, NULL, NULL, NULL), (2001, 'größe', '2024-02-01', -1.25)",
    "UPDATE shared SET price = price + 100 WHERE id % 100 = 0",
    "DELETE FROM shared WHERE id BETWEEN 10 AND 20",
    "ALTER TABLE shared ADD COLUMN note text",
    "INSERT INTO shared VALUES (3000, 'last', '2024-01-02', 1, 'a note')",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deltalake_and_duckdb_see_the_same_rows() {
    let server = Server::start_with(&WITHOUT_TAILS);
    let client = server.connect().await;
    for sql in STATEMENTS {
        let answer = ask(&client, sql).await;
        assert!(matches!(answer, Answer::Done(_)), "{sql}: {answer:?}");
    }
    compare(&server, &client, "shared", SHARED, None).await;
    // Fewer, larger files are still the same table.
    let answer = ask(&client, "OPTIMIZE shared").await;
    assert!(!matches!(answer, Answer::Failed(..)), "{answer:?}");
    compare(&server, &client, "shared", SHARED, None).await;
}

const SHARED: &str = "SELECT count(*), sum(id), min(name), max(day)::varchar, sum(price)::varchar, count(note) FROM {}";

/// Flights of 2001, as the npm package `vega-datasets` has them: 3 M rows.
const FLIGHTS: &str = "SELECT count(*), sum(delay)::bigint, sum(distance)::bigint, min(date), count(DISTINCT origin), \
    max(destination), count(*) FILTER (WHERE delay > 60) FROM {}";

/// What is done to them, and how many rows each statement changes by DuckDB's count of the source.
const FLIGHT_CHANGES: [(&str, &str); 3] = [
    ("UPDATE flights SET delay = 0 WHERE delay < 0 AND origin = 'ANC'", "delay < 0 AND origin = 'ANC'"),
    ("DELETE FROM flights WHERE destination = 'LAX' AND month = '03'", "destination = 'LAX' AND date LIKE '03%'"),
    (
        "MERGE INTO flights f USING (SELECT DISTINCT origin FROM flights WHERE distance > 4000) s ON f.origin = s.origin \
         WHEN MATCHED AND f.delay > 600 THEN DELETE",
        "delay > 600 AND origin IN (SELECT origin FROM {} WHERE distance > 4000) AND NOT (destination = 'LAX' AND date LIKE '03%')",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_flights_are_the_same_for_everybody() {
    let source = flights();
    let folder = source.parent().expect("a file has a folder").to_str().unwrap();
    let server = Server::start_with(&[&WITHOUT_TAILS[..], &["--file-locations", folder]].concat());
    let client = server.connect().await;
    let create = "CREATE TABLE flights (date text NOT NULL, delay bigint, distance bigint, origin text, destination text, \
         month text GENERATED ALWAYS AS (substr(date, 1, 2)) STORED, CHECK (distance >= 0)) PARTITIONED BY (month)";
    assert_eq!(ask(&client, create).await, Answer::Done(0));
    let load = format!(
        "INSERT INTO flights SELECT date, delay, distance, origin, destination FROM read_parquet('{}')",
        source.display()
    );
    assert_eq!(ask(&client, &load).await, Answer::Done(3_000_000));
    compare(&server, &client, "flights", FLIGHTS, Some(&source)).await;
    for (sql, condition) in FLIGHT_CHANGES {
        let count = format!("SELECT count(*) FROM {{}} WHERE {condition}");
        let expected =
            reader(&server, "flights", &count, Some(&source)).last().expect("the source is read").1[0].clone();
        let Answer::Done(changed) = ask(&client, sql).await else { panic!("{sql}") };
        assert_eq!(Some(changed.to_string()), expected, "{sql}");
        compare(&server, &client, "flights", FLIGHTS, None).await;
    }
    assert!(!matches!(ask(&client, "OPTIMIZE flights FULL").await, Answer::Failed(..)));
    compare(&server, &client, "flights", FLIGHTS, None).await;
}

const TPCH_TABLES: [&str; 8] = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duckdb_answers_tpch_over_our_tables_as_we_do() {
    let source = tpch();
    let flags = ["--file-locations", source.to_str().unwrap()];
    let server = Server::start_with(&[&WITHOUT_TAILS[..], &flags].concat());
    let client = server.connect().await;
    let mut script = Command::new(python());
    script.arg(root().join("tests/interop/tpch.py")).arg(root().join("benches/tpch"));
    for table in TPCH_TABLES {
        let file = source.join(format!("{table}.parquet"));
        let load = format!("CREATE TABLE {table} AS SELECT * FROM read_parquet('{}')", file.display());
        let answer = ask(&client, &load).await;
        assert!(matches!(answer, Answer::Done(1..)), "{table}: {answer:?}");
        let folder = table_folder(&server.folder().join("tables"), &format!("{table}-"));
        script.arg(format!("{table}={}", folder.display()));
    }
    let theirs = text_of(&mut script);
    assert_eq!(theirs.lines().count(), 22, "{theirs}");
    for (number, theirs) in (1..).zip(theirs.lines()) {
        let file = root().join(format!("benches/tpch/q{number:02}.sql"));
        let query = std::fs::read_to_string(file).expect("the query is there");
        let Answer::Rows(_, ours) = ask(&client, &query).await else { panic!("query {number} has no answer") };
        let theirs: Vec<Vec<Option<String>>> = serde_json::from_str(theirs).expect("the script prints JSON");
        assert_eq!(ours.len(), theirs.len(), "query {number}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let same = ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, other)| is_same(one, other));
            assert!(same, "query {number}: {ours:?}, DuckDB has {theirs:?}");
        }
    }
}

/// Texts are equal; numbers as far as a double tells, which DuckDB's averages of decimals are.
fn is_same(ours: &Option<String>, theirs: &Option<String>) -> bool {
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
    match (number(ours), number(theirs)) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0),
        _ => ours == theirs,
    }
}

/// The Parquet files of TPC-H with 120,000 lineitems, from the generator's package.
fn tpch() -> PathBuf {
    let folder = root().join("target/tpch");
    if !folder.join("lineitem.parquet").exists() {
        let generator = python().with_file_name("tpchgen-cli");
        text_of(Command::new(generator).args(["parquet", "-s", "0.02", "-o"]).arg(&folder));
    }
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_writer_commits_is_seen_by_the_next_statement() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("theirs");
    let write = |arguments: &[&str]| {
        text_of(Command::new(python()).arg(root().join("tests/interop/write.py")).arg(&table).args(arguments));
    };
    write(&["create"]);
    let server = Server::start_with(&["--file-locations", folder.path().to_str().unwrap()]);
    let (client, pinned) = (server.connect().await, server.connect().await);
    let register = format!("CREATE TABLE theirs USING DELTA LOCATION '{}'", table.display());
    assert_eq!(ask(&client, &register).await, Answer::Done(0));
    assert_eq!(ask(&client, "CREATE VIEW through AS SELECT id FROM theirs").await, Answer::Done(0));
    let prepared = client.prepare("SELECT count(*) FROM theirs").await.unwrap();
    assert_eq!(ask(&pinned, "BEGIN").await, Answer::Done(0));
    assert_eq!(told(&pinned, "SELECT count(*) FROM theirs").await, "100");
    write(&["append", "100"]);
    assert_eq!(told(&client, "SELECT count(*), max(id) FROM theirs").await, "200 | 199");
    assert_eq!(told(&pinned, "SELECT count(*) FROM theirs").await, "100", "a transaction sees one version");
    write(&["append", "200"]);
    assert_eq!(told(&client, "SELECT count(*) FROM through").await, "300");
    write(&["append", "300"]);
    assert_eq!(client.query_one(&prepared, &[]).await.unwrap().get::<_, i64>(0), 400);
    write(&["widen"]);
    assert_eq!(told(&client, "SELECT count(*), count(score), sum(score) FROM theirs").await, "500 | 100 | 50");
    write(&["delete", "id < 50"]);
    assert_eq!(ask(&client, "UPDATE theirs SET score = 1 WHERE id < 100").await, Answer::Done(50));
    let count = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'theirs'";
    assert_eq!(told(&client, count).await, "3");
    assert_eq!(told(&client, "SELECT count(*), count(score) FROM theirs").await, "450 | 150");
}

/// All readers see what we see.
async fn compare(server: &Server, client: &tokio_postgres::Client, table: &str, query: &str, source: Option<&Path>) {
    let Answer::Rows(_, rows) = ask(client, &query.replace("{}", table)).await else {
        panic!("{table} cannot be read")
    };
    for (name, sees) in reader(server, table, query, source) {
        assert_eq!(sees, rows[0], "{name}");
    }
}

/// The row that each of the other readers gives.
fn reader(server: &Server, table: &str, query: &str, source: Option<&Path>) -> Vec<(String, Vec<Option<String>>)> {
    let location = table_folder(&server.folder().join("tables"), table);
    let script = root().join("tests/interop/read.py");
    let printed = text_of(Command::new(python()).arg(script).arg(&location).arg(query).args(source));
    assert_eq!(printed.lines().count(), 2 + usize::from(source.is_some()), "{printed}");
    let parse = |line: &str| {
        let reader: serde_json::Value = serde_json::from_str(line).expect("the script prints JSON");
        let sees = serde_json::from_value(reader["sees"].clone()).expect("a list of texts");
        (reader["reader"].to_string(), sees)
    };
    printed.lines().map(parse).collect()
}

/// The file with the flights, from the npm package.
fn flights() -> PathBuf {
    let folder = root().join("target/vega-datasets");
    let file = folder.join("package/data/flights-3m.parquet");
    if !file.exists() {
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        let package =
            text_of(Command::new("npm").args(["pack", "--silent", "vega-datasets@2.11.0"]).current_dir(&folder));
        let package = folder.join(package.trim());
        text_of(
            Command::new("tar").arg("-xzf").arg(package).arg("package/data/flights-3m.parquet").current_dir(&folder),
        );
    }
    file
}

/// The folder of a table: its name and a short number.
fn table_folder(tables: &Path, name: &str) -> PathBuf {
    let entries = std::fs::read_dir(tables).expect("the tables' folder is there");
    let mut paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    let begins = |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    paths.find(begins).expect("the table has a folder")
}
