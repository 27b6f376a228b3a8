//! TLS with psql: the certificate is checked, and a password is bound to it (SCRAM-SHA-256-PLUS).

use std::path::Path;
use std::process::{Command, Output};

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
