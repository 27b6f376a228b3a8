//! Our server as users run it: the program, on free ports, in a folder of its own.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::program::{Running, read_until};

/// How long a server may take to stop when it is told to.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A server on which every statement writes files: there is a version for each.
pub const WITHOUT_TAILS: [&str; 2] = ["--flush-interval-ms", "0"];

/// A running server; it ends, and its folder goes, with the test.
pub struct Server {
    program: Running,
    address: SocketAddr,
    http: SocketAddr,
    folder: PathBuf,
    arguments: Vec<String>,
    /// What holds a disk that only the server sees.
    disk: Option<Running>,
    _temporary: Option<TempDir>,
}

/// The program of the project.
pub fn headwater() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_headwater")))
}

/// The program, where it sees the disk.
fn on_disk(disk: Option<&Running>) -> Command {
    let Some(disk) = disk else { return headwater() };
    let mut command = without_settings(Command::new("nsenter"));
    command.args(["-t", &disk.id().to_string(), "-U", "-m", "--preserve-credentials"]);
    command.arg(env!("CARGO_BIN_EXE_headwater"));
    command
}

/// A program to which the tests say what to do, not the shell they are run from.
pub fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEADWATER_") || name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// A server on an empty database.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server on an empty database, with more flags.
    pub fn start_with(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = temporary.path().join("data");
        let server = Self::open(&folder, arguments);
        Self { _temporary: Some(temporary), ..server }
    }

    /// A server on a folder that the test keeps.
    pub fn open(folder: &Path, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (program, address, http) = launch(headwater(), folder, &arguments);
        Self { program, address, http, folder: folder.to_owned(), arguments, disk: None, _temporary: None }
    }

    /// As [`Server::open`], with these variables in its environment.
    pub fn open_where(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut command = headwater();
        command.envs(variables.iter().copied());
        let (program, address, http) = launch(command, folder, &arguments);
        Self { program, address, http, folder: folder.to_owned(), arguments, disk: None, _temporary: None }
    }

    /// A server on an empty database, on a disk of so many megabytes that nobody else sees: [`Server::seen_folder`].
    pub fn start_on_small_disk(megabytes: u32, arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder can be made");
        let hold = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", hold, "sh", &format!("{megabytes}m")]).arg(temporary.path());
        let mut disk = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let said = disk.child().stdout.take().expect("standard output is piped");
        read_until(said, |line| (line.trim() == "mounted").then_some(()));
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let folder = temporary.path().join("data");
        let (program, address, http) = launch(on_disk(Some(&disk)), &folder, &arguments);
        Self { program, address, http, folder, arguments, disk: Some(disk), _temporary: Some(temporary) }
    }

    /// The folder as the server sees it.
    pub fn seen_folder(&self) -> PathBuf {
        let own = self.folder.strip_prefix("/").expect("the folder is absolute");
        let id = self.disk.as_ref().map_or_else(|| self.id(), Running::id);
        Path::new(&format!("/proc/{id}/root")).join(own)
    }

    /// Kills the server without warning and starts it again on its folder.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Kills the server without warning.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts a server that was killed on its folder.
    pub fn start_again(&mut self) {
        (self.program, self.address, self.http) = launch(on_disk(self.disk.as_ref()), &self.folder, &self.arguments);
    }

    /// Starts a server that was killed, and kills it in the midst of its start.
    pub fn start_and_kill_after(&self, lived: Duration) {
        let _starting = Running::start(serve(&mut headwater(), &self.folder, &self.arguments).stdout(Stdio::null()));
        std::thread::sleep(lived);
    }

    /// Sends SIGTERM and gives the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.program.signal("TERM");
        self.program.wait(STOP_LIMIT)
    }

    pub fn id(&self) -> u32 {
        self.program.id()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where it listens for HTTP.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A connection as the first role.
    pub async fn connect(&self) -> Client {
        connect(self.address.port(), "headwater").await
    }

    /// `psql` on this server, quiet and without a user's settings.
    pub fn psql(&self) -> Command {
        psql(self.port())
    }
}

/// `psql` as the first role on a server on this machine.
pub fn psql(port: u16) -> Command {
    let mut command = Command::new("psql");
    command.args(["-X", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", "headwater", "-d", "headwater"]);
    command
}

/// A connection to a server on this machine.
pub async fn connect(port: u16, database: &str) -> Client {
    let text = format!("host=127.0.0.1 port={port} user=headwater dbname={database}");
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.expect("the server takes connections");
    tokio::spawn(connection);
    client
}

fn serve<'a>(command: &'a mut Command, folder: &Path, arguments: &[String]) -> &'a mut Command {
    let listeners = ["--pg", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    command.arg("serve").arg("--data").arg(folder).args(listeners).args(arguments).stdin(Stdio::null())
}

fn launch(mut command: Command, folder: &Path, arguments: &[String]) -> (Running, SocketAddr, SocketAddr) {
    let mut program = Running::start(serve(&mut command, folder, arguments).stdout(Stdio::piped()));
    let stdout = program.child().stdout.take().expect("standard output is piped");
    let (mut postgres, mut http) = (None, None);
    let ((), mut rest) = read_until(stdout, |line| {
        match line.trim().strip_prefix("listening for ").and_then(|rest| rest.split_once(" on ")) {
            Some(("postgres", address)) => postgres = address.parse().ok(),
            Some(("http", address)) => http = address.parse().ok(),
            _ => {}
        }
        (line.trim() == "ready").then_some(())
    });
    // A pipe that nobody reads would stop the server once it is full.
    std::thread::spawn(move || rest.read_to_end(&mut Vec::new()));
    let address = |said: Option<SocketAddr>| said.expect("the server says where it listens");
    (program, address(postgres), address(http))
}
