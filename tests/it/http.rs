//! HTTP byte by byte: a request on a connection of its own, and its answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// What the server answered.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// The number of a member.
    pub fn number(&self, name: &str) -> i64 {
        self.json()[name].as_i64().unwrap_or_else(|| panic!("no number {name}: {} {}", self.status, self.body))
    }

    /// Status and SQLSTATE of an error.
    pub fn failure(&self) -> (u16, String) {
        (self.status, self.json()["sqlstate"].as_str().unwrap_or_default().to_owned())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Posts a body.
pub fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_post(address, path, headers, body).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Posts a body to a server that may go away.
pub fn try_post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let length = body.len();
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    // A server that refuses a body by its head may stop reading.
    let sent = stream.write_all(body);
    let mut answer = Vec::new();
    let received = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        sent?;
        received?;
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
