//! Values that stand side by side get one type, as PostgreSQL resolves it: branches of CASE and UNION, arguments of
//! COALESCE, lists of IN.
//!
//! A text literal or an untyped `$1` takes the type of what stands beside it; types that nothing joins are an error (42804)
//! where DataFusion would turn both into text. Here also: aggregates over types that have none (42883).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, Case, InList, Placeholder, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::{NamePreserver, coerce_plan_expr_for_schema};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, Union, lit};
use datafusion::optimizer::analyzer::type_coercion::coerce_union_schema;

use crate::catalog::pg_type::{PgType, type_of_oid};
use crate::engine::facts::rows;
use crate::engine::functions::cast::CAST;
use crate::engine::functions::cast::convert::convert;
use crate::engine::functions::kind::is_text;
use crate::engine::functions::value::Value;
use crate::engine::functions::{self, FunctionContext};
use crate::engine::shim::operands::{family, is_text_literal, type_name};
use crate::engine::shim::set_operations;
use crate::error::{Error, ErrorKind, Result};

/// The plan with every value resolved.
pub fn unified(plan: LogicalPlan, session: &Arc<FunctionContext>) -> Result<LogicalPlan> {
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|plan| {
        let plan = match plan {
            LogicalPlan::Union(union) => same_columns(union, session)?,
            LogicalPlan::Join(join) => set_operations::counted(join)?,
            other => Transformed::no(other),
        };
        changed |= plan.transformed;
        let names = NamePreserver::new(&plan.data);
        let schema = match plan.data.inputs().as_slice() {
            [input] => Arc::clone(input.schema()),
            inputs => Arc::new(merge_schema(inputs)),
        };
        let plan = plan.data.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(resolved(expr, &schema, session)?.update_data(|expr| name.restore(expr)))
        })?;
        changed |= plan.transformed;
        // What is above a changed node has another schema too.
        if changed { plan.data.recompute_schema().map(Transformed::yes) } else { Ok(plan) }
    })?;
    Ok(plan.data)
}

/// An expression with every value resolved.
pub fn unified_expression(expr: Expr, schema: &DFSchema, session: &Arc<FunctionContext>) -> Result<Expr> {
    Ok(resolved(expr, schema, session)?.data)
}

fn resolved(expr: Expr, schema: &DFSchema, session: &Arc<FunctionContext>) -> DataFusionResult<Transformed<Expr>> {
    let values = Values { schema, session };
    expr.transform_up(|expr| Ok(values.resolve(expr)?))
}

struct Values<'a> {
    schema: &'a DFSchema,
    session: &'a Arc<FunctionContext>,
}

