//! What a statement answers, before any protocol gives it bytes.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::BoxFuture;

pub use crate::dialect::CopyVerbosity;
pub use crate::engine::column::Column;
use crate::error::{Error, ErrorKind, Result};

/// The answer to one statement.
pub enum Reply {
    /// Rows, produced while they are read.
    Rows(Rows),
    /// The statement is done and gives no rows.
    Done(Tag),
    /// The server waits for data: feed [`CopyIn`], then finish it.
    CopyIn(CopyIn),
    /// Rows for `COPY ... TO STDOUT`, to be written in `format`.
    CopyOut(CopyOut),
    /// The text held no statement.
    Empty,
}

/// The command tag that ends a statement, e.g. `INSERT 0 5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub String);

/// How the tag of a statement that gives rows is made once their number is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsTag {
    /// `SELECT n`
    Select,
    /// `INSERT 0 n`, for INSERT ... RETURNING.
    Insert,
    /// `UPDATE n`
    Update,
    /// `DELETE n`
    Delete,
    /// `MERGE n`
    Merge,
    /// `FETCH n`
    Fetch,
    /// `EXPLAIN`
    Explain,
    /// `SHOW`
    Show,
}

impl RowsTag {
    /// The tag after `rows` rows.
    pub fn finish(self, rows: u64) -> Tag {
        Tag(match self {
            Self::Select => format!("SELECT {rows}"),
            Self::Insert => format!("INSERT 0 {rows}"),
            Self::Update => format!("UPDATE {rows}"),
            Self::Delete => format!("DELETE {rows}"),
            Self::Merge => format!("MERGE {rows}"),
            Self::Fetch => format!("FETCH {rows}"),
            Self::Explain => "EXPLAIN".to_owned(),
            Self::Show => "SHOW".to_owned(),
        })
    }
}

/// A result that is produced while it is read. Dropping it cancels the statement.
pub struct Rows {
    /// One entry a column of the stream, in order.
    pub columns: Arc<[Column]>,
    /// The batches; their fields may carry internal names, `columns` has those to show.
    pub stream: SendableRecordBatchStream,
    /// How the closing tag is made.
    pub tag: RowsTag,
}

impl Rows {
    /// Arrow schema of the batches.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// Reads everything into memory.
    pub fn collect(mut self) -> BoxFuture<'static, Result<Vec<RecordBatch>>> {
        Box::pin(async move {
            use futures::StreamExt;
            let mut batches = Vec::new();
            while let Some(batch) = self.stream.next().await {
                batches.push(batch.map_err(Error::from)?);
            }
            Ok(batches)
        })
    }
}

/// Formats that COPY reads and writes over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's tab-separated text.
    Text,
    /// Comma-separated values.
    Csv,
    /// PostgreSQL's binary format.
    Binary,
}

/// What to do with a row that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Fail the statement.
    Stop,
    /// Skip the row and count it.
    Ignore,
}

/// Options of `COPY`, all resolved: no defaults left to apply.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// The format of the data.
    pub format: CopyFormat,
    /// One byte between fields.
    pub delimiter: u8,
    /// The text of NULL.
    pub null: String,
    /// A first line with the column names is written or skipped.
    pub header: bool,
    /// On input, the first line must match the column names.
    pub header_match: bool,
    /// The quote of CSV.
    pub quote: u8,
    /// The escape inside quotes of CSV.
    pub escape: u8,
    /// Columns that are always quoted on output (by position); `None` for none.
    pub force_quote: Vec<bool>,
    /// Columns in which an unquoted NULL text is the empty or literal string on input (by position).
    pub force_not_null: Vec<bool>,
    /// Columns in which a quoted NULL text is NULL on input (by position).
    pub force_null: Vec<bool>,
    /// What a bad row does.
    pub on_error: OnError,
    /// The most rows that may be skipped.
    pub reject_limit: u64,
    /// What is told of skipped rows.
    pub verbosity: CopyVerbosity,
}

