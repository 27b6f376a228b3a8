//! CREATE SOURCE, ALTER SOURCE, DROP SOURCE: where rows come from by themselves.

use std::fmt;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::definition::{SourceEncoding, SourceFormat};
use crate::catalog::name::ObjectName;
use crate::dialect::create_table::{self, CreateTable};
use crate::dialect::drop::read_cascade;
use crate::dialect::options::Options;
use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::Result;

/// A statement about sources.
#[derive(Clone, Debug)]
pub enum SourceStatement {
    /// CREATE SOURCE
    Create(Box<CreateSource>),
    /// ALTER SOURCE
    Alter(AlterSource),
    /// DROP SOURCE
    Drop(DropSource),
    /// SHOW SOURCES
    Show,
}

impl SourceStatement {
    /// What changes definitions, as errors name it.
    pub fn writes(&self) -> Option<&'static str> {
        match self {
            Self::Create(_) => Some("CREATE SOURCE"),
            Self::Alter(_) => Some("ALTER SOURCE"),
            Self::Drop(_) => Some("DROP SOURCE"),
            Self::Show => None,
        }
    }
}

/// `CREATE SOURCE s [(columns, WATERMARK FOR c AS e)] [INTO t] WITH (...) [FORMAT f] [ENCODE e] [SEQUENCE BY c]`
#[derive(Clone)]
pub struct CreateSource {
    /// The source's name.
    pub name: ObjectName,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// The table that it fills, with what stands in parentheses; its own name without INTO.
    pub table: CreateTable,
    /// INTO was given: the table may be there.
    pub into: bool,
    /// WITH (...), to be checked by whoever knows the connector.
    pub options: Options,
    /// FORMAT
    pub format: SourceFormat,
    /// ENCODE
    pub encoding: SourceEncoding,
    /// SEQUENCE BY: the column that says which of two rows with one key is the newer.
    pub sequence: Option<String>,
}

/// `ALTER SOURCE [IF EXISTS] s ...`
#[derive(Clone, Debug)]
pub struct AlterSource {
    /// The source.
    pub name: ObjectName,
    /// IF EXISTS
    pub if_exists: bool,
    /// What is done.
    pub change: SourceChange,
}

/// What ALTER SOURCE does.
#[derive(Clone, Debug)]
pub enum SourceChange {
    /// PAUSE: nothing more is read.
    Pause,
    /// RESUME
    Resume,
    /// RESET TO OFFSET n, in all partitions.
    ResetToOffset(i64),
    /// RESET TO TIMESTAMP '...'
    ResetToTimestamp(Box<Expr>),
}

// The derived form would show secrets.
impl fmt::Debug for CreateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl CreateSource {
    /// The statement without the values of its options, which may be secret.
    pub fn shown(&self) -> String {
        let option = |choice: &crate::dialect::Choice| match (choice.name.as_str(), &choice.value) {
            ("connector", Some(value)) => format!("connector = '{value}'"),
            (name, _) => format!("{name} = '***'"),
        };
        let options: Vec<String> = self.options.list.iter().map(option).collect();
        format!("CREATE SOURCE {} INTO {} WITH ({})", self.name.quoted(), self.table.name.quoted(), options.join(", "))
    }
}

/// After CREATE; `None` when it is no source.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Statement>> {
    if !reader.accept("source") {
        return Ok(None);
    }
    let if_not_exists = reader.accept("if not exists");
    let name = reader.name()?;
    let mut table = CreateTable::named(name.clone());
    if reader.accept_token(&Token::LParen) && !reader.accept_token(&Token::RParen) {
        reader.list(|reader| create_table::element(reader, &mut table))?;
        reader.expect_token(&Token::RParen)?;
    }
    if let Some(bare) = table.column_names.first() {
        return Err(reader.unexpected_for(&format!("a type for column \"{bare}\"")));
    }
    let into = reader.accept("into");
    if into {
        table.name = reader.name()?;
    }
    reader.expect("with")?;
    let options = Options::read(reader)?;
    let format = match reader.accept("format").then(|| reader.accept_one(&["plain", "upsert", "debezium"])) {
        None | Some(Some("plain")) => SourceFormat::Plain,
        Some(Some("upsert")) => SourceFormat::Upsert,
        Some(Some(_)) => SourceFormat::Debezium,
        Some(None) => return Err(reader.unexpected_for("PLAIN, UPSERT or DEBEZIUM")),
    };
    let encoding = match reader.accept("encode").then(|| reader.accept_one(&["json", "csv", "parquet"])) {
        None | Some(Some("json")) => SourceEncoding::Json,
        Some(Some("csv")) => SourceEncoding::Csv,
        Some(Some(_)) => SourceEncoding::Parquet,
        Some(None) => return Err(reader.unexpected_for("JSON, CSV or PARQUET")),
    };
    let sequence = reader.accept("sequence by").then(|| reader.identifier()).transpose()?;
    let create = CreateSource { name, if_not_exists, table, into, options, format, encoding, sequence };
    Ok(Some(Statement::Source(SourceStatement::Create(Box::new(create)))))
}

/// After ALTER SOURCE.
pub(super) fn read_alter(reader: &mut Reader<'_>) -> Result<Statement> {
    let if_exists = reader.accept("if exists");
    let name = reader.name()?;
    let change = match reader.accept_one(&["pause", "resume", "reset to offset", "reset to timestamp"]) {
        Some("pause") => SourceChange::Pause,
        Some("resume") => SourceChange::Resume,
        Some("reset to offset") => SourceChange::ResetToOffset(reader.integer()?),
        Some(_) => SourceChange::ResetToTimestamp(Box::new(reader.expression()?)),
        None => return Err(reader.unexpected_for("PAUSE, RESUME, RESET TO OFFSET or RESET TO TIMESTAMP")),
    };
    Ok(Statement::Source(SourceStatement::Alter(AlterSource { name, if_exists, change })))
}

/// `DROP SOURCE [IF EXISTS] names [CASCADE | RESTRICT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSource {
    /// IF EXISTS
    pub if_exists: bool,
    /// The sources.
    pub names: Vec<ObjectName>,
}

/// After DROP SOURCE. Nothing stands on a source: CASCADE and RESTRICT say the same.
pub(super) fn read_drop(reader: &mut Reader<'_>) -> Result<Statement> {
    let if_exists = reader.accept("if exists");
    let names = reader.list(Reader::name)?;
    read_cascade(reader);
    Ok(Statement::Source(SourceStatement::Drop(DropSource { if_exists, names })))
}
