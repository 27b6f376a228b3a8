//! The shape of expression trees: long chains of AND and OR are balanced, what stays too deep is refused.
//!
//! The parser makes `a OR b OR c` lean to the left, one level an operator. Everything after it recurses, and not every
//! step minds the stack; a balanced tree means the same and is a few levels deep.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, VisitMut, VisitorMut};

use crate::dialect::walk;
use crate::error::{Error, ErrorKind, Result};

/// The most levels that an expression keeps after balancing.
const DEPTH_MAX: usize = 1_000;

/// Balances and checks a tree, if its message has chains at all.
pub(super) fn settle(tree: &mut impl VisitMut, is_deep: bool) -> Result<()> {
    if !is_deep {
        return Ok(());
    }
    match walk::change(tree, &mut Shape { depth: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(ErrorKind::StatementTooComplex, "stack depth limit exceeded")
            .detail(format!("An expression is more than {DEPTH_MAX} levels deep."))
            .hint("Split the expression, or use a list or an array instead of a chain of operators.")),
    }
}

struct Shape {
    depth: usize,
}

impl VisitorMut for Shape {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        balance(expression);
        self.depth += 1;
        if self.depth > DEPTH_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Turns a chain of one operator, AND or OR, that leans to the left into a balanced tree with the same order.
fn balance(expression: &mut Expr) {
    let Expr::BinaryOp { op, .. } = &*expression else { return };
    if !matches!(op, BinaryOperator::And | BinaryOperator::Or) {
        return;
    }
    let operator = op.clone();
    let mut operands = Vec::new();
    let mut rest = std::mem::replace(expression, Expr::value(datafusion::sql::sqlparser::ast::Value::Null));
    loop {
        match rest {
            Expr::BinaryOp { left, op, right } if op == operator => {
                operands.push(*right);
                rest = *left;
            }
            first => {
                operands.push(first);
                break;
            }
        }
    }
    operands.reverse();
    *expression = join(operands, &operator);
}

/// Joins neighbours pairwise until one is left; the order of the operands stays.
fn join(mut operands: Vec<Expr>, operator: &BinaryOperator) -> Expr {
    loop {
        let mut joined = Vec::with_capacity(operands.len().div_ceil(2));
        let mut waiting = operands.into_iter();
        while let Some(left) = waiting.next() {
            joined.push(match waiting.next() {
                Some(right) => Expr::BinaryOp { left: Box::new(left), op: operator.clone(), right: Box::new(right) },
                None => left,
            });
        }
        if joined.len() <= 1 {
            return joined.pop().expect("a chain has at least two operands");
        }
        operands = joined;
    }
}
