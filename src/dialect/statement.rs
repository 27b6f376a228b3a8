//! All statements, and which word starts which.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::alter_table::{self, AlterRelation};
use crate::dialect::comment::{self, Comment};
use crate::dialect::copy::{self, Copy};
use crate::dialect::create_source::{self, SourceStatement};
use crate::dialect::create_table::{self, CreateTable};
use crate::dialect::create_view::{self, CreateView};
use crate::dialect::cursor::{self, DeclareCursor, FetchCursor};
use crate::dialect::describe::{self, Describe, DescribeHistory, Restore};
use crate::dialect::drop::{self, Drop, Truncate};
use crate::dialect::explain::{self, Explain};
use crate::dialect::grant::{self, Privileges};
use crate::dialect::maintenance::{self, Analyze, Flush, Optimize, Vacuum};
use crate::dialect::notify::{self, Notify};
use crate::dialect::prepared::{self, Execute, Prepare};
use crate::dialect::reader::Reader;
use crate::dialect::role::{self, AlterRole, CreateRole};
use crate::dialect::schema::{self, AlterSchema, CreateSchema};
use crate::dialect::settings::{self, Discard, SetScope, SetVariable, Setting};
use crate::dialect::shape;
use crate::dialect::transaction::{self, TransactionModes};
use crate::error::{Error, Result};

/// One statement.
#[derive(Clone, Debug)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH.
    Query(Box<ast::Query>),
    /// INSERT; `DEFAULT VALUES` has no source.
    Insert(Box<ast::Insert>),
    /// UPDATE
    Update(Box<ast::Update>),
    /// DELETE
    Delete(Box<ast::Delete>),
    /// MERGE
    Merge(Box<ast::Merge>),
    /// COPY
    Copy(Box<Copy>),
    /// TRUNCATE
    Truncate(Truncate),
    /// CREATE TABLE, also AS a query, also USING DELTA.
    CreateTable(Box<CreateTable>),
    /// CREATE, ALTER and DROP SOURCE, SHOW SOURCES
    Source(SourceStatement),
    /// CREATE VIEW
    CreateView(Box<CreateView>),
    /// CREATE SCHEMA
    CreateSchema(CreateSchema),
    /// CREATE ROLE or USER
    CreateRole(CreateRole),
    /// DROP TABLE, VIEW, SCHEMA or ROLE.
    Drop(Drop),
    /// ALTER TABLE or VIEW
    AlterRelation(Box<AlterRelation>),
    /// ALTER SCHEMA
    AlterSchema(AlterSchema),
    /// ALTER ROLE or USER
    AlterRole(AlterRole),
    /// COMMENT ON
    Comment(Comment),
    /// GRANT
    Grant(Box<Privileges>),
    /// REVOKE
    Revoke(Box<Privileges>),
    /// OPTIMIZE
    Optimize(Box<Optimize>),
    /// VACUUM
    Vacuum(Vacuum),
    /// ANALYZE
    Analyze(Analyze),
    /// FLUSH TABLE
    Flush(Flush),
    /// DESCRIBE
    Describe(Describe),
    /// DESCRIBE HISTORY
    DescribeHistory(DescribeHistory),
    /// RESTORE TABLE
    Restore(Box<Restore>),
    /// EXPLAIN
    Explain(Explain),
    /// SET of a setting, a time zone, a role or client names.
    Set(SetVariable),
    /// SET TRANSACTION, or with `session` SET SESSION CHARACTERISTICS AS TRANSACTION.
    SetTransaction {
        /// For all later transactions of the session.
        session: bool,
        /// What is set.
        modes: TransactionModes,
    },
    /// SET CONSTRAINTS { ALL | names } { DEFERRED | IMMEDIATE }
    SetConstraints,
    /// SET [SESSION | LOCAL] ROLE, SET SESSION AUTHORIZATION; `None` is the default or `NONE`.
    SetRole {
        /// How long it holds.
        scope: SetScope,
        /// The role, or none for the session's own.
        role: Option<String>,
    },
    /// SHOW
    Show(Setting),
    /// RESET
    Reset(Setting),
    /// DISCARD
    Discard(Discard),
    /// BEGIN, START TRANSACTION
    Begin(TransactionModes),
    /// COMMIT, END; `chain` begins the next transaction at once.
    Commit {
        /// AND CHAIN
        chain: bool,
    },
    /// ROLLBACK, ABORT
    Rollback {
        /// AND CHAIN
        chain: bool,
    },
    /// SAVEPOINT
    Savepoint(String),
    /// RELEASE SAVEPOINT
    Release(String),
    /// ROLLBACK TO SAVEPOINT
    RollbackTo(String),
    /// PREPARE
    Prepare(Prepare),
    /// EXECUTE
    Execute(Execute),
    /// DEALLOCATE; `None` is ALL.
    Deallocate(Option<String>),
    /// DECLARE ... CURSOR
    DeclareCursor(Box<DeclareCursor>),
    /// FETCH, or MOVE
    FetchCursor(FetchCursor),
    /// CLOSE; `None` is ALL.
    CloseCursor(Option<String>),
    /// LISTEN
    Listen(String),
    /// UNLISTEN; `None` is `*`.
    Unlisten(Option<String>),
    /// NOTIFY
    Notify(Notify),
    /// A statement of PostgreSQL that this server does not have.
    Unsupported(Unsupported),
}

