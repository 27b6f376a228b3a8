//! Files as sources and targets of COPY: Parquet and JSON, read and written by the engine.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use object_store::buffered::BufWriter;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::catalog::definition::RelationDef;
use crate::catalog::pg_type::PgType;
use crate::engine::column::Column;
use crate::engine::{Engine, Scope, read_files};
use crate::error::{Error, ErrorKind, Result};

impl Engine {
    /// The rows of a Parquet or JSON file.
    pub async fn read_file(
        &self,
        scope: &Scope,
        path: &str,
        format: &str,
        cancel: &CancellationToken,
    ) -> Result<SendableRecordBatchStream> {
        let function = format!("read_{format}");
        let path = ast::Expr::value(ast::Value::SingleQuotedString(path.to_owned()));
        let argument = ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(path));
        let provider = read_files::provider(self, scope, &function, &[argument]).await?;
        let source = datafusion::datasource::provider_as_source(provider);
        let plan = datafusion::logical_expr::LogicalPlanBuilder::scan("file", source, None)?.build()?;
        self.run_plan(scope, &plan, cancel).await
    }

    /// Appends rows whose columns have the names of the table's; `positions` are those that may be given.
    pub async fn append_by_name(
        &self,
        scope: &Scope,
        relation: &Arc<RelationDef>,
        positions: &[usize],
        rows: SendableRecordBatchStream,
        cancel: &CancellationToken,
    ) -> Result<u64> {
        let by_name: HashMap<&str, usize> =
            positions.iter().map(|position| (relation.columns[*position].name.as_str(), *position)).collect();
        let mut columns = Vec::new();
        for field in rows.schema().fields() {
            columns.push(*by_name.get(field.name().as_str()).ok_or_else(|| {
                Error::new(
                    ErrorKind::UndefinedColumn,
                    format!("the file has a column \"{}\" that table \"{}\" has not", field.name(), relation.name),
                )
                .hint("Name the columns to load with INSERT INTO ... SELECT ... FROM read_parquet('...').")
            })?);
        }
        self.append(scope, relation, &columns, rows, cancel).await
    }

    /// Writes rows to a Parquet or JSON file. Gives their number.
    pub async fn write_file(
        &self,
        url: &Url,
        format: &str,
        columns: Arc<[Column]>,
        mut rows: SendableRecordBatchStream,
    ) -> Result<u64> {
        let store = self.stores().get(url)?;
        let path = object_store::path::Path::from_url_path(url.path())
            .map_err(|error| Error::new(ErrorKind::InvalidParameterValue, format!("\"{url}\" is no file: {error}")))?;
        let schema = shown_schema(&rows.schema(), &columns);
        let file = BufWriter::new(store, path);
        let mut sink = match format {
            "parquet" => {
                let level = ZstdLevel::try_new(1).map_err(|error| Error::internal(error.to_string()))?;
                let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
                let writer = AsyncArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(failed)?;
                Sink::Parquet(Box::new(writer))
            }
            _ => Sink::Json(Box::new(file)),
        };
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = RecordBatch::try_new(Arc::clone(&schema), batch?.columns().to_vec())?;
            count += batch.num_rows() as u64;
            sink.write(&batch).await?;
        }
        sink.close().await?;
        Ok(count)
    }

    /// The value of an expression without columns, as a parameter of that type.
    pub fn constant(&self, scope: &Scope, expression: &ast::Expr, pg_type: &PgType) -> Result<ScalarValue> {
        crate::engine::values::constant(scope, expression.clone(), &pg_type.arrow())
    }
}

enum Sink {
    Parquet(Box<AsyncArrowWriter<BufWriter>>),
    Json(Box<BufWriter>),
}

impl Sink {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(batch).await.map_err(failed),
            Self::Json(file) => {
                let mut lines = arrow::json::LineDelimitedWriter::new(Vec::new());
                lines.write(batch)?;
                lines.finish()?;
                Ok(file.write_all(&lines.into_inner()).await?)
            }
        }
    }

    async fn close(self) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.close().await.map(|_| ()).map_err(failed),
            Self::Json(mut file) => Ok(file.shutdown().await?),
        }
    }
}

fn failed(error: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::IoError, error.to_string())
}

/// The batches' schema under the names that clients see.
fn shown_schema(schema: &arrow::datatypes::Schema, columns: &[Column]) -> arrow::datatypes::SchemaRef {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .zip(columns)
        .map(|(field, column)| arrow::datatypes::Field::clone(field).with_name(column.name.clone()))
        .collect();
    Arc::new(arrow::datatypes::Schema::new(fields))
}
