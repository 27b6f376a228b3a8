//! Other readers of the same tables: the deltalake package and DuckDB's delta extension must see what we see.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{python, root, text_of};
use crate::rows::{Answer, ask};
use crate::server::Server;

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
    let server = Server::start();
    let client = server.connect().await;
    for sql in STATEMENTS {
        let answer = ask(&client, sql).await;
        assert!(matches!(answer, Answer::Done(_)), "{sql}: {answer:?}");
    }
    compare(&server, &client).await;
    // Fewer, larger files are still the same table.
    let answer = ask(&client, "OPTIMIZE shared").await;
    assert!(!matches!(answer, Answer::Failed(..)), "{answer:?}");
    compare(&server, &client).await;
}

async fn compare(server: &Server, client: &tokio_postgres::Client) {
    let ours = "SELECT count(*), sum(id), min(name), max(day), sum(price), count(note) FROM shared";
    let Answer::Rows(_, rows) = ask(client, ours).await else { panic!("the table cannot be read") };
    let location = table_folder(&server.folder().join("tables"), "shared");
    let script = root().join("tests/interop/read.py");
    let printed = text_of(Command::new(python()).arg(script).arg(&location));
    assert_eq!(printed.lines().count(), 2, "{printed}");
    for line in printed.lines() {
        let reader: serde_json::Value = serde_json::from_str(line).expect("the script prints JSON");
        let sees: Vec<Option<String>> = serde_json::from_value(reader["sees"].clone()).expect("a list of texts");
        assert_eq!(sees, rows[0], "{}", reader["reader"]);
    }
}

/// The folder of a table: its name and a short number.
fn table_folder(tables: &Path, name: &str) -> PathBuf {
    let entries = std::fs::read_dir(tables).expect("the tables' folder is there");
    let mut paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    let begins = |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    paths.find(begins).expect("the table has a folder")
}
