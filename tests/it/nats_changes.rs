//! Changes by key from a real NATS server: rows, deletions and envelopes over kills of the server and replays.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::changes::{Model, held};
use crate::nats::{Broker, send, stream};
use crate::server::Server;
use crate::sources::{arrives, number, text};

/// Keys in subjects, as key-value buckets have them, and in headers: both tables become what the messages say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_replace_rows_and_keys_without_one_delete_them() {
    const ROUNDS: u64 = 10;
    let broker = Broker::start();
    let context = broker.connect().await;
    stream(&context, "rows").await;
    let mut server = Server::start_with(&["--flush-interval-ms", "60"]);
    let client = server.connect().await;
    for (name, more) in [("t", "subject = 'rows.*'"), ("u", "key_header = 'Nats-Key'")] {
        let create = format!(
            "CREATE SOURCE {name} (id bigint PRIMARY KEY, text text) WITH ({}, batch_rows = 90, {more}) FORMAT UPSERT ENCODE JSON",
            broker.options("rows")
        );
        client.batch_execute(&create).await.unwrap();
    }
    let message = |id: i64, body: String| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Key", format!("{{\"id\": {id}, \"part\": 1}}"));
        (format!("rows.{id}"), body, headers)
    };
    let (mut random, mut expected) = (SmallRng::seed_from_u64(9), BTreeMap::new());
    for round in 0..ROUNDS {
        let mut messages = Vec::new();
        for step in 0..1500 {
            let id = random.random_range(0..50_i64);
            if random.random_range(0..3) == 0 {
                expected.remove(&id);
                messages.push(message(id, String::new()));
            } else {
                let text = format!("{round}.{step}");
                messages.push(message(id, format!("{{\"id\": {id}, \"text\": \"{text}\"}}")));
                expected.insert(id, text);
            }
        }
        send(&context, messages).await;
        tokio::time::sleep(Duration::from_millis((round * 41) % 120)).await;
        server.kill_and_restart();
    }
    let end = |id: i64| message(id, format!("{{\"id\": {id}, \"text\": \"end\"}}"));
    send(&context, [end(1000)]).await;
    expected.insert(1000, "end".to_owned());
    let client = server.connect().await;
    for table in ["t", "u"] {
        arrives(&client, &format!("SELECT count(*) FROM {table} WHERE id = 1000"), 1).await;
        assert_eq!(held(&client, table).await, expected);
        client.batch_execute(&format!("FLUSH TABLE {table}")).await.unwrap();
        assert_eq!(held(&client, table).await, expected);
    }
    // Everything again leaves the same.
    client.batch_execute("DELETE FROM t WHERE id = 1000; ALTER SOURCE t RESET TO OFFSET 0").await.unwrap();
    arrives(&client, "SELECT count(*) FROM t WHERE id = 1000", 1).await;
    assert_eq!(held(&client, "t").await, expected);

    // What has no key is kept as it came.
    let without = HeaderMap::new();
    send(&context, [("rows.seven".to_owned(), String::new(), without), end(1001)]).await;
    for (table, letter) in [("t", "22P02 seven"), ("u", "23502 ")] {
        arrives(&client, &format!("SELECT count(*) FROM {table} WHERE id = 1001"), 1).await;
        let letters = format!("SELECT left(reason, 5) || ' ' || encode(raw, 'escape') FROM {table}$dead_letter");
        assert_eq!(text(&client, &letters).await.as_deref(), Some(letter));
    }
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envelopes_are_applied_once_in_order_over_kills_of_the_server() {
    const ROUNDS: u64 = 6;
    let broker = Broker::start();
    let context = broker.connect().await;
    stream(&context, "rows").await;
    let mut server = Server::start_with(&["--flush-interval-ms", "80"]);
    let client = server.connect().await;
    let columns = "(id bigint PRIMARY KEY, text text NOT NULL)";
    let create =
        format!("CREATE SOURCE t {columns} WITH ({}, batch_rows = 130) FORMAT DEBEZIUM", broker.options("rows"));
    client.batch_execute(&create).await.unwrap();
    let mut model = Model::new(3);
    for round in 0..ROUNDS {
        let mut bodies = Vec::new();
        for _ in 0..1200 {
            let event = model.step();
            let is_deletion = event.contains(r#""op":"d""#);
            bodies.push(event);
            bodies.extend(is_deletion.then(String::new));
        }
        send(&context, bodies.into_iter().map(|body| ("rows.a".to_owned(), body, HeaderMap::new()))).await;
        tokio::time::sleep(Duration::from_millis((round * 53) % 200)).await;
        server.kill_and_restart();
    }
    let mut expected = model.rows.clone();
    let end = r#"{"op":"c","after":{"id":1000,"text":"end"}}"#;
    send(&context, [("rows.a".to_owned(), end.to_owned(), HeaderMap::new())]).await;
    expected.insert(1000, "end".to_owned());
    let client = server.connect().await;
    arrives(&client, "SELECT count(*) FROM t WHERE id = 1000", 1).await;
    assert_eq!(held(&client, "t").await, expected);
    assert_eq!(number(&client, "SELECT count(*) FROM t$dead_letter").await, model.poison);
    assert_eq!(number(&client, "SELECT count(DISTINCT position) FROM t$dead_letter").await, model.poison);
    assert_eq!(server.terminate(), Some(0));
}
