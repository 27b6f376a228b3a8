use super::*;

#[test]
fn servers_are_addresses_without_logins() {
    let all = addresses("tls://a:1, b , nats://[::1]:7").unwrap();
    let seen: Vec<_> = all.iter().map(|one| (one.scheme(), one.host(), one.port())).collect();
    assert_eq!(seen, [("tls", "a", 1), ("nats", "b", 4222), ("nats", "::1", 7)]);
    for wrong in ["", "a,", "ws://a", "http://a", "nats://me:secret@a", "me@a", "nats://"] {
        let error = addresses(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameterValue, "{wrong}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn a_start_is_a_word_a_sequence_or_a_time() {
    assert_eq!(Start::read("earliest").unwrap(), Start::Earliest);
    assert_eq!(Start::read("17").unwrap(), Start::Sequence(17));
    let moment = DateTime::from_timestamp(1_767_261_600, 0).unwrap();
    assert_eq!(Start::read("2026-01-01T12:00:00+02:00").unwrap(), Start::Moment(moment));
    assert!(["", "-1", "1.5", "2026-01-01", "newest"].iter().all(|wrong| Start::read(wrong).is_err()));
}

#[test]
fn a_key_begins_where_the_filter_is_open() {
    for (filter, subject, key) in [
        ("", "a.b", "a.b"),
        (">", "a.b", "a.b"),
        ("a.b", "a.b", "a.b"),
        ("a.*", "a.b", "b"),
        ("$KV.stock.>", "$KV.stock.x.y", "x.y"),
        ("a.*.c", "a.7.c", "7.c"),
    ] {
        assert_eq!(&subject[key_at(filter)..], key, "{filter}");
    }
}
