//! What records become: values, refusals, new fields; and that rows written as JSON and CSV are read back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

use super::*;
use crate::buffer::{Buffer, BufferOptions};
use crate::catalog::Catalog;
use crate::catalog::definition::{ColumnDef, ConstraintDef, ConstraintKind, RelationKind, TableDef};
use crate::catalog::name::Oid;
use crate::clock::Clock;
use crate::engine::EngineConfig;
use crate::log::LogOptions;
use crate::tables::Stores;

/// An engine without tables: what is decoded goes nowhere.
pub(super) struct Fixture {
    engine: Arc<Engine>,
    _folder: TempDir,
}

pub(super) async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let stores = Arc::new(Stores::new(Default::default()).unwrap());
    let options = BufferOptions { log: LogOptions::default(), tail_bytes_max: 1 << 20 };
    let catalog = Catalog::in_memory().unwrap();
    let buffer = Buffer::open(catalog, stores, Clock::Real, &folder.path().join("log"), options).await.unwrap();
    let config = EngineConfig {
        memory_bytes_max: 64 << 20,
        spill_folder: folder.path().join("spill"),
        spill_bytes_max: 1 << 20,
        target_partitions: 1,
        uses_tails: true,
        target_file_bytes: 1 << 20,
        tables_url: url::Url::from_directory_path(folder.path()).unwrap(),
        file_locations: Vec::new(),
    };
    Fixture { engine: Arc::new(Engine::new(config, Arc::new(buffer)).unwrap()), _folder: folder }
}

impl Fixture {
    pub(super) fn decode(&self, table: &RelationDef, work: &Work) -> Result<Decoded> {
        decode(&self.engine, &self.engine.background_scope(), table, work)
    }

    fn body(&self, table: &RelationDef, format: Format, body: impl Into<Bytes>) -> Result<Decoded> {
        self.decode(table, &work(format, vec![payload(body, None)]))
    }
}

pub(super) fn payload(bytes: impl Into<Bytes>, place: Option<i64>) -> Payload {
    Payload { bytes: bytes.into(), is_key: false, raw: None, place, before: 0, source: "test".into() }
}

pub(super) fn work(format: Format, payloads: Vec<Payload>) -> Work {
    let limits = DecodeLimits { depth_max: 8, bytes_max: 1 << 24 };
    Work { format, meaning: SourceFormat::Plain, sequence: None, payloads, broken: Broken::Fails, limits }
}

pub(super) fn column(name: &str, pg_type: PgType) -> ColumnDef {
    ColumnDef::new(1, name, pg_type)
}

pub(super) fn table(columns: Vec<ColumnDef>) -> RelationDef {
    RelationDef {
        oid: Oid(20000),
        schema: Oid::PUBLIC,
        name: "t".to_owned(),
        owner: Oid::FIRST_ROLE,
        comment: None,
        columns,
        kind: RelationKind::Table(TableDef::default()),
    }
}

pub(super) fn change(table: &mut RelationDef, edit: impl FnOnce(&mut TableDef)) {
    let RelationKind::Table(definition) = &mut table.kind else { unreachable!("it is a table") };
    edit(definition);
}

/// Each row as its values between bars.
pub(super) fn shown(rows: &RecordBatch) -> Vec<String> {
    let value = |column: &ArrayRef, row| match column.is_null(row) {
        true => "NULL".to_owned(),
        false => array_value_to_string(column, row).unwrap(),
    };
    let row = |row| rows.columns().iter().map(|column| value(column, row)).collect::<Vec<_>>().join("|");
    (0..rows.num_rows()).map(row).collect()
}

/// The value that a column of this type holds for a JSON value, or the SQLSTATE of its refusal.
fn stored(fixture: &Fixture, pg_type: &PgType, json: &str) -> String {
    let decoded =
        fixture.body(&table(vec![column("v", pg_type.clone())]), Format::NdJson, format!("{{\"v\": {json}}}"));
    let decoded = decoded.unwrap();
    match decoded.refused.first() {
        Some(refused) => refused.reason[..5].to_owned(),
        None => shown(&decoded.rows).remove(0),
    }
}

