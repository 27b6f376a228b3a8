//! Whatever bytes come: an error, never a panic, never memory for what was only promised.

use bytes::Bytes;
use rand::{RngExt, SeedableRng};

use crate::wire::postgres::frame::{Broken, Frame, read_frame};
use crate::wire::postgres::message::Message;

async fn read(bytes: &[u8]) -> Result<Frame, Broken> {
    read_frame(&mut &bytes[..]).await
}

fn decode(letter: u8, body: &[u8]) -> crate::error::Result<Message> {
    Message::decode(Frame { letter, body: Bytes::copy_from_slice(body) })
}

#[tokio::test]
async fn frames_are_read_whole() {
    let frame = read(b"Q\0\0\0\x0dselect 1\0rest").await.unwrap();
    assert_eq!((frame.letter, &frame.body[..]), (b'Q', &b"select 1\0"[..]));
    assert!(matches!(read(b"Q\0\0\0\x0dselect").await, Err(Broken::Closed)));
    assert!(matches!(read(b"").await, Err(Broken::Closed)));
}

#[tokio::test]
async fn unknown_letters_and_lengths_are_violations() {
    for bad in [&b"@\0\0\0\x04"[..], b"Q\0\0\0\x03", b"Q\xff\xff\xff\xff", b"Q\x7f\xff\xff\xff", b"S\0\x10\0\0"] {
        match read(bad).await {
            Err(Broken::Protocol(error)) => assert_eq!(error.sqlstate(), "08P01"),
            other => panic!("{bad:?} gave {other:?}"),
        }
    }
}

#[test]
fn counts_that_the_body_cannot_hold_are_violations() {
    let short = [
        (b'Q', &b"no end"[..]),
        (b'P', b"\0select 1\0"),
        (b'P', b"\0select 1\0\0\x05\0\0\0\x17"),
        (b'B', b"\0\0\0\0\0\0\xff\xff"),
        (b'B', b"\0\0\xff\xff\0\x01"),
        (b'B', b"\0\0\0\0\0\x01\0\0\0\xff1\0\0"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\x02\0\x01"),
        (b'D', b"X\0"),
        (b'D', b""),
        (b'E', b"\0\0\0"),
        (b'C', b"S"),
        (b'S', b"x"),
    ];
    for (letter, body) in short {
        let error = decode(letter, body).unwrap_err();
        assert_eq!(error.sqlstate(), "08P01", "{} {body:?}", char::from(letter));
    }
    assert_eq!(decode(b'Q', b"\xff\0").unwrap_err().sqlstate(), "22021");
}

#[test]
fn no_body_panics() {
    let mut random = rand::rngs::StdRng::seed_from_u64(42);
    for _ in 0..20_000 {
        let length = random.random_range(0..24);
        let body: Vec<u8> = (0..length).map(|_| if random.random_bool(0.5) { 0 } else { random.random() }).collect();
        for letter in *b"QPBDECHSdcfXpF" {
            // Either answer is fine.
            let _: Result<Message, _> = decode(letter, &body);
        }
    }
}
