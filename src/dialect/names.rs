//! Names as sqlparser gives them to names as the catalog knows them: folded to lower case unless quoted.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, Visit, Visitor};

use crate::catalog::name::ObjectName;
use crate::error::{Error, ErrorKind, Result};

/// The one database of a server; `headwater.public.t` names it, any other first part is another database.
const DATABASE: &str = "headwater";

/// An identifier as the catalog knows it.
pub fn identifier(identifier: &Ident) -> String {
    match identifier.quote_style {
        Some(_) => identifier.value.clone(),
        None => fold(&identifier.value),
    }
}

/// A name of the AST as the catalog knows it.
pub fn object_name(name: &ast::ObjectName) -> Result<ObjectName> {
    let parts = name
        .0
        .iter()
        .map(|part| match part {
            ast::ObjectNamePart::Identifier(part) => Ok(identifier(part)),
            ast::ObjectNamePart::Function(_) => {
                Err(Error::new(ErrorKind::SyntaxError, format!("\"{name}\" is not the name of an object")))
            }
        })
        .collect::<Result<Vec<_>>>()?;
    ObjectName::from_parts(&parts, DATABASE)
}

/// As PostgreSQL folds: letters of ASCII only.
pub(super) fn fold(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// The columns that an expression names, for the name of a CHECK constraint. A subquery's columns count too.
pub fn column_names(expression: &Expr) -> Vec<String> {
    struct Names(BTreeSet<String>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            match expression {
                Expr::Identifier(name) => self.0.insert(identifier(name)),
                Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| self.0.insert(identifier(name))),
                _ => false,
            };
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new());
    // The visitor never breaks.
    let _ = expression.visit(&mut names);
    names.0.into_iter().collect()
}
