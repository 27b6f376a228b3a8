//! COPY data as PostgreSQL 15 writes and reads it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type};

use crate::catalog::pg_type::PgType;
use crate::error::Error;
use crate::session::cells::{Cells, Style, canonical};
use crate::session::copy_format::{Decoder, Encoder};
use crate::session::reply::{Column, CopyFormat, CopyOptions, CopyVerbosity, OnError};
use crate::session::text::zone::Zone;

fn columns() -> Vec<Column> {
    [("a", PgType::Int4), ("b", PgType::Text), ("c", PgType::Float8)]
        .map(|(name, pg_type)| Column { name: name.to_owned(), pg_type, relation: None, number: 0 })
        .to_vec()
}

/// Decodes data that comes in pieces of `step` bytes.
fn decode(data: &[u8], options: &CopyOptions, step: usize) -> Result<(Vec<RecordBatch>, Vec<String>), Error> {
    let mut decoder = Decoder::new("t", &columns(), options, Zone::default());
    let mut batches = Vec::new();
    for piece in data.chunks(step) {
        decoder.push(piece)?;
        batches.extend(std::iter::from_fn(|| decoder.next_batch()));
    }
    decoder.finish()?;
    batches.extend(std::iter::from_fn(|| decoder.next_batch()));
    Ok((batches, decoder.told()))
}

type Row = (Option<i32>, Option<String>, Option<f64>);

fn rows(batches: &[RecordBatch]) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in batches {
        let (a, b, c) = (
            batch.column(0).as_primitive::<Int32Type>(),
            batch.column(1).as_string_view(),
            batch.column(2).as_primitive::<Float64Type>(),
        );
        for row in 0..batch.num_rows() {
            rows.push((
                a.is_valid(row).then(|| a.value(row)),
                b.is_valid(row).then(|| b.value(row).to_owned()),
                c.is_valid(row).then(|| c.value(row)),
            ));
        }
    }
    rows
}

/// The rows, the same whatever pieces the data comes in.
fn read(data: &[u8], options: &CopyOptions) -> Result<Vec<Row>, Error> {
    let whole = decode(data, options, usize::MAX).map(|(batches, _)| rows(&batches));
    for step in [1, 2, 3, 7] {
        let pieces = decode(data, options, step).map(|(batches, _)| rows(&batches));
        match (&whole, pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(*whole, pieces, "in pieces of {step}"),
            (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string(), "in pieces of {step}"),
            (whole, pieces) => panic!("{whole:?} at once, {pieces:?} in pieces of {step}"),
        }
    }
    whole
}

fn row(a: i32, b: Option<&str>, c: Option<f64>) -> Row {
    (Some(a), b.map(str::to_owned), c)
}

#[test]
fn text_has_escapes_nulls_and_an_end() {
    let data = b"1\tx\\ty\\\\z\t1.5\n2\t\\N\t\\N\n3\t\\x41\\101\\n\\q\tInfinity\n4\tline\\\nbreak\t0\n\\.\nnot read";
    let found = read(data, &CopyOptions::of(CopyFormat::Text)).unwrap();
    assert_eq!(found[0], row(1, Some("x\ty\\z"), Some(1.5)));
    assert_eq!(found[1], row(2, None, None));
    assert_eq!(found[2].1.as_deref(), Some("AA\nq"));
    assert_eq!(found[2].2, Some(f64::INFINITY));
    assert_eq!(found[3], row(4, Some("line\nbreak"), Some(0.0)));
    assert_eq!(found.len(), 4);
}

#[test]
fn lines_may_end_with_a_carriage_return_or_not_at_all() {
    let expected = vec![row(1, Some("x"), Some(1.0)), row(2, Some(""), None)];
    assert_eq!(read(b"1\tx\t1\r\n2\t\t\\N\r\n", &CopyOptions::of(CopyFormat::Text)).unwrap(), expected);
    assert_eq!(read(b"1\tx\t1\n2\t\t\\N", &CopyOptions::of(CopyFormat::Text)).unwrap(), expected);
}

