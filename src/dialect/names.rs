//! Names as sqlparser gives them to names as the catalog knows them: folded to lower case unless quoted.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, Visit, Visitor};

use crate::catalog::name::ObjectName;
use crate::dialect::copy::CopySource;
use crate::dialect::statement::Statement;
use crate::dialect::walk;
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

/// The relations that a statement reads or changes, by the names it uses.
pub fn relation_names(statement: &Statement) -> Vec<ObjectName> {
    match statement {
        Statement::Query(query) => names_in(query),
        Statement::Insert(insert) => names_in(insert),
        Statement::Update(update) => names_in(update),
        Statement::Delete(delete) => names_in(delete),
        Statement::Merge(merge) => names_in(merge),
        Statement::CreateTable(create) => {
            let mut names = create.query.as_ref().map(names_in).unwrap_or_default();
            names.extend(create.or_replace.then(|| create.name.clone()));
            names
        }
        Statement::Truncate(truncate) => truncate.names.clone(),
        Statement::CreateView(create) => names_in(&create.query),
        Statement::Explain(explain) => relation_names(&explain.statement),
        Statement::Copy(copy) => match &copy.source {
            CopySource::Table(name, _) => vec![name.clone()],
            CopySource::Query(inner) => relation_names(inner),
        },
        Statement::Describe(describe) => vec![describe.relation.clone()],
        Statement::Optimize(optimize) => vec![optimize.table.clone()],
        Statement::AlterRelation(alter) => vec![alter.name.clone()],
        _ => Vec::new(),
    }
}

fn names_in(part: &impl Visit) -> Vec<ObjectName> {
    struct Names(Vec<ObjectName>);
    impl Visitor for Names {
        type Break = Infallible;
        fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<Infallible> {
            self.0.extend(object_name(relation));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let ControlFlow::Continue(()) = walk::look(part, &mut names);
    names.0
}

/// As PostgreSQL folds: letters of ASCII only.
pub(super) fn fold(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// The columns that an expression names, for the name of a CHECK constraint. A subquery's columns count too.
pub fn column_names(expression: &Expr) -> Vec<String> {
    struct Names(BTreeSet<String>);
    impl Visitor for Names {
        type Break = Infallible;
        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Infallible> {
            match expression {
                Expr::Identifier(name) => self.0.insert(identifier(name)),
                Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| self.0.insert(identifier(name))),
                _ => false,
            };
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new());
    let ControlFlow::Continue(()) = walk::look(expression, &mut names);
    names.0.into_iter().collect()
}
