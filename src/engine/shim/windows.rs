//! Windows by name: `OVER (w ORDER BY x)` takes what `WINDOW w AS (...)` says, which DataFusion passes over.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Select, WindowSpec, WindowType,
};

use crate::engine::shim::own_expressions;
use crate::error::{Error, ErrorKind, Result};

/// Writes out the windows that the items of a SELECT name.
pub(super) fn write_out(select: &mut Select) -> Result<()> {
    let windows = Windows::defined(&select.named_window)?;
    let written = own_expressions::change(&mut select.projection, |expr| match windows.write_into(expr) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match written {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// What each name of a WINDOW clause stands for, without other names.
struct Windows<'a> {
    named: Vec<(&'a Ident, WindowSpec)>,
}

impl<'a> Windows<'a> {
    /// A definition may name those before it.
    fn defined(definitions: &'a [NamedWindowDefinition]) -> Result<Self> {
        let mut windows = Self { named: Vec::with_capacity(definitions.len()) };
        for NamedWindowDefinition(name, definition) in definitions {
            if windows.find(name).is_some() {
                let message = format!("window \"{}\" is already defined", name.value);
                return Err(Error::new(ErrorKind::WindowingError, message));
            }
            let spec = match definition {
                NamedWindowExpr::NamedWindow(other) => windows.named(other)?.clone(),
                NamedWindowExpr::WindowSpec(spec) => windows.whole(spec.clone())?,
            };
            windows.named.push((name, spec));
        }
        Ok(windows)
    }

    fn find(&self, name: &Ident) -> Option<&WindowSpec> {
        let found = self.named.iter().find(|(known, _)| known.value.eq_ignore_ascii_case(&name.value));
        found.map(|(_, spec)| spec)
    }

    fn named(&self, name: &Ident) -> Result<&WindowSpec> {
        self.find(name)
            .ok_or_else(|| Error::new(ErrorKind::UndefinedObject, format!("window \"{}\" does not exist", name.value)))
    }

    /// A window with what the window that it is based on says.
    fn whole(&self, mut spec: WindowSpec) -> Result<WindowSpec> {
        let Some(name) = spec.window_name.take() else { return Ok(spec) };
        let base = self.named(&name)?;
        let refused = |what: String| Err(Error::new(ErrorKind::WindowingError, what));
        if !spec.partition_by.is_empty() {
            return refused(format!("cannot override PARTITION BY clause of window \"{}\"", name.value));
        }
        if !base.order_by.is_empty() && !spec.order_by.is_empty() {
            return refused(format!("cannot override ORDER BY clause of window \"{}\"", name.value));
        }
        if base.window_frame.is_some() {
            return refused(format!("cannot copy window \"{}\" because it has a frame clause", name.value));
        }
        let order_by = if spec.order_by.is_empty() { base.order_by.clone() } else { spec.order_by };
        Ok(WindowSpec { partition_by: base.partition_by.clone(), order_by, ..spec })
    }

    fn write_into(&self, expr: &mut Expr) -> Result<()> {
        if let Expr::Function(function) = expr
            && let Some(over) = &mut function.over
        {
            *over = WindowType::WindowSpec(match over {
                WindowType::NamedWindow(name) => self.named(name)?.clone(),
                WindowType::WindowSpec(spec) => self.whole(spec.clone())?,
            });
        }
        Ok(())
    }
}
