//! Tables in a bucket: through the S3 API of moto, and through Azure's of azurite.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::{Running, free_address, python};
use crate::rows::{Answer, ask, line, told};
use crate::server::{Server, WITHOUT_TAILS};
use crate::sources::arrives;

/// A running S3 API with one bucket, `lake`.
pub struct Store {
    _program: Running,
    pub address: SocketAddr,
}

impl Store {
    pub fn start() -> Self {
        let address = free_address();
        let mut command = Command::new(python());
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3/server.py"));
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

    fn flags(&self, folder: &std::path::Path) -> [String; 12] {
        flags(self.address, folder)
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

/// What a server needs to find a bucket behind this address; its catalog is in a folder.
pub fn flags(api: SocketAddr, folder: &std::path::Path) -> [String; 12] {
    let pairs = [
        ("catalog-folder", folder.join("catalog").to_string_lossy().into_owned()),
        ("s3-endpoint", format!("http://{api}")),
        ("s3-allow-http", "on".to_owned()),
        ("s3-region", "us-east-1".to_owned()),
        ("s3-access-key-id", "key".to_owned()),
        ("s3-secret-access-key", "secret".to_owned()),
    ];
    let flags: Vec<String> = pairs.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect();
    flags.try_into().expect("six pairs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_lives_in_a_bucket() {
    let store = Store::start();
    let folder = tempfile::tempdir().unwrap();
    let flags = store.flags(folder.path());
    let mut server = Server::open(std::path::Path::new("s3://lake/database"), &flags.each_ref().map(String::as_str));
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

/// Azure's own emulator, an npm package, with one container, `lake`.
#[cfg(feature = "azure")]
fn start_azurite(folder: &std::path::Path) -> (Running, SocketAddr) {
    let packages = crate::program::root().join("target/azurite");
    let program = packages.join("node_modules/azurite/dist/src/blob/main.js");
    if !program.exists() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-save", "--prefix"]).arg(&packages).arg("azurite@3.37.0");
        crate::program::text_of(&mut npm);
    }
    let address = free_address();
    let mut command = Command::new("node");
    command.arg(program).args(["--blobHost", "127.0.0.1", "--blobPort", &address.port().to_string()]);
    command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location"]).arg(folder);
    let program = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    for _ in 0..300 {
        if TcpStream::connect(address).is_ok() {
            let script = crate::program::root().join("tests/interop/make_container.py");
            crate::program::text_of(Command::new(python()).arg(script).arg(address.to_string()));
            return (program, address);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("azurite does not answer on {address}");
}

#[cfg(feature = "azure")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_lives_in_a_container_of_azure() {
    let folder = tempfile::tempdir().unwrap();
    let (_azurite, address) = start_azurite(&folder.path().join("azurite"));
    let url = format!("http://{address}");
    let variables = [("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", url.as_str())];
    let catalog = folder.path().join("catalog").to_string_lossy().into_owned();
    let flags = ["--catalog-folder", &catalog, "--file-locations", "az://lake/shared"];
    let database = std::path::Path::new("az://lake/database");
    for round in 0..2 {
        let mut server = Server::open_where(database, &flags, &variables);
        let client = server.connect().await;
        if round == 0 {
            for (sql, count) in [
                ("CREATE TABLE t (id int PRIMARY KEY, v text) PARTITIONED BY (v)", 0),
                ("INSERT INTO t SELECT n, 'p' || n % 3 FROM generate_series(1, 3000) AS g(n)", 3000),
                ("UPDATE t SET id = -id WHERE id <= 10", 10),
                ("INSERT INTO t VALUES (11, 'p0'), (5000, 'p0') ON CONFLICT (id) DO NOTHING", 1),
                ("COPY (SELECT 1 AS n) TO 'az://lake/shared/a.parquet'", 1),
            ] {
                assert_eq!(ask(&client, sql).await, Answer::Done(count), "{sql}");
            }
        }
        assert_eq!(told(&client, "SELECT count(*), min(id), max(id) FROM t").await, "3001 | -10 | 5000");
        assert_eq!(told(&client, "SELECT n FROM read_parquet('az://lake/shared/a.parquet')").await, "1");
        assert_eq!(server.terminate(), Some(0));
    }
}

/// Two servers, which know nothing of each other, and one table: only the bucket's conditional PUT is between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_two_servers_lose_nothing() {
    let store = Store::start();
    let folder = tempfile::tempdir().unwrap();
    let flags = store.flags(folder.path());
    let mut flags: Vec<&str> = flags[2..].iter().map(String::as_str).collect();
    flags.extend(["--file-locations", "s3://lake/shared"]);
    flags.extend(WITHOUT_TAILS);
    let servers = ["one", "two"].map(|name| Server::open(&folder.path().join(name), &flags));
    let (one, two) = (servers[0].connect().await, servers[1].connect().await);
    let create = "CREATE TABLE t (writer int, n int) LOCATION 's3://lake/shared/t'";
    assert_eq!(ask(&one, create).await, Answer::Done(0));
    assert_eq!(ask(&one, "INSERT INTO t VALUES (-1, 0), (-2, 0)").await, Answer::Done(2));
    assert_eq!(ask(&two, "CREATE TABLE t USING DELTA LOCATION 's3://lake/shared/t'").await, Answer::Done(0));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_usize {
        let client = servers[writer % 2].connect().await;
        writers.spawn(async move {
            for n in 1..=8 {
                // Two count together, two add rows: appends are never in anybody's way.
                let (sql, retry) = match writer < 2 {
                    true => ("UPDATE t SET n = n + 1 WHERE writer = -1".to_owned(), true),
                    false => (format!("INSERT INTO t VALUES ({writer}, {n})"), false),
                };
                loop {
                    match ask(&client, &sql).await {
                        Answer::Done(1) => break,
                        Answer::Failed(code, _) if retry && code == "40001" => {}
                        other => panic!("{sql}: {other:?}"),
                    }
                }
            }
        });
    }
    writers.join_all().await;
    for client in [&one, &two] {
        assert_eq!(told(client, "SELECT n FROM t WHERE writer < 0 ORDER BY writer").await, "0; 16");
        let added =
            "SELECT writer, count(*), sum(n), count(DISTINCT n) FROM t WHERE writer > 0 GROUP BY writer ORDER BY 1";
        assert_eq!(told(client, added).await, "2 | 8 | 36 | 8; 3 | 8 | 36 | 8");
        // Each commit of each server is in the one log.
        assert_eq!(
            told(client, "SELECT count(*), max(version) FROM system.commits WHERE table_name = 't'").await,
            "34 | 33"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_a_bucket_are_read_and_written() {
    let store = Store::start();
    let folder = tempfile::tempdir().unwrap();
    let flags = store.flags(folder.path());
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend(["--file-locations", "s3://lake/files"]);
    // The tables are on local disk: nothing but the statements below opens the bucket.
    let server = Server::open(&folder.path().join("data"), &flags[2..]);
    let client = server.connect().await;
    let one = async |sql: String| match ask(&client, &sql).await {
        Answer::Rows(_, rows) => rows.iter().map(|row| line(row)).collect::<Vec<_>>().join("; "),
        other => format!("{other:?}"),
    };
    for ending in ["parquet", "csv", "json"] {
        let header = if ending == "csv" { " WITH (HEADER)" } else { "" };
        let copy = format!(
            "COPY (SELECT n, 'v' || n AS v FROM generate_series(1, 5000) AS g(n)) TO 's3://lake/files/{ending}/a.{ending}'{header}"
        );
        assert_eq!(ask(&client, &copy).await, Answer::Done(5000), "{copy}");
        let file = format!("SELECT count(*), sum(n), max(v) FROM read_{ending}('s3://lake/files/{ending}/a.{ending}')");
        assert_eq!(one(file).await, "5000 | 12502500 | v999");
        let folder = format!("SELECT count(*) FROM read_{ending}('s3://lake/files/{ending}/') WHERE n > 4990");
        assert_eq!(one(folder).await, "10");
        let source = format!(
            "CREATE SOURCE of_{ending} (n int, v text) WITH (connector = 'files', path = 's3://lake/files/{ending}', \
             poll_interval = '100 ms', settle_time = '0 s', batch_rows = 700) ENCODE {ending}"
        );
        assert_eq!(ask(&client, &source).await, Answer::Done(0));
        arrives(&client, &format!("SELECT count(*) FROM of_{ending}"), 5000).await;
        assert_eq!(one(format!("SELECT sum(n) FROM of_{ending} WHERE v = 'v' || n")).await, "12502500");
        // No file twice.
        let again = format!("COPY (SELECT 0 AS n, 'v0' AS v) TO 's3://lake/files/{ending}/b.{ending}'{header}");
        assert_eq!(ask(&client, &again).await, Answer::Done(1));
        arrives(&client, &format!("SELECT count(*) FROM of_{ending}"), 5001).await;
        let (one_file, gone) =
            (format!("'s3://lake/files/{ending}/a.{ending}'"), format!("DROP TABLE of_{ending} CASCADE"));
        assert_eq!(one(format!("SELECT count(*) FROM read_{ending}({one_file})")).await, "5000");
        assert_eq!(ask(&client, &gone).await, Answer::Done(0));
    }
    assert_eq!(ask(&client, "CREATE TABLE t (n int) LOCATION 's3://lake/files/t'").await, Answer::Done(0));
    assert_eq!(
        ask(&client, "INSERT INTO t SELECT n FROM read_parquet('s3://lake/files/parquet/')").await,
        Answer::Done(5001)
    );
    assert_eq!(one("SELECT sum(n) FROM t WHERE n <= 100".to_owned()).await, "5050");
    let missing = one("SELECT * FROM read_parquet('s3://lake/files/none.parquet')".to_owned()).await;
    assert!(missing.contains("58P01"), "{missing}");
    for path in [
        "s3://lake/other/a.csv",
        "s3://lake/files/../other/a.csv",
        "s3://lake/files/%2e%2e/other/a.csv",
        "s3://lake/filesystem/a.csv",
        "S3://lake/other/a.csv",
    ] {
        let refused = one(format!("SELECT * FROM read_csv('{path}')")).await;
        assert!(refused.contains("42501"), "{path}: {refused}");
    }
}
