//! CREATE TABLE: columns and constraints, or AS a query, or USING DELTA over a folder that exists.

use datafusion::sql::sqlparser::ast::{self, ColumnOption, Expr};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::name::ObjectName;
use crate::catalog::pg_type::PgType;
use crate::dialect::data_type;
use crate::dialect::names::{identifier, object_name};
use crate::dialect::options::Options;
use crate::dialect::reader::Reader;
use crate::dialect::statement::{Statement, Tree};
use crate::dialect::watermark::{self, Watermark};
use crate::error::{Error, ErrorKind, Result};

/// `CREATE TABLE ...`
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// The table's name.
    pub name: ObjectName,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// OR REPLACE: a table of that name gets another version, with these columns and rows.
    pub or_replace: bool,
    /// TEMPORARY: gone with the session.
    pub temporary: bool,
    /// The columns with types; none when a query or a folder gives them.
    pub columns: Vec<NewColumn>,
    /// `CREATE TABLE t (a, b) AS ...`: names for the query's columns.
    pub column_names: Vec<String>,
    /// Constraints of the table and of its columns.
    pub constraints: Vec<Constraint>,
    /// WATERMARK FOR
    pub watermark: Option<Watermark>,
    /// PARTITIONED BY
    pub partitioned_by: Vec<String>,
    /// CLUSTER BY
    pub clustered_by: Vec<String>,
    /// LOCATION
    pub location: Option<String>,
    /// USING DELTA: the folder holds a table already.
    pub using_delta: bool,
    /// COMMENT
    pub comment: Option<String>,
    /// WITH (...), to be checked by whoever knows them.
    pub options: Options,
    /// AS query
    pub query: Option<Box<ast::Query>>,
    /// WITH NO DATA: only the query's columns.
    pub with_no_data: bool,
}

/// A column with its type.
#[derive(Clone, Debug)]
pub struct NewColumn {
    /// The column's name.
    pub name: String,
    /// Its type.
    pub pg_type: PgType,
    /// NOT NULL, or part of the column's own PRIMARY KEY.
    pub not_null: bool,
    /// DEFAULT
    pub default: Option<Expr>,
    /// GENERATED ALWAYS AS (...) STORED
    pub generated: Option<Expr>,
    /// COMMENT
    pub comment: Option<String>,
}

/// A constraint as it was written.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// CONSTRAINT name; none asks for a name of ours.
    pub name: Option<String>,
    /// What it demands.
    pub rule: ConstraintRule,
    /// Where it begins in the message.
    pub position: usize,
}

/// What a constraint demands.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a statement has a handful of them, moved once")]
pub enum ConstraintRule {
    /// CHECK (...)
    Check(Expr),
    /// PRIMARY KEY (...)
    PrimaryKey(Vec<String>),
    /// UNIQUE (...)
    Unique(Vec<String>),
    /// FOREIGN KEY (...) REFERENCES t (...); no referenced columns means the primary key.
    ForeignKey {
        /// Columns of this table.
        columns: Vec<String>,
        /// The other table.
        table: ObjectName,
        /// Columns of the other table.
        referenced: Vec<String>,
    },
}

/// After CREATE; `None` when it is no table.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Statement>> {
    const FORMS: [&str; 9] = [
        "table",
        "temporary table",
        "temp table",
        "local temporary table",
        "local temp table",
        "global temporary table",
        "global temp table",
        "unlogged table",
        "or replace table",
    ];
    let position = reader.position();
    let Some(form) = reader.accept_one(&FORMS) else { return Ok(None) };
    let or_replace = form.starts_with("or");
    let if_not_exists = !or_replace && reader.accept("if not exists");
    let temporary = form.contains("temp");
    let mut table = CreateTable { if_not_exists, or_replace, temporary, ..CreateTable::named(reader.name()?) };
    if reader.accept_token(&Token::LParen) && !reader.accept_token(&Token::RParen) {
        reader.list(|reader| element(reader, &mut table))?;
        reader.expect_token(&Token::RParen)?;
    }
    while clause(reader, &mut table)? {}
    if reader.accept("as") {
        table.query = Some(reader.query()?);
        table.with_no_data = reader.accept("with no data");
        if !table.with_no_data {
            reader.accept("with data");
        }
    }
    table.check(position)?;
    Ok(Some(Statement::CreateTable(Box::new(table))))
}

impl CreateTable {
    /// A table without anything but its name.
    pub(super) fn named(name: ObjectName) -> Self {
        Self {
            name,
            if_not_exists: false,
            or_replace: false,
            temporary: false,
            columns: Vec::new(),
            column_names: Vec::new(),
            constraints: Vec::new(),
            watermark: None,
            partitioned_by: Vec::new(),
            clustered_by: Vec::new(),
            location: None,
            using_delta: false,
            comment: None,
            options: Options::default(),
            query: None,
            with_no_data: false,
        }
    }