#[tokio::test]
async fn values_are_stored_as_they_came_or_not_at_all() {
    let fixture = fixture().await;
    let numeric = PgType::Numeric(Some((6, 2)));
    let list = PgType::Array(Box::new(PgType::Int4));
    for (pg_type, json, expected) in [
        (PgType::Int4, "5", "5"),
        (PgType::Int4, "1.0", "1"),
        (PgType::Int4, "25e1", "250"),
        (PgType::Int4, "\"7\"", "7"),
        (PgType::Int4, "1.5", "22P02"),
        (PgType::Int4, "2147483648", "22003"),
        (PgType::Int4, "99999999999999999999", "22003"),
        (PgType::Int4, "true", "42804"),
        (PgType::Int4, "{}", "42804"),
        (PgType::Int2, "32768", "22003"),
        (PgType::Int8, "9223372036854775807", "9223372036854775807"),
        (PgType::Int8, "9.007199254740993e15", "9007199254740993"),
        (PgType::Float8, "1", "1.0"),
        (PgType::Float8, "0.1", "0.1"),
        (PgType::Float8, "1e400", "22003"),
        (PgType::Float8, "\"NaN\"", "NaN"),
        (PgType::Float4, "1e39", "22003"),
        (numeric.clone(), "1234.5", "1234.50"),
        (numeric.clone(), "1.500", "1.50"),
        (numeric.clone(), "1.005", "22003"),
        (numeric.clone(), "12345", "22003"),
        (numeric, "\"-0.01\"", "-0.01"),
        (PgType::Bool, "true", "true"),
        (PgType::Bool, "\"no\"", "false"),
        (PgType::Bool, "1", "42804"),
        (PgType::Text, "\"a\\u00e9\\n\"", "aé\n"),
        (PgType::Text, "1.50", "1.50"),
        (PgType::Text, "{\"a\": [1]}", "{\"a\": [1]}"),
        (PgType::Text, "\"\\u0000\"", "22021"),
        (PgType::Varchar(Some(2)), "\"abc\"", "22001"),
        (PgType::Varchar(Some(2)), "\"ab\"", "ab"),
        (PgType::Char(3), "\"a\"", "a  "),
        (PgType::Uuid, "\"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\"", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (PgType::Uuid, "\"x\"", "22P02"),
        (PgType::Uuid, "5", "42804"),
        (PgType::Json, "{\"b\":1,  \"a\":2}", "{\"b\":1,  \"a\":2}"),
        (PgType::Jsonb, "{\"bb\":1,\"a\":2}", "{\"a\": 2, \"bb\": 1}"),
        (PgType::Json, "[[[[[[[[[1]]]]]]]]]", "54000"),
        (PgType::Bytea, "\"\\\\x01ff\"", "01ff"),
        (PgType::Date, "\"2026-01-01\"", "2026-01-01"),
        (PgType::Date, "\"2026-01-01T00:00:00\"", "2026-01-01"),
        (PgType::Date, "\"2026-01-01T10:00:00\"", "22007"),
        (PgType::Date, "20260101", "42804"),
        (PgType::Date, "\"2026-13-01\"", "22008"),
        (PgType::Timestamptz, "\"2026-01-01T00:00:00Z\"", "2026-01-01T00:00:00Z"),
        (PgType::Timestamptz, "\"2026-01-01T02:00:00.5+02:00\"", "2026-01-01T00:00:00.500Z"),
        (PgType::Timestamptz, "\"2026-02-30T00:00:00Z\"", "22008"),
        (PgType::Timestamp, "\"2026-01-01 00:00:00\"", "2026-01-01T00:00:00"),
        (PgType::Timestamp, "\"2026-01-01T00:00:00Z\"", "2026-01-01T00:00:00"),
        (PgType::Timestamp, "\"2026-01-01T00:00:00+02:00\"", "22007"),
        (list.clone(), "[1, null, 3]", "[1, , 3]"),
        (list.clone(), "\"{4,5}\"", "[4, 5]"),
        (list.clone(), "[1, \"x\"]", "22P02"),
        (list, "7", "42804"),
    ] {
        assert_eq!(stored(&fixture, &pg_type, json), expected, "{json} as {pg_type}");
        assert_eq!(stored(&fixture, &pg_type, "null"), "NULL");
    }
}

#[tokio::test]
async fn fields_find_their_columns_and_what_is_missing_is_filled() {
    let fixture = fixture().await;
    let relation = table(vec![
        column("id", PgType::Int8),
        column("Exact", PgType::Text),
        ColumnDef { default: Some("40 + 2".to_owned()), ..column("d", PgType::Int4) },
        ColumnDef { generated: Some("id * 2".to_owned()), ..column("g", PgType::Int8) },
    ]);
    let body = r#"[{"ID": 1, "Exact": "x", "d": 7, "extra": 1, "more": null},
                   {"Exact": null, "d": null, "id": 2, "g": 5}, {"id": 3, "exact": "y"}, {"id": 4, "Id": 5}, {}]"#;
    let decoded = fixture.body(&relation, Format::Json, body).unwrap();
    assert_eq!(shown(&decoded.rows), ["1|x|7|2", "2|NULL|NULL|4", "3|NULL|42|6", "NULL|NULL|42|NULL"]);
    let ignored: Vec<(&str, u64)> =
        decoded.ignored_fields.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(ignored, [("exact", 1), ("extra", 1), ("g", 1), ("more", 1)]);
    assert_eq!(decoded.refused.len(), 1);
    assert_eq!(decoded.refused[0].raw, r#"{"id": 4, "Id": 5}"#);
    assert_eq!(decoded.refused[0].reason, "42701: column \"id\" specified more than once");
    assert_eq!(decoded.refused[0].place, 4);
}

#[tokio::test]
async fn bad_lines_go_aside_and_the_others_in() {
    let fixture = fixture().await;
    let relation = table(vec![column("id", PgType::Int8), column("t", PgType::Text)]);
    let body = b"\xef\xbb\xbf{\"id\":1,\"t\":\"a\"}\r\n\n{\"id\":\n[1]\n{\"id\":\"x\"}\n{\"t\":\"\xff\"}\n{\"id\":2} x\n{\"t\":\"b\",\"id\":3}";
    let decoded = fixture.body(&relation, Format::NdJson, body.to_vec()).unwrap();
    assert_eq!(shown(&decoded.rows), ["1|a", "3|b"]);
    let refused: Vec<(i64, &[u8], &str)> =
        decoded.refused.iter().map(|letter| (letter.place, letter.raw.as_ref(), &letter.reason[..5])).collect();
    let expected: [(i64, &[u8], &str); 5] = [
        (2, b"{\"id\":", "22P02"),
        (3, b"[1]", "22P02"),
        (4, b"{\"id\":\"x\"}", "22P02"),
        (5, b"{\"t\":\"\xff\"}", "22P02"),
        (6, b"{\"id\":2} x", "22P02"),
    ];
    assert_eq!(refused, expected);
    assert!(decoded.refused[2].reason.contains("column \"id\": invalid input syntax for type bigint: \"x\""));
}

#[tokio::test]
async fn what_cannot_be_cut_into_records_fails_or_is_refused_whole() {
    let fixture = fixture().await;
    let relation = table(vec![column("id", PgType::Int8)]);
    for body in ["[{\"id\":1}, {\"id\":2}", "{\"id\":1", "hello", "{\"id\":1}{\"id\":2}"] {
        let error = fixture.body(&relation, Format::Json, body).err().expect(body);
        assert_eq!(error.sqlstate(), "22P02", "{body}");
        let payloads = vec![payload("{\"id\":7}", Some(70)), payload(body, Some(71))];
        let work = Work { broken: Broken::Refused, ..work(Format::Json, payloads) };
        let decoded = fixture.decode(&relation, &work).unwrap();
        assert_eq!(shown(&decoded.rows), ["7"]);
        assert_eq!((decoded.refused[0].place, decoded.refused[0].raw.as_ref()), (71, body.as_bytes()));
    }
    for empty in ["", " \n", "[]"] {
        assert_eq!(fixture.body(&relation, Format::Json, empty).unwrap().rows.num_rows(), 0);
    }
}

#[tokio::test]
async fn messages_become_one_batch() {
    let fixture = fixture().await;
    let relation = table(vec![column("id", PgType::Int8)]);
    let mut payloads: Vec<Payload> = (0..1000).map(|id| payload(format!("{{\"id\":{id}}}"), Some(id))).collect();
    payloads[500].bytes = "{\"id\":false}".into();
    payloads[600] = Payload { raw: Some("the envelope".into()), ..payload("{\"id\":\"-\"}", Some(600)) };
    let decoded = fixture.decode(&relation, &work(Format::Json, payloads)).unwrap();
    assert_eq!(decoded.rows.num_rows(), 998);
    assert_eq!(decoded.rows.column(0).as_primitive::<Int64Type>().value(500), 501);
    let places: Vec<(i64, &[u8])> = decoded.refused.iter().map(|letter| (letter.place, letter.raw.as_ref())).collect();
    assert_eq!(places, [(500, &b"{\"id\":false}"[..]), (600, &b"the envelope"[..])]);
}

#[tokio::test]
async fn rows_that_break_a_rule_of_the_table_are_refused() {
    let fixture = fixture().await;
    let mut relation = table(vec![
        ColumnDef { not_null: true, ..column("id", PgType::Int8) },
        column("part", PgType::Text),
        ColumnDef { generated: Some("100 / id".to_owned()), ..column("share", PgType::Int8) },
    ]);
    change(&mut relation, |table| {
        let kind = ConstraintKind::Check { expression: "id < 1000".to_owned() };
        table.constraints.push(ConstraintDef { oid: Oid::NONE, name: "small".to_owned(), kind });
        table.partitioned_by.push("part".to_owned());
    });
    let mut lines: Vec<String> = (1..=500).map(|id| format!("{{\"id\":{id},\"part\":\"p\"}}")).collect();
    lines[100] = "{\"part\":\"p\"}".to_owned();
    lines[200] = "{\"id\":1000}".to_owned();
    lines[300] = "{\"id\":1,\"part\":\"\"}".to_owned();
    lines[400] = "{\"id\":0}".to_owned();
    let decoded = fixture.body(&relation, Format::NdJson, lines.join("\n")).unwrap();
    assert_eq!(decoded.rows.num_rows(), 496);
    let refused: Vec<(i64, &str)> = decoded.refused.iter().map(|letter| (letter.place, &letter.reason[..5])).collect();
    assert_eq!(refused, [(101, "23502"), (201, "23514"), (301, "22023"), (401, "22012")]);
    assert_eq!(decoded.refused[1].raw, "{\"id\":1000}");
    assert!(decoded.refused[1].reason.contains("violates check constraint \"small\""), "{:?}", decoded.refused[1]);
}

#[tokio::test]
async fn csv_has_quotes_nulls_and_headers() {
    let fixture = fixture().await;
    let relation = table(vec![column("id", PgType::Int8), column("t", PgType::Text), column("d", PgType::Date)]);
    let csv = Format::Csv(CsvLayout::default());
    let body = "T,id,other\r\n\"a, \"\"b\"\"\nc\",1,x\r\n,2,\n\"\",3,y\nonly\n\"q\"z,4,\nz,5,\"\"\n\"open,6";
    let decoded = fixture.body(&relation, csv, body).unwrap();
    assert_eq!(shown(&decoded.rows), ["1|a, \"b\"\nc|NULL", "2|NULL|NULL", "3||NULL", "5|z|NULL"]);
    let refused: Vec<(i64, &[u8])> = decoded.refused.iter().map(|letter| (letter.place, letter.raw.as_ref())).collect();
    assert_eq!(refused, [(4, &b"only"[..]), (5, &b"\"q\"z,4,"[..]), (7, &b"\"open,6"[..])]);
    assert!(decoded.refused.iter().all(|letter| letter.reason.starts_with("22P04")));
    assert_eq!(decoded.ignored_fields["other"], 4);

    let twice = fixture.body(&relation, csv, "id,ID\n1,2\n").err().unwrap();
    assert_eq!(twice.sqlstate(), "42701");
    let bare = Format::Csv(CsvLayout { delimiter: b';', has_header: false });
    let decoded = fixture.body(&relation, bare, b"1;\xc3\xa9;2026-01-01\n2;\xff;\n".to_vec()).unwrap();
    assert_eq!(shown(&decoded.rows), ["1|é|2026-01-01"]);
    assert_eq!(&decoded.refused[0].reason[..5], "22021");
    assert_eq!(fixture.body(&relation, csv, "id,t\n").unwrap().rows.num_rows(), 0);
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true))).unwrap()
}

