use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn told(text: &str) -> String {
    match read(text.as_bytes()) {
        Ok(Event::Upsert { before, after }) => format!("{} -> {after}", before.unwrap_or_default()),
        Ok(Event::Delete { before }) => format!("{before} -> "),
        Err(error) => format!("{}: {}", error.sqlstate(), error.message()),
    }
}

#[test]
fn an_envelope_says_what_has_become_of_a_row() {
    for (text, expected) in [
        (r#"{"op":"c","before":null,"after":{"id": 1}}"#, r#" -> {"id": 1}"#),
        (r#"{"after":{"id":1},"op":"r","source":{"op":"d"},"ts_ms":7}"#, r#" -> {"id":1}"#),
        (r#" {"op":"u","before":{"id":1},"after":{"id":2}} "#, r#"{"id":1} -> {"id":2}"#),
        (r#"{"op":"u","before":null,"after":{"id":2}}"#, r#" -> {"id":2}"#),
        (r#"{"op":"d","before":{"id":1},"after":null}"#, r#"{"id":1} -> "#),
        (r#"{"op":"\u0064","before":{"id":1}}"#, r#"{"id":1} -> "#),
        // What was there before a row was made is of no account.
        (r#"{"op":"c","before":7,"after":{}}"#, " -> {}"),
        (r#"{"schema":{"type":"struct"},"payload":{"op":"c","after":{"id":1}}}"#, r#" -> {"id":1}"#),
        (r#"{"payload":{"payload":{"op":"c","after":{}}}}"#, "22P02: it is no Debezium envelope: it has no \"op\""),
        (r#"{"id":1}"#, "22P02: it is no Debezium envelope: it has no \"op\""),
        (r#"{"schema":null,"payload":null}"#, "22P02: it is no Debezium envelope: it has no \"op\""),
        (r#"{"op":"c"}"#, "22P02: operation \"c\" has no \"after\""),
        (r#"{"op":"u","before":{"id":1},"after":null}"#, "22P02: operation \"u\" has no \"after\""),
        (r#"{"op":"d","after":{"id":1}}"#, "22P02: operation \"d\" has no \"before\""),
        (r#"{"op":"c","after":[{"id":1}]}"#, "22P02: \"after\" is not an object"),
        (r#"{"op":"d","before":"x"}"#, "22P02: \"before\" is not an object"),
        (r#"{"op":"t"}"#, "0A000: operation \"t\" (truncate) changes no single rows and was not applied"),
        (r#"{"op":"m","message":{}}"#, "0A000: operation \"m\" is a message, not the change of a row"),
        (r#"{"op":"x","after":{}}"#, "22P02: operation \"x\" is unknown"),
        (r#"{"op":1,"after":{}}"#, "22P02: it is no Debezium envelope"),
        (r#"{"op":"c","op":"d","before":{}}"#, "22P02: it is no Debezium envelope"),
        (r#"{"op":"c","after":{}} {}"#, "22P02: it is no Debezium envelope"),
        ("[]", "22P02: it is no Debezium envelope"),
        ("null", "22P02: it is no Debezium envelope"),
        ("", "22P02: it is no Debezium envelope"),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn no_bytes_make_the_reader_fail_otherwise_than_by_an_error() {
    let whole =
        r#"{"schema":{"x":[1,{"y":"\ud83d\ude00"}]},"payload":{"op":"u","before":{"id":1},"after":{"id":[[[{}]]]}}}"#;
    for end in 0..whole.len() {
        assert!(read(&whole.as_bytes()[..end]).is_err(), "{end}");
    }
    let mut random = SmallRng::seed_from_u64(11);
    for _ in 0..50_000 {
        let mut bytes = whole.as_bytes().to_vec();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        let cut = random.random_range(0..=bytes.len());
        drop(read(&bytes));
        drop(read(&bytes[cut..]));
    }
    let deep = format!("{{\"op\":\"c\",\"after\":{}", "{\"a\":".repeat(1_000_000));
    assert!(read(deep.as_bytes()).is_err());
}
