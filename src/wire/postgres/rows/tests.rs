//! Formats, DataRow messages, and what arrays of every Arrow type become.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, DurationMillisecondArray, Float16Array, Int8Array, Int32Array, LargeStringArray,
    ListArray, NullArray, RecordBatch, StringArray, StructArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type};

use crate::catalog::pg_type::PgType;
use crate::session::Column;
use crate::session::cells::Style;
use crate::wire::postgres::answer::Format;
use crate::wire::postgres::rows::{Sending, spread_formats, write_data_row};

fn column(array: &ArrayRef) -> Column {
    let pg_type = PgType::of(&Field::new("c", array.data_type().clone(), true));
    Column { name: "c".to_owned(), pg_type, relation: None, number: 0 }
}

/// The cells of a column as text, through whole DataRow messages.
fn texts(array: ArrayRef) -> Vec<Option<String>> {
    cells(array, Format::Text).into_iter().map(|cell| cell.map(|bytes| String::from_utf8(bytes).unwrap())).collect()
}

fn cells(array: ArrayRef, format: Format) -> Vec<Option<Vec<u8>>> {
    let columns = [column(&array)];
    let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
    let mut sending = Sending::new(&batch, &columns).unwrap();
    let mut out = Vec::new();
    let written = sending
        .each_row(&columns, &Style::default(), usize::MAX, (&mut out, usize::MAX), |cells, row, out| {
            write_data_row(cells, &[format], row, out)
        })
        .unwrap();
    assert_eq!(written, batch.num_rows());
    assert!(sending.is_done());
    let mut found = Vec::new();
    let mut rest = out.as_slice();
    while let [b'D', a, b, c, d, tail @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
        let (body, after) = tail.split_at(length);
        let cell = i32::from_be_bytes(body[2..6].try_into().unwrap());
        assert_eq!(body.len(), 6 + cell.max(0) as usize);
        found.push((cell >= 0).then(|| body[6..].to_vec()));
        rest = after;
    }
    assert!(rest.is_empty());
    found
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn unusual_arrow_types_are_sent_too() {
    assert_eq!(texts(Arc::new(Int8Array::from(vec![Some(-5), None]))), [some("-5"), None]);
    assert_eq!(texts(Arc::new(UInt32Array::from(vec![u32::MAX]))), [some("4294967295")]);
    assert_eq!(texts(Arc::new(UInt64Array::from(vec![u64::MAX]))), [some("18446744073709551615")]);
    assert_eq!(texts(Arc::new(Float16Array::from(vec![half()]))), [some("0.5")]);
    assert_eq!(texts(Arc::new(LargeStringArray::from(vec!["x"]))), [some("x")]);
    assert_eq!(texts(Arc::new(NullArray::new(2))), [None, None]);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
    assert_eq!(texts(Arc::new(dictionary)), [some("a"), None, some("a")]);
    assert_eq!(texts(Arc::new(DurationMillisecondArray::from(vec![90_061_001]))), [some("25:01:01.001")]);
    let nanos = TimestampNanosecondArray::from(vec![1_500, -1_500, 1_499]);
    let expected = ["1970-01-01 00:00:00.000002", "1969-12-31 23:59:59.999998", "1970-01-01 00:00:00.000001"];
    assert_eq!(texts(Arc::new(nanos)), expected.map(some));
}

fn half() -> <arrow::datatypes::Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native {
    let single: ArrayRef = Arc::new(arrow::array::Float32Array::from(vec![0.5]));
    let cast = arrow::compute::cast(&single, &DataType::Float16).unwrap();
    arrow::array::AsArray::as_primitive::<arrow::datatypes::Float16Type>(&cast).value(0)
}

#[test]
fn lists_and_structs_have_a_form() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    assert_eq!(texts(Arc::new(list.clone())), [some("{1,NULL}"), None, some("{}")]);
    let binary = cells(Arc::new(list), Format::Binary);
    let one_null =
        [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 255, 255, 255, 255];
    assert_eq!(binary[0].as_deref(), Some(&one_null[..]));
    assert_eq!(binary[2].as_deref(), Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23][..]));
    let rows = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int32, true)), Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef),
        (Arc::new(Field::new("b", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["x\"y", "z"]))),
    ]);
    assert_eq!(texts(Arc::new(rows)), [some(r#"{"a": 1, "b": "x\"y"}"#), some(r#"{"a": null, "b": "z"}"#)]);
}

#[test]
fn a_part_of_a_batch_is_sent_and_continued() {
    let array: ArrayRef = Arc::new(Int32Array::from_iter_values(0..100));
    let columns = [column(&array)];
    let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
    let mut sending = Sending::new(&batch, &columns).unwrap();
    let mut out = Vec::new();
    let mut send = |most: usize, bytes_max: usize, out: &mut Vec<u8>| {
        sending.each_row(&columns, &Style::default(), most, (out, bytes_max), |cells, row, out| {
            write_data_row(cells, &[Format::Binary], row, out)
        })
    };
    assert_eq!(send(10, usize::MAX, &mut out).unwrap(), 10);
    // Each row takes 15 bytes; the one that reaches the limit is the last.
    assert_eq!(send(usize::MAX, out.len() + 31, &mut out).unwrap(), 3);
    assert_eq!(send(usize::MAX, usize::MAX, &mut out).unwrap(), 87);
    assert_eq!(out.len(), 1500);
}

#[test]
fn formats_are_spread_or_refused() {
    use Format::{Binary, Text};
    assert_eq!(spread_formats(&[], 2).unwrap(), [Text, Text]);
    assert_eq!(spread_formats(&[1], 2).unwrap(), [Binary, Binary]);
    assert_eq!(spread_formats(&[0, 1], 2).unwrap(), [Text, Binary]);
    let error = spread_formats(&[0, 1], 3).unwrap_err();
    assert_eq!(
        (error.sqlstate(), error.message()),
        ("08P01", "bind message has 2 result formats but query has 3 columns")
    );
    assert_eq!(spread_formats(&[7], 1).unwrap_err().sqlstate(), "22023");
}