#[test]
fn csv_has_quotes_over_lines() {
    let data = b"1,\"a, \"\"b\"\"\nc\",1.5\n2,,\n3,\"\",\"7\"\n4,pre\"quo,ted\"post,0\n";
    let found = read(data, &CopyOptions::of(CopyFormat::Csv)).unwrap();
    assert_eq!(found[0], row(1, Some("a, \"b\"\nc"), Some(1.5)));
    assert_eq!(found[1], row(2, None, None));
    assert_eq!(found[2], row(3, Some(""), Some(7.0)));
    assert_eq!(found[3], row(4, Some("prequo,tedpost"), Some(0.0)));
}

#[test]
fn csv_options_are_obeyed() {
    let mut given = CopyOptions::of(CopyFormat::Csv);
    (given.delimiter, given.quote, given.escape) = (b';', b'\'', b'\\');
    given.null = "nil".to_owned();
    given.force_not_null = vec![false, true, false];
    given.force_null = vec![false, false, true];
    let found = read(b"1;'it\\'s;';nil\n2;nil;'nil'\n", &given).unwrap();
    assert_eq!(found, vec![row(1, Some("it's;"), None), row(2, Some("nil"), None)]);
}

#[test]
fn headers_are_skipped_or_matched() {
    let mut given = CopyOptions::of(CopyFormat::Csv);
    given.header = true;
    assert_eq!(read(b"x,y,z\n1,b,2\n", &given).unwrap(), vec![row(1, Some("b"), Some(2.0))]);
    given.header_match = true;
    let error = read(b"a,x,c\n1,b,2\n", &given).unwrap_err();
    assert_eq!(error.sqlstate(), "22P04");
    assert_eq!(error.message(), "column name mismatch in header line field 2: got \"x\", expected \"b\"");
    let error = read(b"a,b\n", &given).unwrap_err();
    assert_eq!(error.message(), "wrong number of fields in header line: got 2, expected 3");
}

#[test]
fn errors_name_the_line_and_the_column() {
    let text = CopyOptions::of(CopyFormat::Text);
    let error = read(b"1\tx\t1\n2\ty\tzz\n", &text).unwrap_err();
    assert_eq!(error.message(), "invalid input syntax for type double precision: \"zz\"");
    assert_eq!(error.context_text(), Some("COPY t, line 2, column c: \"zz\""));
    let error = read(b"1\tx\n", &text).unwrap_err();
    assert_eq!((error.sqlstate(), error.message()), ("22P04", "missing data for column \"c\""));
    assert_eq!(error.context_text(), Some("COPY t, line 1: \"1\tx\""));
    let error = read(b"1\tx\t2\t3\n", &text).unwrap_err();
    assert_eq!(error.message(), "extra data after last expected column");
    let error = read(b"1,\"x\n2,y\n", &CopyOptions::of(CopyFormat::Csv)).unwrap_err();
    assert_eq!(error.message(), "unterminated CSV quoted field");
    let error = read(b"1\t\xff\t2\n", &text).unwrap_err();
    assert_eq!((error.sqlstate(), error.context_text()), ("22021", Some("COPY t, line 1")));
}

#[test]
fn bad_rows_are_skipped_when_asked() {
    let mut given = CopyOptions::of(CopyFormat::Csv);
    given.on_error = OnError::Ignore;
    let data = b"1,a,1\nx,b,2\n3,c\n4,d,4\n5,e,zz\n";
    let (batches, told) = decode(data, &given, 5).unwrap();
    assert_eq!(rows(&batches), vec![row(1, Some("a"), Some(1.0)), row(4, Some("d"), Some(4.0))]);
    assert_eq!(told, ["3 rows were skipped due to data type incompatibility"]);

    given.verbosity = CopyVerbosity::Silent;
    assert_eq!(decode(data, &given, 5).unwrap().1, [""; 0]);
    given.verbosity = CopyVerbosity::Verbose;
    let each = [
        "skipping row: invalid input syntax for type integer: \"x\" (COPY t, line 2, column a: \"x\")",
        "skipping row: missing data for column \"c\" (COPY t, line 3: \"3,c\")",
        "skipping row: invalid input syntax for type double precision: \"zz\" (COPY t, line 5, column c: \"zz\")",
        "3 rows were skipped due to data type incompatibility",
    ];
    assert_eq!(decode(data, &given, 5).unwrap().1, each);
    let (_, told) = decode("x\n".repeat(3000).as_bytes(), &given, 4096).unwrap();
    assert_eq!(told.len(), 1001, "a file of bad rows must not fill the memory");
}