    /// That the parts belong together.
    fn check(&self, position: usize) -> Result<()> {
        let wrong = |message: &str| Err(Error::new(ErrorKind::SyntaxError, message).at(position));
        if self.query.is_some() && !self.columns.is_empty() {
            return wrong("CREATE TABLE AS cannot declare the types of columns");
        }
        if self.query.is_none() && !self.column_names.is_empty() {
            return wrong("a column needs a type");
        }
        if self.using_delta && self.location.is_none() {
            return wrong("CREATE TABLE ... USING DELTA needs LOCATION");
        }
        if self.using_delta && (self.query.is_some() || !self.columns.is_empty()) {
            return wrong("CREATE TABLE ... USING DELTA takes the columns from the folder");
        }
        if let (true, Some(watermark)) = (self.using_delta, &self.watermark) {
            return Err(Error::unsupported("a table that is registered gets no watermark at once")
                .hint("Register the table, then use ALTER TABLE ... ADD WATERMARK FOR.")
                .at(watermark.position));
        }
        if self.or_replace && self.location.is_some() {
            return wrong("CREATE OR REPLACE TABLE keeps the folder that the table has and takes no LOCATION");
        }
        Ok(())
    }

    pub(super) fn trees(&mut self) -> Vec<Tree<'_>> {
        let columns =
            self.columns.iter_mut().flat_map(|column| column.default.iter_mut().chain(column.generated.iter_mut()));
        let checks = self.constraints.iter_mut().filter_map(|constraint| match &mut constraint.rule {
            ConstraintRule::Check(condition) => Some(condition),
            _ => None,
        });
        let query = self.query.iter_mut().map(|query| Tree::Query(query));
        let delay = self.watermark.iter_mut().map(|watermark| &mut watermark.delay);
        columns.chain(checks).chain(delay).map(Tree::Expression).chain(query).collect()
    }
}

/// A column, a constraint or the watermark inside the parentheses.
pub(super) fn element(reader: &mut Reader<'_>, table: &mut CreateTable) -> Result<()> {
    if reader.peek("like") {
        return Err(Error::unsupported("CREATE TABLE (LIKE ...) is not supported")
            .hint("Use CREATE TABLE ... AS SELECT * FROM ... WITH NO DATA.")
            .at(reader.position()));
    }
    if let Some(watermark) = watermark::read(reader)? {
        let position = watermark.position;
        return match table.watermark.replace(watermark) {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::SyntaxError, "a table has one watermark").at(position)),
        };
    }
    if let Some(constraint) = table_constraint(reader)? {
        table.constraints.push(constraint);
        return Ok(());
    }
    let is_bare = matches!(reader.parser.peek_nth_token_ref(1).token, Token::Comma | Token::RParen);
    if is_bare {
        table.column_names.push(reader.identifier()?);
        return Ok(());
    }
    let column = column(reader, &mut table.constraints)?;
    table.columns.push(column);
    Ok(())
}

/// `name type options`; constraints of the column become the table's.
pub(super) fn column(reader: &mut Reader<'_>, constraints: &mut Vec<Constraint>) -> Result<NewColumn> {
    let name = reader.identifier()?;
    let pg_type = data_type::read(reader)?;
    let mut column = NewColumn { name, pg_type, not_null: false, default: None, generated: None, comment: None };
    loop {
        let position = reader.position();
        let constraint_name = if reader.accept("constraint") { Some(reader.identifier()?) } else { None };
        if reader.peek("expect") {
            return Err(Error::unsupported("quality rules are not supported yet").at(position));
        }
        let option = reader.run(Parser::parse_optional_column_option)?;
        let Some(option) = option else {
            return if constraint_name.is_some() { Err(reader.unexpected_for("a constraint")) } else { Ok(column) };
        };
        let place = Place { name: constraint_name, position };
        if let Some(constraint) = apply(&mut column, option, place)? {
            constraints.push(constraint);
        }
    }
}

struct Place {
    name: Option<String>,
    position: usize,
}

fn apply(column: &mut NewColumn, option: ColumnOption, place: Place) -> Result<Option<Constraint>> {
    let rule = match option {
        ColumnOption::Null => return Ok(None),
        ColumnOption::NotNull => {
            column.not_null = true;
            return Ok(None);
        }
        ColumnOption::Default(expression) => {
            column.default = Some(expression);
            return Ok(None);
        }
        ColumnOption::Comment(text) => {
            column.comment = Some(text);
            return Ok(None);
        }
        ColumnOption::Generated { generation_expr: Some(expression), .. } => {
            column.generated = Some(expression);
            return Ok(None);
        }
        ColumnOption::PrimaryKey(_) => {
            column.not_null = true;
            ConstraintRule::PrimaryKey(vec![column.name.clone()])
        }
        ColumnOption::Unique(_) => ConstraintRule::Unique(vec![column.name.clone()]),
        ColumnOption::Check(check) => ConstraintRule::Check(*check.expr),
        ColumnOption::ForeignKey(key) => ConstraintRule::ForeignKey {
            columns: vec![column.name.clone()],
            table: object_name(&key.foreign_table)?,
            referenced: key.referred_columns.iter().map(identifier).collect(),
        },
        ColumnOption::Generated { .. } => {
            return Err(Error::unsupported("identity columns are not supported").at(place.position));
        }
        other => return Err(Error::unsupported(format!("column option {other} is not supported")).at(place.position)),
    };
    Ok(Some(Constraint { name: place.name, rule, position: place.position }))
}

