//! The server's messages, written straight into the output buffer.

use crate::catalog::pg_type::{oid_of, typlen, typmod};
use crate::error::Error;
use crate::session::{Column, Notice, Severity, Tag, TransactionStatus};

/// Text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
}

impl Format {
    pub(super) fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// How bad an error is for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    /// The connection ends.
    Fatal,
}

/// Appends a message; its length is filled in after `body` has written it.
pub(super) fn message(out: &mut Vec<u8>, letter: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, letter);
    body(out);
    end(out, start);
}

/// Starts a message whose body the caller writes; give the result to [`end`].
pub(super) fn begin(out: &mut Vec<u8>, letter: u8) -> usize {
    out.extend_from_slice(&[letter, 0, 0, 0, 0]);
    out.len() - 4
}

/// Fills in the length of a message.
pub(super) fn end(out: &mut [u8], start: usize) {
    // What we write in one message is far below 4 GiB: rows are checked cell by cell.
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    // A zero byte would end the text early.
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u16).to_be_bytes());
}

/// A message without a body.
pub(super) fn bare(out: &mut Vec<u8>, letter: u8) {
    message(out, letter, |_| {});
}

pub(super) const PARSE_COMPLETE: u8 = b'1';
pub(super) const BIND_COMPLETE: u8 = b'2';
pub(super) const CLOSE_COMPLETE: u8 = b'3';
pub(super) const NO_DATA: u8 = b'n';
pub(super) const EMPTY_QUERY: u8 = b'I';
pub(super) const PORTAL_SUSPENDED: u8 = b's';
pub(super) const COPY_DONE: u8 = b'c';

/// The steps of logging in.
pub(super) enum Authentication<'a> {
    Ok,
    Mechanisms(&'a [&'a str]),
    Continue(&'a str),
    Final(&'a str),
}

pub(super) fn authentication(out: &mut Vec<u8>, step: &Authentication<'_>) {
    message(out, b'R', |out| match step {
        Authentication::Ok => out.extend_from_slice(&0_i32.to_be_bytes()),
        Authentication::Mechanisms(names) => {
            out.extend_from_slice(&10_i32.to_be_bytes());
            names.iter().for_each(|name| text(out, name));
            out.push(0);
        }
        Authentication::Continue(data) => {
            out.extend_from_slice(&11_i32.to_be_bytes());
            out.extend_from_slice(data.as_bytes());
        }
        Authentication::Final(data) => {
            out.extend_from_slice(&12_i32.to_be_bytes());
            out.extend_from_slice(data.as_bytes());
        }
    });
}

/// The newest minor version we speak, and the options we do not know.
pub(super) fn negotiate_version(out: &mut Vec<u8>, minor: u16, unknown: &[String]) {
    message(out, b'v', |out| {
        out.extend_from_slice(&(3 << 16 | u32::from(minor)).to_be_bytes());
        out.extend_from_slice(&(unknown.len() as u32).to_be_bytes());
        unknown.iter().for_each(|name| text(out, name));
    });
}

pub(super) fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, b'S', |out| {
        text(out, name);
        text(out, value);
    });
}

pub(super) fn key_data(out: &mut Vec<u8>, pid: i32, secret: &[u8]) {
    message(out, b'K', |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(secret);
    });
}

pub(super) fn ready(out: &mut Vec<u8>, status: TransactionStatus) {
    message(out, b'Z', |out| {
        out.push(match status {
            TransactionStatus::Idle => b'I',
            TransactionStatus::Active => b'T',
            TransactionStatus::Failed => b'E',
        });
    });
}

pub(super) fn command_complete(out: &mut Vec<u8>, tag: &Tag) {
    message(out, b'C', |out| text(out, &tag.0));
}

pub(super) fn parameter_description(out: &mut Vec<u8>, types: impl ExactSizeIterator<Item = u32>) {
    message(out, b't', |out| {
        count(out, types.len());
        types.for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
    });
}

pub(super) fn row_description(out: &mut Vec<u8>, columns: &[Column], format: impl Fn(usize) -> Format) {
    message(out, b'T', |out| {
        count(out, columns.len());
        for (index, column) in columns.iter().enumerate() {
            text(out, &column.name);
            out.extend_from_slice(&column.relation.map_or(0, |oid| oid.0).to_be_bytes());
            out.extend_from_slice(&column.number.to_be_bytes());
            out.extend_from_slice(&oid_of(&column.pg_type).to_be_bytes());
            out.extend_from_slice(&typlen(&column.pg_type).to_be_bytes());
            out.extend_from_slice(&typmod(&column.pg_type).to_be_bytes());
            out.extend_from_slice(&format(index).code().to_be_bytes());
        }
    });
}

/// `letter` is `G` for data to come in, `H` for data that goes out.
pub(super) fn copy_response(out: &mut Vec<u8>, letter: u8, columns: usize, format: Format) {
    message(out, letter, |out| {
        out.push(format.code() as u8);
        count(out, columns);
        (0..columns).for_each(|_| out.extend_from_slice(&format.code().to_be_bytes()));
    });
}

pub(super) fn error(out: &mut Vec<u8>, error: &Error, level: Level) {
    let severity = match level {
        Level::Error => "ERROR",
        Level::Fatal => "FATAL",
    };
    let position = error.position().map(|position| position.to_string());
    let fields = [
        (b'S', Some(severity)),
        (b'V', Some(severity)),
        (b'C', Some(error.sqlstate())),
        (b'M', Some(error.message())),
        (b'D', error.detail_text()),
        (b'H', error.hint_text()),
        (b'P', position.as_deref()),
        (b'W', error.context_text()),
    ];
    message(out, b'E', |out| report(out, &fields));
}

pub(super) fn notice(out: &mut Vec<u8>, notice: &Notice) {
    let severity = match notice.severity {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
        Severity::Info => "INFO",
    };
    let fields = [
        (b'S', Some(severity)),
        (b'V', Some(severity)),
        (b'C', Some(notice.sqlstate)),
        (b'M', Some(notice.message.as_str())),
        (b'D', notice.detail.as_deref()),
        (b'H', notice.hint.as_deref()),
    ];
    message(out, b'N', |out| report(out, &fields));
}

fn report(out: &mut Vec<u8>, fields: &[(u8, Option<&str>)]) {
    for (letter, value) in fields {
        if let Some(value) = value {
            out.push(*letter);
            text(out, value);
        }
    }
    out.push(0);
}
