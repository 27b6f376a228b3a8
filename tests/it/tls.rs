//! TLS: psql checks the certificate, and a password is bound to it (SCRAM-SHA-256-PLUS); HTTPS beside HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::program::text_of;
use crate::server::{Server, psql};

/// A certificate for `localhost` and its key, in PEM files.
fn certificate(folder: &Path) -> (String, String) {
    let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out"]).arg(&certificate);
    text_of(openssl.arg("-keyout").arg(&key));
    (certificate.display().to_string(), key.display().to_string())
}

fn log_in(server: &Server, conninfo: &str) -> Output {
    let mut command = Command::new("psql");
    let place = format!("host=localhost hostaddr=127.0.0.1 port={} dbname=headwater {conninfo}", server.port());
    command.env("PGPASSWORD", "secret").args(["-X", "-A", "-t", "-d", &place]);
    command.args(["-c", "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]);
    command.output().expect("psql runs")
}

#[test]
fn psql_checks_the_certificate_and_binds_its_password_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let server = Server::start_with(&["--tls-cert", &certificate, "--tls-key", &key]);
    text_of(psql(server.port()).args(["-c", "CREATE ROLE alice LOGIN PASSWORD 'secret'"]));

    let trusted = format!("user=alice sslmode=verify-full sslrootcert={certificate} channel_binding=require");
    let done = log_in(&server, &trusted);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "alice|t\n", "{}", String::from_utf8_lossy(&done.stderr));

    let plain = log_in(&server, "user=alice sslmode=disable");
    assert_eq!(String::from_utf8_lossy(&plain.stdout), "alice|f\n", "{}", String::from_utf8_lossy(&plain.stderr));

    let unbound = log_in(&server, "user=alice sslmode=disable channel_binding=require");
    assert!(!unbound.status.success(), "there is nothing to bind a password to");

    let other = tempfile::tempdir().unwrap();
    let (stranger, _) = self::certificate(other.path());
    let refused = log_in(&server, &format!("user=alice sslmode=verify-full sslrootcert={stranger}"));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("certificate verify failed"));
}

/// What an HTTPS server answers to one request, as `openssl s_client` shows it.
fn https(server: &Server, authority: &str, request: &str) -> Output {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "s_client",
        "-quiet",
        "-verify_return_error",
        "-servername",
        "localhost",
        "-verify_hostname",
        "localhost",
    ]);
    openssl
        .args(["-alpn", "http/1.1", "-CAfile", authority, "-connect"])
        .arg(format!("127.0.0.1:{}", server.http().port()));
    let mut child = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Left open until the answer has come: its end would end the connection.
    let mut input = child.stdin.take().unwrap();
    // A client that trusts nobody has gone before it reads.
    let _: std::io::Result<()> = input.write_all(request.as_bytes());
    let done = child.wait_with_output().unwrap();
    drop(input);
    done
}

#[test]
fn rows_come_over_https_and_http_on_one_port() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let server = Server::start_with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let sql = |text: &str| text_of(psql(server.port()).args(["-A", "-t", "-c", text]));
    sql("CREATE ROLE alice LOGIN PASSWORD 'secret'");
    sql("CREATE TABLE t (a int)");
    let login = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    let request = |row: &str| {
        format!(
            "POST /v1/ingest/t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{login}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{row}",
            row.len()
        )
    };
    // A client that says nothing keeps nobody waiting.
    let silent = TcpStream::connect(("127.0.0.1", server.http().port())).unwrap();
    let done = https(&server, &certificate, &request("[{\"a\": 1}]"));
    let answer = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}{}", String::from_utf8_lossy(&done.stderr));

    // In clear, which is for this machine only when there is a password.
    let mut clear = TcpStream::connect(("127.0.0.1", server.http().port())).unwrap();
    clear.write_all(request("[{\"a\": 2}]").as_bytes()).unwrap();
    let mut answer = String::new();
    clear.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(sql("SELECT array_agg(a ORDER BY a) FROM t"), "{1,2}\n");

    let other = tempfile::tempdir().unwrap();
    let (stranger, _) = self::certificate(other.path());
    let refused = https(&server, &stranger, &request("[{\"a\": 3}]"));
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{}", String::from_utf8_lossy(&refused.stdout));
    assert_eq!(sql("SELECT count(*) FROM t"), "2\n");
    drop(silent);
}

#[test]
fn a_wrong_certificate_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let mut command = crate::server::headwater();
    command.arg("serve").arg("--data").arg(folder.path().join("data")).args(["--pg", "127.0.0.1:0"]);
    let failed = command.args(["--tls-cert", &key, "--tls-key", &certificate]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("it holds no certificate"));
}
