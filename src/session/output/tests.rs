use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::memory::MemoryStream;

use crate::catalog::pg_type::PgType;
use crate::session::cells::Style;
use crate::session::output::{OutputFormat, write_rows};
use crate::session::reply::{Column, Rows, RowsTag};

fn rows(ids: Vec<Option<i32>>, names: Vec<Option<&str>>) -> Rows {
    let fields = vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)];
    let schema = Arc::new(Schema::new(fields));
    let columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(ids)), Arc::new(StringArray::from(names))];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let column = |name: &str, pg_type| Column { name: name.to_owned(), pg_type, relation: None, number: 0 };
    Rows {
        columns: [column("id", PgType::Int4), column("name", PgType::Text)].into(),
        stream: Box::pin(MemoryStream::try_new(vec![batch], schema, None).unwrap()),
        tag: RowsTag::Select,
    }
}

async fn written(format: OutputFormat) -> Vec<u8> {
    let rows = rows(vec![Some(1), None], vec![Some("a \"b\", c"), Some("")]);
    let mut out = Vec::new();
    let tag = write_rows(rows, format, &Style::default(), &mut out).await.unwrap();
    assert_eq!(tag.0, "SELECT 2");
    out
}

async fn text(format: OutputFormat) -> String {
    String::from_utf8(written(format).await).unwrap()
}

#[tokio::test]
async fn rows_are_written_in_each_format() {
    assert_eq!(text(OutputFormat::Csv).await, "id,name\n1,\"a \"\"b\"\", c\"\n,\"\"\n");
    assert_eq!(
        text(OutputFormat::Ndjson).await,
        "{\"id\": 1, \"name\": \"a \\\"b\\\", c\"}\n{\"id\": null, \"name\": \"\"}\n"
    );
    let json: serde_json::Value = serde_json::from_str(&text(OutputFormat::Json).await).unwrap();
    assert_eq!(json[0]["name"], "a \"b\", c");
    assert_eq!(text(OutputFormat::Table).await, " id |   name\n----+----------\n  1 | a \"b\", c\n    |\n(2 rows)\n\n");
}

#[tokio::test]
async fn a_parquet_file_has_the_shown_names() {
    let file = written(OutputFormat::Parquet).await;
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes::Bytes::from(file), 10).unwrap();
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.unwrap()).collect();
    assert_eq!(batches[0].num_rows(), 2);
    assert_eq!(batches[0].schema().field(1).name(), "name");
}

#[test]
fn formats_are_named() {
    assert_eq!("ndjson".parse::<OutputFormat>().unwrap(), OutputFormat::Ndjson);
    assert_eq!("xml".parse::<OutputFormat>().unwrap_err().sqlstate(), "22023");
    assert_eq!(OutputFormat::Table.to_string(), "table");
}