fn arrow_stream(rows: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &rows[0].schema(), options).unwrap();
    rows.iter().for_each(|rows| writer.write(rows).unwrap());
    writer.into_inner().unwrap()
}

fn arrow_file(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}

fn parquet_file(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn columns_are_cast_where_nothing_is_lost() {
    let fixture = fixture().await;
    let relation = table(vec![
        column("id", PgType::Int4),
        column("v", PgType::Float4),
        column("n", PgType::Numeric(Some((5, 1)))),
        column("at", PgType::Timestamptz),
        column("tag", PgType::Text),
        column("doc", PgType::Json),
        column("flag", PgType::Int8),
        column("list", PgType::Array(Box::new(PgType::Int4))),
        column("text", PgType::Text),
    ]);
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let doc = StructArray::from(vec![(Arc::new(Field::new("x", DataType::Int64, true)), inner)]);
    let at = TimestampNanosecondArray::from(vec![1_000, 2_001, 3_000]).with_timezone("UTC");
    let tag: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("b")].into_iter().collect();
    let list =
        ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), None, Some(vec![Some(1 << 40)])]);
    let rows = batch(vec![
        ("ID", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("v", Arc::new(Float64Array::from(vec![0.5, 1.0, 0.25]))),
        ("n", Arc::new(UInt64Array::from(vec![1, 2, 3]))),
        ("at", Arc::new(at)),
        ("tag", Arc::new(tag)),
        ("doc", Arc::new(doc)),
        ("flag", Arc::new(BooleanArray::from(vec![None, None, None]))),
        ("list", Arc::new(list)),
        ("text", Arc::new(Int32Array::from(vec![7, 8, 9]))),
        ("new", Arc::new(Int32Array::from(vec![Some(1), None, None]))),
    ]);
    let first = "1|0.5|1.0|1970-01-01T00:00:00.000001Z|a|{\"x\":1}|NULL|[1]|7";
    let bodies = [
        (Format::ArrowStream, arrow_stream(std::slice::from_ref(&rows), None)),
        (Format::ArrowStream, arrow_stream(std::slice::from_ref(&rows), Some(CompressionType::LZ4_FRAME))),
        (Format::ArrowFile, arrow_file(&rows)),
        (Format::Parquet, parquet_file(&rows)),
    ];
    for (format, body) in bodies {
        let decoded = fixture.body(&relation, format, body.clone()).unwrap();
        assert_eq!(shown(&decoded.rows), [first], "{format:?}");
        let refused: Vec<(i64, &str)> =
            decoded.refused.iter().map(|letter| (letter.place, &letter.reason[..15])).collect();
        assert_eq!(refused, [(2, "22003: column \""), (3, "22003: column \"")], "{format:?}");
        assert!(decoded.refused[0].reason.contains("\"at\"") && decoded.refused[1].reason.contains("\"list\""));
        assert!(decoded.refused[0].raw.starts_with(b"{\"ID\":2,"), "{:?}", decoded.refused[0]);
        assert_eq!(decoded.ignored_fields["new"], 1);
        for end in [0, 3, body.len() / 2, body.len() - 9] {
            let cut = fixture.body(&relation, format, body[..end].to_vec());
            // Streams may end early where a message does.
            assert!(
                cut.as_ref().map_or(true, |cut| format != Format::Parquet && cut.rows.num_rows() <= 1),
                "{format:?} {end}"
            );
        }
        let wrong = fixture.body(&relation, format, "hello, this is no such file at all").err();
        assert_eq!(wrong.expect("it cannot be read").sqlstate(), "22P03", "{format:?}");
    }
    let clash = batch(vec![("flag", Arc::new(BooleanArray::from(vec![Some(true), None])) as ArrayRef)]);
    let decoded = fixture.body(&relation, Format::Parquet, parquet_file(&clash)).unwrap();
    assert_eq!((decoded.rows.num_rows(), &decoded.refused[0].reason[..5]), (1, "42804"));
    let decimals = Decimal128Array::from(vec![15, 155]).with_precision_and_scale(5, 2).unwrap();
    let decimals = batch(vec![("n", Arc::new(decimals) as ArrayRef)]);
    let decoded = fixture.body(&relation, Format::ArrowStream, arrow_stream(&[decimals], None)).unwrap();
    assert_eq!((decoded.rows.num_rows(), decoded.refused.len()), (0, 2));
    let texts = batch(vec![("id", Arc::new(StringArray::from(vec!["1", "x"])) as ArrayRef)]);
    let decoded = fixture.body(&relation, Format::ArrowStream, arrow_stream(&[texts.clone(), texts], None)).unwrap();
    assert_eq!(decoded.rows.num_rows(), 2);
    let refused: Vec<(i64, &str)> = decoded.refused.iter().map(|letter| (letter.place, &letter.reason[..5])).collect();
    assert_eq!(refused, [(2, "22P02"), (4, "22P02")]);
}

