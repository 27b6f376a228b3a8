//! The PostgreSQL protocol byte by byte, to say what no driver would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What the server sent: a letter and a body; `None` for the end of the connection.
pub type Reply = Option<(char, Vec<u8>)>;

/// A connection without a driver.
pub struct Raw(TcpStream);

impl Raw {
    /// A connection that has said nothing yet.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server takes connections");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
        Self(stream)
    }

    /// A connection that is logged in; gives the messages up to ReadyForQuery too.
    pub fn log_in(port: u16) -> (Self, Vec<(char, Vec<u8>)>) {
        let mut raw = Self::open(port);
        raw.send(&startup(3 << 16, b"user\0headwater\0database\0headwater\0\0"));
        let replies = raw.until('Z');
        (raw, replies)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    pub fn reply(&mut self) -> Reply {
        let mut head = [0; 5];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        self.0.read_exact(&mut body).ok()?;
        Some((char::from(head[0]), body))
    }

    /// The replies up to the one with this letter, or to the end of the connection.
    pub fn until(&mut self, letter: char) -> Vec<(char, Vec<u8>)> {
        let mut replies = Vec::new();
        while let Some(reply) = self.reply() {
            let last = reply.0 == letter;
            replies.push(reply);
            if last {
                break;
            }
        }
        replies
    }

    /// Sends messages and gives the letters of the replies up to ReadyForQuery, errors with their SQLSTATE.
    pub fn talk(&mut self, messages: &[Vec<u8>]) -> String {
        self.send(&messages.concat());
        letters(&self.until('Z'))
    }
}

/// The letters of replies; an error shows its SQLSTATE, a tag its text.
pub fn letters(replies: &[(char, Vec<u8>)]) -> String {
    let words: Vec<String> = replies
        .iter()
        .map(|(letter, body)| match letter {
            'E' => format!("E:{}", field(body, 'C')),
            'C' => format!("C:{}", String::from_utf8_lossy(&body[..body.len() - 1])),
            'Z' => format!("Z{}", char::from(body[0])),
            letter => letter.to_string(),
        })
        .collect();
    words.join(" ")
}

/// A field of an error or notice.
pub fn field(body: &[u8], letter: char) -> String {
    let fields = body.split(|byte| *byte == 0);
    let found = fields.into_iter().find(|field| field.first() == Some(&(letter as u8)));
    found.map_or_else(String::new, |field| String::from_utf8_lossy(&field[1..]).into_owned())
}

pub fn startup(version: u32, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], &version.to_be_bytes(), body].concat()
}

pub fn message(letter: char, body: &[u8]) -> Vec<u8> {
    [&[letter as u8][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub fn query(sql: &str) -> Vec<u8> {
    message('Q', format!("{sql}\0").as_bytes())
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message('P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Binds no values; `formats` are those of the results.
pub fn bind(portal: &str, statement: &str, formats: &[i16]) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0\0\0\0\0").into_bytes();
    body.extend_from_slice(&(formats.len() as u16).to_be_bytes());
    formats.iter().for_each(|format| body.extend_from_slice(&format.to_be_bytes()));
    message('B', &body)
}

pub fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    message('E', &[portal.as_bytes(), &[0], &rows_max.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message('S', b"")
}
