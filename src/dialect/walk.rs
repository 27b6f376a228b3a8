//! Walks over syntax trees.
//!
//! sqlparser's walk is compiled anew, for each of its hundreds of nodes, for every type that walks: with ours it was more than half
//! of this crate's code. So it is compiled for two types only, one that looks and one that changes, and these hand on to
//! whoever walks. Invariant: nobody else calls `visit`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};

/// Shows the parts of a tree to `visitor`.
pub fn look<V: Visitor>(tree: &impl Visit, visitor: &mut V) -> ControlFlow<V::Break> {
    let mut kept = Kept { visitor, broke: None };
    let _ = tree.visit(&mut Looking(&mut kept));
    kept.broke.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

/// Gives the parts of a tree to `visitor`, who may change them.
pub fn change<V: VisitorMut>(tree: &mut impl VisitMut, visitor: &mut V) -> ControlFlow<V::Break> {
    let mut kept = Kept { visitor, broke: None };
    let _ = tree.visit(&mut Changing(&mut kept));
    kept.broke.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

/// True where some expression of a tree is wanted.
pub fn any_expression(tree: &impl Visit, is_wanted: impl Fn(&Expr) -> bool) -> bool {
    struct Wanted<F>(F);
    impl<F: Fn(&Expr) -> bool> Visitor for Wanted<F> {
        type Break = ();

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            if (self.0)(expression) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    look(tree, &mut Wanted(is_wanted)).is_break()
}

/// The one type that looks.
struct Looking<'a>(&'a mut dyn Visitor<Break = ()>);

/// The one type that changes.
struct Changing<'a>(&'a mut dyn VisitorMut<Break = ()>);

/// Who walks, and what made it stop.
struct Kept<'a, V, B> {
    visitor: &'a mut V,
    broke: Option<B>,
}

impl<V, B> Kept<'_, V, B> {
    fn keep(&mut self, flow: ControlFlow<B>) -> ControlFlow<()> {
        flow.map_break(|broke| self.broke = Some(broke))
    }
}

macro_rules! hand_on {
    ($($hook:ident $node:ty,)*) => {
        impl Visitor for Looking<'_> {
            type Break = ();
            $(fn $hook(&mut self, node: &$node) -> ControlFlow<()> {
                self.0.$hook(node)
            })*
        }

        impl VisitorMut for Changing<'_> {
            type Break = ();
            $(fn $hook(&mut self, node: &mut $node) -> ControlFlow<()> {
                self.0.$hook(node)
            })*
        }

        impl<V: Visitor> Visitor for Kept<'_, V, V::Break> {
            type Break = ();
            $(fn $hook(&mut self, node: &$node) -> ControlFlow<()> {
                let flow = self.visitor.$hook(node);
                self.keep(flow)
            })*
        }

        impl<V: VisitorMut> VisitorMut for Kept<'_, V, V::Break> {
            type Break = ();
            $(fn $hook(&mut self, node: &mut $node) -> ControlFlow<()> {
                let flow = self.visitor.$hook(node);
                self.keep(flow)
            })*
        }
    };
}

hand_on! {
    pre_visit_query Query,
    post_visit_query Query,
    pre_visit_select Select,
    post_visit_select Select,
    pre_visit_relation ObjectName,
    post_visit_relation ObjectName,
    pre_visit_table_factor TableFactor,
    post_visit_table_factor TableFactor,
    pre_visit_expr Expr,
    post_visit_expr Expr,
    pre_visit_statement Statement,
    post_visit_statement Statement,
    pre_visit_value ValueWithSpan,
    post_visit_value ValueWithSpan,
}
