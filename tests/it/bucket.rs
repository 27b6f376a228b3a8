//! Tables in a bucket, through the S3 API of moto.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::{Running, free_address, python};
use crate::rows::{Answer, ask, line};
use crate::server::Server;

/// A running S3 API with one bucket, `lake`.
struct Store {
    _program: Running,
    address: SocketAddr,
}

impl Store {
    fn start() -> Self {
        let address = free_address();
        let mut command = Command::new(python().with_file_name("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let program = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let store = Self { _program: program, address };
        for _ in 0..300 {
            if store.make_bucket().is_ok() {
                return store;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the S3 API does not answer on {address}");
    }

    /// One PUT request; moto takes any signature.
    fn make_bucket(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        write!(
            stream,
            "PUT /lake HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.starts_with("HTTP/1.1 200") {
            true => Ok(()),
            false => Err(std::io::Error::other(answer)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_lives_in_a_bucket() {
    let store = Store::start();
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, catalog) = (format!("http://{}", store.address), folder.path().join("catalog"));
    let flags = [
        "--catalog-folder",
        catalog.to_str().unwrap(),
        "--s3-endpoint",
        &endpoint,
        "--s3-allow-http",
        "on",
        "--s3-region",
        "us-east-1",
        "--s3-access-key-id",
        "key",
        "--s3-secret-access-key",
        "secret",
    ];
    let mut server = Server::open(std::path::Path::new("s3://lake/database"), &flags);
    let client = server.connect().await;
    for (sql, count) in [
        ("CREATE TABLE t (id int, v text) PARTITIONED BY (v)", 0),
        ("INSERT INTO t SELECT n, 'p' || n % 3 FROM generate_series(1, 3000) AS g(n)", 3000),
        ("UPDATE t SET id = -id WHERE id <= 10", 10),
        ("DELETE FROM t WHERE id > 2990", 10),
    ] {
        assert_eq!(ask(&client, sql).await, Answer::Done(count), "{sql}");
    }
    server.kill_and_restart();
    let client = server.connect().await;
    let Answer::Rows(_, rows) = ask(&client, "SELECT count(*), sum(id), count(DISTINCT v) FROM t").await else {
        panic!("the table is gone")
    };
    assert_eq!(line(&rows[0]), format!("2990 | {} | 3", 2990 * 2991 / 2 - 110));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_table_lose_nothing() {
    let store = Store::start();
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, catalog) = (format!("http://{}", store.address), folder.path().join("catalog"));
    let flags = [
        "--catalog-folder",
        catalog.to_str().unwrap(),
        "--s3-endpoint",
        &endpoint,
        "--s3-allow-http",
        "on",
        "--s3-region",
        "us-east-1",
        "--s3-access-key-id",
        "key",
        "--s3-secret-access-key",
        "secret",
    ];
    let server = Server::open(std::path::Path::new("s3://lake/racing"), &flags);
    ask(&server.connect().await, "CREATE TABLE t (writer int, n int)").await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let client = server.connect().await;
        writers.spawn(async move {
            for n in 0..10 {
                let sql = format!("INSERT INTO t VALUES ({writer}, {n})");
                assert_eq!(ask(&client, &sql).await, Answer::Done(1), "{sql}");
            }
        });
    }
    writers.join_all().await;
    let Answer::Rows(_, rows) =
        ask(&server.connect().await, "SELECT count(*), count(DISTINCT writer * 100 + n) FROM t").await
    else {
        panic!("the table is gone")
    };
    assert_eq!(line(&rows[0]), "40 | 40");
}
