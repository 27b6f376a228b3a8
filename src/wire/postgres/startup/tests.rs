//! The startup packet's names, values and options.

use bytes::Bytes;

use crate::wire::postgres::startup::{parse_options, parse_startup};

fn packet(pairs: &[(&str, &str)]) -> Bytes {
    let mut packet: Vec<u8> =
        pairs.iter().flat_map(|(name, value)| format!("{name}\0{value}\0").into_bytes()).collect();
    packet.push(0);
    Bytes::from(packet)
}

#[test]
fn the_database_defaults_to_the_user() {
    let (request, unknown) = parse_startup(packet(&[("user", "alice"), ("DateStyle", "ISO")]), 0).unwrap();
    assert_eq!((request.user.as_str(), request.database.as_str()), ("alice", "alice"));
    assert_eq!(request.settings["DateStyle"], "ISO");
    assert!(unknown.is_empty());
    assert_eq!(request.check_database().unwrap_err().sqlstate(), "3D000");
}

#[test]
fn a_user_is_needed_and_replication_refused() {
    assert_eq!(parse_startup(packet(&[("database", "x")]), 0).unwrap_err().sqlstate(), "28000");
    let replication = packet(&[("user", "alice"), ("replication", "database")]);
    assert_eq!(parse_startup(replication, 0).unwrap_err().sqlstate(), "0A000");
    assert_eq!(parse_startup(Bytes::from_static(b"user\0alice"), 0).unwrap_err().sqlstate(), "08P01");
}

#[test]
fn protocol_options_are_told_apart_from_settings() {
    let (request, unknown) = parse_startup(packet(&[("user", "a"), ("_pq_.magic", "1")]), 2).unwrap();
    assert_eq!(unknown, ["_pq_.magic"]);
    assert!(request.settings.is_empty());
}

#[test]
fn options_are_split_like_a_command_line() {
    let settings = parse_options("-c TimeZone=UTC  --statement-timeout=5s -capplication_name=a\\ b").unwrap();
    let pairs: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("TimeZone", "UTC"), ("application_name", "a b"), ("statement_timeout", "5s")]);
    for bad in ["-c", "-c x", "-x y", "word"] {
        assert_eq!(parse_options(bad).unwrap_err().sqlstate(), "42601", "{bad}");
    }
}