impl Values<'_> {
    fn resolve(&self, expr: Expr) -> Result<Transformed<Expr>> {
        match expr {
            Expr::Case(case) => self.case(case),
            Expr::InList(list) => {
                let mut all = list.list;
                all.push(*list.expr);
                let mut changed = false;
                if let Some(common) = self.common(&all, |one, two| {
                    Error::new(ErrorKind::UndefinedFunction, format!("operator does not exist: {two} = {one}"))
                })? {
                    changed = self.take_type(&mut all, &common)?;
                }
                let expr = all.pop().map(Box::new).ok_or_else(|| Error::internal("a list without a left side"))?;
                Ok(transformed(Expr::InList(InList { expr, list: all, negated: list.negated }), changed))
            }
            Expr::ScalarFunction(call) => self.call(call),
            Expr::AggregateFunction(call) => {
                self.check_aggregate(&call)?;
                Ok(Transformed::no(Expr::AggregateFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        }
    }

    fn field(&self, expr: &Expr) -> Option<FieldRef> {
        expr.to_field(self.schema).ok().map(|(_, field)| field)
    }

    /// The type that values side by side have; `None` where none of them has one yet, or all agree already.
    fn common(&self, values: &[Expr], mismatch: impl Fn(String, String) -> Error) -> Result<Option<FieldRef>> {
        let mut common: Option<(&Expr, FieldRef)> = None;
        for value in values.iter().filter(|value| !is_open(value)) {
            let Some(field) = self.field(value).filter(|field| !field.data_type().is_null()) else { continue };
            common = match common {
                None => Some((value, field)),
                Some((one, known)) => {
                    if let (Some(first), Some(second)) = (family(&known), family(&field))
                        && first != second
                    {
                        return Err(mismatch(type_name((one, &known)), type_name((value, &field))));
                    }
                    Some(if rank(&field) > rank(&known) { (value, field) } else { (one, known) })
                }
            };
        }
        Ok(common.map(|(_, field)| field))
    }

    /// Gives the values that have no type yet the common one; true when there were any.
    fn take_type(&self, values: &mut [Expr], common: &FieldRef) -> Result<bool> {
        let mut changed = false;
        for value in values {
            changed |= take_type(value, common, self.session)?;
        }
        Ok(changed)
    }

    fn case(&self, mut case: Case) -> Result<Transformed<Expr>> {
        if case.expr.is_none() {
            for (condition, _) in &case.when_then_expr {
                let Some(field) = self.field(condition).filter(|_| !is_open(condition)) else { continue };
                if !matches!(field.data_type(), DataType::Boolean | DataType::Null) {
                    let given = type_name((condition, &field));
                    let message = format!("argument of CASE/WHEN must be type boolean, not type {given}");
                    return Err(Error::new(ErrorKind::DatatypeMismatch, message));
                }
            }
        }
        let branches = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
        let results: Vec<Expr> = branches.chain(case.else_expr.as_deref()).cloned().collect();
        let Some(common) = self.common(&results, |one, two| unmatched("CASE", &one, &two))? else {
            return Ok(Transformed::no(Expr::Case(case)));
        };
        let mut changed = false;
        for (_, then) in &mut case.when_then_expr {
            changed |= take_type(then, &common, self.session)?;
        }
        if let Some(otherwise) = &mut case.else_expr {
            changed |= take_type(otherwise, &common, self.session)?;
        }
        Ok(transformed(Expr::Case(case), changed))
    }

    fn call(&self, mut call: ScalarFunction) -> Result<Transformed<Expr>> {
        let mut changed = false;
        match call.name() {
            name @ ("coalesce" | "greatest" | "least") => {
                let name = name.to_uppercase();
                if let Some(common) = self.common(&call.args, |one, two| unmatched(&name, &one, &two))? {
                    changed = self.take_type(&mut call.args, &common)?;
                }
            }
            // What `x = ANY (array)` is planned as.
            "array_has" => {
                if let [array, element] = call.args.as_mut_slice()
                    && let Some(field) = self.field(element).filter(|field| !field.data_type().is_null())
                {
                    let of_elements = PgType::Array(Box::new(PgType::of(&field))).field("", true);
                    changed = take_type(array, &Arc::new(of_elements), self.session)?;
                }
            }
            name => {
                let taken = parameter_types(name, &call.args, |expr| self.field(expr));
                for (argument, pg_type) in call.args.iter_mut().zip(taken) {
                    // Text that stands for bytes is read as such; what other literals stand for, the function's own casts know.
                    if let Some(pg_type) = pg_type
                        && (matches!(argument, Expr::Placeholder(_)) || pg_type == PgType::Bytea)
                    {
                        changed |= take_type(argument, &Arc::new(pg_type.field("", true)), self.session)?;
                    }
                }
            }
        }
        Ok(transformed(Expr::ScalarFunction(call), changed))
    }

    fn check_aggregate(&self, call: &AggregateFunction) -> Result<()> {
        let types: Vec<PgType> =
            call.params.args.iter().filter_map(|expr| self.field(expr)).map(|field| PgType::of(&field)).collect();
        let is_wrong = match (call.func.name(), types.as_slice()) {
            ("max" | "min", [PgType::Bool]) => true,
            ("string_agg", [given, _]) => !is_text(&given.arrow()) && *given != PgType::Bytea,
            ("count", [_, _, ..]) => true,
            _ => false,
        };
        if !is_wrong {
            return Ok(());
        }
        let names: Vec<String> = types.iter().map(|pg_type| pg_type.bare().to_string()).collect();
        let message = format!("function {}({}) does not exist", call.func.name(), names.join(", "));
        Err(Error::new(ErrorKind::UndefinedFunction, message)
            .hint("No function matches the given name and argument types. You might need to add explicit type casts."))
    }
}

fn transformed(expr: Expr, changed: bool) -> Transformed<Expr> {
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}

fn unmatched(what: &str, one: &str, two: &str) -> Error {
    Error::new(ErrorKind::DatatypeMismatch, format!("{what} types {one} and {two} cannot be matched"))
}

/// True for what may still take any type.
fn is_open(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_open(&alias.expr),
        Expr::Placeholder(Placeholder { field, .. }) => field.is_none(),
        other => is_text_literal(other),
    }
}

/// Numbers by how much they hold.
fn rank(field: &Field) -> u8 {
    match PgType::of(field) {
        PgType::Float4 => 3,
        PgType::Float8 => 4,
        PgType::Numeric(_) => 2,
        PgType::Int8 => 1,
        _ => 0,
    }
}

/// Makes a text literal or an untyped parameter a value of that type.
fn take_type(value: &mut Expr, common: &FieldRef, session: &Arc<FunctionContext>) -> Result<bool> {
    match value {
        Expr::Alias(alias) => return take_type(&mut alias.expr, common, session),
        Expr::Placeholder(placeholder) if placeholder.field.is_none() => placeholder.field = Some(Arc::clone(common)),
        literal if is_text_literal(literal) && !is_text(common.data_type()) => {
            let function = functions::scalar(CAST, session).ok_or_else(|| Error::internal("no function casts"))?;
            let pg_type = PgType::of(common).bare();
            if let Expr::Literal(value, _) = &*literal
                && let Some(Some(text)) = value.try_as_str()
            {
                // A literal that is no value of the type is an error also where it would never be looked at.
                convert(Value::Text(text.into()), &PgType::Text, &pg_type, &pg_type.arrow(), session)?;
            }
            let name = lit(pg_type.to_string());
            *literal = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![literal.clone(), name]));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The types that PostgreSQL's functions of a name take where the arguments have none: all candidates agree, or text.
fn parameter_types(name: &str, arguments: &[Expr], field: impl Fn(&Expr) -> Option<FieldRef>) -> Vec<Option<PgType>> {
    if !arguments.iter().any(is_open) {
        return Vec::new();
    }
    let given: Vec<Option<u8>> = arguments
        .iter()
        .map(|argument| if is_open(argument) { None } else { field(argument).and_then(|field| family(&field)) })
        .collect();
    let family_of = |oid: u32| type_of_oid(oid).and_then(|pg_type| family(&pg_type.field("", true)));
    let candidates: Vec<&Vec<u32>> = rows::functions()
        .iter()
        .filter(|row| row.name == name && row.arguments.len() == arguments.len())
        .map(|row| &row.arguments)
        .filter(|takes| takes.iter().zip(&given).all(|(oid, given)| given.is_none() || family_of(*oid) == *given))
        .collect();
    let agreed = |at: usize| {
        let mut types = candidates.iter().filter_map(|takes| type_of_oid(takes[at]));
        let first = types.next()?;
        types.all(|other| other == first).then_some(first)
    };
    (0..arguments.len()).map(agreed).collect()
}

/// A union whose literals have the types of the columns they meet.
fn same_columns(union: Union, session: &Arc<FunctionContext>) -> DataFusionResult<Transformed<LogicalPlan>> {
    let mut inputs: Vec<LogicalPlan> = union.inputs.iter().map(|input| input.as_ref().clone()).collect();
    let width = inputs.iter().map(|input| input.schema().fields().len()).min().unwrap_or(0);
    let mut changed = false;
    for column in 0..width {
        let is_free = |input: &LogicalPlan| item(input, column).is_some_and(|expr| is_open(expr) || is_null(expr));
        let Some(common) =
            inputs.iter().find(|input| !is_free(input)).map(|input| Arc::clone(&input.schema().fields()[column]))
        else {
            continue;
        };
        for input in inputs.iter_mut().filter(|input| is_free(input)) {
            let LogicalPlan::Projection(projection) = input else { continue };
            let mut items = projection.expr.clone();
            if is_null(&items[column]) && !common.data_type().is_null() {
                let name = projection.schema.field(column).name().clone();
                items[column] = Expr::Literal(ScalarValue::try_from(common.data_type())?, None).alias(name);
            } else if !take_type(&mut items[column], &common, session)? {
                continue;
            }
            *input = LogicalPlan::Projection(Projection::try_new(items, Arc::clone(&projection.input))?);
            changed = true;
        }
    }
    let inputs: Vec<Arc<LogicalPlan>> = inputs.into_iter().map(Arc::new).collect();
    let schema = coerce_union_schema(&inputs)?;
    if !changed && schema == *union.schema.as_ref() {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let coerced =
        inputs.into_iter().map(|input| coerce_plan_expr_for_schema(Arc::unwrap_or_clone(input), &schema).map(Arc::new));
    let inputs = coerced.collect::<DataFusionResult<_>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union { inputs, schema: Arc::new(schema) })))
}

/// The item of a SELECT that is a column of a union.
fn item(input: &LogicalPlan, column: usize) -> Option<&Expr> {
    match input {
        LogicalPlan::Projection(projection) => projection.expr.get(column),
        _ => None,
    }
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_null(&alias.expr),
        Expr::Literal(value, _) => value.data_type().is_null(),
        _ => false,
    }
}
