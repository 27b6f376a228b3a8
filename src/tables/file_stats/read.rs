//! Statistics out of Delta's log, whoever wrote it.
//!
//! Other writers cut timestamps to milliseconds, shorten texts and leave NaN out of floating-point bounds; bounds are widened
//! or dropped accordingly. Numbers are read from their digits, so that decimals lose none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::common::ScalarValue;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{ColumnStats, FileStats, INEXACT_TAG, has_bounds};
use crate::error::{Error, ErrorKind, Result};

/// The parts of Delta's statistics that we read, values still as text.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatsText<'a> {
    num_records: Option<i64>,
    tight_bounds: Option<bool>,
    #[serde(borrow)]
    min_values: Group<'a>,
    #[serde(borrow)]
    max_values: Group<'a>,
    #[serde(borrow)]
    null_count: Group<'a>,
}

/// A JSON object whose values stay text. A `Vec`, because a map would cost more than the few look-ups it saves.
#[derive(Default)]
struct Group<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Group<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Group<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of column names and values")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Group::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    pairs.push((name, map.next_value::<&'de RawValue>()?));
                }
                Ok(Group(pairs))
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

/// A key that borrows where it holds no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Which writer's habits the values follow.
struct Habits {
    /// Our own writer: bounds hold for NaN too, and are values but for the named columns.
    own: Option<Vec<String>>,
    tight: bool,
}

pub(super) fn read(json: &str, schema: &Schema, tags: &BTreeMap<String, String>) -> Result<(Option<u64>, FileStats)> {
    let text: StatsText<'_> = serde_json::from_str(json).map_err(|error| {
        Error::new(ErrorKind::DataCorrupted, "the log holds statistics that are not valid JSON")
            .detail(error.to_string())
    })?;
    let own = tags.get(INEXACT_TAG).and_then(|names| serde_json::from_str(names).ok());
    let habits = Habits { own, tight: text.tight_bounds.unwrap_or(true) };
    let mut columns: BTreeMap<Arc<str>, ColumnStats> = BTreeMap::new();
    let mut at = |name: &str, set: &mut dyn FnMut(&Field, &mut ColumnStats)| {
        if let Ok(field) = schema.field_with_name(name) {
            match columns.get_mut(name) {
                Some(stats) => set(field, stats),
                None => set(field, columns.entry(name.into()).or_default()),
            }
        }
    };
    for (name, value) in &text.min_values.0 {
        at(name, &mut |field, stats| stats.min = habits.bound(field, value.get(), Side::Min));
    }
    for (name, value) in &text.max_values.0 {
        at(name, &mut |field, stats| stats.max = habits.bound(field, value.get(), Side::Max));
    }
    // Where bounds are wide, so is the count of nulls: rows that a deletion vector hides are in it.
    for (name, value) in text.null_count.0.iter().filter(|_| habits.tight) {
        at(name, &mut |_, stats| stats.null_count = value.get().parse().ok());
    }
    for (name, stats) in &mut columns {
        let data_type = schema.field_with_name(name).map_or(&DataType::Null, |field| field.data_type());
        stats.exact = habits.exact(name, data_type, stats);
    }
    Ok((text.num_records.and_then(|rows| u64::try_from(rows).ok()), FileStats { columns }))
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Min,
    Max,
}

impl Habits {
    /// Whether the bounds of a column are values of it.
    fn exact(&self, column: &str, data_type: &DataType, stats: &ColumnStats) -> bool {
        use DataType as T;
        let by_writer = match (&self.own, data_type) {
            (Some(inexact), _) => !inexact.iter().any(|name| name == column),
            (None, T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Date32) => true,
            (None, T::Decimal128(..)) => [&stats.min, &stats.max].into_iter().flatten().all(survives_a_float),
            (None, _) => false,
        };
        self.tight && by_writer
    }

