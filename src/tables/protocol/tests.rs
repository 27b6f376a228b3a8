use super::*;

fn schema(types: &[&str]) -> StructType {
    let fields: Vec<_> = types
        .iter()
        .enumerate()
        .map(|(at, of)| format!(r#"{{"name":"c{at}","type":"{of}","nullable":true,"metadata":{{}}}}"#))
        .collect();
    StructType::parse(&format!(r#"{{"type":"struct","fields":[{}]}}"#, fields.join(","))).unwrap()
}

fn with(key: &str, value: &str) -> BTreeMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

#[test]
fn a_table_asks_for_as_little_as_it_needs() {
    let versions = |protocol: Protocol| (protocol.reader, protocol.writer);
    let plain = schema(&["long", "timestamp"]);
    assert_eq!(versions(Protocol::required(&plain, &BTreeMap::new())), (1, 2));
    assert_eq!(versions(Protocol::required(&plain, &with("delta.constraints.c", "c0 > 0"))), (1, 3));
    assert_eq!(versions(Protocol::required(&plain, &with("delta.enableChangeDataFeed", "true"))), (1, 4));
    let ntz = Protocol::required(&schema(&["timestamp_ntz"]), &with("delta.constraints.c", "true"));
    assert_eq!(versions(ntz.clone()), (3, 7));
    assert_eq!(ntz.reader_features, ["timestampNtz"]);
    assert!(ntz.writer_features.contains(&"checkConstraints".to_owned()));
}

#[test]
fn raising_keeps_what_was_there() {
    let plain = Protocol::required(&schema(&["long"]), &BTreeMap::new());
    let checked = Protocol::required(&schema(&["long"]), &with("delta.constraints.c", "true"));
    let ntz = Protocol::required(&schema(&["timestamp_ntz"]), &BTreeMap::new());
    assert_eq!(plain.raised_to(&plain), None);
    assert_eq!(checked.raised_to(&plain), None);
    assert_eq!(plain.raised_to(&checked).unwrap().writer, 3);
    let both = checked.raised_to(&ntz).unwrap();
    assert_eq!((both.reader, both.writer), (3, 7));
    assert!(both.writer_features.contains(&"checkConstraints".to_owned()), "{both:?}");
    assert_eq!(both.raised_to(&ntz), None);
}

#[test]
fn unknown_features_are_named() {
    let mut protocol = Protocol { reader: 3, writer: 7, ..Protocol::default() };
    protocol.reader_features = vec!["typeWidening".into()];
    let error = protocol.check_readable(&BTreeMap::new()).unwrap_err();
    assert!(error.message().contains("typeWidening"), "{error}");
    let mapped = Protocol { reader: 2, writer: 5, ..Protocol::default() };
    assert!(mapped.check_readable(&BTreeMap::new()).is_ok());
    assert!(mapped.check_readable(&with("delta.columnMapping.mode", "name")).is_err());
    let tracked = Protocol { reader: 1, writer: 7, writer_features: vec!["rowTracking".into()], ..Protocol::default() };
    assert_eq!(tracked.read_only_reason(&schema(&["long"])).as_deref(), Some("rowTracking"));
}