#[test]
fn no_more_rows_are_skipped_than_the_limit() {
    let mut given = CopyOptions::of(CopyFormat::Csv);
    (given.on_error, given.reject_limit) = (OnError::Ignore, 2);
    assert!(decode(b"1,a,1\nx,b,2\n3,c\n4,d,4\n", &given, 5).is_ok());
    let error = decode(b"1,a,1\nx,b,2\n3,c\n4,d,4\n5,e,zz\n", &given, 5).unwrap_err();
    assert_eq!(error.sqlstate(), "22P02");
    assert_eq!(error.message(), "skipped more than REJECT_LIMIT (2) rows due to data type incompatibility");
    assert_eq!(error.context_text(), Some("COPY t, line 5, column c: \"zz\""));
}

#[test]
fn many_rows_come_in_bounded_batches() {
    let data: String = (0..20_000).map(|number| format!("{number}\tx\t{number}.5\n")).collect();
    let (batches, _) = decode(data.as_bytes(), &CopyOptions::of(CopyFormat::Text), 4096).unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 8192));
    let found = rows(&batches);
    assert_eq!(found.len(), 20_000);
    assert_eq!(found[19_999], row(19_999, Some("x"), Some(19_999.5)));
}

fn encode(batches: &[RecordBatch], options: &CopyOptions) -> Vec<u8> {
    let columns = columns();
    let mut encoder = Encoder::new(&columns, options);
    let mut out = Vec::new();
    encoder.write_header(&mut out);
    for batch in batches {
        let arrays: Vec<_> = batch
            .columns()
            .iter()
            .zip(&columns)
            .map(|(array, column)| canonical(array, &column.pg_type).unwrap())
            .collect();
        let style = Style::default();
        let cells: Vec<_> = arrays
            .iter()
            .zip(&columns)
            .map(|(array, column)| Cells::new(array, &column.pg_type, &style).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            encoder.write_row(&cells, row, &mut out).unwrap();
        }
    }
    encoder.write_trailer(&mut out);
    out
}

#[test]
fn what_is_written_is_read_back() {
    let data = b"1\tx\\ty\\\\z\\n\t1.5\n2\t\\N\t\\N\n3\t\t-0.001\n4\t\\\\.\t0\n5\t\"q\",\t1e+20\n";
    let text = CopyOptions::of(CopyFormat::Text);
    let (batches, _) = decode(data, &text, usize::MAX).unwrap();
    let expected = rows(&batches);
    assert_eq!(String::from_utf8(encode(&batches, &text)).unwrap(), String::from_utf8(data.to_vec()).unwrap());
    for format in [CopyFormat::Csv, CopyFormat::Binary] {
        let mut given = CopyOptions::of(format);
        given.header = format == CopyFormat::Csv;
        let written = encode(&batches, &given);
        assert_eq!(read(&written, &given).unwrap(), expected, "{format:?}");
    }
    let csv = String::from_utf8(encode(&batches, &CopyOptions::of(CopyFormat::Csv))).unwrap();
    assert_eq!(csv, "1,\"x\ty\\z\n\",1.5\n2,,\n3,\"\",-0.001\n4,\\.,0\n5,\"\"\"q\"\",\",1e+20\n");
}

#[test]
fn damaged_binary_data_is_refused() {
    let binary = CopyOptions::of(CopyFormat::Binary);
    let (batches, _) = decode(b"1\tx\t1\n", &CopyOptions::of(CopyFormat::Text), 99).unwrap();
    let good = encode(&batches, &binary);
    assert_eq!(read(b"PGCOPX\n", &binary).unwrap_err().message(), "COPY file signature not recognized");
    assert_eq!(read(&good[..good.len() - 4], &binary).unwrap_err().message(), "unexpected EOF in COPY data");
    let mut wide = good.clone();
    wide[20] = 9;
    assert_eq!(read(&wide, &binary).unwrap_err().message(), "row field count is 9, expected 3");
    let mut short = good;
    // The first field claims three bytes.
    short[24] = 3;
    assert!(read(&short, &binary).is_err());
}
