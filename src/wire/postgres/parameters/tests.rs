//! Bound values of a few types; all types are covered by the intake's own tests.

use bytes::Bytes;
use datafusion::common::ScalarValue;

use crate::catalog::pg_type::PgType;
use crate::error::Result;
use crate::session::text::zone::Zone;
use crate::wire::postgres::message::Bind;
use crate::wire::postgres::parameters::{declared_types, decode};

fn bind(formats: &[i16], values: &[Option<&[u8]>], types: &[PgType]) -> Result<Vec<ScalarValue>> {
    let values = values.iter().map(|value| value.map(Bytes::copy_from_slice)).collect();
    let bind = Bind {
        portal: String::new(),
        statement: "s".to_owned(),
        formats: formats.to_vec(),
        values,
        result_formats: Vec::new(),
    };
    decode(&bind, types, Zone::default())
}

#[test]
fn values_become_scalars_of_their_type() {
    let types = [PgType::Int4, PgType::Text, PgType::Bool];
    let values = bind(&[1, 0, 0], &[Some(&[0, 0, 1, 0]), Some(b"x"), None], &types).unwrap();
    let expected =
        [ScalarValue::Int32(Some(256)), ScalarValue::Utf8View(Some("x".to_owned())), ScalarValue::Boolean(None)];
    assert_eq!(values, expected);
}

#[test]
fn a_numeric_keeps_the_digits_it_was_written_with() {
    let one = |text: &[u8]| bind(&[], &[Some(text)], &[PgType::Numeric(None)]).unwrap().remove(0);
    assert_eq!(one(b"1.2300"), ScalarValue::Decimal128(Some(12_300), 5, 4));
    assert_eq!(one(b"-0.00000000000001"), ScalarValue::Decimal128(Some(-1), 14, 14));
    assert_eq!(one(b"1e3"), ScalarValue::Decimal128(Some(1000), 4, 0));
    assert!(matches!(one(&[b'9'; 50]), ScalarValue::Decimal256(Some(_), 50, 0)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let error = bind(&[], &[], &[PgType::Int4]).unwrap_err();
    assert_eq!(error.sqlstate(), "08P01");
    assert_eq!(error.message(), "bind message supplies 0 parameters, but prepared statement \"s\" requires 1");
    let error = bind(&[0, 1], &[Some(b"1")], &[PgType::Int4]).unwrap_err();
    assert_eq!((error.sqlstate(), error.message()), ("08P01", "bind message has 2 parameter formats but 1 parameters"));
    let error = bind(&[1], &[Some(b"abc")], &[PgType::Int4]).unwrap_err();
    assert_eq!((error.sqlstate(), error.message()), ("22P03", "incorrect binary data format in bind parameter 1"));
    let error = bind(&[0], &[Some(b"abc")], &[PgType::Int4]).unwrap_err();
    assert_eq!((error.sqlstate(), error.context_text()), ("22P02", Some("unnamed portal parameter $1")));
}

#[test]
fn declared_types_are_known_or_refused() {
    assert_eq!(
        declared_types(&[0, 705, 23, 1007]).unwrap(),
        [None, None, Some(PgType::Int4), Some(PgType::Array(Box::new(PgType::Int4)))]
    );
    assert_eq!(declared_types(&[999_999]).unwrap_err().sqlstate(), "42704");
}
