use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::catalog::definition::{ConstraintDef, ConstraintKind};
use crate::catalog::name::Oid;
use crate::catalog::pg_type::PgType;
use crate::ingest::decode::tests::{Fixture, change, column, fixture, payload, shown, table, work};

/// A table whose key is not its first column, nor all of it without a default.
fn keyed(key: &[&str]) -> RelationDef {
    let mut relation = table(vec![
        column("v", PgType::Int8),
        ColumnDef { not_null: true, default: Some("'x'".to_owned()), ..column("k", PgType::Text) },
        ColumnDef { not_null: true, ..column("p", PgType::Int4) },
    ]);
    let columns = key.iter().map(|name| (*name).to_owned()).collect();
    let kind = ConstraintKind::PrimaryKey { columns };
    change(&mut relation, |table| table.constraints.push(ConstraintDef { oid: Oid::NONE, name: "key".into(), kind }));
    relation
}

fn of(meaning: SourceFormat, format: Format, payloads: Vec<Payload>) -> Work {
    Work { meaning, broken: Broken::Refused, ..work(format, payloads) }
}

/// Rows, keys that go, dead letters as place and reason, and the count of records.
fn outcome(fixture: &Fixture, relation: &RelationDef, work: &Work) -> (Vec<String>, Vec<String>, Vec<String>, u64) {
    let decoded = fixture.decode(relation, work).unwrap();
    let letter = |letter: &Refused| format!("{} {}", letter.place, &letter.reason[..5]);
    let letters = decoded.refused.iter().map(letter).collect();
    (shown(&decoded.rows), shown(&decoded.deleted.unwrap()), letters, decoded.records)
}

fn messages<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Payload> {
    (0..).zip(texts).map(|(place, text)| payload(text.to_owned(), Some(place))).collect()
}

#[tokio::test]
async fn the_last_record_of_a_key_counts() {
    let (fixture, relation) = (fixture().await, keyed(&["p", "k"]));
    let mut payloads = messages([
        r#"{"k": "a", "p": 1, "v": 1}"#,
        r#"[{"k": "b", "p": 1, "v": 2}, {"k": "b", "p": 1, "v": 3}]"#,
        r#"{"p": 1, "k": "a", "other": 5}"#,
        r#"{"k": "c", "p": 1.0}"#,
        r#"{"k": "c", "p": "1", "v": 4}"#,
        // A default makes no key, and null is none.
        r#"{"p": 1, "v": 5}"#,
        r#"{"k": null, "p": 1}"#,
        r#"{"k": "b", "p": 1, "v": "not a number"}"#,
        r#""b""#,
    ]);
    for key in [2, 3, 8] {
        payloads[key].is_key = true;
    }
    let (rows, keys, letters, records) =
        outcome(&fixture, &relation, &of(SourceFormat::Upsert, Format::Json, payloads));
    assert_eq!(rows, ["3|b|1", "4|c|1"]);
    assert_eq!(keys, ["1|a"]);
    assert_eq!(letters, ["5 23502", "6 23502", "7 22P02", "8 22P02"]);
    assert_eq!(records, 6);
    let csv =
        of(SourceFormat::Upsert, Format::Csv(Default::default()), vec![payload("k,p,v\na,1,1\n,1,1\na,1,2\n", None)]);
    assert_eq!(outcome(&fixture, &relation, &csv), (vec!["2|a|1".into()], vec![], vec!["2 23502".into()], 2));
}

#[tokio::test]
async fn a_key_of_one_column_may_be_its_bare_value() {
    let (fixture, texts, numbers) = (fixture().await, keyed(&["k"]), keyed(&["p"]));
    let deleted = |relation: &RelationDef, key: &[u8]| {
        let key = Payload { is_key: true, ..payload(key.to_vec(), Some(0)) };
        let decoded = fixture.decode(relation, &of(SourceFormat::Upsert, Format::Json, vec![key])).unwrap();
        assert!(decoded.refused.iter().all(|letter| letter.raw == decoded.refused[0].raw));
        let refused = decoded.refused.iter().map(|letter| letter.reason[..5].to_owned());
        shown(&decoded.deleted.unwrap()).into_iter().chain(refused).collect::<Vec<_>>().join(",")
    };
    for (key, expected) in [
        (&b"abc"[..], "abc"),
        (b"\"abc\"", "abc"),
        (b"a \"b\" \\", "a \"b\" \\"),
        (b"12", "12"),
        (b"true", "true"),
        (b"", ""),
        (b"{a}", "{a}"),
        (b"{\"k\": \"x\", \"more\": 1}", "x"),
        (b"null", "23502"),
        (b"{\"p\": 1}", "23502"),
        (b"\xff", "22P02"),
    ] {
        assert_eq!(deleted(&texts, key), expected, "{key:?}");
    }
    for (key, expected) in
        [(&b"12"[..], "12"), (b"\"12\"", "12"), (b"{\"p\": 12}", "12"), (b"x", "22P02"), (b"", "22P02")]
    {
        assert_eq!(deleted(&numbers, key), expected, "{key:?}");
    }
}

