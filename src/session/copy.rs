//! COPY: between a table or query and the client, a file or an object.
//!
//! Text, CSV and PostgreSQL's binary go through [`copy_format`](crate::session::copy_format), Parquet, JSON and Arrow
//! through the engine. Rows into a table take the way of INSERT: one statement, one commit, all rows or none.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, WriteMultipart};
use tokio_util::sync::CancellationToken;

use crate::catalog::definition::RelationDef;
use crate::dialect;
use crate::dialect::{Copy, CopyFileFormat, CopyHeader, CopySource, CopyTarget, Statement};
use crate::engine::Scope;
use crate::engine::insert::insert_target;
use crate::engine::progress::Progress;
use crate::error::{Error, ErrorKind, Result};
use crate::session::Session;
use crate::session::cells::Cells;
use crate::session::copy_format::{Decoder, Encoder};
use crate::session::reply::{
    Column, CopyFormat, CopyIn, CopyOptions, CopyOut, CopySender, OnError, Reply, Rows, RowsTag, Tag,
};
use crate::session::text::zone::Zone;

/// Bytes that are gathered before they go to a file.
const FILE_BUFFER_BYTES: usize = 1 << 20;

/// Parts of a file that are on their way to the store at a time.
const PARTS_WAITING_MAX: usize = 4;

impl Session {
    pub(super) async fn copy(
        &self,
        scope: &Scope,
        copy: &Copy,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        if copy.condition.is_some() {
            return Err(Error::unsupported("COPY FROM ... WHERE is not supported")
                .hint("COPY into a table of its own, then INSERT ... SELECT ... WHERE."));
        }
        match (&copy.source, copy.from) {
            (CopySource::Table(name, named), true) => {
                let relation = insert_target(scope, name)?;
                let positions = positions(&relation, named, true)?;
                match &copy.target {
                    CopyTarget::Client => self.copy_in(scope, copy, relation, positions, cancel),
                    CopyTarget::File(path) => self.copy_file_in(scope, copy, relation, positions, path, cancel).await,
                }
            }
            _ => self.copy_to(scope, copy, parameters, cancel).await,
        }
    }

    /// COPY ... FROM STDIN: the wire decodes, this stores.
    fn copy_in(
        &self,
        scope: &Scope,
        copy: &Copy,
        relation: Arc<RelationDef>,
        positions: Vec<usize>,
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        let columns = columns(&relation, &positions);
        let options = resolved(copy, &columns)?;
        let (sender, rows) = CopySender::channel(schema_of(&columns));
        let (engine, scope, cancel) = (Arc::clone(self.server.engine()), scope.clone(), cancel.clone());
        let done = async move {
            let count = engine.append(&scope, &relation, &positions, rows, &cancel).await?;
            Ok(Tag(format!("COPY {count}")))
        };
        // The table takes rows while the client still sends: the work must not wait to be polled.
        let task = tokio::spawn(done);
        let done = task
            .map(|ended| ended.unwrap_or_else(|error| Err(Error::internal(format!("COPY ended: {error}")))))
            .boxed();
        Ok(Reply::CopyIn(CopyIn { relation: copy_name(copy), columns, options, sender, done }))
    }

    async fn copy_file_in(
        &self,
        scope: &Scope,
        copy: &Copy,
        relation: Arc<RelationDef>,
        positions: Vec<usize>,
        path: &str,
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        let engine = self.server.engine();
        let count = match copy.options.format {
            None | Some(CopyFileFormat::Text | CopyFileFormat::Csv | CopyFileFormat::Binary) => {
                self.copy_lines_in(scope, copy, relation, positions, path, cancel).await?
            }
            Some(columnar) => {
                let rows = engine.read_file(scope, path, columnar.name(), cancel).await?;
                engine.append_by_name(scope, &relation, &positions, rows, cancel).await?
            }
        };
        Ok(Reply::Done(Tag(format!("COPY {count}"))))
    }

