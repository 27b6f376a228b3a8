//! `CAST` with PostgreSQL's meaning: what Arrow's casts do otherwise (rounding, spellings, printing) is done here.
//!
//! The shim turns `CAST(x AS type)` into `pg_cast(x, 'type')`. Where Arrow's cast means the same, the optimizer gets that
//! one back ([`CastFunction::simplify`]), so filters on plain columns stay as cheap to push down as ever.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, DataFusionError, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::catalog::pg_type::{PgType, parse_type_name};
use crate::engine::functions::FunctionContext;
use crate::engine::functions::kind::{is_decimal, is_text};
use crate::engine::functions::value;
use crate::error::{Error, ErrorKind, Result};

pub mod convert;
pub mod parse;
pub mod parse_time;
pub mod print;

#[cfg(test)]
mod tests;

/// The name under which the shim calls it.
pub const CAST: &str = "pg_cast";

/// `pg_cast(value, 'type name')`.
#[derive(Debug)]
pub struct CastFunction {
    signature: Signature,
    session: Arc<FunctionContext>,
    /// The value's field, as the call was planned; without it that one counts with which the call is run.
    source: Option<FieldRef>,
}

impl CastFunction {
    pub(super) fn new(session: Arc<FunctionContext>) -> Self {
        Self { signature: Signature::user_defined(Volatility::Stable), session, source: None }
    }

    /// The same cast for arguments of these fields, if it is not that already.
    pub(super) fn bound(&self, fields: &[FieldRef]) -> Option<Self> {
        let source = fields.first();
        (self.source.as_ref() != source)
            .then(|| Self { source: source.cloned(), ..Self::new(Arc::clone(&self.session)) })
    }

    /// The type that the second argument names.
    fn target(name: Option<&ScalarValue>) -> Result<PgType> {
        let name = name.and_then(|name| name.try_as_str().flatten());
        let name = name.ok_or_else(|| Error::internal("pg_cast needs the name of a type"))?;
        parse_type_name(name).ok_or_else(|| {
            Error::new(ErrorKind::UndefinedObject, format!("type \"{}\" does not exist", name.trim_matches('"')))
        })
    }

    fn run(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [operand, _] = args.args.as_slice() else { return Err(Error::internal("pg_cast takes two arguments")) };
        let (source, target) = (self.source.as_ref().unwrap_or(&args.arg_fields[0]), &args.return_field);
        let scalar = matches!(operand, ColumnarValue::Scalar(_));
        let array = operand.to_array(if scalar { 1 } else { args.number_rows })?;
        let cast = self.cast_array(&array, source, target)?;
        match scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?)),
            false => Ok(ColumnarValue::Array(cast)),
        }
    }

    fn cast_array(&self, array: &ArrayRef, source: &Field, target: &Field) -> Result<ArrayRef> {
        let (from, to) = (PgType::of(source), PgType::of(target));
        if source.data_type().is_null() || is_plain(source, target, &self.session) {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            return Ok(cast_with_options(array, target.data_type(), &strict)?);
        }
        let mut values = Vec::with_capacity(array.len());
        for row in 0..array.len() {
            values.push(convert::convert(
                value::read(array.as_ref(), row)?,
                &from,
                &to,
                target.data_type(),
                &self.session,
            )?);
        }
        value::build(target.data_type(), values)
    }
}

/// `CAST(values AS target)`, of values at hand.
pub fn cast_array(
    values: &ArrayRef,
    source: &Field,
    target: &PgType,
    session: &Arc<FunctionContext>,
) -> Result<ArrayRef> {
    CastFunction::new(Arc::clone(session)).cast_array(values, source, &result_field(source, None, target))
}

/// The field of `CAST(x AS target)`: `numeric` without a precision keeps the digits that the operand has.
fn result_field(source: &Field, literal: Option<&ScalarValue>, target: &PgType) -> FieldRef {
    let field = target.field(CAST, true);
    if *target != PgType::Numeric(None) {
        return Arc::new(field);
    }
    let written = literal.and_then(|value| value.try_as_str().flatten()).and_then(|text| parse::decimal(text).ok());
    let data_type = match (source.data_type(), written) {
        (given, _) if is_decimal(given) => given.clone(),
        (DataType::Int16, _) => DataType::Decimal128(5, 0),
        (DataType::Int32, _) => DataType::Decimal128(10, 0),
        (DataType::Int64 | DataType::UInt32, _) => DataType::Decimal128(20, 0),
        (_, Some((_, scale))) => DataType::Decimal128(38, scale.min(38)),
        (_, None) => field.data_type().clone(),
    };
    Arc::new(field.with_data_type(data_type))
}

