//! A real PostgreSQL 15, which says what the right answer is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;
use tokio_postgres::Client;

use crate::program::{Running, free_address, text_of};
use crate::server::{connect, psql};

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// A PostgreSQL server in a temporary folder; it ends with the test program that started it.
pub struct Oracle {
    _program: Running,
    port: u16,
    _folder: TempDir,
}

impl Oracle {
    pub fn start() -> Self {
        assert!(Path::new(PROGRAMS).exists(), "PostgreSQL 15 is not installed: apt-get install postgresql-15");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        let path = folder.path().to_str().expect("temporary paths are UTF-8");
        if is_root() {
            text_of(Command::new("chown").args(["postgres", path]));
        }
        text_of(as_ordinary_user("initdb").arg("-D").arg(&data).args([
            "-A",
            "trust",
            "-U",
            "headwater",
            "--locale=C.UTF-8",
            "-E",
            "UTF8",
            "--no-sync",
        ]));
        let port = free_address().port();
        let mut server = as_ordinary_user("postgres");
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k", path]);
        for setting in ["fsync=off", "TimeZone=UTC", "listen_addresses=127.0.0.1", "log_min_messages=fatal"] {
            server.args(["-c", setting]);
        }
        let program = Running::start(server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let oracle = Self { _program: program, port, _folder: folder };
        oracle.wait_until_ready();
        let port = oracle.port.to_string();
        text_of(Command::new(program_path("createdb")).args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "headwater",
            "headwater",
        ]));
        oracle
    }

    pub async fn connect(&self) -> Client {
        connect(self.port, "headwater").await
    }

    /// `psql` on this server, as [`crate::server::Server::psql`].
    pub fn psql(&self) -> Command {
        psql(self.port)
    }

    fn wait_until_ready(&self) {
        let port = self.port.to_string();
        for _ in 0..600 {
            let asked = Command::new(program_path("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            if asked.expect("pg_isready runs").success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("PostgreSQL does not get ready on port {port}");
    }
}

fn program_path(name: &str) -> PathBuf {
    Path::new(PROGRAMS).join(name)
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| text_of(Command::new("id").arg("-u")).trim() == "0")
}

/// PostgreSQL refuses to run as root. `setpriv` replaces itself by the program, so that killing it kills the server.
fn as_ordinary_user(name: &str) -> Command {
    let path = program_path(name);
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--pdeathsig", "KILL"]).arg(path);
    command
}