    async fn copy_lines_in(
        &self,
        scope: &Scope,
        copy: &Copy,
        relation: Arc<RelationDef>,
        positions: Vec<usize>,
        path: &str,
        cancel: &CancellationToken,
    ) -> Result<u64> {
        let url = self.server.engine().allowed_location(path)?;
        let columns = columns(&relation, &positions);
        let options = resolved(copy, &columns)?;
        let mut bytes = open_file(self.server.buffer().stores(), &url, &scope.progress).await?;
        let (sender, rows) = CopySender::channel(schema_of(&columns));
        let mut decoder = Decoder::new(&relation.name, &columns, &options, self.zone());
        let feed = async move {
            match decode_all(&mut decoder, &mut bytes, &sender).await {
                Ok(()) => sender.finish().await,
                Err(error) => sender.fail(error).await,
            }
            decoder.told()
        };
        let engine = self.server.engine();
        let (told, stored) = tokio::join!(feed, engine.append(scope, &relation, &positions, rows, cancel));
        told.into_iter().for_each(|message| self.notice(message));
        stored
    }

    /// COPY ... TO: a table or query to the client or a file.
    async fn copy_to(
        &self,
        scope: &Scope,
        copy: &Copy,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Reply> {
        let rows = self.copied_rows(scope, copy, parameters, cancel).await?;
        match &copy.target {
            CopyTarget::Client => {
                let options = resolved(copy, &rows.columns)?;
                Ok(Reply::CopyOut(CopyOut { rows, options }))
            }
            CopyTarget::File(path) => {
                let url = self.server.engine().allowed_location(path)?;
                let count = match copy.options.format {
                    None | Some(CopyFileFormat::Text | CopyFileFormat::Csv | CopyFileFormat::Binary) => {
                        let options = resolved(copy, &rows.columns)?;
                        self.copy_lines_out(rows, &options, &url).await?
                    }
                    Some(columnar) => {
                        self.server.engine().write_file(&url, columnar.name(), rows.columns, rows.stream).await?
                    }
                };
                Ok(Reply::Done(Tag(format!("COPY {count}"))))
            }
        }
    }

    async fn copied_rows(
        &self,
        scope: &Scope,
        copy: &Copy,
        parameters: &[ScalarValue],
        cancel: &CancellationToken,
    ) -> Result<Rows> {
        let engine = self.server.engine();
        let query = match &copy.source {
            CopySource::Table(name, named) => table_query(scope, name, named)?,
            CopySource::Query(statement) => match statement.as_ref() {
                Statement::Query(query) => query.as_ref().clone(),
                _ => return Err(Error::unsupported("COPY of a statement other than a query is not supported")),
            },
        };
        let planned = engine.plan_query(scope, &query, &[]).await?;
        let stream = engine.run(scope, &planned, parameters, cancel).await?;
        Ok(Rows { columns: planned.columns, stream, tag: RowsTag::Select })
    }

    async fn copy_lines_out(&self, rows: Rows, options: &CopyOptions, url: &url::Url) -> Result<u64> {
        let store = self.server.buffer().stores().get(url)?;
        let path = object_path(url)?;
        let upload = store.put_multipart(&path).await.map_err(|error| io_error(url, &error))?;
        let mut writer = WriteMultipart::new(upload);
        let outcome = self.encode_into(rows, options, url, &mut writer).await;
        match outcome {
            Ok(count) => {
                writer.finish().await.map_err(|error| io_error(url, &error))?;
                Ok(count)
            }
            Err(error) => {
                if let Err(left) = writer.abort().await {
                    tracing::warn!(%url, error = %left, "an unfinished file stays");
                }
                Err(error)
            }
        }
    }

    async fn encode_into(
        &self,
        mut rows: Rows,
        options: &CopyOptions,
        url: &url::Url,
        writer: &mut WriteMultipart,
    ) -> Result<u64> {
        let mut encoder = Encoder::new(&rows.columns, options);
        let style = self.style(&rows.columns);
        let mut out = Vec::with_capacity(FILE_BUFFER_BYTES);
        let mut count = 0;
        encoder.write_header(&mut out);
        while let Some(batch) = rows.stream.next().await {
            let batch = batch?;
            let cells: Vec<Cells<'_>> = batch
                .columns()
                .iter()
                .zip(rows.columns.iter())
                .map(|(array, column)| Cells::new(array, &column.pg_type, &style))
                .collect::<Result<_>>()?;
            for row in 0..batch.num_rows() {
                encoder.write_row(&cells, row, &mut out)?;
                if out.len() >= FILE_BUFFER_BYTES {
                    // A store slower than the query holds the query up: what waits is in memory.
                    writer.wait_for_capacity(PARTS_WAITING_MAX).await.map_err(|error| io_error(url, &error))?;
                    writer.put(std::mem::take(&mut out).into());
                }
            }
            count += batch.num_rows() as u64;
        }
        encoder.write_trailer(&mut out);
        writer.put(out.into());
        Ok(count)
    }

    /// The zone that a timestamptz is read and printed in.
    pub(super) fn zone(&self) -> Zone {
        Zone::from(self.settings.lock().time_zone())
    }
}

fn copy_name(copy: &Copy) -> String {
    match &copy.source {
        CopySource::Table(name, _) => name.name.clone(),
        CopySource::Query(_) => "query".to_owned(),
    }
}

/// The columns that COPY moves; generated ones cannot be given.
fn positions(relation: &RelationDef, named: &[String], inward: bool) -> Result<Vec<usize>> {
    if named.is_empty() {
        let given = |position: &usize| !inward || relation.columns[*position].generated.is_none();
        return Ok((0..relation.columns.len()).filter(given).collect());
    }
    let mut positions = Vec::with_capacity(named.len());
    for name in named {
        let position = relation.columns.iter().position(|column| column.name == *name).ok_or_else(|| {
            Error::new(
                ErrorKind::UndefinedColumn,
                format!("column \"{name}\" of relation \"{}\" does not exist", relation.name),
            )
        })?;
        if inward && relation.columns[position].generated.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidColumnReference,
                format!("column \"{name}\" is a generated column"),
            )
            .detail("Generated columns cannot be used in COPY."));
        }
        if positions.contains(&position) {
            return Err(Error::new(ErrorKind::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        positions.push(position);
    }
    Ok(positions)
}

fn columns(relation: &RelationDef, positions: &[usize]) -> Arc<[Column]> {
    positions
        .iter()
        .map(|position| {
            let column = &relation.columns[*position];
            Column {
                name: column.name.clone(),
                pg_type: column.pg_type.clone(),
                relation: Some(relation.oid),
                number: column.number,
            }
        })
        .collect()
}

fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|column| column.pg_type.field(&column.name, true)).collect::<Vec<_>>()))
}

