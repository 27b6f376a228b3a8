//! What a statement's text says of its parameters' types: `$1::int2` is a smallint, `LIMIT $1` a bigint.
//!
//! The planner infers the others from what stands beside them. A type that the client has given is never changed.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, LimitClause, Query, Value, Visit, Visitor};

use crate::catalog::pg_type::PgType;
use crate::dialect::walk;
use crate::engine::shim::types;

/// The given types, and those of parameters that are cast where they stand.
pub fn written_types(node: &impl Visit, given: &[Option<PgType>]) -> Vec<Option<PgType>> {
    let mut found = Found { types: given.to_vec() };
    let ControlFlow::Continue(()) = walk::look(node, &mut found);
    found.types
}

struct Found {
    types: Vec<Option<PgType>>,
}

impl Found {
    fn note(&mut self, expr: &Expr, pg_type: Option<PgType>) {
        let Expr::Value(value) = expr else { return };
        let Value::Placeholder(name) = &value.value else { return };
        let number = name.strip_prefix('$').and_then(|number| number.parse::<u16>().ok()).map(usize::from);
        if let (Some(number), Some(pg_type)) = (number.filter(|number| *number > 0), pg_type) {
            self.types.resize(self.types.len().max(number), None);
            self.types[number - 1].get_or_insert(pg_type);
        }
    }
}

impl Visitor for Found {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            let counts = limit.iter().chain(offset.iter().map(|offset| &offset.value));
            counts.for_each(|count| self.note(count, Some(PgType::Int8)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        if let Expr::Cast { expr, data_type, .. } = expr {
            self.note(expr, types::pg_type(data_type));
        }
        ControlFlow::Continue(())
    }
}
