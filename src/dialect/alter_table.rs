//! ALTER TABLE and ALTER VIEW.

use datafusion::sql::sqlparser::ast::Expr;

use crate::catalog::name::ObjectName;
use crate::catalog::pg_type::PgType;
use crate::dialect::create_table::{self, Constraint, ConstraintRule, NewColumn};
use crate::dialect::data_type;
use crate::dialect::drop::read_cascade;
use crate::dialect::options::Options;
use crate::dialect::reader::Reader;
use crate::dialect::statement::{Statement, Tree};
use crate::dialect::watermark::{self, Watermark};
use crate::error::{Error, Result};

/// `ALTER TABLE | VIEW [IF EXISTS] name changes`
#[derive(Clone, Debug)]
pub struct AlterRelation {
    /// True for ALTER VIEW. ALTER TABLE takes views too where PostgreSQL does.
    pub is_view: bool,
    /// IF EXISTS
    pub if_exists: bool,
    /// The relation.
    pub name: ObjectName,
    /// What to do, in order, all or nothing.
    pub change: AlterTable,
}

/// The changes of one ALTER; renames and moves stand alone.
#[derive(Clone, Debug)]
pub enum AlterTable {
    /// RENAME TO
    Rename(String),
    /// RENAME [COLUMN] a TO b
    RenameColumn {
        /// The old name.
        column: String,
        /// The new name.
        to: String,
    },
    /// RENAME CONSTRAINT a TO b
    RenameConstraint {
        /// The old name.
        constraint: String,
        /// The new name.
        to: String,
    },
    /// SET SCHEMA
    SetSchema(String),
    /// A list of other changes.
    Changes(Vec<TableChange>),
}

/// One change of a list.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a statement has a handful of them, moved once")]
pub enum TableChange {
    /// ADD [COLUMN] [IF NOT EXISTS]
    AddColumn {
        /// IF NOT EXISTS
        if_not_exists: bool,
        /// The column.
        column: NewColumn,
        /// Its constraints.
        constraints: Vec<Constraint>,
    },
    /// DROP [COLUMN] [IF EXISTS] a [CASCADE]
    DropColumn {
        /// IF EXISTS
        if_exists: bool,
        /// The column.
        column: String,
        /// CASCADE
        cascade: bool,
    },
    /// ADD CONSTRAINT; `not_valid` leaves the rows that are there unchecked.
    AddConstraint {
        /// The constraint.
        constraint: Constraint,
    },
    /// DROP CONSTRAINT [IF EXISTS] c [CASCADE]
    DropConstraint {
        /// IF EXISTS
        if_exists: bool,
        /// The constraint.
        constraint: String,
        /// CASCADE
        cascade: bool,
    },
    /// ALTER COLUMN a SET DATA TYPE
    SetType {
        /// The column.
        column: String,
        /// The new type.
        pg_type: PgType,
        /// USING: how to make the new values.
        using: Option<Expr>,
    },
    /// ALTER COLUMN a SET | DROP DEFAULT
    SetDefault {
        /// The column.
        column: String,
        /// The default, or none.
        default: Option<Expr>,
    },
    /// ALTER COLUMN a SET | DROP NOT NULL
    SetNotNull {
        /// The column.
        column: String,
        /// SET or DROP.
        not_null: bool,
    },
    /// SET (...)
    SetOptions(Options),
    /// RESET (...)
    ResetOptions(Vec<String>),
    /// CLUSTER BY (...) or NONE
    ClusterBy(Vec<String>),
    /// OWNER TO
    OwnerTo(String),
    /// ADD WATERMARK FOR
    AddWatermark(Watermark),
    /// DROP WATERMARK FOR a
    DropWatermark(String),
}

impl AlterRelation {
    pub(super) fn trees(&mut self) -> Vec<Tree<'_>> {
        let AlterTable::Changes(changes) = &mut self.change else { return Vec::new() };
        let expressions = changes.iter_mut().flat_map(|change| match change {
            TableChange::AddColumn { column, constraints, .. } => {
                let checks = constraints.iter_mut().filter_map(check);
                column.default.iter_mut().chain(column.generated.iter_mut()).chain(checks).collect::<Vec<_>>()
            }
            TableChange::AddConstraint { constraint } => check(constraint).into_iter().collect(),
            TableChange::SetType { using, .. } => using.iter_mut().collect(),
            TableChange::SetDefault { default, .. } => default.iter_mut().collect(),
            TableChange::AddWatermark(watermark) => vec![&mut watermark.delay],
            _ => Vec::new(),
        });
        expressions.map(Tree::Expression).collect()
    }
}

fn check(constraint: &mut Constraint) -> Option<&mut Expr> {
    match &mut constraint.rule {
        ConstraintRule::Check(condition) => Some(condition),
        _ => None,
    }
}

