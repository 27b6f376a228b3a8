//! The expressions that belong to a part of a query itself: what its subqueries hold is theirs.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Visit, VisitMut, Visitor, VisitorMut};

use crate::dialect::walk;

/// Calls `change` for every expression of `part` outside of its subqueries, leaves first, until it breaks.
pub(super) fn change<E>(part: &mut impl VisitMut, change: impl FnMut(&mut Expr) -> ControlFlow<E>) -> ControlFlow<E> {
    struct Own<F>(usize, F);

    impl<E, F: FnMut(&mut Expr) -> ControlFlow<E>> VisitorMut for Own<F> {
        type Break = E;

        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<E> {
            self.0 += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<E> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<E> {
            if self.0 == 0 { self.1(expr) } else { ControlFlow::Continue(()) }
        }
    }

    walk::change(part, &mut Own(0, change))
}

/// True when one of the expressions of `part` outside of its subqueries is what `is_wanted` looks for.
pub(super) fn any(part: &impl Visit, is_wanted: impl Fn(&Expr) -> bool) -> bool {
    struct Own<F>(usize, F);

    impl<F: Fn(&Expr) -> bool> Visitor for Own<F> {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if self.0 == 0 && self.1(expr) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    walk::look(part, &mut Own(0, is_wanted)).is_break()
}
