//! A proxy before an HTTP API that loses requests and answers by chance, comes late, and refuses.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// An answer that comes late takes this long at most.
const LATE_MS_MAX: u64 = 500;

/// A running proxy, which ends with the test program.
pub struct Proxy {
    pub address: SocketAddr,
    permille: Arc<AtomicU32>,
}

#[derive(Clone, Copy)]
enum Fate {
    Passed,
    Late(Duration),
    Lost,
    /// Done, and the connection breaks before the answer.
    AnswerLost,
    /// Not done: the answer has this status.
    Refused(&'static str),
    /// Done, and the answer has this status.
    Misreported(&'static str),
}

impl Proxy {
    pub fn start(api: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let permille = Arc::new(AtomicU32::new(0));
        let (mut random, failing) = (StdRng::seed_from_u64(seed), Arc::clone(&permille));
        thread::spawn(move || {
            for client in listener.incoming() {
                let fate = fate(&mut random, failing.load(Ordering::SeqCst));
                // Who breaks a connection off has his reasons.
                thread::spawn(move || drop(pass(client.unwrap(), api, fate)));
            }
        });
        Self { address, permille }
    }

    /// From now on so many of a thousand requests fail or are late.
    pub fn fail(&self, permille: u32) {
        self.permille.store(permille, Ordering::SeqCst);
    }
}

fn fate(random: &mut StdRng, permille: u32) -> Fate {
    if !random.random_ratio(permille, 1000) {
        return Fate::Passed;
    }
    match random.random_range(0..7) {
        0 => Fate::Late(Duration::from_millis(random.random_range(0..LATE_MS_MAX))),
        1 => Fate::Lost,
        2 | 3 => Fate::AnswerLost,
        4 => Fate::Refused("503 Slow Down"),
        5 => Fate::Refused("403 Forbidden"),
        _ => Fate::Misreported("500 Internal Server Error"),
    }
}

/// One request and its answer; then both connections end.
fn pass(client: TcpStream, api: SocketAddr, fate: Fate) -> Result<()> {
    let (mut reader, mut client) = (BufReader::new(client.try_clone()?), client);
    let (mut head, mut body_bytes) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let start = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        if let Some(("content-length", length)) = head[start..].to_ascii_lowercase().split_once(": ") {
            body_bytes = length.trim().parse().expect("a length is a number");
        }
    }
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body)?;
    let mut told = |status: &str| write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    match fate {
        Fate::Lost => return Ok(()),
        Fate::Refused(status) => return told(status),
        Fate::Late(time) => thread::sleep(time),
        _ => {}
    }
    let mut upstream = TcpStream::connect(api)?;
    upstream.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    match fate {
        Fate::AnswerLost => Ok(()),
        Fate::Misreported(status) => told(status),
        _ => client.write_all(&answer),
    }
}