/// A statement that is known and not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// What it is, e.g. `CREATE FUNCTION`.
    pub what: String,
    /// What to use instead.
    pub hint: Option<&'static str>,
}

impl Unsupported {
    /// The 0A000 that answers it.
    pub fn error(&self) -> Error {
        let error = Error::unsupported(format!("{} is not supported", self.what));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl Statement {
    /// True for what a failed transaction still accepts.
    pub fn ends_transaction(&self) -> bool {
        matches!(self, Self::Commit { .. } | Self::Rollback { .. } | Self::RollbackTo(_))
    }
}

type Read = fn(&mut Reader<'_>) -> Result<Statement>;
/// What a statement starts with, and who reads the rest. Longer beginnings come before shorter ones.
const FIRST: [(&str, Read); 43] = [
    ("copy", copy::read),
    ("truncate", drop::read_truncate),
    ("create", create),
    ("drop", drop::read),
    ("alter", alter),
    ("comment on", comment::read),
    ("grant", grant::read_grant),
    ("revoke", grant::read_revoke),
    ("optimize", maintenance::read_optimize),
    ("vacuum", maintenance::read_vacuum),
    ("analyze", maintenance::read_analyze),
    ("analyse", maintenance::read_analyze),
    ("flush", maintenance::read_flush),
    ("describe", describe::read),
    ("desc", describe::read),
    ("restore", describe::read_restore),
    ("explain", explain::read),
    ("set", settings::read_set),
    ("show", settings::read_show),
    ("reset", settings::read_reset),
    ("discard", settings::read_discard),
    ("begin", transaction::read_begin),
    ("start transaction", transaction::read_start),
    ("commit prepared", |reader| unsupported(reader, "COMMIT PREPARED", None)),
    ("commit", transaction::read_commit),
    ("end", transaction::read_commit),
    ("rollback prepared", |reader| unsupported(reader, "ROLLBACK PREPARED", None)),
    ("rollback", transaction::read_rollback),
    ("abort", transaction::read_rollback),
    ("savepoint", transaction::read_savepoint),
    ("release", transaction::read_release),
    ("prepare transaction", |reader| unsupported(reader, "PREPARE TRANSACTION", None)),
    ("prepare", prepared::read_prepare),
    ("execute", prepared::read_execute),
    ("deallocate", prepared::read_deallocate),
    ("declare", cursor::read_declare),
    ("fetch", |reader| cursor::read_fetch(reader, false)),
    ("move", |reader| cursor::read_fetch(reader, true)),
    ("close", cursor::read_close),
    ("listen", notify::read_listen),
    ("unlisten", notify::read_unlisten),
    ("notify", notify::read_notify),
    ("lock", |reader| unsupported(reader, "LOCK TABLE", Some("Transactions work on a snapshot and need no locks."))),
];

/// Reads one statement.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Statement> {
    if let Some(statement) = query_or_change(reader)? {
        return Ok(statement);
    }
    for (words, read) in FIRST {
        if reader.accept(words) {
            return read(reader);
        }
    }
    for words in [
        "call",
        "do",
        "checkpoint",
        "cluster",
        "reindex",
        "refresh materialized view",
        "reassign",
        "security",
        "load",
        "import",
    ] {
        if reader.accept(words) {
            return unsupported(reader, &words.to_ascii_uppercase(), None);
        }
    }
    Err(reader.unexpected())
}

/// Statements that are sqlparser's from the first word to the last.
fn query_or_change(reader: &mut Reader<'_>) -> Result<Option<Statement>> {
    let is_query = ["select", "values", "with", "table"].iter().any(|word| reader.peek(word));
    if is_query || reader.parser.peek_token_ref().token == Token::LParen {
        return reader.query().map(|query| Some(Statement::Query(query)));
    }
    if !["insert", "update", "delete", "merge"].iter().any(|word| reader.peek(word)) {
        return Ok(None);
    }
    let change = reader.run(|parser| {
        let first = parser.next_token();
        match &first.token {
            Token::Word(word) if word.value.eq_ignore_ascii_case("insert") => parser.parse_insert(first),
            Token::Word(word) if word.value.eq_ignore_ascii_case("update") => parser.parse_update(first),
            Token::Word(word) if word.value.eq_ignore_ascii_case("delete") => parser.parse_delete(first),
            _ => parser.parse_merge(first).map(ast::Statement::from),
        }
    })?;
    match change {
        ast::Statement::Insert(insert) => Ok(Some(Statement::Insert(Box::new(insert)))),
        ast::Statement::Update(update) => Ok(Some(Statement::Update(Box::new(update)))),
        ast::Statement::Delete(delete) => Ok(Some(Statement::Delete(Box::new(delete)))),
        ast::Statement::Merge(merge) => Ok(Some(Statement::Merge(Box::new(merge)))),
        other => Err(Error::unsupported(format!("this form of INSERT is not supported: {other}"))),
    }
}

fn create(reader: &mut Reader<'_>) -> Result<Statement> {
    if let Some(table) = create_table::read(reader)? {
        return Ok(table);
    }
    if let Some(source) = create_source::read(reader)? {
        return Ok(source);
    }
    if let Some(view) = create_view::read(reader)? {
        return Ok(view);
    }
    if reader.accept("schema") {
        return schema::read_create(reader);
    }
    if reader.accept_one(&["role", "user", "group"]).is_some() {
        return role::read_create(reader);
    }
    other_object(reader, "CREATE")
}

fn alter(reader: &mut Reader<'_>) -> Result<Statement> {
    if let Some(kind) = reader.accept_one(&["table", "view"]) {
        return alter_table::read(reader, kind == "view");
    }
    if reader.accept("source") {
        return create_source::read_alter(reader);
    }
    if reader.accept("schema") {
        return schema::read_alter(reader);
    }
    if reader.accept_one(&["role", "user", "group"]).is_some() {
        return role::read_alter(reader);
    }
    other_object(reader, "ALTER")
}

/// CREATE, ALTER or DROP of a kind of object that the server does not have.
pub(super) fn other_object(reader: &mut Reader<'_>, verb: &str) -> Result<Statement> {
    const KINDS: [(&str, Option<&str>); 33] = [
        ("access method", None),
        ("aggregate", None),
        ("cast", None),
        ("collation", None),
        ("conversion", None),
        ("database", Some("A server has one database; use schemas.")),
        ("default privileges", None),
        ("domain", None),
        ("event trigger", None),
        ("extension", None),
        ("foreign", None),
        ("function", None),
        ("index", Some("Use CLUSTER BY on the table: files are pruned by their statistics.")),
        ("unique index", Some("Declare UNIQUE or PRIMARY KEY on the table.")),
        ("language", None),
        ("large object", None),
        ("materialized view", None),
        ("operator", None),
        ("owned", None),
        ("policy", None),
        ("procedure", None),
        ("publication", None),
        ("routine", None),
        ("rule", None),
        ("sequence", None),
        ("server", None),
        ("statistics", None),
        ("subscription", None),
        ("system", None),
        ("tablespace", Some("Use LOCATION on the table.")),
        ("text search", None),
        ("trigger", None),
        ("type", None),
    ];
    let replaced = reader.accept("or replace");
    for (kind, hint) in KINDS {
        if reader.accept(kind) {
            return unsupported(reader, &format!("{verb} {}", kind.to_ascii_uppercase()), hint);
        }
    }
    match replaced {
        true => Err(reader.unexpected_for("VIEW")),
        false => Err(reader.unexpected_for("the kind of object, such as TABLE, VIEW, SOURCE, SCHEMA or ROLE")),
    }
}

/// Takes the rest of a statement that nothing here understands.
pub(super) fn unsupported(reader: &mut Reader<'_>, what: &str, hint: Option<&'static str>) -> Result<Statement> {
    while !reader.statement_ends() {
        reader.parser.advance_token();
    }
    Ok(Statement::Unsupported(Unsupported { what: what.to_owned(), hint }))
}

/// Balances the trees of a statement, where its message has long chains.
pub(super) fn settle(statement: &mut Statement, is_deep: bool) -> Result<()> {
    match statement {
        Statement::Query(query) => shape::settle(&mut **query, is_deep),
        Statement::Insert(insert) => shape::settle(&mut **insert, is_deep),
        Statement::Update(update) => shape::settle(&mut **update, is_deep),
        Statement::Delete(delete) => shape::settle(&mut **delete, is_deep),
        Statement::Merge(merge) => shape::settle(&mut **merge, is_deep),
        Statement::Copy(copy) => copy.trees().into_iter().try_for_each(|tree| tree.settle(is_deep)),
        Statement::CreateTable(table) => table.trees().into_iter().try_for_each(|tree| tree.settle(is_deep)),
        Statement::Source(SourceStatement::Create(source)) => {
            source.table.trees().into_iter().try_for_each(|tree| tree.settle(is_deep))
        }
        Statement::CreateView(view) => shape::settle(&mut *view.query, is_deep),
        Statement::AlterRelation(alter) => alter.trees().into_iter().try_for_each(|tree| tree.settle(is_deep)),
        Statement::Optimize(optimize) => match &mut optimize.condition {
            Some(condition) => shape::settle(condition, is_deep),
            None => Ok(()),
        },
        Statement::Explain(explain) => settle(&mut explain.statement, is_deep),
        Statement::Prepare(prepare) => settle(&mut prepare.statement, is_deep),
        Statement::DeclareCursor(declare) => shape::settle(&mut *declare.query, is_deep),
        Statement::Execute(execute) => execute.arguments.iter_mut().try_for_each(|tree| shape::settle(tree, is_deep)),
        _ => Ok(()),
    }
}

/// A tree inside a statement.
pub(super) enum Tree<'a> {
    Expression(&'a mut ast::Expr),
    Query(&'a mut ast::Query),
}

impl Tree<'_> {
    fn settle(self, is_deep: bool) -> Result<()> {
        match self {
            Tree::Expression(expression) => shape::settle(expression, is_deep),
            Tree::Query(query) => shape::settle(query, is_deep),
        }
    }
}
