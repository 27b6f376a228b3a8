//! Operators that depend on the types of their operands: dates and integers, intervals, JSON, text that stands for a value.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, Operator, binary_expr, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator as B;

use crate::catalog::pg_type::PgType;
use crate::engine::functions::cast::CAST;
use crate::engine::functions::kind::{is_decimal, is_text};
use crate::engine::functions::{self, FunctionContext, checked, divide};
use crate::engine::shim::operands::{self, is_text_literal};
use crate::error::Result;

/// An operator with what it stands between.
struct Operation<'a> {
    op: &'a B,
    left: &'a Expr,
    right: &'a Expr,
    left_field: &'a Field,
    right_field: &'a Field,
}

/// Plans operators for one session.
pub struct Operators {
    session: Arc<FunctionContext>,
}

impl Operators {
    /// The planner for a session.
    pub fn new(session: Arc<FunctionContext>) -> Self {
        Self { session }
    }

    fn call(&self, name: &str, arguments: Vec<Expr>) -> Option<Expr> {
        let function = functions::scalar(name, &self.session)?;
        Some(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments)))
    }

    fn cast(&self, operand: Expr, pg_type: &PgType) -> Option<Expr> {
        self.call(CAST, vec![operand, lit(pg_type.to_string())])
    }

    /// The operator as PostgreSQL means it; `None` where DataFusion's is the same.
    fn plan(&self, op: &B, left: &Expr, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
        let (Some(left_field), Some(right_field)) = (field(left, schema), field(right, schema)) else {
            return Ok(None);
        };
        let operation = Operation { op, left, right, left_field: &left_field, right_field: &right_field };
        let planned = self.adapted(&operation, schema)?;
        if planned.is_none() {
            operands::check(op, (left, &left_field), (right, &right_field))?;
        }
        Ok(planned)
    }

    fn adapted(&self, operation: &Operation<'_>, schema: &DFSchema) -> Result<Option<Expr>> {
        let Operation { op, left, right, left_field, right_field } = *operation;
        let cast = self.literals(operation).or_else(|| self.without_blanks(operation));
        let cast = cast.or_else(|| self.in_zone(operation)).or_else(|| self.comparable(operation));
        if let Some((left, right)) = cast.or_else(|| floats(operation)) {
            return self.replanned(op, left, right, schema);
        }
        Ok(match op {
            B::Plus | B::Minus | B::Multiply | B::Divide => self.arithmetic(operation),
            B::StringConcat => self.concatenate(operation),
            B::Arrow => self.call("json_get", vec![left.clone(), right.clone()]),
            B::LongArrow => self.call("json_get_text", vec![left.clone(), right.clone()]),
            B::HashArrow => self.path("json_get_path", operation),
            B::HashLongArrow => self.path("json_get_path_text", operation),
            B::AtArrow if is_json(left_field) => self.call("jsonb_contains", vec![left.clone(), right.clone()]),
            B::ArrowAt if is_json(right_field) => self.call("jsonb_contains", vec![right.clone(), left.clone()]),
            B::Question if is_json(left_field) => self.call("jsonb_exists", vec![left.clone(), right.clone()]),
            B::PGOverlap => self.call("array_has_any", vec![left.clone(), right.clone()]),
            B::PGStartsWith => self.call("starts_with", vec![left.clone(), right.clone()]),
            _ => None,
        })
    }

    /// A date or a timestamp without time zone beside one with: it is a moment in the session's.
    fn in_zone(&self, operation: &Operation<'_>) -> Option<(Expr, Expr)> {
        let Operation { op, left, right, left_field, right_field } = *operation;
        let has_zone = |field: &Field| matches!(field.data_type(), DataType::Timestamp(_, Some(_)));
        let has_none = |field: &Field| matches!(field.data_type(), DataType::Timestamp(_, None) | DataType::Date32);
        let moment = |expr: &Expr| self.cast(expr.clone(), &PgType::Timestamptz);
        if !operands::compares(op) && *op != B::Minus {
            None
        } else if has_zone(left_field) && has_none(right_field) {
            Some((left.clone(), moment(right)?))
        } else if has_none(left_field) && has_zone(right_field) {
            Some((moment(left)?, right.clone()))
        } else {
            None
        }
    }

    /// Spans by their lengths, and a date beside a timestamp as one.
    fn comparable(&self, operation: &Operation<'_>) -> Option<(Expr, Expr)> {
        let Operation { op, left, right, left_field, right_field } = *operation;
        if !operands::compares(op) {
            return None;
        }
        if [left_field, right_field].iter().all(|field| PgType::of(field) == PgType::Interval) {
            // A month is 30 days here, whatever Arrow says.
            let length = |span: &Expr| self.call("interval_length", vec![span.clone()]);
            return Some((length(left)?, length(right)?));
        }
        // DataFusion would compare in nanoseconds, which hold three centuries.
        match (left_field.data_type(), right_field.data_type()) {
            (DataType::Date32, DataType::Timestamp(_, None)) => Some((to_timestamp(left.clone()), right.clone())),
            (DataType::Timestamp(_, None), DataType::Date32) => Some((left.clone(), to_timestamp(right.clone()))),
            _ => None,
        }
    }

    /// The operator over operands that were cast: planned again, since they may mean another one now.
    fn replanned(&self, op: &B, left: Expr, right: Expr, schema: &DFSchema) -> Result<Option<Expr>> {
        let planned = self.plan(op, &left, &right, schema)?;
        Ok(planned.or_else(|| Some(binary_expr(left, operands::operator(op)?, right))))
    }

    fn path(&self, name: &str, operation: &Operation<'_>) -> Option<Expr> {
        let Operation { left, right, right_field, .. } = *operation;
        let steps = match is_text(right_field.data_type()) {
            true => self.cast(right.clone(), &PgType::Array(Box::new(PgType::Text)))?,
            false => right.clone(),
        };
        self.call(name, vec![left.clone(), steps])
    }

    /// A text literal beside another type is a literal of that type: `oid = '5'`, `roles = '{0}'`, `1 + '2'`; beside a
    /// moment in time that something is added to, it is an interval.
    fn literals(&self, operation: &Operation<'_>) -> Option<(Expr, Expr)> {
        let Operation { op, left, right, left_field, right_field } = *operation;
        let arithmetic = matches!(op, B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo);
        if !arithmetic && !operands::compares(op) {
            return None;
        }
        let meant = |field: &Field| match PgType::of(field) {
            PgType::Date | PgType::Timestamp | PgType::Timestamptz if *op == B::Plus => PgType::Interval,
            PgType::Numeric(_) => PgType::Numeric(None),
            other => other,
        };
        let is_jsonb = |field: &Field| PgType::of(field) == PgType::Jsonb;
        if arithmetic && (is_jsonb(left_field) || is_jsonb(right_field)) {
            return None;
        }
        if is_text_literal(left) && takes_literals(right_field) {
            Some((self.cast(left.clone(), &meant(right_field))?, right.clone()))
        } else if is_text_literal(right) && takes_literals(left_field) {
            Some((left.clone(), self.cast(right.clone(), &meant(left_field))?))
        } else {
            None
        }
    }

    /// The blanks that fill up a `char(n)` do not count: a literal beside it is filled up too, other text is met without.
    fn without_blanks(&self, operation: &Operation<'_>) -> Option<(Expr, Expr)> {
        let Operation { op, left, right, left_field, right_field } = *operation;
        let length = |field: &Field| match PgType::of(field) {
            PgType::Char(length) => usize::try_from(length).ok(),
            _ => None,
        };
        let (one, two) = (length(left_field), length(right_field));
        if !operands::compares(op) || one == two {
            return None;
        }
        let is_literal = is_text_literal(left) || is_text_literal(right);
        let met = |expr: &Expr, own: Option<usize>, other: Option<usize>| match (expr, own, other) {
            (Expr::Literal(value, _), None, Some(length)) => {
                let text = value.try_as_str()??.trim_end_matches(' ');
                Some(lit(format!("{text:<length$}")))
            }
            (expr, Some(_), _) if !is_literal => self.cast(expr.clone(), &PgType::Text),
            (expr, ..) => Some(expr.clone()),
        };
        let pair = (met(left, one, two)?, met(right, two, one)?);
        (pair != (left.clone(), right.clone())).then_some(pair)
    }

    fn arithmetic(&self, operation: &Operation<'_>) -> Option<Expr> {
        use DataType as D;
        let Operation { op, left, right, left_field, right_field } = *operation;
        let (one, two) = (left_field.data_type(), right_field.data_type());
        let (l, r) = (left.clone(), right.clone());
        match (op, one, two) {
            (B::Plus | B::Minus | B::Multiply, _, _) if checked::common_type(&[one.clone(), two.clone()]).is_some() => {
                let operator = match op {
                    B::Plus => checked::Operator::Add,
                    B::Minus => checked::Operator::Subtract,
                    _ => checked::Operator::Multiply,
                };
                Some(checked::call(operator, l, r))
            }
            (B::Plus, D::Date32, days) if days.is_integer() => self.call("date_add_days", vec![l, r]),
            (B::Plus, days, D::Date32) if days.is_integer() => self.call("date_add_days", vec![r, l]),
            (B::Minus, D::Date32, days) if days.is_integer() => {
                self.call("date_add_days", vec![l, Expr::Negative(Box::new(r))])
            }
            (B::Minus, D::Date32, D::Date32) => self.call("date_difference", vec![l, r]),
            (B::Plus | B::Minus, D::Date32, D::Interval(_)) => {
                Some(binary_expr(to_timestamp(l), arithmetic_operator(op)?, r))
            }
            (B::Plus, D::Interval(_), D::Date32) => Some(binary_expr(to_timestamp(r), Operator::Plus, l)),
            (B::Minus, D::Timestamp(..) | D::Date32, D::Timestamp(..)) | (B::Minus, D::Timestamp(..), D::Date32) => {
                self.call("timestamp_difference", vec![l, r])
            }
            // Days and months are those of the session's time zone.
            (B::Plus | B::Minus, D::Timestamp(_, Some(_)), D::Interval(_))
                if self.session.time_zone != chrono_tz::Tz::UTC =>
            {
                let span = if *op == B::Minus { Expr::Negative(Box::new(r)) } else { r };
                self.call("timestamptz_add", vec![l, span])
            }
            (B::Plus, D::Interval(_), D::Timestamp(_, Some(_))) if self.session.time_zone != chrono_tz::Tz::UTC => {
                self.call("timestamptz_add", vec![r, l])
            }
            (B::Plus | B::Minus, D::Timestamp(..) | D::Date32, D::Time64(_)) => {
                let moment = if *one == D::Date32 { to_timestamp(l) } else { l };
                Some(binary_expr(moment, arithmetic_operator(op)?, self.cast(r, &PgType::Interval)?))
            }
            (B::Divide, one, two) if is_number(one) && is_number(two) && !(one.is_integer() && two.is_integer()) => {
                Some(divide::call(l, r))
            }
            (B::Multiply, D::Interval(_), number) if is_number(number) => self.call("interval_scale", vec![l, r]),
            (B::Multiply, number, D::Interval(_)) if is_number(number) => self.call("interval_scale", vec![r, l]),
            (B::Divide, D::Interval(_), number) if is_number(number) => {
                let inverse = binary_expr(lit(1.0), Operator::Divide, Expr::Cast(Cast::new(Box::new(r), D::Float64)));
                self.call("interval_scale", vec![l, inverse])
            }
            _ => None,
        }
    }

    /// `text || value`: the value as PostgreSQL prints it.
    fn concatenate(&self, operation: &Operation<'_>) -> Option<Expr> {
        let Operation { left, right, left_field, right_field, .. } = *operation;
        let (one, two) = (left_field.data_type(), right_field.data_type());
        let printed = |field: &Field| {
            let data_type = field.data_type();
            data_type.is_temporal()
                || data_type.is_floating()
                || is_decimal(data_type)
                || *data_type == DataType::Boolean
                || matches!(PgType::of(field), PgType::Char(_))
        };
        if is_text(one) && printed(right_field) {
            return Some(binary_expr(left.clone(), Operator::StringConcat, self.cast(right.clone(), &PgType::Text)?));
        }
        if printed(left_field) && is_text(two) {
            return Some(binary_expr(self.cast(left.clone(), &PgType::Text)?, Operator::StringConcat, right.clone()));
        }
        // An array literal: array || '{a,b}'.
        match (one, two) {
            (DataType::List(_), _) if is_text_literal(right) && is_array_text(right) => {
                let array = self.cast(right.clone(), &PgType::of(left_field))?;
                Some(binary_expr(left.clone(), Operator::StringConcat, array))
            }
            _ => None,
        }
    }
}