#[tokio::test]
async fn damaged_columns_are_refused_and_never_take_more_than_allowed() {
    let fixture = fixture().await;
    let relation = table(vec![column("id", PgType::Int8), column("t", PgType::Text)]);
    let texts: StringArray = (0..1000).map(|row| Some("x".repeat(row % 7))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
    let rows = batch(vec![("id", ids), ("t", Arc::new(texts))]);
    let bodies = [
        (Format::ArrowStream, arrow_stream(std::slice::from_ref(&rows), None)),
        (Format::ArrowStream, arrow_stream(std::slice::from_ref(&rows), Some(CompressionType::LZ4_FRAME))),
        (Format::Parquet, parquet_file(&rows)),
    ];
    let mut random = SmallRng::seed_from_u64(7);
    for (format, body) in &bodies {
        for _ in 0..300 {
            let mut damaged = body.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..damaged.len());
                damaged[at] = random.random();
            }
            // Whatever comes out, it comes back.
            if let Ok(decoded) = fixture.body(&relation, *format, damaged) {
                assert!(decoded.rows.num_rows() <= 1 << 24);
            }
        }
    }
    // 1000 zeros that claim to be 2^60 bytes once they are decompressed.
    let zeros = batch(vec![("id", Arc::new(Int64Array::from(vec![0; 10_000])) as ArrayRef)]);
    let mut bomb = arrow_stream(std::slice::from_ref(&zeros), Some(CompressionType::LZ4_FRAME));
    let claim = 80_000_i64.to_le_bytes();
    let at = bomb.windows(8).position(|bytes| bytes == claim).expect("the length stands before the buffer");
    bomb[at..at + 8].copy_from_slice(&(1_i64 << 60).to_le_bytes());
    assert_eq!(fixture.body(&relation, Format::ArrowStream, bomb).err().unwrap().sqlstate(), "54000");
    let mut small = work(Format::Parquet, vec![payload(parquet_file(&zeros), None)]);
    small.limits.bytes_max = 10_000;
    assert_eq!(fixture.decode(&relation, &small).err().unwrap().sqlstate(), "54000");
}

