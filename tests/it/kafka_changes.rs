//! Changes by key from a real broker: rows, deletions and envelopes over kills of the server and replays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::changes::{Model, held};
use crate::kafka::Broker;
use crate::server::Server;
use crate::sources::{arrives, number, text};

type Keyed = (Option<String>, Option<String>);

impl Broker {
    /// Sends records with keys and values, either of which may be missing, to one partition.
    fn send_keyed(&self, topic: &str, partition: i32, records: &[Keyed]) {
        let producer: BaseProducer = self.config().create().unwrap();
        for (key, value) in records {
            let mut record = BaseRecord::<str, str>::to(topic).partition(partition);
            (record.key, record.payload) = (key.as_deref(), value.as_deref());
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }
}

/// Writes rows again that others replace and delete meanwhile, until the server is gone. Gives how often.
async fn meddle(client: Client, count: Arc<AtomicU32>) {
    for sql in ["UPDATE t SET text = text", "OPTIMIZE t", "DELETE FROM t WHERE text = 'never'"].into_iter().cycle() {
        match client.batch_execute(sql).await {
            Ok(()) => {
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {}
            Err(error) => {
                assert!(error.as_db_error().is_none(), "{sql}: {error:?}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envelopes_are_applied_once_in_order_over_kills_of_the_server() {
    const ROUNDS: u64 = 8;
    let broker = Broker::start();
    broker.create("rows", 2).await;
    let mut server = Server::start_with(&["--flush-interval-ms", "80"]);
    let client = server.connect().await;
    let create = format!(
        "CREATE SOURCE t (id bigint PRIMARY KEY, text text NOT NULL) WITH ({}, batch_rows = 130) FORMAT DEBEZIUM ENCODE JSON",
        broker.options("rows")
    );
    client.batch_execute(&create).await.unwrap();
    // Changes of a row come by one partition, as Debezium sends them.
    let mut models = [Model::new(1), Model::new(2)];
    let meddled = Arc::new(AtomicU32::new(0));
    for round in 0..ROUNDS {
        for (partition, model) in models.iter_mut().enumerate() {
            let first = partition as i64 * 1000;
            let mut records: Vec<Keyed> = Vec::new();
            for _ in 0..1200 {
                let event = model.step_of(first..first + 40);
                let is_deletion = event.contains(r#""op":"d""#);
                records.push((Some("{}".to_owned()), Some(event)));
                if is_deletion {
                    records.push((Some("{}".to_owned()), None));
                }
            }
            broker.send_keyed("rows", partition as i32, &records);
        }
        let meddler = tokio::spawn(meddle(server.connect().await, Arc::clone(&meddled)));
        tokio::time::sleep(Duration::from_millis(40 + (round * 53) % 200)).await;
        // On a slow machine none comes to its end in so short a time: the last ones get what they need.
        while round + 1 == ROUNDS && meddled.load(Ordering::Relaxed) == 0 {
            assert!(!meddler.is_finished(), "no statement comes between");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.kill_and_restart();
        meddler.await.unwrap();
        let client = server.connect().await;
        if round % 3 == 2 {
            client.batch_execute("FLUSH TABLE t").await.unwrap();
        }
    }
    let mut expected = BTreeMap::new();
    models.iter().for_each(|model| expected.extend(model.rows.clone()));
    for model in &mut models {
        // The last record of each partition: when they are there, so are all others.
        let id = model.rows.keys().next_back().map_or(0, |id| id / 1000 * 1000) + 999;
        let end = format!(r#"{{"op":"c","after":{{"id":{id},"text":"end"}}}}"#);
        broker.send_keyed("rows", (id / 1000) as i32, &[(None, Some(end))]);
        expected.insert(id, "end".to_owned());
    }
    let client = server.connect().await;
    arrives(&client, "SELECT count(*) FROM t WHERE text = 'end'", 2).await;
    assert_eq!(held(&client, "t").await, expected);
    let poison: i64 = models.iter().map(|model| model.poison).sum();
    assert_eq!(number(&client, "SELECT count(*) FROM t$dead_letter").await, poison);
    assert_eq!(number(&client, "SELECT count(DISTINCT source || position) FROM t$dead_letter").await, poison);
    client.batch_execute("FLUSH TABLE t").await.unwrap();
    assert_eq!(held(&client, "t").await, expected);

    // Everything again leaves the same: also what was deleted is deleted again.
    client.batch_execute("DELETE FROM t WHERE text = 'end'").await.unwrap();
    client.batch_execute("ALTER SOURCE t RESET TO OFFSET 0").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.kill_and_restart();
    let client = server.connect().await;
    arrives(&client, "SELECT count(*) FROM t WHERE text = 'end'", 2).await;
    assert_eq!(number(&client, "SELECT count(*) FROM t$dead_letter").await, 2 * poison);
    assert_eq!(held(&client, "t").await, expected);
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_replace_rows_and_keys_without_one_delete_them() {
    const ROUNDS: u64 = 6;
    let broker = Broker::start();
    broker.create("rows", 1).await;
    let mut server = Server::start_with(&["--flush-interval-ms", "60"]);
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE t (text text, id bigint PRIMARY KEY)").await.unwrap();
    let create =
        format!("CREATE SOURCE s INTO t WITH ({}, batch_rows = 90) FORMAT UPSERT ENCODE JSON", broker.options("rows"));
    client.batch_execute(&create).await.unwrap();
    let (mut random, mut expected) = (SmallRng::seed_from_u64(9), BTreeMap::new());
    for round in 0..ROUNDS {
        let mut records: Vec<Keyed> = Vec::new();
        for step in 0..1500 {
            let id = random.random_range(0..50_i64);
            let key = [format!("{id}"), format!("{{\"id\": {id}, \"part\": 1}}"), format!("\"{id}\"")];
            let key = Some(key[random.random_range(0..3)].clone());
            if random.random_range(0..3) == 0 {
                expected.remove(&id);
                records.push((key, None));
            } else {
                let text = format!("{round}.{step}");
                records.push((key, Some(format!("{{\"id\": {id}, \"text\": \"{text}\"}}"))));
                expected.insert(id, text);
            }
        }
        broker.send_keyed("rows", 0, &records);
        tokio::time::sleep(Duration::from_millis(30 + (round * 41) % 120)).await;
        server.kill_and_restart();
    }
    let end = |id: i64| (None, Some(format!("{{\"id\": {id}, \"text\": \"end\"}}")));
    broker.send_keyed("rows", 0, &[end(1000)]);
    expected.insert(1000, "end".to_owned());
    let client = server.connect().await;
    arrives(&client, "SELECT count(*) FROM t WHERE id = 1000", 1).await;
    assert_eq!(held(&client, "t").await, expected);
    client.batch_execute("FLUSH TABLE t").await.unwrap();
    assert_eq!(held(&client, "t").await, expected);

    // What has no key is kept as it came.
    let bad: [Keyed; 5] = [
        (None, None),
        (Some("{\"other\": 1}".to_owned()), None),
        (Some("seven".to_owned()), None),
        (Some("7".to_owned()), Some("{\"text\": \"no key\"}".to_owned())),
        (Some("7".to_owned()), Some("{\"id\": null}".to_owned())),
    ];
    broker.send_keyed("rows", 0, &bad);
    broker.send_keyed("rows", 0, &[end(1001)]);
    arrives(&client, "SELECT count(*) FROM t WHERE id = 1001", 1).await;
    let letters =
        "SELECT string_agg(left(reason, 5) || ' ' || encode(raw, 'escape'), ';' ORDER BY position) FROM t$dead_letter";
    let expected = "23502 ;23502 {\"other\": 1};22P02 seven;23502 {\"text\": \"no key\"};23502 {\"id\": null}";
    assert_eq!(text(&client, letters).await.as_deref(), Some(expected));
    // CSV has no word for a deletion.
    broker.create("lines", 1).await;
    let create = format!("CREATE SOURCE u INTO u WITH ({}) FORMAT UPSERT ENCODE CSV", broker.options("lines"));
    client.batch_execute(&format!("CREATE TABLE u (id bigint PRIMARY KEY, text text); {create}")).await.unwrap();
    let line = |text: &str| (None, Some(text.to_owned()));
    broker.send_keyed("lines", 0, &[line("1,one"), (Some("1".to_owned()), None), line("2,two"), line("2,dos")]);
    arrives(&client, "SELECT count(*) FROM u WHERE (id, text) IN ((1, 'one'), (2, 'dos'))", 2).await;
    let letters = "SELECT left(reason, 5) || ' ' || encode(raw, 'escape') FROM u$dead_letter";
    assert_eq!(text(&client, letters).await.as_deref(), Some("23502 1"));
    let counted = "SELECT rows || '|' || dead_letters FROM system.sources WHERE name = 's'";
    assert!(text(&client, counted).await.is_some_and(|counts| counts.ends_with("|5")));
    assert_eq!(server.terminate(), Some(0));
}
