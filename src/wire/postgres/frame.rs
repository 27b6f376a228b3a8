//! Frames: a letter, a length, a body. Nothing a client sends can make reading one panic.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{Error, ErrorKind, Result};
use crate::session::intake::utf8;

/// The longest message of a client; COPY data comes in many.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// The longest message that only names things; longer ones are refused before they are read.
const SMALL_MESSAGE_BYTES_MAX: usize = 64 << 10;

/// A message as it came.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) letter: u8,
    pub(super) body: Bytes,
}

/// Why no frame could be read.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection ended or failed.
    Closed,
    /// The client does not speak the protocol.
    Protocol(Error),
}

impl From<std::io::Error> for Broken {
    fn from(_: std::io::Error) -> Self {
        // Whatever the reason: there is nobody left to tell.
        Self::Closed
    }
}

/// A violation of the protocol.
pub(super) fn violation(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ProtocolViolation, message)
}

/// Reads the next message.
pub(super) async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> Result<Frame, Broken> {
    let letter = reader.read_u8().await?;
    let most = match letter {
        b'B' | b'P' | b'Q' | b'd' | b'F' => MESSAGE_BYTES_MAX,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' | b'p' => SMALL_MESSAGE_BYTES_MAX,
        other => return Err(Broken::Protocol(violation(format!("invalid frontend message type {other}")))),
    };
    let length = reader.read_i32().await?;
    let Some(length) = usize::try_from(length).ok().filter(|length| (4..=most).contains(length)) else {
        return Err(Broken::Protocol(violation("invalid message length").detail(format!(
            "The message '{}' says it has {length} bytes; it may have 4 to {most}.",
            char::from(letter)
        ))));
    };
    Ok(Frame { letter, body: read_body(reader, length - 4).await? })
}

/// Memory is taken as bytes come, not as a length promises them.
async fn read_body(reader: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Bytes, Broken> {
    const STEP: usize = 1 << 20;
    let mut body = Vec::with_capacity(length.min(STEP));
    while body.len() < length {
        let start = body.len();
        body.resize(length.min(start + STEP), 0);
        reader.read_exact(&mut body[start..]).await?;
    }
    Ok(Bytes::from(body))
}

/// Takes a body apart; every step fails rather than reads past the end.
pub(super) struct Body {
    rest: Bytes,
}

impl Body {
    pub(super) fn new(rest: Bytes) -> Self {
        Self { rest }
    }

    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<Bytes> {
        if count > self.rest.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(self.rest.split_to(count))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A count of things that take at least `size` bytes each.
    pub(super) fn count(&mut self, size: usize) -> Result<usize> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        if count * size > self.rest.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(count)
    }

    /// A text that a zero byte ends.
    pub(super) fn text(&mut self) -> Result<String> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or_else(|| violation("invalid string in message"))?;
        let text = self.bytes(end + 1)?;
        utf8(&text[..end]).map(str::to_owned)
    }

    /// What is left.
    pub(super) fn rest(self) -> Bytes {
        self.rest
    }

    /// The message must be over.
    pub(super) fn end(self) -> Result<()> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(violation("invalid message format")),
        }
    }
}