#[tokio::test]
async fn new_fields_are_told_with_their_types() {
    let fixture = fixture().await;
    let mut relation = table(vec![column("id", PgType::Int8)]);
    change(&mut relation, |table| drop(table.options.insert("schema_evolution".to_owned(), "add".to_owned())));
    let told = |decoded: Decoded| -> Vec<String> {
        decoded.new_fields.iter().map(|field| format!("{} {}", field.name, field.pg_type)).collect()
    };
    let body = r#"{"id":1,"I":1,"f":1,"b":true,"t":"x","at":"2026-01-01T00:00:00Z","o":{"x":1},"n":null,"mix":1,"big":1}
                  {"id":2,"f":1.5,"at":"2026-01-01T00:00:00+02:00","o":[1],"mix":"x","big":99999999999999999999}"#;
    assert_eq!(
        told(fixture.body(&relation, Format::NdJson, body).unwrap()),
        [
            "i bigint",
            "f double precision",
            "b boolean",
            "t text",
            "at timestamp with time zone",
            "o json",
            "mix text",
            "big numeric(38,0)",
        ]
    );
    let body = "id,i,zip,f,b,at,t,e\n1,-5,01234,1.5,true,2026-01-01T00:00:00Z,2026,\n2,7,12345,2,false,2026-01-01T00:00:00Z,x,\n";
    assert_eq!(
        told(fixture.body(&relation, Format::Csv(CsvLayout::default()), body).unwrap()),
        ["i bigint", "zip text", "f double precision", "b boolean", "at timestamp with time zone", "t text",]
    );
    let decoded = fixture.body(&relation, Format::NdJson, format!("{{\"id\":1,\"{}\":1}}", "x".repeat(64))).unwrap();
    assert_eq!(&decoded.refused[0].reason[..5], "42602");
    let many: String = (0..1001).map(|field| format!("{{\"f{field}\":1}}\n")).collect();
    change(&mut relation, |table| table.options.clear());
    let decoded = fixture.body(&relation, Format::NdJson, many).unwrap();
    assert_eq!((decoded.rows.num_rows(), decoded.refused.len()), (1000, 1));
}