/// A constraint of the whole table, if one comes next.
pub(super) fn table_constraint(reader: &mut Reader<'_>) -> Result<Option<Constraint>> {
    let position = reader.position();
    let name = if reader.accept("constraint") { Some(reader.identifier()?) } else { None };
    let has_list = |reader: &Reader<'_>, words: usize| reader.parser.peek_nth_token_ref(words).token == Token::LParen;
    let rule = if reader.peek("check") && has_list(reader, 1) {
        reader.expect("check")?;
        ConstraintRule::Check(reader.parenthesised_expression()?)
    } else if reader.accept("primary key") {
        ConstraintRule::PrimaryKey(reader.column_list()?)
    } else if reader.peek("unique") && has_list(reader, 1) {
        reader.expect("unique")?;
        ConstraintRule::Unique(reader.column_list()?)
    } else if reader.accept("foreign key") {
        let columns = reader.column_list()?;
        reader.expect("references")?;
        let table = reader.name()?;
        let referenced = reader.optional_column_list()?;
        ConstraintRule::ForeignKey { columns, table, referenced }
    } else if name.is_some() {
        return Err(reader.unexpected_for("CHECK, PRIMARY KEY, UNIQUE or FOREIGN KEY"));
    } else if ["expect", "exclude"].iter().any(|words| reader.peek(words)) && !is_column(reader) {
        return Err(Error::unsupported("this kind of constraint is not supported").at(position));
    } else {
        return Ok(None);
    };
    characteristics(reader)?;
    Ok(Some(Constraint { name, rule, position }))
}

/// `expect integer` is a column of that name.
fn is_column(reader: &Reader<'_>) -> bool {
    matches!(&reader.parser.peek_nth_token_ref(1).token, Token::Word(_))
}

/// What may follow a constraint. What is never enforced is taken (MATCH and actions of foreign keys); what asks for
/// more than the server does is refused.
fn characteristics(reader: &mut Reader<'_>) -> Result<()> {
    loop {
        let position = reader.position();
        let refused = ["deferrable", "initially deferred", "no inherit", "not enforced", "using index", "include"];
        if let Some(words) = refused.into_iter().find(|words| reader.peek(words)) {
            return Err(Error::unsupported(format!("{} constraints are not supported", words.to_ascii_uppercase()))
                .at(position));
        }
        let taken = reader.accept_one(&[
            "match simple",
            "match full",
            "not deferrable",
            "initially immediate",
            "not valid",
            "enforced",
            "on delete no action",
            "on delete restrict",
            "on delete cascade",
            "on delete set null",
            "on delete set default",
            "on update no action",
            "on update restrict",
            "on update cascade",
            "on update set null",
            "on update set default",
        ]);
        if taken.is_none() {
            return Ok(());
        }
    }
}

/// One clause after the columns; false when there is none.
fn clause(reader: &mut Reader<'_>, table: &mut CreateTable) -> Result<bool> {
    let position = reader.position();
    if reader.accept("partitioned by") {
        table.partitioned_by = reader.column_list()?;
    } else if reader.accept("cluster by") {
        table.clustered_by = cluster_columns(reader)?;
    } else if reader.accept("location") {
        table.location = Some(reader.string()?);
    } else if reader.accept("comment") {
        reader.accept_token(&Token::Eq);
        table.comment = Some(reader.string()?);
    } else if reader.accept("using") {
        reader.expect("delta")?;
        table.using_delta = true;
    } else if reader.peek("with") && reader.parser.peek_nth_token_ref(1).token == Token::LParen {
        reader.expect("with")?;
        table.options = Options::read(reader)?;
    } else if reader.accept("without oids") {
    } else if reader.accept("partition by") {
        return Err(Error::unsupported("PARTITION BY is not supported")
            .hint("Use PARTITIONED BY (column, ...).")
            .at(position));
    } else if let Some(words) =
        reader.accept_one(&["inherits", "on commit", "tablespace", "partition of", "of", "tblproperties"])
    {
        return Err(
            Error::unsupported(format!("{} is not supported in CREATE TABLE", words.to_ascii_uppercase())).at(position)
        );
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// `(a, b)` or NONE.
pub(super) fn cluster_columns(reader: &mut Reader<'_>) -> Result<Vec<String>> {
    if reader.accept("none") { Ok(Vec::new()) } else { reader.column_list() }
}