    /// The bound that a JSON value means for a column, widened by what its writer may have cut off.
    fn bound(&self, field: &Field, text: &str, side: Side) -> Option<ScalarValue> {
        let data_type = field.data_type();
        if !has_bounds(data_type) || text == "null" {
            return None;
        }
        match data_type {
            // Other writers leave NaN out of the bounds, but `x > 1` is true for NaN.
            DataType::Float32 | DataType::Float64 if self.own.is_none() => None,
            DataType::Float32 => text.parse().ok().map(|value| ScalarValue::Float32(Some(value))),
            DataType::Float64 => text.parse().ok().map(|value| ScalarValue::Float64(Some(value))),
            DataType::Decimal128(precision, scale) => {
                let unscaled = self.decimal(text.trim_matches('"'), *scale, side)?;
                Some(ScalarValue::Decimal128(Some(unscaled), *precision, *scale))
            }
            DataType::Boolean => text.parse().ok().map(|value| ScalarValue::Boolean(Some(value))),
            DataType::Date32 => {
                let date = NaiveDate::parse_from_str(&unquoted(text)?, "%Y-%m-%d").ok()?;
                let days = date.signed_duration_since(NaiveDate::default()).num_days();
                Some(ScalarValue::Date32(Some(i32::try_from(days).ok()?)))
            }
            DataType::Timestamp(unit, zone) => self.timestamp(&unquoted(text)?, *unit, zone.clone(), side),
            DataType::Utf8 => Some(ScalarValue::Utf8(Some(unquoted(text)?))),
            DataType::LargeUtf8 => Some(ScalarValue::LargeUtf8(Some(unquoted(text)?))),
            DataType::Utf8View => Some(ScalarValue::Utf8View(Some(unquoted(text)?))),
            _ => integer(text, data_type),
        }
    }

    /// Other writers take decimals through 64-bit floats: a long one comes back a little off, to either side.
    fn decimal(&self, text: &str, scale: i8, side: Side) -> Option<i128> {
        let unscaled = decimal_digits(text, scale)?;
        if self.own.is_some() || unscaled.unsigned_abs() < FLOAT_SAFE_MAX {
            return Some(unscaled);
        }
        let slack = i128::try_from(unscaled.unsigned_abs() >> 49).ok()?;
        if side == Side::Min { unscaled.checked_sub(slack) } else { unscaled.checked_add(slack) }
    }

    fn timestamp(&self, text: &str, unit: TimeUnit, zone: Option<Arc<str>>, side: Side) -> Option<ScalarValue> {
        let micros = timestamp_micros(text)?;
        // Other writers cut to milliseconds, and to either side before 1970.
        let slack = if self.own.is_some() { 0 } else { written_step_micros(text) };
        let micros = if side == Side::Min { micros.checked_sub(slack)? } else { micros.checked_add(slack)? };
        let micros = Some(micros);
        match unit {
            TimeUnit::Microsecond => Some(ScalarValue::TimestampMicrosecond(micros, zone)),
            _ => None,
        }
    }
}

fn unquoted(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

fn integer(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    match data_type {
        DataType::Int8 => text.parse().ok().map(|value| ScalarValue::Int8(Some(value))),
        DataType::Int16 => text.parse().ok().map(|value| ScalarValue::Int16(Some(value))),
        DataType::Int32 => text.parse().ok().map(|value| ScalarValue::Int32(Some(value))),
        DataType::Int64 => text.parse().ok().map(|value| ScalarValue::Int64(Some(value))),
        _ => None,
    }
}

/// The largest unscaled decimal that comes out of a trip through a 64-bit float unharmed, with some room for careless arithmetic.
const FLOAT_SAFE_MAX: u128 = 10_u128.pow(14);

fn survives_a_float(value: &ScalarValue) -> bool {
    matches!(value, ScalarValue::Decimal128(Some(unscaled), ..) if unscaled.unsigned_abs() < FLOAT_SAFE_MAX)
}

/// The unscaled digits of a JSON number, rounded where it has more digits than the scale holds.
fn decimal_digits(text: &str, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = i32::from(scale) + exponent - i32::try_from(fraction.len()).ok()?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    match shift {
        0.. => digits.checked_mul(power),
        _ => digits.checked_add(digits.signum() * (power / 2)).map(|rounded| rounded / power),
    }
}

/// Microseconds since 1970 of `2024-01-31T12:00:00[.ffffff][Z|+hh:mm]`; a blank may stand for the T.
pub(super) fn timestamp_micros(text: &str) -> Option<i64> {
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_micros());
    }
    let plain = text.trim_end_matches('Z').replacen(' ', "T", 1);
    Some(NaiveDateTime::parse_from_str(&plain, "%Y-%m-%dT%H:%M:%S%.f").ok()?.and_utc().timestamp_micros())
}

/// One unit of the last digit that a timestamp was written with, in microseconds: what may have been cut off.
fn written_step_micros(text: &str) -> i64 {
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    match digits {
        6.. => 0,
        0 => 1_000_000,
        digits => 10_i64.pow(6 - u32::try_from(digits).unwrap_or(0)),
    }
}