#[tokio::test]
async fn envelopes_change_rows_and_their_keys_whole_or_not_at_all() {
    let (fixture, relation) = (fixture().await, keyed(&["k"]));
    let payloads = messages([
        r#"{"op":"c","after":{"k":"a","p":1,"v":1}}"#,
        r#"{"op":"c","after":{"k":"b","p":1,"v":1}}"#,
        r#"{"op":"u","before":{"k":"a","p":1,"v":1},"after":{"k":"a","p":1,"v":2}}"#,
        // The key changes.
        r#"{"payload":{"op":"u","before":{"k":"b","p":1,"v":1},"after":{"k":"c","p":1,"v":3}}}"#,
        // Neither half of what is refused is done.
        r#"{"op":"u","before":{"k":"a"},"after":{"k":"d","p":"one"}}"#,
        r#"{"op":"u","before":{"k":null},"after":{"k":"e","p":1}}"#,
        r#"{"op":"u","before":{},"after":{}}"#,
        r#"{"op":"d","before":{"k":"f","other":{}},"after":null}"#,
        r#"{"op":"d","before":{"p":1}}"#,
        r#"{"op":"t"}"#,
        "{",
    ]);
    let texts: Vec<Bytes> = payloads.iter().map(|payload| payload.bytes.clone()).collect();
    let work = of(SourceFormat::Debezium, Format::Json, payloads);
    let (rows, keys, letters, records) = outcome(&fixture, &relation, &work);
    assert_eq!((rows, keys), (vec!["2|a|1".to_owned(), "3|c|1".to_owned()], vec!["b".to_owned(), "f".to_owned()]));
    assert_eq!(letters, ["4 22P02", "5 23502", "6 23502", "8 23502", "9 0A000", "10 22P02"]);
    assert_eq!(records, 5);
    let decoded = fixture.decode(&relation, &work).unwrap();
    assert!(decoded.refused.iter().all(|letter| letter.raw == texts[letter.place as usize]));
    assert!(decoded.ignored_fields.is_empty());

    // In files they are lines, and have numbers.
    let text = "{\"op\":\"c\",\"after\":{\"k\":\"a\",\"p\":1}}\n\n{\"op\":\"x\"}\n{\"op\":\"d\",\"before\":{\"k\":\"a\"}}\n{\"op\":\"c\",\"after\":{\"p\":1}}";
    let piece = Payload { before: 100, ..payload(text, None) };
    let (rows, keys, letters, records) =
        outcome(&fixture, &relation, &of(SourceFormat::Debezium, Format::NdJson, vec![piece]));
    assert_eq!((rows.len(), keys, records), (0, vec!["a".to_owned()], 2));
    assert_eq!(letters, ["102 22P02", "104 23502"]);
}

#[tokio::test]
async fn random_batches_leave_what_a_map_holds() {
    let (fixture, relation) = (fixture().await, keyed(&["k"]));
    let mut random = SmallRng::seed_from_u64(5);
    for round in 0..200 {
        let (mut texts, mut expected) = (Vec::new(), BTreeMap::<String, Option<i64>>::new());
        for v in 0..random.random_range(0..30_i64) {
            let [key, other] = [0; 2].map(|_| format!("k{}", random.random_range(0..6)));
            match random.random_range(0..5) {
                0 => {
                    texts.push(format!(r#"{{"op":"d","before":{{"k":"{key}"}}}}"#));
                    expected.insert(key, None);
                }
                1 => texts.push(format!(r#"{{"op":"u","before":{{"k":"{key}"}},"after":{{"k":"{other}","p":"?"}}}}"#)),
                2 => {
                    texts.push(format!(
                        r#"{{"op":"u","before":{{"k":"{key}"}},"after":{{"k":"{other}","p":1,"v":{v}}}}}"#
                    ));
                    expected.insert(key, None);
                    expected.insert(other, Some(v));
                }
                _ => {
                    texts.push(format!(r#"{{"op":"c","after":{{"k":"{key}","p":1,"v":{v}}}}}"#));
                    expected.insert(key, Some(v));
                }
            }
        }
        let payloads = messages(texts.iter().map(String::as_str));
        let (mut rows, mut keys, ..) =
            outcome(&fixture, &relation, &of(SourceFormat::Debezium, Format::Json, payloads));
        rows.sort_by_key(|row| row.split('|').nth(1).map(str::to_owned));
        keys.sort();
        let there = expected.iter().filter_map(|(key, v)| Some(format!("{}|{key}|1", (*v)?)));
        assert_eq!(rows, there.collect::<Vec<_>>(), "{round}");
        let gone = expected.iter().filter(|(_, v)| v.is_none()).map(|(key, _)| key.clone());
        assert_eq!(keys, gone.collect::<Vec<_>>(), "{round}");
    }
}

#[tokio::test]
async fn a_table_without_a_key_takes_no_changes() {
    let (fixture, relation) = (fixture().await, table(vec![column("v", PgType::Int8)]));
    let error = fixture.decode(&relation, &of(SourceFormat::Upsert, Format::Json, messages(["{}"])));
    assert_eq!(error.err().map(|error| error.sqlstate().to_owned()).as_deref(), Some("42P16"));
}
