use super::*;
use crate::tables::fixture::column;

#[test]
fn every_storable_type_survives_the_round_trip() {
    let types = [
        PgType::Bool,
        PgType::Int2,
        PgType::Int4,
        PgType::Int8,
        PgType::Float4,
        PgType::Float8,
        PgType::Numeric(Some((12, 3))),
        PgType::Text,
        PgType::Varchar(Some(10)),
        PgType::Char(3),
        PgType::Bytea,
        PgType::Date,
        PgType::Timestamp,
        PgType::Timestamptz,
        PgType::Uuid,
        PgType::Json,
        PgType::Jsonb,
        PgType::Array(Box::new(PgType::Int4)),
    ];
    let columns: Vec<_> = types.iter().enumerate().map(|(at, of)| column(&format!("c{at}"), of.clone())).collect();
    let text = StructType::of_columns(&columns).unwrap().print().unwrap();
    let back = StructType::parse(&text).unwrap();
    let read: Vec<_> = back.columns().unwrap().into_iter().map(|column| column.pg_type).collect();
    assert_eq!(read, types);
    assert!(back.has_timestamp_ntz());
    let schema = back.arrow().unwrap();
    for (field, of) in schema.fields().iter().zip(&types) {
        assert_eq!(*field.data_type(), of.arrow());
    }
}

#[test]
fn types_that_delta_cannot_hold_are_refused_with_a_hint() {
    for of in [PgType::Time, PgType::Interval, PgType::Oid, PgType::Numeric(Some((50, 2)))] {
        let error = StructType::of_columns(&[column("x", of)]).unwrap_err();
        assert_eq!(error.sqlstate(), "0A000");
        assert!(error.message().contains("\"x\"") && error.hint_text().is_some(), "{error}");
    }
}

#[test]
fn foreign_schemas_with_nested_types_are_read() {
    let text = r#"{"type":"struct","fields":[
        {"name":"a","type":"byte","nullable":true,"metadata":{}},
        {"name":"m","type":{"type":"map","keyType":"string","valueType":"long","valueContainsNull":true},"nullable":true,"metadata":{}},
        {"name":"s","type":{"type":"struct","fields":[{"name":"x","type":"decimal(10,2)","nullable":false,"metadata":{}}]},"nullable":true,"metadata":{}},
        {"name":"v","type":"string","nullable":true,"metadata":{"__CHAR_VARCHAR_TYPE_STRING":"varchar(7)"}}]}"#;
    let columns = StructType::parse(text).unwrap().columns().unwrap();
    assert_eq!(columns[0].pg_type, PgType::Int2);
    assert_eq!(columns[1].pg_type, PgType::Jsonb);
    assert_eq!(columns[3].pg_type, PgType::Varchar(Some(7)));
}