pub(super) fn read(reader: &mut Reader<'_>, is_view: bool) -> Result<Statement> {
    let if_exists = reader.accept("if exists");
    reader.accept("only");
    let name = reader.name()?;
    let change = if reader.accept("rename constraint") {
        let constraint = reader.identifier()?;
        reader.expect("to")?;
        AlterTable::RenameConstraint { constraint, to: reader.identifier()? }
    } else if reader.accept("rename to") {
        AlterTable::Rename(reader.identifier()?)
    } else if reader.accept("rename") {
        reader.accept("column");
        let column = reader.identifier()?;
        reader.expect("to")?;
        AlterTable::RenameColumn { column, to: reader.identifier()? }
    } else if reader.accept("set schema") {
        AlterTable::SetSchema(reader.identifier()?)
    } else {
        AlterTable::Changes(reader.list(read_change)?)
    };
    Ok(Statement::AlterRelation(Box::new(AlterRelation { is_view, if_exists, name, change })))
}

fn read_change(reader: &mut Reader<'_>) -> Result<TableChange> {
    let position = reader.position();
    if reader.accept("add") {
        return read_add(reader);
    }
    if reader.accept("drop constraint") {
        let if_exists = reader.accept("if exists");
        let constraint = reader.identifier()?;
        return Ok(TableChange::DropConstraint { if_exists, constraint, cascade: read_cascade(reader) });
    }
    if reader.accept("drop watermark for") {
        return Ok(TableChange::DropWatermark(reader.identifier()?));
    }
    if reader.accept("drop") {
        reader.accept("column");
        let if_exists = reader.accept("if exists");
        let column = reader.identifier()?;
        return Ok(TableChange::DropColumn { if_exists, column, cascade: read_cascade(reader) });
    }
    if reader.accept("alter") {
        reader.accept("column");
        return read_alter_column(reader);
    }
    if reader.accept("set tblproperties") || is_option_list(reader, "set") {
        return Ok(TableChange::SetOptions(Options::read(reader)?));
    }
    if is_option_list(reader, "reset") {
        let names = Options::read(reader)?.list.into_iter().map(|choice| choice.name).collect();
        return Ok(TableChange::ResetOptions(names));
    }
    if reader.accept("cluster by") {
        return Ok(TableChange::ClusterBy(create_table::cluster_columns(reader)?));
    }
    if reader.accept("owner to") {
        return Ok(TableChange::OwnerTo(reader.identifier()?));
    }
    const OTHERS: [&str; 12] = [
        "enable",
        "disable",
        "force",
        "no force",
        "inherit",
        "no inherit",
        "attach",
        "detach",
        "replica",
        "validate",
        "cluster on",
        "set",
    ];
    match OTHERS.iter().find(|words| reader.peek(words)) {
        Some(words) => {
            Err(Error::unsupported(format!("ALTER TABLE ... {} is not supported", words.to_ascii_uppercase()))
                .at(position))
        }
        None => Err(reader.unexpected_for("ADD, DROP, ALTER, RENAME, SET, RESET, CLUSTER BY or OWNER TO")),
    }
}

/// Takes the word if a parenthesis follows it.
fn is_option_list(reader: &mut Reader<'_>, word: &str) -> bool {
    use datafusion::sql::sqlparser::tokenizer::Token;
    reader.parser.peek_nth_token_ref(1).token == Token::LParen && reader.accept(word)
}

fn read_add(reader: &mut Reader<'_>) -> Result<TableChange> {
    if let Some(watermark) = watermark::read(reader)? {
        return Ok(TableChange::AddWatermark(watermark));
    }
    if let Some(constraint) = create_table::table_constraint(reader)? {
        return Ok(TableChange::AddConstraint { constraint });
    }
    reader.accept("column");
    let if_not_exists = reader.accept("if not exists");
    let mut constraints = Vec::new();
    let column = create_table::column(reader, &mut constraints)?;
    Ok(TableChange::AddColumn { if_not_exists, column, constraints })
}

fn read_alter_column(reader: &mut Reader<'_>) -> Result<TableChange> {
    let column = reader.identifier()?;
    let position = reader.position();
    if reader.accept_one(&["set data type", "type"]).is_some() {
        let pg_type = data_type::read(reader)?;
        let using = if reader.accept("using") { Some(reader.expression()?) } else { None };
        return Ok(TableChange::SetType { column, pg_type, using });
    }
    if reader.accept("set default") {
        return Ok(TableChange::SetDefault { column, default: Some(reader.expression()?) });
    }
    match reader.accept_one(&["drop default", "set not null", "drop not null"]) {
        Some("drop default") => Ok(TableChange::SetDefault { column, default: None }),
        Some(words) => Ok(TableChange::SetNotNull { column, not_null: words.starts_with("set") }),
        None if ["set", "reset", "add", "drop"].iter().any(|word| reader.peek(word)) => {
            Err(Error::unsupported("this form of ALTER COLUMN is not supported")
                .hint("Use SET DATA TYPE, SET or DROP DEFAULT, SET or DROP NOT NULL.")
                .at(position))
        }
        None => Err(reader.unexpected_for("SET or DROP")),
    }
}
