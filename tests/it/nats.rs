//! NATS as a source, with a real server: each message once over kills of both, and what is missing is said.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, HeaderMap};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::program::{Running, free_address, python, root, text_of};
use crate::rows::{Answer, ask};
use crate::server::Server;
use crate::sources::{arrives, number, text};

/// A NATS server that keeps its streams in a folder.
pub struct Broker {
    pub program: Running,
    pub port: u16,
    pub folder: TempDir,
}

impl Broker {
    pub fn start() -> Self {
        Self::configured(|_| String::new())
    }

    /// With more lines in its file.
    fn configured(more: impl FnOnce(&Path) -> String) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_address().port());
        let streams = folder.path().join("streams");
        let config = format!("listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {streams:?} }}\n");
        std::fs::write(folder.path().join("config"), config + &more(folder.path())).unwrap();
        Self { program: Self::launch(folder.path(), port), port, folder }
    }

    fn launch(folder: &Path, port: u16) -> Running {
        let mut command = Command::new(python().with_file_name("nats-server"));
        command.arg("-c").arg(folder.join("config")).stdout(Stdio::null()).stderr(Stdio::null());
        let program = Running::start(&mut command);
        let until = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "the NATS server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    /// Kills it without warning and starts it again on its folder, in which something may happen meanwhile.
    pub fn kill_and_restart(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.program.kill();
        meanwhile(self.folder.path());
        self.program = Self::launch(self.folder.path(), self.port);
    }

    pub async fn connect(&self) -> Context {
        self.connect_with(ConnectOptions::new()).await
    }

    async fn connect_with(&self, options: ConnectOptions) -> Context {
        // It listens before its streams are there.
        let until = Instant::now() + Duration::from_secs(20);
        let client = options.connect(format!("127.0.0.1:{}", self.port)).await.unwrap();
        let context = jetstream::new(client);
        while let Err(error) = context.query_account().await {
            assert!(Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        context
    }

    pub fn options(&self, stream: &str) -> String {
        let servers = format!("servers = 'nats://127.0.0.1:{}'", self.port);
        format!("connector = 'nats', {servers}, stream = '{stream}', retry_pause_max = '500 ms'")
    }
}

/// A stream of the subjects below its name.
pub async fn stream(context: &Context, name: &str) -> Stream {
    let subjects = vec![format!("{name}.>")];
    context.create_stream(Config { name: name.to_owned(), subjects, ..Config::default() }).await.unwrap()
}

/// Sends messages in their order, and waits until the server has them.
pub async fn send(context: &Context, messages: impl IntoIterator<Item = (String, String, HeaderMap)>) {
    let mut sent = Vec::new();
    for (subject, body, headers) in messages {
        sent.push(context.publish_with_headers(subject, headers, body.into()).await.unwrap());
        if sent.len() == 200 {
            for one in sent.drain(..) {
                one.await.unwrap();
            }
        }
    }
    for one in sent {
        one.await.unwrap();
    }
}

pub async fn send_numbers(context: &Context, subject: &str, range: std::ops::Range<i64>) {
    let message =
        |id: i64| (subject.to_owned(), format!("{{\"id\": {id}, \"text\": \"message {id}\"}}"), HeaderMap::new());
    send(context, range.map(message)).await;
}

const FAILED: &str = "SELECT count(*) FROM system.sources WHERE state IN ('retrying', 'broken') AND last_error LIKE ";

/// Waits until a source has failed and says this.
pub async fn says(client: &Client, error: &str) {
    arrives(client, &format!("{FAILED} '%{error}%'"), 1).await;
}

async fn failed(client: &Client, sql: &str) -> String {
    match ask(client, sql).await {
        Answer::Failed(code, message) => format!("{code} {message}"),
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_there_once_over_kills_of_the_server_and_the_broker() {
    const ROUNDS: i64 = 24;
    const MESSAGES: i64 = 3000;
    let mut broker = Broker::start();
    stream(&broker.connect().await, "clicks").await;
    let mut server = Server::start_with(&["--flush-interval-ms", "80"]);
    let client = server.connect().await;
    let create = format!(
        "CREATE SOURCE clicks (id bigint NOT NULL, text text) WITH ({}, batch_rows = 150)",
        broker.options("clicks")
    );
    client.batch_execute(&create).await.unwrap();
    let mut kills_midway = 0;
    for round in 0..ROUNDS {
        let context = broker.connect().await;
        send_numbers(&context, "clicks.a", round * MESSAGES..(round + 1) * MESSAGES).await;
        // Soon: all are read a few dozen milliseconds after the last was sent.
        tokio::time::sleep(Duration::from_millis((round as u64 * 7) % 25)).await;
        match round % 4 {
            1 => broker.program.signal("STOP"),
            2 => broker.kill_and_restart(|_| {}),
            _ => {}
        }
        // In one round of four the server outlives its broker.
        if round % 4 != 2 || round % 8 == 2 {
            server.kill_and_restart();
        }
        if round % 4 == 1 {
            broker.program.signal("CONT");
        }
        let client = server.connect().await;
        assert_eq!(number(&client, "SELECT count(*) - count(DISTINCT id) FROM clicks").await, 0, "round {round}");
        let held = number(&client, "SELECT count(*) FROM clicks").await;
        kills_midway += i64::from(held < (round + 1) * MESSAGES);
    }
    assert!(kills_midway > 0, "no kill came while messages were read");
    let client = server.connect().await;
    let all = ROUNDS * MESSAGES;
    arrives(&client, "SELECT count(*) FROM clicks", all).await;
    assert_eq!(number(&client, "SELECT count(DISTINCT id) FROM clicks WHERE text = 'message ' || id").await, all);
    // It is known that no message waits, also by a server that has not read one.
    server.kill_and_restart();
    let client = server.connect().await;
    arrives(&client, "SELECT coalesce(lag_rows, -1) FROM system.sources", 0).await;
    assert_eq!(number(&client, "SELECT partitions FROM system.sources").await, 1);
    // A message that does not fit goes aside with its sequence; one holds several records.
    let context = broker.connect().await;
    let bodies = ["{\"id\":", "", "[{\"id\": -1}, {\"id\": -2}]"];
    send(&context, bodies.map(|body| ("clicks.b".to_owned(), body.to_owned(), HeaderMap::new()))).await;
    arrives(&client, "SELECT count(*) FROM clicks WHERE id < 0", 2).await;
    let letters = "SELECT string_agg(source || ' ' || position || ' ' || left(reason, 5), ',' ORDER BY position) FROM clicks$dead_letter";
    let expected = format!("clicks {} 22P02,clicks {} 23502", all + 1, all + 2);
    assert_eq!(text(&client, letters).await, Some(expected));
    let lag = "SELECT count(*) FROM system.sources WHERE lag_rows = 0 AND lag_ms BETWEEN 0 AND 20000 AND rows = 2";
    assert_eq!(number(&client, lag).await, 1);
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_starts_anywhere_goes_back_and_outlives_its_broker() {
    let mut broker = Broker::start();
    let context = broker.connect().await;
    stream(&context, "t").await;
    send_numbers(&context, "t.a", 0..10).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut server = Server::start();
    let client = server.connect().await;
    let moment =
        text(&client, "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let create = |name: &str, more: &str| {
        format!("CREATE SOURCE {name} (id bigint, text text) WITH ({}, {more})", broker.options("t"))
    };
    for (name, start) in [("late", "latest"), ("at", "5"), ("beyond", "1000"), ("since", &moment), ("some", "earliest")]
    {
        let filter = if name == "some" { ", subject = 't.*.x'" } else { "" };
        client.batch_execute(&create(name, &format!("start = '{start}'{filter}"))).await.unwrap();
    }
    arrives(&client, "SELECT count(*) FROM system.sources WHERE partitions = 1 AND lag_rows IS NOT NULL", 5).await;
    // They stand where they are to begin, also after a kill before the first message.
    server.kill_and_restart();
    let client = server.connect().await;
    send_numbers(&context, "t.b", 10..20).await;
    send_numbers(&context, "t.b.x", 20..25).await;
    for (name, count, first) in
        [("late", 15, 10), ("at", 21, 4), ("beyond", 15, 10), ("since", 15, 10), ("some", 5, 20)]
    {
        arrives(&client, &format!("SELECT count(*) * 100 + min(id) FROM {name}"), count * 100 + first).await;
    }
    client.batch_execute("DROP SOURCE at; DROP SOURCE beyond; DROP SOURCE since; DROP SOURCE some").await.unwrap();
    client.batch_execute("ALTER SOURCE late RESET TO OFFSET 24").await.unwrap();
    arrives(&client, "SELECT count(*) FROM late", 17).await;
    client.batch_execute(&format!("ALTER SOURCE late RESET TO TIMESTAMP '{moment}'")).await.unwrap();
    arrives(&client, "SELECT count(*) FROM late", 32).await;
    client.batch_execute("ALTER SOURCE late RESET TO TIMESTAMP '2200-01-01'").await.unwrap();
    client.batch_execute("ALTER SOURCE late PAUSE").await.unwrap();
    send_numbers(&context, "t.c", 25..26).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(number(&client, "SELECT count(*) FROM late").await, 32);
    client.batch_execute("ALTER SOURCE late RESUME").await.unwrap();
    arrives(&client, "SELECT count(*) FROM late", 33).await;

    // A server that is gone is waited for.
    broker.program.kill();
    arrives(&client, "SELECT count(*) FROM system.sources WHERE state IN ('retrying', 'broken')", 1).await;
    assert!(failed(&client, "ALTER SOURCE late RESET TO OFFSET 1").await.starts_with("58030"));
    broker.kill_and_restart(|_| {});
    send_numbers(&broker.connect().await, "t.c", 26..27).await;
    arrives(&client, "SELECT count(*) FROM late WHERE id = 26", 1).await;
    arrives(&client, "SELECT count(*) FROM system.sources WHERE state = 'running'", 1).await;
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_bad_messages_pause_a_source() {
    let broker = Broker::start();
    let context = broker.connect().await;
    stream(&context, "t").await;
    let server = Server::start();
    let client = server.connect().await;
    let create = format!(
        "CREATE SOURCE t (id bigint, text text) WITH ({}, poison_window = 10, record_bytes_max = 100) ENCODE CSV",
        broker.options("t")
    );
    client.batch_execute(&create).await.unwrap();
    let lines = |lines: &[String]| -> Vec<_> {
        lines.iter().map(|line| ("t.a".to_owned(), line.clone(), HeaderMap::new())).collect()
    };
    send(&context, lines(&["1,one".to_owned(), "x,two".to_owned(), "x".repeat(200), "2,two\n3,three".to_owned()]))
        .await;
    arrives(&client, "SELECT sum(id)::bigint FROM t", 6).await;
    let letters = "SELECT string_agg(left(reason, 5) || ' ' || length(raw), ',' ORDER BY position) FROM t$dead_letter";
    assert_eq!(text(&client, letters).await.as_deref(), Some("22P02 5,54000 100"));
    send(&context, lines(&vec!["x".to_owned(); 12])).await;
    arrives(&client, "SELECT count(*) FROM system.sources WHERE state = 'paused'", 1).await;
    let reason = text(&client, "SELECT pause_reason FROM system.sources").await.unwrap();
    assert!(reason.contains("records were refused, more than poison_limit"), "{reason}");
    client.batch_execute("ALTER SOURCE t RESUME").await.unwrap();
    send(&context, lines(&["4,four".to_owned()])).await;
    arrives(&client, "SELECT sum(id)::bigint FROM t", 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_are_needed_and_shown_to_nobody() {
    let broker = Broker::configured(|_| "authorization { user: me, password: swordfish }\n".to_owned());
    let context = broker.connect_with(ConnectOptions::with_user_and_password("me".into(), "swordfish".into())).await;
    stream(&context, "t").await;
    send_numbers(&context, "t.a", 0..3).await;
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().canonicalize().unwrap().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("secret"), "swordfish\n").unwrap();
    std::fs::write(folder.path().join("outside"), "swordfish\n").unwrap();
    let variables = [("HEADWATER_SECRET_NATS", "swordfish"), ("OTHER_SECRET", "swordfish")];
    let flags = ["--file-locations", files.to_str().unwrap()];
    let server = Server::open_where(&folder.path().join("data"), &flags, &variables);
    let client = server.connect().await;
    let create = |password: &str| {
        let login = format!("username = 'me', password = '{password}'");
        format!("CREATE SOURCE t (id bigint, text text) WITH ({}, {login})", broker.options("t"))
    };
    let secret = format!("file:{}", files.join("secret").display());
    for password in ["swordfish", "env:HEADWATER_SECRET_NATS", &secret] {
        client.batch_execute(&create(password)).await.unwrap();
        arrives(&client, "SELECT count(*) FROM t", 3).await;
        client.batch_execute("DROP SOURCE t; DROP TABLE t").await.unwrap();
    }
    let outside = format!("file:{}", folder.path().join("outside").display());
    for (password, error) in [
        ("swordfist", "the server refuses the login"),
        ("env:OTHER_SECRET", "a variable of the environment must begin with HEADWATER_SECRET_"),
        ("env:HEADWATER_SECRET_NONE", "the environment has no variable HEADWATER_SECRET_NONE"),
        (&outside, "permission denied for location"),
    ] {
        client.batch_execute(&create(password)).await.unwrap();
        says(&client, error).await;
        let shown = text(&client, "SELECT string_agg(sql, ';') FROM system.queries").await.unwrap();
        let facts = text(&client, "SELECT concat(options, last_error) FROM system.sources").await.unwrap();
        for shown in [shown, facts.clone()] {
            assert!(!shown.contains("swordfis") && !shown.contains("OTHER_SECRET"), "{shown}");
        }
        assert!(facts.contains("\"password\":\"***\""), "{facts}");
        client.batch_execute("DROP SOURCE t; DROP TABLE t").await.unwrap();
    }
    drop(broker);

    let broker = Broker::configured(|_| "authorization { token: swordfish }\n".to_owned());
    let context = broker.connect_with(ConnectOptions::with_token("swordfish".into())).await;
    stream(&context, "t").await;
    send_numbers(&context, "t.a", 0..3).await;
    let create = |more: &str| format!("CREATE SOURCE t (id bigint, text text) WITH ({}{more})", broker.options("t"));
    client.batch_execute(&create("")).await.unwrap();
    says(&client, "the server refuses the login").await;
    client.batch_execute("DROP SOURCE t; DROP TABLE t").await.unwrap();
    client.batch_execute(&create(", token = 'swordfish'")).await.unwrap();
    arrives(&client, "SELECT count(*) FROM t", 3).await;
    client.batch_execute("DROP SOURCE t; DROP TABLE t").await.unwrap();
    drop(broker);

    let denied = "publish: { deny: \"$JS.API.CONSUMER.>\" }";
    let broker = Broker::configured(|_| {
        format!("authorization {{ users: [{{ user: me, password: swordfish, permissions: {{ {denied} }} }}] }}\n")
    });
    let context = broker.connect_with(ConnectOptions::with_user_and_password("me".into(), "swordfish".into())).await;
    stream(&context, "t").await;
    let login = "username = 'me', password = 'swordfish'";
    let create = format!("CREATE SOURCE t (id bigint, text text) WITH ({}, {login})", broker.options("t"));
    client.batch_execute(&create).await.unwrap();
    arrives(&client, &format!("{FAILED} '%the stream cannot be read%ermissions %iolation%'"), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_checks_both_sides() {
    let openssl = |folder: &Path, script: &str| {
        text_of(Command::new("sh").args(["-euc", script]).current_dir(folder));
    };
    let broker = Broker::configured(|folder| {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        let signed = |name: &str, more: &str| {
            format!(
                "openssl req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr {more}\n\
                 openssl x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out {name}.crt\n"
            )
        };
        let authority = format!("openssl req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.crt -days 2\n");
        let server = signed("server", "-addext subjectAltName=IP:127.0.0.1");
        openssl(
            folder,
            &format!("exec 2>/dev/null\n{authority}{server}{}", signed("client", "-addext subjectAltName=DNS:client")),
        );
        let file = |name: &str| folder.join(name);
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n",
            file("server.crt"),
            file("server.key"),
            file("ca.crt")
        )
    });
    let file = |name: &str| broker.folder.path().join(name);
    let options = ConnectOptions::new();
    let pem = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    let server = Server::start();
    let client = server.connect().await;
    let create = |more: &str| format!("CREATE SOURCE t (id bigint, text text) WITH ({}{more})", broker.options("t"));
    let again = "DROP SOURCE t; DROP TABLE t";
    // The server wants TLS, and its certificate is nobody's.
    client.batch_execute(&create("")).await.unwrap();
    says(&client, "UnknownIssuer").await;
    client.batch_execute(again).await.unwrap();
    client.batch_execute(&create(&format!(", ca_pem = '{}'", pem("ca.crt")))).await.unwrap();
    says(&client, "the servers cannot be reached").await;
    client.batch_execute(again).await.unwrap();
    let certificates = format!(
        ", ca_pem = '{}', certificate_pem = '{}', key_pem = '{}'",
        pem("ca.crt"),
        pem("client.crt"),
        pem("client.key")
    );
    client.batch_execute(&create(&certificates).replace("nats://", "tls://")).await.unwrap();
    says(&client, "stream \"t\" does not exist").await;
    let context = crate::nats::trusted(&broker, options, &pem("ca.crt"), &pem("client.crt"), &pem("client.key")).await;
    stream(&context, "t").await;
    send_numbers(&context, "t.a", 0..3).await;
    arrives(&client, "SELECT count(*) FROM t", 3).await;
    let key = pem("client.key");
    let line = key.lines().nth(1).unwrap();
    for sql in
        ["SELECT string_agg(sql, ';') FROM system.queries", "SELECT string_agg(options, ';') FROM system.sources"]
    {
        assert!(!text(&client, sql).await.unwrap().contains(line));
    }
}

/// A connection with certificates; our own way, as the client's would ask which of two providers to take.
async fn trusted(broker: &Broker, options: ConnectOptions, ca: &str, certificate: &str, key: &str) -> Context {
    use async_nats::rustls::pki_types::pem::PemObject;
    use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use async_nats::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read(ca)).unwrap();
    let config = ClientConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![read(certificate)], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
        .unwrap();
    broker.connect_with(options.tls_client_config(config)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_options_are_refused_and_the_documents_statements_run() {
    let broker = Broker::start();
    let context = broker.connect().await;
    let server = Server::start();
    let client = server.connect().await;
    for (options, error) in [
        ("stream = 's'", "needs the option \"servers\""),
        ("servers = 'a', stream = 's', topic = 'x'", "unrecognized nats option \"topic\""),
        ("servers = 'nats://me:swordfish@a', stream = 's'", "takes no login"),
        ("servers = 'ws://a', stream = 's'", "takes addresses such as"),
        ("servers = 'a', stream = 's', start = 'newest'", "invalid value for option \"start\""),
        ("servers = 'a', stream = 's', username = 'me'", "\"username\" and \"password\" need each other"),
        ("servers = 'a', stream = 's', key_pem = 'x'", "\"certificate_pem\" and \"key_pem\" need each other"),
        ("servers = 'a', stream = 's', username = 'a', password = 'b', token = 'c'", "not by both"),
        ("servers = 'a', stream = 's', subject = 'a..b'", "takes parts with dots between"),
        ("servers = 'a', stream = 's', key_header = 'Key'", "is for FORMAT UPSERT only"),
    ] {
        let told = failed(&client, &format!("CREATE SOURCE t (id int) WITH (connector = 'nats', {options})")).await;
        assert!(told.contains(error) && !told.contains("swordfish"), "{options}: {told}");
    }
    let parquet = format!("CREATE SOURCE t (id int) WITH ({}) ENCODE PARQUET", broker.options("t"));
    assert!(failed(&client, &parquet).await.starts_with("0A000"));

    // As a reader would type them.
    for name in ["CLICKS", "KV_stock"] {
        let subjects = if name == "CLICKS" { "clicks.>" } else { "$KV.stock.>" };
        let subjects = vec![subjects.to_owned()];
        context.create_stream(Config { name: name.to_owned(), subjects, ..Config::default() }).await.unwrap();
    }
    let document = std::fs::read_to_string(root().join("docs/sources.md")).unwrap();
    let section = document.split("\n## NATS\n").nth(1).unwrap();
    let statements = section.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let servers = broker.options("").split('\'').nth(3).unwrap().to_owned();
    let runnable = statements.replace("nats://n1:4222,nats://n2:4222", &servers).replace("nats://n1:4222", &servers);
    assert_ne!(statements, runnable);
    client.batch_execute(&runnable).await.unwrap();
    send(
        &context,
        [
            ("clicks.eu".to_owned(), "{\"user_id\": 1, \"url\": \"/\"}".to_owned(), HeaderMap::new()),
            ("$KV.stock.apple".to_owned(), "{\"item\": \"apple\", \"pieces\": 3}".to_owned(), HeaderMap::new()),
            ("$KV.stock.pear".to_owned(), "{\"item\": \"pear\", \"pieces\": 3}".to_owned(), HeaderMap::new()),
            ("$KV.stock.apple".to_owned(), String::new(), HeaderMap::new()),
        ],
    )
    .await;
    arrives(&client, "SELECT count(*) FROM clicks", 1).await;
    arrives(&client, "SELECT count(*) FROM stock WHERE item = 'pear'", 1).await;
    arrives(&client, "SELECT count(*) FROM stock", 1).await;
}
