//! Windows by name: `OVER (w ORDER BY x)` takes what `WINDOW w AS (...)` says, which DataFusion passes over.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select, VisitMut, VisitorMut, WindowSpec, WindowType,
};

use crate::error::{Error, ErrorKind, Result};

/// Writes out the windows that the items of a SELECT name.
pub(super) fn write_out(select: &mut Select) -> Result<()> {
    let mut windows = Windows { named: &select.named_window, depth: 0 };
    match select.projection.visit(&mut windows) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Windows<'a> {
    named: &'a [NamedWindowDefinition],
    /// Subqueries have windows of their own.
    depth: usize,
}

impl Windows<'_> {
    fn named(&self, name: &Ident) -> Result<WindowSpec> {
        let found = self.named.iter().find(|known| known.0.value.eq_ignore_ascii_case(&name.value));
        match found.map(|found| &found.1) {
            Some(NamedWindowExpr::WindowSpec(spec)) => self.whole(spec.clone()),
            Some(NamedWindowExpr::NamedWindow(other)) if other != name => self.named(other),
            _ => Err(Error::new(ErrorKind::UndefinedObject, format!("window \"{}\" does not exist", name.value))),
        }
    }

    /// A window with what the window that it is based on says.
    fn whole(&self, mut spec: WindowSpec) -> Result<WindowSpec> {
        let Some(name) = spec.window_name.take() else { return Ok(spec) };
        let base = self.named(&name)?;
        if !spec.partition_by.is_empty() || (!base.order_by.is_empty() && !spec.order_by.is_empty()) {
            let message = format!("cannot override PARTITION BY or ORDER BY clause of window \"{}\"", name.value);
            return Err(Error::new(ErrorKind::WindowingError, message));
        }
        let order_by = if spec.order_by.is_empty() { base.order_by } else { spec.order_by };
        Ok(WindowSpec { window_name: None, partition_by: base.partition_by, order_by, window_frame: spec.window_frame })
    }
}

impl VisitorMut for Windows<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let (0, Expr::Function(function)) = (self.depth, expr)
            && let Some(over) = &function.over
        {
            let spec = match over {
                WindowType::NamedWindow(name) => self.named(name),
                WindowType::WindowSpec(spec) => self.whole(spec.clone()),
            };
            match spec {
                Ok(spec) => function.over = Some(WindowType::WindowSpec(spec)),
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}