/// True where Arrow's cast gives what PostgreSQL's does.
fn is_plain(source: &Field, target: &Field, session: &FunctionContext) -> bool {
    use DataType as D;
    let (from, to) = (source.data_type(), target.data_type());
    if PgType::of(target) == PgType::Text && PgType::of(source) != PgType::Text && !is_string_kind(&PgType::of(source))
    {
        return false;
    }
    match (from, to) {
        (from, D::Utf8View) if is_text(from) => PgType::of(target) == PgType::Text,
        (from, to) if is_text(from) || is_text(to) => false,
        (from, to) if from == to => !matches!(PgType::of(target), PgType::Reg(_)),
        // What windows and arrays count in.
        (D::UInt64, D::Int32 | D::Int64) => true,
        (D::Int16, D::Int32 | D::Int64) | (D::Int32, D::Int64) | (D::UInt32, D::Int64) => true,
        (D::Int16 | D::Int32 | D::Int64, D::Float32 | D::Float64) | (D::Float32, D::Float64) => true,
        (from, to) if is_decimal(to) => from.is_integer() || is_decimal(from),
        // With a negative scale Arrow divides by an inexact power.
        (D::Decimal128(_, scale) | D::Decimal256(_, scale), D::Float32 | D::Float64) => *scale >= 0,
        (D::Date32, D::Timestamp(_, None)) | (D::Timestamp(_, None), D::Date32) => true,
        (D::Timestamp(_, one), D::Timestamp(_, two)) if one.is_some() == two.is_some() => true,
        (D::Date32, D::Timestamp(_, Some(_))) | (D::Timestamp(_, _), D::Timestamp(_, _) | D::Date32) => {
            session.time_zone == chrono_tz::Tz::UTC
        }
        (D::List(one), D::List(two)) => is_plain(one, two, session),
        _ => false,
    }
}

/// True for `pg_cast(value, 'type')` whose result hangs on the session's settings, such as its time zone.
pub fn depends_on_session(arguments: &[Expr], schema: &DFSchema) -> DataFusionResult<bool> {
    let [operand, Expr::Literal(name, _)] = arguments else { return Ok(true) };
    let (from, to) = (PgType::of(operand.to_field(schema)?.1.as_ref()), CastFunction::target(Some(name))?);
    let is_moment = |pg_type: &PgType| matches!(pg_type, PgType::Timestamptz | PgType::Reg(_) | PgType::Array(_));
    let is_time =
        |pg_type: &PgType| matches!(pg_type, PgType::Date | PgType::Time | PgType::Timestamp | PgType::Interval);
    let is_text = |pg_type: &PgType| is_string_kind(pg_type) || matches!(pg_type, PgType::Text | PgType::Char(_));
    // A date that is written out is always the same; 'today' is not.
    let is_written =
        matches!(operand, Expr::Literal(value, _) if value.try_as_str().flatten().is_some_and(starts_with_digit));
    let reads_time = is_text(&from) && is_time(&to) && !is_written;
    Ok(from != to && (is_moment(&from) || is_moment(&to) || is_time(&from) && is_text(&to) || reads_time))
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

fn is_string_kind(pg_type: &PgType) -> bool {
    use PgType as P;
    matches!(pg_type, P::Varchar(_) | P::Name | P::InternalChar | P::Uuid | P::Json | P::Jsonb | P::Unknown)
}

impl PartialEq for CastFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.session, &other.session) && self.source == other.source
    }
}

impl Eq for CastFunction {}

impl Hash for CastFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        CAST.hash(state);
    }
}

impl ScalarUDFImpl for CastFunction {
    fn name(&self) -> &str {
        CAST
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Err(Error::internal("the type of a cast depends on its arguments").into())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        let target = Self::target(args.scalar_arguments.get(1).copied().flatten())?;
        Ok(result_field(&args.arg_fields[0], args.scalar_arguments.first().copied().flatten(), &target))
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> DataFusionResult<ExprSimplifyResult> {
        let [operand, Expr::Literal(name, _)] = args.as_slice() else { return Ok(ExprSimplifyResult::Original(args)) };
        let source = operand.to_field(info.schema().as_ref())?.1;
        let literal = match operand {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        };
        let target = result_field(&source, literal, &Self::target(Some(name))?);
        // What the metadata alone tells (uuid, varchar(n)) must stay a call: a literal of it keeps its field.
        if !target.metadata().is_empty() || !is_plain(&source, &target, &self.session) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let cast = match source.data_type() == target.data_type() && source.metadata().is_empty() {
            true => operand.clone(),
            false => Expr::Cast(Cast::new(Box::new(operand.clone()), target.data_type().clone())),
        };
        Ok(ExprSimplifyResult::Simplified(cast))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        self.run(&args).map_err(DataFusionError::from)
    }
}
