//! Statistics of every type, to the log and back, and as others write them.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::ScalarValue;

use super::{ColumnStats, FileStats, INEXACT_TAG};

fn schema(fields: &[(&str, DataType)]) -> Schema {
    Schema::new(fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>())
}

fn own() -> BTreeMap<String, String> {
    [(INEXACT_TAG.to_owned(), "[]".to_owned())].into()
}

fn column(min: ScalarValue, max: ScalarValue) -> ColumnStats {
    ColumnStats { min: Some(min), max: Some(max), null_count: Some(3), exact: true }
}

#[test]
fn every_type_survives_the_log() {
    use ScalarValue as S;
    let zone = || Some("UTC".into());
    let all: Vec<(&str, ColumnStats)> = vec![
        ("a \"quoted\"\n", column(S::Int64(Some(i64::MIN)), S::Int64(Some(i64::MAX)))),
        ("b", column(S::Int16(Some(-3)), S::Int16(Some(7)))),
        ("c", column(S::Decimal128(Some(-5), 38, 10), S::Decimal128(Some(10_i128.pow(37) + 1), 38, 10))),
        ("d", column(S::Date32(Some(-800_000)), S::Date32(Some(20_000)))),
        (
            "e",
            column(S::TimestampMicrosecond(Some(-1), None), S::TimestampMicrosecond(Some(1_700_000_000_123_456), None)),
        ),
        (
            "f",
            column(
                S::TimestampMicrosecond(Some(-62_000_000_000_000_001), zone()),
                S::TimestampMicrosecond(Some(1), zone()),
            ),
        ),
        ("g", column(S::Utf8View(Some(String::new())), S::Utf8View(Some("ü\"\\\u{1}".to_owned())))),
        ("h", column(S::Boolean(Some(false)), S::Boolean(Some(true)))),
        ("i", column(S::Float64(Some(-0.1)), S::Float64(Some(f64::MAX)))),
        ("j", column(S::Float32(Some(0.1)), S::Float32(Some(1e30)))),
        ("k", column(S::Decimal128(Some(0), 5, 0), S::Decimal128(Some(12), 5, 0))),
    ];
    let types: Vec<_> = all.iter().map(|(name, stats)| (*name, stats.min.as_ref().unwrap().data_type())).collect();
    let stats = FileStats { columns: all.into_iter().map(|(name, stats)| (name.into(), stats)).collect() };
    let text = stats.to_json(12);
    assert_eq!(FileStats::parse(&text, &schema(&types), &own()).unwrap(), (Some(12), stats), "{text}");
}

#[test]
fn a_long_text_is_cut_to_a_bound() {
    for long in ["x".repeat(100), "\u{10FFFF}".repeat(100), format!("{}\u{D7FF}{}", "a".repeat(63), "b".repeat(9))] {
        let value = || ScalarValue::Utf8View(Some(long.clone()));
        let stats = FileStats { columns: [("s".into(), column(value(), value()))].into() };
        assert_eq!(stats.inexact_columns(), ["s"]);
        let tags = [(INEXACT_TAG.to_owned(), "[\"s\"]".to_owned())].into();
        let (_, read) = FileStats::parse(&stats.to_json(1), &schema(&[("s", DataType::Utf8View)]), &tags).unwrap();
        let read = &read.columns["s"];
        assert!(!read.exact);
        assert!(read.min.as_ref().unwrap() <= &value());
        assert!(read.max.as_ref().is_none_or(|max| max >= &value()));
    }
}

#[test]
fn bounds_of_others_are_widened_by_what_they_cut_off() {
    let types = [
        ("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("f", DataType::Float64),
        ("n", DataType::Decimal128(38, 2)),
        ("m", DataType::Decimal128(38, 2)),
        ("d", DataType::Date32),
    ];
    let text = r#"{"numRecords":5,"minValues":{"ts":"2024-01-01T00:00:00.123Z","f":1.5,"n":1.10,"m":12345678901234567890.12,"d":"2024-02-30"},
        "maxValues":{"ts":"2024-01-01T01:00:00.123+01:00","f":2.5,"n":2.3000000000000003,"m":12345678901234567890.12,"d":"2024-02-28"},
        "nullCount":{"ts":0,"s":{"x":1}},"extra":[1]}"#;
    let (rows, stats) = FileStats::parse(text, &schema(&types), &BTreeMap::new()).unwrap();
    assert_eq!(rows, Some(5));
    let micros = 1_704_067_200_123_000;
    let at = |micros| Some(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
    assert_eq!((&stats.columns["ts"].min, &stats.columns["ts"].max), (&at(micros - 1000), &at(micros + 1000)));
    assert_eq!((&stats.columns["f"].min, &stats.columns["f"].max), (&None, &None));
    let decimal = |value| Some(ScalarValue::Decimal128(Some(value), 38, 2));
    assert_eq!((&stats.columns["n"].min, &stats.columns["n"].max), (&decimal(110), &decimal(230)));
    assert!(stats.columns["n"].exact && !stats.columns["m"].exact && !stats.columns["ts"].exact);
    assert!(
        stats.columns["m"].min < decimal(1_234_567_890_123_456_789_012)
            && stats.columns["m"].max > decimal(1_234_567_890_123_456_789_012)
    );
    assert_eq!(stats.columns["d"].min, None);
}

#[test]
fn wide_bounds_are_not_exact() {
    let text = r#"{"numRecords":5,"tightBounds":false,"minValues":{"i":1},"maxValues":{"i":2},"nullCount":{"i":0}}"#;
    let (_, stats) = FileStats::parse(text, &schema(&[("i", DataType::Int64)]), &BTreeMap::new()).unwrap();
    assert!(!stats.columns["i"].exact);
    assert_eq!(stats.columns["i"].null_count, None);
}

#[test]
fn odd_statistics_are_left_out_and_broken_ones_told() {
    let fields = schema(&[("i", DataType::Int32), ("s", DataType::Utf8View)]);
    let text = r#"{"numRecords":-1,"minValues":{"i":99999999999,"s":5,"gone":1},"maxValues":null}"#;
    let (rows, stats) = FileStats::parse(text, &fields, &own()).unwrap();
    assert_eq!(rows, None);
    assert!(stats.columns.values().all(|column| column.min.is_none() && column.max.is_none()));
    assert_eq!(FileStats::parse("{}", &fields, &own()).unwrap().0, None);
    assert!(FileStats::parse("{\"numRecords\":", &fields, &own()).is_err());
    let bad_tag = [(INEXACT_TAG.to_owned(), "no list".to_owned())].into();
    let text = r#"{"numRecords":1,"minValues":{"s":"a"},"maxValues":{"s":"b"}}"#;
    assert!(!FileStats::parse(text, &fields, &bad_tag).unwrap().1.columns["s"].exact);
}
