//! CREATE [OR REPLACE] VIEW.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::name::ObjectName;
use crate::dialect::options::Options;
use crate::dialect::reader::Reader;
use crate::dialect::statement::Statement;
use crate::error::{Error, Result};

/// `CREATE VIEW ...`
#[derive(Clone, Debug)]
pub struct CreateView {
    /// The view's name.
    pub name: ObjectName,
    /// OR REPLACE
    pub or_replace: bool,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// TEMPORARY: gone with the session.
    pub temporary: bool,
    /// Names for the first columns of the query.
    pub column_names: Vec<String>,
    /// WITH (...)
    pub options: Options,
    /// The query.
    pub query: Box<ast::Query>,
}

/// After CREATE; `None` when it is no view.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Statement>> {
    const FORMS: [&str; 7] = [
        "view",
        "or replace view",
        "temporary view",
        "temp view",
        "or replace temporary view",
        "or replace temp view",
        "recursive view",
    ];
    let position = reader.position();
    let Some(form) = reader.accept_one(&FORMS) else { return Ok(None) };
    if form == "recursive view" {
        return Err(Error::unsupported("CREATE RECURSIVE VIEW is not supported")
            .hint("Use CREATE VIEW ... AS WITH RECURSIVE ....")
            .at(position));
    }
    let if_not_exists = reader.accept("if not exists");
    let name = reader.name()?;
    let column_names = reader.optional_column_list()?;
    let options = if reader.peek("with") && reader.parser.peek_nth_token_ref(1).token == Token::LParen {
        reader.expect("with")?;
        let options = Options::read(reader)?;
        options.require_known("view", &["security_barrier", "security_invoker"])?;
        options
    } else {
        Options::default()
    };
    reader.expect("as")?;
    let query = reader.query()?;
    let check = reader.position();
    if reader.accept_one(&["with check option", "with cascaded check option", "with local check option"]).is_some() {
        return Err(Error::unsupported("WITH CHECK OPTION is not supported")
            .hint("Views cannot be written to; put a CHECK constraint on the table.")
            .at(check));
    }
    Ok(Some(Statement::CreateView(Box::new(CreateView {
        name,
        or_replace: form.starts_with("or replace"),
        if_not_exists,
        temporary: form.contains("temp"),
        column_names,
        options,
        query,
    }))))
}