/// Decodes a file piece by piece until its end, or until the table wants no more.
async fn decode_all(decoder: &mut Decoder, bytes: &mut Pieces, sender: &CopySender) -> Result<()> {
    while let Some(piece) = bytes.next().await {
        decoder.push(&piece.map_err(|error| Error::new(ErrorKind::IoError, error.to_string()))?)?;
        while let Some(batch) = decoder.next_batch() {
            if !sender.send(batch).await {
                return Ok(());
            }
        }
    }
    decoder.finish()?;
    while let Some(batch) = decoder.next_batch() {
        if !sender.send(batch).await {
            break;
        }
    }
    Ok(())
}

/// `SELECT columns FROM table`, generated columns left out as PostgreSQL does.
fn table_query(scope: &Scope, name: &crate::catalog::name::ObjectName, named: &[String]) -> Result<ast::Query> {
    let relation = scope.version.catalog.require(name, scope.search_path())?;
    if relation.table().is_none() {
        return Err(Error::new(ErrorKind::WrongObjectType, format!("cannot copy from view \"{}\"", relation.name))
            .hint("Try the COPY (SELECT ...) TO variant."));
    }
    let mut query = dialect::parse_query("SELECT 1 FROM t")?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.projection = positions(&relation, named, false)?
            .into_iter()
            .map(|position| {
                let name = ast::Ident::with_quote('"', relation.columns[position].name.clone());
                ast::SelectItem::UnnamedExpr(ast::Expr::Identifier(name))
            })
            .collect();
        let parts = name
            .schema
            .iter()
            .chain([&name.name])
            .map(|part| ast::Ident::with_quote('"', part.clone()))
            .collect::<Vec<_>>();
        for from in &mut select.from {
            if let ast::TableFactor::Table { name, .. } = &mut from.relation {
                *name = ast::ObjectName::from(parts.clone());
            }
        }
    }
    Ok(query)
}

