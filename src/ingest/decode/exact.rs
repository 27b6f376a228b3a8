//! Arrow columns of one type as those of another, where nothing is lost: what is cast back must be what it was.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewBuilder};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use arrow::util::display::array_value_to_string;

use super::column::Column;
use crate::catalog::pg_type::PgType;
use crate::engine::functions::cast::parse_time::Moment;
use crate::error::{Error, ErrorKind, Result};

/// Rows whose values do not fit, and why.
type Unfit = Vec<(usize, Error)>;

/// The values as a column of type `to` holds them. Where one does not fit, there is NULL.
pub(super) fn fit(values: &ArrayRef, field: &Field, to: &PgType, moment: Moment) -> Result<(ArrayRef, Unfit)> {
    let (from, stored) = (values.data_type(), to.arrow());
    if *from == stored {
        return Ok((Arc::clone(values), Unfit::new()));
    }
    match from {
        DataType::Dictionary(_, plain) => return fit(&cast(values, plain)?, field, to, moment),
        DataType::RunEndEncoded(_, plain) => return fit(&cast(values, plain.data_type())?, field, to, moment),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if stored != DataType::Utf8View => {
            return from_texts(&cast(values, &DataType::Utf8View)?, to, moment);
        }
        nested if nested.is_nested() && stored == DataType::Utf8View => return Ok((as_json(values)?, Unfit::new())),
        _ => {}
    }
    if !is_castable(&PgType::of(field), to) {
        let message = format!("the type is {to}, the value is of type {}", PgType::of(field));
        let clash = Error::new(ErrorKind::DatatypeMismatch, message);
        let there = (0..values.len()).filter(|row| values.is_valid(*row));
        let unfit = there.map(|row| (row, clash.clone())).collect();
        return Ok((arrow::array::new_null_array(&stored, values.len()), unfit));
    }
    let safe = CastOptions::default();
    let cast = cast_with_options(values, &stored, &safe)?;
    let back = cast_with_options(&cast, from, &safe)?;
    Ok((cast, lost(values, &back, to)))
}

/// The rows whose values are not what they were.
fn lost(before: &ArrayRef, after: &ArrayRef, to: &PgType) -> Unfit {
    if before.to_data() == after.to_data() {
        return Unfit::new();
    }
    let differs = |row: &usize| before.slice(*row, 1).to_data() != after.slice(*row, 1).to_data();
    let error = |row| {
        let value = array_value_to_string(before, row).unwrap_or_default();
        Error::new(ErrorKind::NumericValueOutOfRange, format!("value \"{value}\" does not fit type {to} exactly"))
    };
    (0..before.len()).filter(differs).map(|row| (row, error(row))).collect()
}

fn from_texts(texts: &ArrayRef, to: &PgType, moment: Moment) -> Result<(ArrayRef, Unfit)> {
    let (mut column, mut unfit) = (Column::new(to, moment)?, Unfit::new());
    for (row, text) in texts.as_string_view().iter().enumerate() {
        let pushed = text.map(|text| column.push_text(text));
        if let Some(Err(error)) = pushed {
            unfit.push((row, error));
        }
        if column.len() == row {
            column.push_null();
        }
    }
    Ok((column.finish()?, unfit))
}

/// Nested values as JSON texts.
fn as_json(values: &ArrayRef) -> Result<ArrayRef> {
    let schema = Schema::new(vec![Field::new("v", values.data_type().clone(), true)]);
    let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(values)])?;
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    writer.write(&rows)?;
    writer.finish()?;
    drop(writer);
    let text = String::from_utf8(text).map_err(|_| Error::internal("JSON was written that is no UTF-8"))?;
    let mut texts = StringViewBuilder::with_capacity(values.len());
    for (row, line) in text.lines().enumerate() {
        let value = line.strip_prefix("{\"v\":").and_then(|line| line.strip_suffix('}'));
        texts.append_option(value.filter(|_| values.is_valid(row)));
    }
    Ok(Arc::new(texts.finish()))
}

/// True where values of one type can mean the same as values of the other.
fn is_castable(from: &PgType, to: &PgType) -> bool {
    use PgType as P;
    let is_number = |pg_type: &P| {
        matches!(pg_type, P::Int2 | P::Int4 | P::Int8 | P::Float4 | P::Float8 | P::Numeric(_) | P::Oid | P::Reg(_))
    };
    let is_moment = |pg_type: &P| matches!(pg_type, P::Date | P::Timestamp | P::Timestamptz);
    let is_text = |pg_type: &P| matches!(pg_type, P::Text | P::Varchar(_) | P::Char(_));
    match (from, to) {
        (P::Array(from), P::Array(to)) => is_castable(from, to),
        (from, to) => {
            from == to
                || (is_number(from) && is_number(to))
                || (is_moment(from) && is_moment(to))
                || (is_text(to) && (is_number(from) || is_moment(from) || matches!(from, P::Bool | P::Bytea)))
                || to.arrow() == DataType::Utf8View && from.arrow() == DataType::Utf8View
        }
    }
}