impl CopyOptions {
    /// What holds for a format where nothing is said.
    pub fn of(format: CopyFormat) -> Self {
        let is_csv = format == CopyFormat::Csv;
        Self {
            format,
            delimiter: if is_csv { b',' } else { b'\t' },
            null: if is_csv { String::new() } else { "\\N".to_owned() },
            header: false,
            header_match: false,
            quote: b'"',
            escape: b'"',
            force_quote: Vec::new(),
            force_not_null: Vec::new(),
            force_null: Vec::new(),
            on_error: OnError::Stop,
            reject_limit: u64::MAX,
            verbosity: CopyVerbosity::Default,
        }
    }
}

/// Rows on their way out through `COPY ... TO STDOUT`.
pub struct CopyOut {
    /// The rows.
    pub rows: Rows,
    /// How to write them.
    pub options: CopyOptions,
}

/// A running `COPY ... FROM STDIN`: the wire decodes bytes into batches of these columns and sends them here.
pub struct CopyIn {
    /// The table's name, for the context of errors.
    pub relation: String,
    /// The columns the data has, in order.
    pub columns: Arc<[Column]>,
    /// How the data is written.
    pub options: CopyOptions,
    /// Takes batches whose columns have the Arrow types of `columns`.
    pub sender: CopySender,
    /// Gives the tag once the sender was finished and the rows are stored.
    pub done: futures::future::BoxFuture<'static, Result<Tag>>,
}

/// The way of COPY's rows to the table; bounded, so that a slow table slows the client. Dropping it without
/// [`CopySender::finish`] fails the statement: rows of a client that has gone are not stored.
pub struct CopySender(tokio::sync::mpsc::Sender<Option<Result<RecordBatch>>>);

/// Batches that wait for the table; beyond, the sender waits.
const COPY_BATCHES_WAITING_MAX: usize = 4;

impl CopySender {
    /// A sender and the stream of what it is given.
    pub(crate) fn channel(schema: SchemaRef) -> (Self, SendableRecordBatchStream) {
        let (sender, receiver) = tokio::sync::mpsc::channel(COPY_BATCHES_WAITING_MAX);
        let batches = futures::stream::unfold(Some(receiver), |receiver| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Some(Ok(batch))) => Some((Ok(batch), Some(receiver))),
                Some(Some(Err(error))) => Some((Err(DataFusionError::from(error)), None)),
                Some(None) => None,
                None => {
                    let error = Error::new(ErrorKind::QueryCanceled, "COPY from stdin failed: the data has no end");
                    Some((Err(error.into()), None))
                }
            }
        });
        (Self(sender), Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    /// Hands a batch over; false when the statement has ended and wants no more.
    pub async fn send(&self, batch: RecordBatch) -> bool {
        self.0.send(Some(Ok(batch))).await.is_ok()
    }

    /// Fails the statement.
    pub async fn fail(self, error: Error) {
        // A statement that has ended already has failed for a reason of its own.
        let _: Result<(), _> = self.0.send(Some(Err(error))).await;
    }

    /// All rows have been handed over.
    pub async fn finish(self) {
        // As above.
        let _: Result<(), _> = self.0.send(None).await;
    }
}

/// Severity of a [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something worth telling.
    Notice,
    /// Something that may be a mistake.
    Warning,
    /// Progress and the like.
    Info,
}

/// A message beside the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// How loud.
    pub severity: Severity,
    /// SQLSTATE, `00000` for a plain notice.
    pub sqlstate: &'static str,
    /// One lower-case line.
    pub message: String,
    /// More, if any.
    pub detail: Option<String>,
    /// What to do, if anything.
    pub hint: Option<String>,
}

/// Where a session stands between statements; the letter of ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction.
    Idle,
    /// In a transaction.
    Active,
    /// In a transaction that failed: only ROLLBACK helps.
    Failed,
}
