//! What a client can say once it is logged in.

use bytes::Bytes;

use crate::error::Result;
use crate::session::intake::utf8;
use crate::wire::postgres::frame::{Body, Frame, violation};

/// A message of the client.
#[derive(Debug)]
pub(super) enum Message {
    Query(String),
    Parse {
        name: String,
        text: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        rows_max: u32,
    },
    Close(Target),
    Flush,
    Sync,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    Terminate,
    /// A function call, which nobody uses, or a password out of place.
    Other(u8),
}

/// Binds values to a prepared statement, which makes a portal.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

/// A prepared statement or a portal, by name.
#[derive(Debug)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

impl Message {
    /// True for what is skipped after an error until Sync.
    pub(super) fn is_extended(frame: &Frame) -> bool {
        matches!(frame.letter, b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S')
    }

    pub(super) fn decode(frame: Frame) -> Result<Self> {
        let letter = frame.letter;
        let mut body = Body::new(frame.body);
        let message = match letter {
            b'Q' => Self::Query(body.text()?),
            b'P' => {
                let (name, text) = (body.text()?, body.text()?);
                let count = body.count(4)?;
                Self::Parse { name, text, types: (0..count).map(|_| body.u32()).collect::<Result<_>>()? }
            }
            b'B' => Self::Bind(bind(&mut body)?),
            b'D' => Self::Describe(target(&mut body)?),
            b'E' => Self::Execute { portal: body.text()?, rows_max: body.i32()?.max(0).cast_unsigned() },
            b'C' => Self::Close(target(&mut body)?),
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'd' => return Ok(Self::CopyData(body.rest())),
            b'c' => Self::CopyDone,
            // A client that gives up may send any text: it must not fail for that.
            b'f' => return Ok(Self::CopyFail(reason(&body.rest()))),
            b'X' => Self::Terminate,
            other => return Ok(Self::Other(other)),
        };
        body.end()?;
        Ok(message)
    }
}

fn reason(bytes: &[u8]) -> String {
    utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)).unwrap_or("no reason given").to_owned()
}

fn bind(body: &mut Body) -> Result<Bind> {
    let (portal, statement) = (body.text()?, body.text()?);
    let formats = formats(body)?;
    let count = body.count(4)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match body.i32()? {
            -1 => None,
            length => {
                let length =
                    usize::try_from(length).map_err(|_| violation("invalid parameter length in bind message"))?;
                Some(body.bytes(length)?)
            }
        });
    }
    Ok(Bind { portal, statement, formats, values, result_formats: self::formats(body)? })
}

fn formats(body: &mut Body) -> Result<Vec<i16>> {
    let count = body.count(2)?;
    (0..count).map(|_| body.i16()).collect()
}

fn target(body: &mut Body) -> Result<Target> {
    match body.u8()? {
        b'S' => Ok(Target::Statement(body.text()?)),
        b'P' => Ok(Target::Portal(body.text()?)),
        other => Err(violation(format!("invalid message subtype {other}"))),
    }
}