/// Rows of a fixed pseudo-random sequence, of all types that JSON and CSV writers know.
fn random_rows(random: &mut SmallRng, count: usize) -> RecordBatch {
    let letters: Vec<char> = "aZ0 ,;\"'\\\n\r\té漢🦀{}[]:null".chars().collect();
    let some = |random: &mut SmallRng| random.random_ratio(4, 5);
    let ints: Int64Array = (0..count).map(|_| some(random).then(|| random.random())).collect();
    let floats: Float64Array = (0..count)
        .map(|_| some(random).then(|| f64::from_bits(random.random())).filter(|value: &f64| value.is_finite()))
        .collect();
    let flags: BooleanArray = (0..count).map(|_| some(random).then(|| random.random())).collect();
    let texts: arrow::array::StringViewArray = (0..count)
        .map(|_| {
            let length = random.random_range(1..12);
            let text: String = (0..length).map(|_| letters[random.random_range(0..letters.len())]).collect();
            some(random).then_some(text)
        })
        .collect();
    let moments: TimestampMicrosecondArray = (0..count)
        .map(|_| some(random).then(|| random.random_range(-60_000_000_000_000_000..200_000_000_000_000_000)))
        .collect();
    let dates: arrow::array::Date32Array =
        (0..count).map(|_| some(random).then(|| random.random_range(-700_000..2_900_000))).collect();
    let decimals: Decimal128Array =
        (0..count).map(|_| some(random).then(|| random.random_range(-99_999_999..99_999_999))).collect();
    batch(vec![
        ("i", Arc::new(ints) as ArrayRef),
        ("f", Arc::new(floats)),
        ("b", Arc::new(flags)),
        ("t", Arc::new(texts)),
        ("at", Arc::new(moments.with_timezone("UTC"))),
        ("d", Arc::new(dates)),
        ("n", Arc::new(decimals.with_precision_and_scale(10, 3).unwrap())),
    ])
}

