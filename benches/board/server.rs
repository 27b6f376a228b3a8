//! Our server as a program of its own, on a folder of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio_postgres::{Client, NoTls};

use crate::Outcome;

/// A running server, which is killed when it is dropped.
pub struct Server {
    child: Child,
    /// How PostgreSQL's clients find it.
    pub connection: String,
    pub http: String,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub fn start(program: &str, folder: &Path, flags: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "error", "--data"]);
        let mut child = command.arg(folder).args(flags).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("its output is not piped")?).lines();
        let (mut port, mut http) = (String::new(), String::new());
        loop {
            let line = lines.next().ok_or("the server ended")??;
            match line.trim().strip_prefix("listening for ").and_then(|rest| rest.split_once(" on ")) {
                Some(("postgres", address)) => port = address.rsplit(':').next().unwrap_or_default().to_owned(),
                Some(("http", address)) => http = address.to_owned(),
                _ if line.trim() == "ready" => break,
                _ => {}
            }
        }
        // A pipe that nobody reads would stop the server once it is full.
        std::thread::spawn(move || lines.count());
        let connection = format!("host=127.0.0.1 port={port} user=headwater dbname=headwater");
        Ok(Self { child, connection, http })
    }

    pub fn id(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has ended by itself cannot be killed, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A client of a server that speaks PostgreSQL's protocol.
pub async fn connect(connection: &str) -> Outcome<Client> {
    let (client, driver) = tokio_postgres::connect(connection, NoTls).await?;
    tokio::spawn(driver);
    Ok(client)
}

/// Empties a folder for a new database.
pub fn emptied(folder: &Path) -> Outcome<&Path> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(folder),
    }
}

/// The size of the files below a folder whose path holds this text, in MB.
pub fn megabytes(folder: &Path, part: &str) -> Outcome<f64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.symlink_metadata() {
                Ok(found) if found.is_dir() => folders.push(path),
                Ok(found) if path.to_string_lossy().contains(part) => bytes += found.len(),
                // It may have been deleted meanwhile.
                _ => {}
            }
        }
    }
    Ok(bytes as f64 / 1e6)
}