/// The options with PostgreSQL's defaults for the format.
fn resolved(copy: &Copy, columns: &[Column]) -> Result<CopyOptions> {
    let given = &copy.options;
    let format = match given.format.unwrap_or(CopyFileFormat::Text) {
        CopyFileFormat::Text => CopyFormat::Text,
        CopyFileFormat::Csv => CopyFormat::Csv,
        CopyFileFormat::Binary => CopyFormat::Binary,
        other => {
            return Err(Error::unsupported(format!("COPY between server and client has no format {}", other.name()))
                .hint("Use text, csv or binary, or name a file."));
        }
    };
    let quote = given.quote.unwrap_or(b'"');
    let flags = |names: &Option<Vec<String>>| flags(names.as_deref(), columns);
    let default = CopyOptions::of(format);
    Ok(CopyOptions {
        format,
        delimiter: given.delimiter.unwrap_or(default.delimiter),
        null: given.null.clone().unwrap_or(default.null),
        header: matches!(given.header, Some(CopyHeader::On | CopyHeader::Match)),
        header_match: matches!(given.header, Some(CopyHeader::Match)),
        quote,
        escape: given.escape.unwrap_or(quote),
        force_quote: flags(&given.force_quote)?,
        force_not_null: flags(&given.force_not_null)?,
        force_null: flags(&given.force_null)?,
        on_error: if given.ignore_errors { OnError::Ignore } else { OnError::Stop },
        reject_limit: given.reject_limit.unwrap_or(default.reject_limit),
        verbosity: given.verbosity,
    })
}

/// A list of column names as one flag a column; an empty one is all.
fn flags(names: Option<&[String]>, columns: &[Column]) -> Result<Vec<bool>> {
    let Some(names) = names else { return Ok(vec![false; columns.len()]) };
    if let Some(unknown) = names.iter().find(|name| !columns.iter().any(|column| column.name == **name)) {
        return Err(Error::new(
            ErrorKind::UndefinedColumn,
            format!("column \"{unknown}\" is not among those that COPY moves"),
        ));
    }
    Ok(columns.iter().map(|column| names.is_empty() || names.contains(&column.name)).collect())
}

type Pieces = futures::stream::BoxStream<'static, object_store::Result<bytes::Bytes>>;

async fn open_file(stores: &crate::tables::Stores, url: &url::Url, progress: &Arc<Progress>) -> Result<Pieces> {
    let found = stores.get(url)?.get(&object_path(url)?).await.map_err(|error| io_error(url, &error))?;
    progress.expect(found.meta.size);
    let progress = Arc::clone(progress);
    Ok(found.into_stream().inspect_ok(move |piece| progress.advance(piece.len() as u64)).boxed())
}

fn object_path(url: &url::Url) -> Result<object_store::path::Path> {
    object_store::path::Path::from_url_path(url.path()).map_err(|error| {
        Error::new(ErrorKind::InvalidParameterValue, format!("\"{url}\" is no file")).detail(error.to_string())
    })
}

fn io_error(url: &url::Url, error: &object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => {
            Error::new(ErrorKind::UndefinedFile, format!("could not open file \"{url}\" for reading: no such file"))
        }
        other => {
            Error::new(ErrorKind::IoError, format!("could not copy with file \"{url}\"")).detail(other.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