fn field(expr: &Expr, schema: &DFSchema) -> Option<FieldRef> {
    expr.to_field(schema).ok().map(|(_, field)| field)
}

fn is_json(field: &Field) -> bool {
    matches!(PgType::of(field), PgType::Json | PgType::Jsonb)
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating() || is_decimal(data_type)
}

fn is_array_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.try_as_str().flatten().is_some_and(|text| text.starts_with('{')))
}

/// Types whose literals are written as text.
fn takes_literals(field: &Field) -> bool {
    match PgType::of(field) {
        PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Name | PgType::InternalChar => false,
        PgType::Json | PgType::Record | PgType::Unknown | PgType::Void => false,
        _ => !field.data_type().is_null(),
    }
}

/// Where one operand is a float, PostgreSQL computes in double precision: numerics beside any float, integers beside a `real`.
fn floats(operation: &Operation<'_>) -> Option<(Expr, Expr)> {
    let Operation { op, left, right, left_field, right_field } = *operation;
    let (one, two) = (left_field.data_type(), right_field.data_type());
    operands::operator(op)?;
    let double = |expr: &Expr| Expr::Cast(Cast::new(Box::new(expr.clone()), DataType::Float64));
    let widens = |float: &DataType, other: &DataType| {
        let narrow = *float == DataType::Float32 && !operands::compares(op) && other.is_integer();
        float.is_floating() && (is_decimal(other) || narrow)
    };
    (widens(one, two) || widens(two, one)).then(|| (double(left), double(right)))
}

fn arithmetic_operator(op: &B) -> Option<Operator> {
    match op {
        B::Plus => Some(Operator::Plus),
        B::Minus => Some(Operator::Minus),
        _ => None,
    }
}

fn to_timestamp(date: Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(date), PgType::Timestamp.arrow()))
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operators")
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> DataFusionResult<PlannerResult<RawBinaryExpr>> {
        match self.plan(&expr.op, &expr.left, &expr.right, schema)? {
            Some(planned) => Ok(PlannerResult::Planned(planned)),
            None => Ok(PlannerResult::Original(expr)),
        }
    }
}
