//! What a server says and does beside answering statements: its warnings, its HTTP listener, its end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::program::{Running, read_until};
use crate::rows::told;
use crate::server::{connect, headwater};

/// A server with listeners for PostgreSQL and HTTP, and the lines that it said before it was ready.
fn serve(folder: &std::path::Path, arguments: &[&str]) -> (Running, Vec<String>) {
    let mut command = headwater();
    command.arg("serve").arg("--data").arg(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut program = Running::start(&mut command);
    let mut lines = Vec::new();
    let ((), mut rest) = read_until(program.child().stdout.take().unwrap(), |line| {
        lines.push(line.trim().to_owned());
        (line.trim() == "ready").then_some(())
    });
    std::thread::spawn(move || rest.read_to_end(&mut Vec::new()));
    (program, lines)
}

fn address(lines: &[String], of: &str) -> SocketAddr {
    let prefix = format!("listening for {of} on ");
    lines.iter().find_map(|line| line.strip_prefix(&prefix)).expect("the server says where it listens").parse().unwrap()
}

/// Status and body of an answer; the connection is a new one, as a probe's is.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{path}: {error}"));
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_tells_how_the_server_is_until_its_deadline_cancels_what_runs() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", "--shutdown-deadline-ms", "1500"];
    let (mut server, lines) = serve(folder.path(), &flags);
    let (postgres, http) = (address(&lines, "postgres"), address(&lines, "http"));
    assert_eq!(get(http, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(http, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(get(http, "/nothing").0, 404);
    let client = connect(postgres.port(), "headwater").await;
    let counted = |page: &str| -> u64 {
        let line = page.lines().find(|line| line.starts_with("headwater_statements_total ")).expect(page);
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = get(http, "/metrics");
    assert_eq!(told(&client, "SELECT 1").await, "1");
    let after = get(http, "/metrics");
    assert_eq!((before.0, after.0), (200, 200));
    assert!(counted(&after.1) > counted(&before.1), "{}", after.1);

    // A client that never ends its request is not waited for.
    let mut half = TcpStream::connect(http).unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    let endless = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    let running = tokio::spawn(async move { told(&client, endless).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.signal("TERM");
    let signalled = Instant::now();
    while get(http, "/readyz") != (503, "stopping\n".to_owned()) {
        assert!(signalled.elapsed() < Duration::from_millis(1400), "still ready");
    }
    assert_eq!(get(http, "/healthz").0, 200);
    assert!(!running.is_finished(), "the statement has until the deadline");
    let cancelled = running.await.unwrap();
    assert!(cancelled.starts_with("57P01"), "{cancelled}");
    let waited = signalled.elapsed().as_millis();
    assert!((1400..2900).contains(&waited), "the deadline was {waited} ms");
    assert_eq!(server.wait(Duration::from_secs(10)), Some(0));
}

#[test]
fn a_server_says_what_is_unsafe() {
    let folder = tempfile::tempdir().unwrap();
    let warnings = |flags: &[&str]| -> Vec<String> {
        let (mut server, lines) = serve(folder.path(), flags);
        server.signal("TERM");
        assert_eq!(server.wait(Duration::from_secs(10)), Some(0));
        lines.iter().filter_map(|line| line.strip_prefix("warning: ").map(str::to_owned)).collect()
    };
    let loopback = ["--pg", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let trusted = "anyone on this machine may log in as headwater without a password (trust = loopback)";
    assert_eq!(warnings(&loopback), [trusted]);
    let open = ["--pg", "0.0.0.0:0", "--http", "0.0.0.0:0", "--trust", "all"];
    let [login, tls, http] = warnings(&open).try_into().expect("three warnings");
    assert_eq!(login, "anyone on the network may log in as headwater without a password (trust = all)");
    assert!(tls.contains("without TLS") && http.contains("/metrics"), "{tls} {http}");
    assert_eq!(warnings(&[&loopback[..], &["--password", "swordfish"]].concat()), [""; 0]);
    // The password stays.
    assert_eq!(warnings(&loopback), [""; 0]);
}
