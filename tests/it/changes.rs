//! Sources that replace and delete rows by key: what a table holds is what the records say, also over kills and flushes.

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;
use tokio_postgres::Client;

use crate::rows::{Answer, ask};
use crate::server::Server;
use crate::sources::{arrives, number, put, source, start, text};

async fn failed(client: &Client, sql: &str) -> String {
    match ask(client, sql).await {
        Answer::Failed(code, message) => format!("{code} {message}"),
        other => panic!("{sql}: {other:?}"),
    }
}

async fn started() -> (Server, TempDir, Client) {
    let (server, folder) = start(&[]);
    let client = server.connect().await;
    (server, folder, client)
}

/// The rows `id=text` of a table.
pub async fn held(client: &Client, table: &str) -> BTreeMap<i64, String> {
    let rows = client.query(&format!("SELECT id, text FROM {table}"), &[]).await.unwrap();
    let held: BTreeMap<i64, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(held.len(), rows.len(), "a key is there twice");
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_has_and_keeps_the_key_that_its_source_needs() {
    let (_server, folder, client) = started().await;
    let folder = folder.path();
    client.batch_execute("CREATE TABLE plain (id bigint, text text)").await.unwrap();
    for format in ["UPSERT", "DEBEZIUM"] {
        let into = source("s", folder, &format!("INTO plain WITH ({{path}}) FORMAT {format}"));
        assert!(failed(&client, &into).await.starts_with("42P16"), "{format}");
        let new = source("s", folder, &format!("(id bigint) WITH ({{path}}) FORMAT {format}"));
        assert!(failed(&client, &new).await.starts_with("42P16"), "{format}");
    }
    let generated = "(at timestamp, day date GENERATED ALWAYS AS (CAST(at AS date)) STORED PRIMARY KEY)";
    let generated = source("s", folder, &format!("{generated} WITH ({{path}}) FORMAT UPSERT"));
    assert!(failed(&client, &generated).await.starts_with("0A000"));
    let csv = source("s", folder, "INTO plain WITH ({path}) FORMAT DEBEZIUM ENCODE CSV");
    assert!(failed(&client, &csv).await.starts_with("0A000"));
    // Nothing is left of what was refused.
    assert_eq!(number(&client, "SELECT count(*) FROM system.tables").await, 1);
    assert_eq!(number(&client, "SELECT count(*) FROM system.sources").await, 0);

    client.batch_execute("ALTER TABLE plain ADD PRIMARY KEY (id)").await.unwrap();
    client.batch_execute(&source("s", folder, "INTO plain WITH ({path}) FORMAT UPSERT")).await.unwrap();
    for sql in [
        "ALTER TABLE plain DROP CONSTRAINT plain_pkey",
        "ALTER TABLE plain DROP CONSTRAINT plain_pkey, ADD PRIMARY KEY (text)",
        "ALTER TABLE plain DROP COLUMN id",
        "CREATE OR REPLACE TABLE plain (id bigint, text text)",
    ] {
        let error = failed(&client, sql).await;
        assert!(error.starts_with("2BP01") && error.contains("source s depends on it"), "{sql}: {error}");
    }
    client.batch_execute("ALTER TABLE plain ADD COLUMN more int; ALTER TABLE plain ADD UNIQUE (text)").await.unwrap();
    put(folder, "a.json", "{\"id\": 1, \"text\": \"x\", \"more\": 2}");
    arrives(&client, "SELECT count(*) FROM plain WHERE more = 2", 1).await;
    client.batch_execute("DROP SOURCE s; ALTER TABLE plain DROP CONSTRAINT plain_pkey").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_replace_rows_by_key_in_every_encoding() {
    let (mut server, folder, client) = started().await;
    let folder = folder.path();
    client
        .batch_execute(
            "CREATE TABLE t (text text CHECK (text <> 'bad'), id bigint PRIMARY KEY) WITH (schema_evolution = 'add')",
        )
        .await
        .unwrap();
    for kind in ["csv", "json", "parquet"] {
        fs::create_dir(folder.join(kind)).unwrap();
        let create = source(kind, &folder.join(kind), &format!("INTO t WITH ({{path}}) FORMAT UPSERT ENCODE {kind}"));
        client.batch_execute(&create).await.unwrap();
    }
    put(
        folder,
        "json/a.json",
        "{\"id\": 1, \"text\": \"one\"}\n{\"id\": 2}\n{\"id\": 1, \"text\": \"uno\"}\n{\"id\": 1, \"text\": \"bad\"}\n{\"text\": \"x\"}\n",
    );
    arrives(&client, "SELECT count(*) FROM t WHERE id = 1 AND text = 'uno' OR id = 2 AND text IS NULL", 2).await;
    let letters = "SELECT string_agg(position || ' ' || left(reason, 5), ',' ORDER BY position) FROM t$dead_letter";
    assert_eq!(text(&client, letters).await.as_deref(), Some("4 23514,5 23502"));
    let counts = "SELECT rows || '|' || dead_letters FROM system.sources WHERE name = 'json'";
    assert_eq!(text(&client, counts).await.as_deref(), Some("3|2"));
    put(folder, "csv/a.csv", "text,id\ndos,2\ntres,3\n");
    arrives(&client, "SELECT count(*) FROM t WHERE text IN ('uno', 'dos', 'tres')", 3).await;
    client.batch_execute("FLUSH TABLE t").await.unwrap();
    let copy = format!(
        "COPY (SELECT 3::bigint AS id, 'drei' AS text, 7 AS more UNION ALL SELECT 4, 'vier', 8) TO '{}' WITH (FORMAT parquet)",
        folder.join("parquet/a.parquet").display()
    );
    client.batch_execute(&copy).await.unwrap();
    arrives(&client, "SELECT count(*) FROM t WHERE text IN ('uno', 'dos', 'drei', 'vier')", 4).await;
    assert_eq!(number(&client, "SELECT sum(more)::bigint FROM t").await, 15);
    server.kill_and_restart();
    let client = server.connect().await;
    let all = held(&client, "t").await;
    assert_eq!(all.values().map(String::as_str).collect::<Vec<_>>(), ["uno", "dos", "drei", "vier"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envelopes_in_files_are_applied_once_over_kills() {
    const ROUNDS: i64 = 6;
    let (mut server, folder, client) = started().await;
    let folder = folder.path();
    let columns = "(id bigint PRIMARY KEY, text text)";
    let create = source("t", folder, &format!("{columns} WITH ({{path}}, batch_rows = 40) FORMAT DEBEZIUM"));
    client.batch_execute(&create).await.unwrap();
    let mut model = Model::new(17);
    for round in 0..ROUNDS {
        let lines: String = (0..1500).map(|_| model.step() + "\n").collect();
        put(folder, &format!("{round}.json"), lines);
        tokio::time::sleep(std::time::Duration::from_millis(30 + (round as u64 * 31) % 90)).await;
        server.kill_and_restart();
        let client = server.connect().await;
        let read = "SELECT count(*) FROM \"t$files\" WHERE finished";
        arrives(&client, read, round + 1).await;
        assert_eq!(held(&client, "t").await, model.rows, "round {round}");
    }
    let client = server.connect().await;
    let letters = number(&client, "SELECT count(*) FROM t$dead_letter").await;
    assert_eq!(letters, model.poison);
    client.batch_execute("FLUSH TABLE t").await.unwrap();
    assert_eq!(held(&client, "t").await, model.rows);
    assert_eq!(server.terminate(), Some(0));
}

/// Out of order: of each key the newest change counts, whatever the batches and the kills; deletions that say nothing of how new
/// they are count as they come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_sequence_the_newest_change_of_a_key_counts() {
    use rand::{RngExt, SeedableRng};
    let (mut server, folder, client) = started().await;
    let folder = folder.path();
    let columns = "(id bigint PRIMARY KEY, text text, n int)";
    for (what, code) in [
        ("WITH ({path}) SEQUENCE BY n", "0A000"),
        ("WITH ({path}) FORMAT UPSERT SEQUENCE BY no", "42703"),
        ("WITH ({path}) FORMAT UPSERT SEQUENCE n", "42601"),
    ] {
        let error = failed(&client, &source("t", folder, &format!("{columns} {what}"))).await;
        assert!(error.starts_with(code), "{what}: {error}");
    }
    let create = format!("{columns} WITH ({{path}}, batch_rows = 20) FORMAT DEBEZIUM SEQUENCE BY n");
    client.batch_execute(&source("t", folder, &create)).await.unwrap();
    for change in ["RENAME COLUMN n TO m", "DROP COLUMN n"] {
        let error = failed(&client, &format!("ALTER TABLE t {change}")).await;
        assert!(error.starts_with("2BP01") && error.contains("source t depends on it"), "{change}: {error}");
    }
    let mut random = rand::rngs::SmallRng::seed_from_u64(3);
    let (mut rows, mut graves) = (BTreeMap::<i64, (i64, String)>::new(), BTreeMap::<i64, i64>::new());
    for round in 0..5 {
        let mut lines = String::new();
        for step in 0..600 {
            let (id, n) = (random.random_range(0..30), 1000 * round + random.random_range(0..2500));
            let newest = rows.get(&id).map(|row| row.0).max(graves.get(&id).copied());
            let text = format!("{round}/{step}");
            match random.random_range(0..10) {
                0 => {
                    lines += &format!("{{\"op\":\"d\",\"before\":{{\"id\":{id}}}}}\n");
                    rows.remove(&id);
                    graves.remove(&id);
                }
                1..4 => {
                    lines += &format!("{{\"op\":\"d\",\"before\":{{\"id\":{id},\"n\":{n}}}}}\n");
                    if newest.is_none_or(|newest| n >= newest) {
                        rows.remove(&id);
                        graves.insert(id, n);
                    }
                }
                _ => {
                    lines += &format!("{{\"op\":\"c\",\"after\":{{\"id\":{id},\"n\":{n},\"text\":\"{text}\"}}}}\n");
                    if newest.is_none_or(|newest| n >= newest) {
                        rows.insert(id, (n, text));
                        graves.remove(&id);
                    }
                }
            }
        }
        put(folder, &format!("{round}.json"), lines);
        tokio::time::sleep(std::time::Duration::from_millis(100 + 61 * round as u64)).await;
        server.kill_and_restart();
        let client = server.connect().await;
        arrives(&client, "SELECT count(*) FROM \"t$files\" WHERE finished", round + 1).await;
        let texts = rows.iter().map(|(id, (_, text))| (*id, text.clone())).collect::<BTreeMap<_, _>>();
        assert_eq!(held(&client, "t").await, texts, "round {round}");
        let deleted = client.query("SELECT id, n::bigint FROM t$deleted", &[]).await.unwrap();
        let deleted: BTreeMap<i64, i64> = deleted.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(deleted, graves, "round {round}");
        if round % 2 == 0 {
            client.batch_execute("FLUSH TABLE t").await.unwrap();
        }
    }
    let client = server.connect().await;
    // A row that does not say how new it is goes aside.
    put(folder, "last.json", "{\"op\":\"c\",\"after\":{\"id\":1,\"text\":\"x\"}}\n");
    arrives(&client, "SELECT count(*) FROM t$dead_letter WHERE reason LIKE '23502%'", 1).await;
}

/// Random changes of few rows, as Debezium tells them, and what is left of them.
pub struct Model {
    random: rand::rngs::SmallRng,
    pub rows: BTreeMap<i64, String>,
    /// Records that are to be refused.
    pub poison: i64,
    steps: i64,
}

impl Model {
    pub fn new(seed: u64) -> Self {
        Self { random: rand::SeedableRng::seed_from_u64(seed), rows: BTreeMap::new(), poison: 0, steps: 0 }
    }

    /// The next record.
    pub fn step(&mut self) -> String {
        self.step_of(0..40)
    }

    /// The next record, of these keys.
    pub fn step_of(&mut self, keys: std::ops::Range<i64>) -> String {
        use rand::RngExt;
        self.steps += 1;
        let [id, other] = [0; 2].map(|_| self.random.random_range(keys.clone()));
        let text = format!("step {}", self.steps);
        let row = |id: i64, text: &str| format!(r#"{{"id":{id},"text":"{text}"}}"#);
        let before = self.rows.get(&id).cloned();
        let event = match (before, self.random.random_range(0..20)) {
            (_, 0) => {
                self.poison += 1;
                let poison = [
                    r#"{"op":"t"}"#,
                    r#"{"op":"c","after":{"text":"no key"}}"#,
                    "{",
                    r#"{"op":"d","before":{"id":"x"}}"#,
                ];
                return poison[self.random.random_range(0..poison.len())].to_owned();
            }
            (None, _) => {
                self.rows.insert(id, text.clone());
                format!(r#"{{"op":"c","before":null,"after":{}}}"#, row(id, &text))
            }
            (Some(before), 1..6) => {
                self.rows.remove(&id);
                format!(r#"{{"op":"d","before":{},"after":null}}"#, row(id, &before))
            }
            (Some(before), 6..10) if !self.rows.contains_key(&other) => {
                self.rows.remove(&id);
                self.rows.insert(other, text.clone());
                format!(r#"{{"op":"u","before":{},"after":{}}}"#, row(id, &before), row(other, &text))
            }
            (Some(before), _) => {
                self.rows.insert(id, text.clone());
                format!(r#"{{"op":"u","before":{},"after":{}}}"#, row(id, &before), row(id, &text))
            }
        };
        match self.steps % 3 {
            0 => format!(r#"{{"schema":{{"type":"struct"}},"payload":{event}}}"#),
            _ => event,
        }
    }
}