#[tokio::test]
async fn rows_written_as_json_and_csv_are_read_back() {
    let fixture = fixture().await;
    let relation = table(vec![
        column("i", PgType::Int8),
        column("f", PgType::Float8),
        column("b", PgType::Bool),
        column("t", PgType::Text),
        column("at", PgType::Timestamptz),
        column("d", PgType::Date),
        column("n", PgType::Numeric(Some((10, 3)))),
    ]);
    let mut random = SmallRng::seed_from_u64(42);
    for _ in 0..50 {
        let count = random.random_range(1..60);
        let rows = random_rows(&mut random, count);
        let (mut lines, mut array, mut csv) = (Vec::new(), Vec::new(), Vec::new());
        let mut writer = arrow::json::LineDelimitedWriter::new(&mut lines);
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        let mut writer = arrow::json::ArrayWriter::new(&mut array);
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        arrow::csv::Writer::new(&mut csv).write(&rows).unwrap();
        for (format, body) in [(Format::NdJson, lines), (Format::Json, array), (Format::Csv(CsvLayout::default()), csv)]
        {
            let text = String::from_utf8_lossy(&body).into_owned();
            let decoded = fixture.body(&relation, format, body).unwrap();
            assert_eq!(decoded.refused, [], "{text}");
            assert_eq!(decoded.rows.columns(), rows.columns(), "{format:?}\n{text}");
        }
    }
}

/// The schema of decoded rows is the table's own: what the log and files hold.
#[tokio::test]
async fn rows_have_exactly_the_tables_columns() {
    let fixture = fixture().await;
    let relation = table(vec![column("id", PgType::Int8), column("u", PgType::Uuid)]);
    let decoded = fixture.body(&relation, Format::Json, "{\"id\":1}").unwrap();
    assert_eq!(decoded.rows.schema(), relation.arrow_schema());
    let view = RelationDef { kind: RelationKind::View(Default::default()), ..relation };
    assert_eq!(fixture.body(&view, Format::Json, "{}").err().unwrap().sqlstate(), "42809");
    let empty = Schema::empty();
    let rows = RecordBatch::new_empty(Arc::new(empty));
    let body = arrow_stream(&[rows], None);
    let relation = table(vec![column("id", PgType::Int8)]);
    assert_eq!(fixture.body(&relation, Format::ArrowStream, body).unwrap().rows.num_rows(), 0);
}
