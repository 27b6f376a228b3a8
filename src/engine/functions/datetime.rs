//! Functions on dates, times and intervals, where DataFusion has none or answers otherwise.

use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use chrono::{Datelike, IsoWeek, NaiveDate, NaiveDateTime, Timelike};
use datafusion::common::DFSchema;
use datafusion::functions::datetime;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit, when};

use crate::catalog::pg_type::PgType;
use crate::engine::functions::FunctionContext;
use crate::engine::functions::cast::parse_time::{DAY_MICROS, add_months, local_to_utc, named_zone, utc_to_local};
use crate::engine::functions::cast::print::{civil, civil_time, micros_of_day};
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::Value;
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::stable("extract", EXTRACT).with_simpler(|args, schema, session| {
        Ok(plain_field(args, schema, session)?.map(|field| cast(field, DataType::Decimal128(20, 0))))
    }),
    Function::stable("date_part", DATE_PART).with_simpler(|args, schema, session| {
        Ok(plain_field(args, schema, session)?.map(|field| cast(field, DataType::Float64)))
    }),
    Function::stable("date_trunc", DATE_TRUNC).with_simpler(plain_trunc),
    Function::immutable("make_date", &[Overload::new(&[K::Int4, K::Int4, K::Int4], K::Date, make_date)]),
    Function::stable(
        "age",
        &[
            Overload::new(&[K::Timestamp, K::Timestamp], K::Interval, |a| age(micros(a, 0)?, micros(a, 1)?)),
            Overload::new(&[K::Timestamptz, K::Timestamptz], K::Interval, age_in_zone),
            Overload::new(&[K::Timestamp], K::Interval, |a| age(today(a)?, micros(a, 0)?)),
            Overload::new(&[K::Timestamptz], K::Interval, |a| {
                age(today(a)?, utc_to_local(micros(a, 0)?, &a.session.time_zone)?)
            }),
        ],
    ),
    Function::immutable(
        "make_timestamp",
        &[Overload::new(&[K::Int4, K::Int4, K::Int4, K::Int4, K::Int4, K::Float8], K::Timestamp, make_timestamp)],
    ),
    Function::stable(
        "make_timestamptz",
        &[Overload::new(&[K::Int4, K::Int4, K::Int4, K::Int4, K::Int4, K::Float8], K::Timestamptz, make_timestamptz)],
    ),
    Function::immutable("make_interval", &[Overload::variadic(&[K::Float8], K::Interval, make_interval)]),
    Function::immutable(
        "justify_days",
        &[Overload::new(&[K::Interval], K::Interval, |a| Ok(Value::Interval(justify_days(span(a, 0)?))))],
    ),
    Function::immutable(
        "justify_hours",
        &[Overload::new(&[K::Interval], K::Interval, |a| Ok(Value::Interval(justify_hours(span(a, 0)?))))],
    ),
    Function::immutable("justify_interval", &[Overload::new(&[K::Interval], K::Interval, justify_interval)]),
    Function::immutable("isfinite", &[Overload::new(&[K::Any], K::Bool, |_| Ok(Value::Bool(true)))]),
    Function::immutable(
        "timezone",
        &[
            Overload::new(&[K::Text, K::Timestamptz], K::Timestamp, to_zone),
            Overload::new(&[K::Text, K::Timestamp], K::Timestamptz, from_zone),
        ],
    ),
    Function::immutable(
        "timestamp_difference",
        &[
            Overload::new(&[K::Timestamp, K::Timestamp], K::Interval, difference),
            Overload::new(&[K::Timestamptz, K::Timestamptz], K::Interval, difference),
        ],
    ),
    Function::immutable("interval_length", &[Overload::new(&[K::Interval], K::Whole, interval_length)]),
    Function::immutable("date_add_days", &[Overload::new(&[K::Date, K::Int8], K::Date, add_days)]),
    Function::immutable("date_difference", &[Overload::new(&[K::Date, K::Date], K::Int4, date_difference)]),
    Function::stable("timestamptz_add", &[Overload::new(&[K::Timestamptz, K::Interval], K::Timestamptz, add_in_zone)]),
    Function::immutable("interval_scale", &[Overload::new(&[K::Interval, K::Float8], K::Interval, scale_interval)]),
];

const EXTRACT: &[Overload] = &[
    Overload::new(&[K::Text, K::Timestamp], K::Field, extract_timestamp),
    Overload::new(&[K::Text, K::Timestamptz], K::Field, extract_timestamptz),
    Overload::new(&[K::Text, K::Date], K::Field, extract_timestamp),
    Overload::new(&[K::Text, K::Interval], K::Field, extract_interval),
    Overload::new(&[K::Text, K::Time], K::Field, extract_time),
];

const DATE_PART: &[Overload] = &[
    Overload::new(&[K::Text, K::Timestamp], K::Float8, |a| as_float(extract_timestamp(a)?)),
    Overload::new(&[K::Text, K::Timestamptz], K::Float8, |a| as_float(extract_timestamptz(a)?)),
    Overload::new(&[K::Text, K::Date], K::Float8, |a| as_float(extract_timestamp(a)?)),
    Overload::new(&[K::Text, K::Interval], K::Float8, |a| as_float(extract_interval(a)?)),
    Overload::new(&[K::Text, K::Time], K::Float8, |a| as_float(extract_time(a)?)),
];

const DATE_TRUNC: &[Overload] = &[
    Overload::new(&[K::Text, K::Timestamp], K::Timestamp, |a| {
        Ok(Value::Timestamp(truncated(a.text(0)?, micros(a, 1)?, "timestamp without time zone")?))
    }),
    // A date is the moment that it begins at, as PostgreSQL prefers it to be.
    Overload::new(&[K::Text, K::Date], K::Timestamptz, |a| {
        let local = truncated(a.text(0)?, micros(a, 1)?, "timestamp with time zone")?;
        Ok(Value::Timestamp(local_to_utc(local, &a.session.time_zone)?))
    }),
    Overload::new(&[K::Text, K::Timestamptz], K::Timestamptz, |a| truncated_in_zone(a, &a.session.time_zone)),
    Overload::new(&[K::Text, K::Timestamptz, K::Text], K::Timestamptz, |a| truncated_in_zone(a, &zone_of(a.text(2)?)?)),
    Overload::new(&[K::Text, K::Interval], K::Interval, truncated_interval),
];

/// DataFusion's `date_part`, where it means what PostgreSQL's `extract` means.
fn plain_field(args: &[Expr], schema: &DFSchema, session: &FunctionContext) -> Result<Option<Expr>> {
    const PLAIN: &[&str] = &["year", "quarter", "month", "week", "day", "hour", "minute", "dow", "doy"];
    if !is_plain(args, PLAIN, schema, session)? {
        return Ok(None);
    }
    let part = datetime::date_part().call(args.to_vec());
    let is_year = matches!(&args[0], Expr::Literal(field, _)
        if field.try_as_str().flatten().is_some_and(|field| field.eq_ignore_ascii_case("year")));
    // There is no year 0: 1 BC comes before AD 1.
    Ok(Some(match is_year {
        true => when(part.clone().gt(lit(0)), part.clone()).otherwise(part - lit(1))?,
        false => part,
    }))
}

/// DataFusion's `date_trunc`, where it means what PostgreSQL's means.
fn plain_trunc(args: &[Expr], schema: &DFSchema, session: &FunctionContext) -> Result<Option<Expr>> {
    const PLAIN: &[&str] = &["year", "quarter", "month", "week", "day", "hour", "minute", "second"];
    if !is_plain(args, PLAIN, schema, session)? {
        return Ok(None);
    }
    if args[1].get_type(schema)? != DataType::Date32 {
        return Ok(Some(datetime::date_trunc().call(args.to_vec())));
    }
    let midnight = cast(args[1].clone(), PgType::Timestamptz.arrow());
    let plain = session.time_zone == chrono_tz::Tz::UTC;
    Ok(plain.then(|| datetime::date_trunc().call(vec![args[0].clone(), midnight])))
}

/// True for one of the fields of a date or a timestamp that needs no time zone.
fn is_plain(args: &[Expr], fields: &[&str], schema: &DFSchema, session: &FunctionContext) -> Result<bool> {
    let [Expr::Literal(field, _), operand] = args else { return Ok(false) };
    let is_known = field.try_as_str().flatten().is_some_and(|field| fields.contains(&field.to_lowercase().as_str()));
    Ok(is_known
        && match operand.get_type(schema)? {
            DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, None) => true,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => session.time_zone == chrono_tz::Tz::UTC,
            _ => false,
        })
}

/// Days and months later by the session's clocks, then the rest.
fn add_in_zone(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let Value::Interval(span) = &arguments.values[1] else { return Err(Error::internal("interval expected")) };
    let (moment, zone) = (micros(arguments, 0)?, &arguments.session.time_zone);
    let whole_days = IntervalMonthDayNano::new(span.months, span.days, 0);
    let local = moved(utc_to_local(moment, zone)?, whole_days)?;
    Ok(Value::Timestamp(local_to_utc(local, zone)? + span.nanoseconds / 1000))
}

fn as_float(number: Value<'static>) -> Result<Value<'static>> {
    match number {
        Value::Decimal(digits, scale) => Ok(Value::Float(digits as f64 / 10f64.powi(scale.into()))),
        other => Err(Error::internal(format!("extract gave {other:?}"))),
    }
}

/// The beginning of the unit that a moment lies in.
fn truncated(unit: &str, micros: i64, pg_type: &str) -> Result<i64> {
    let date = civil_time(micros)?.date();
    let days = match unit.to_ascii_lowercase().trim_end_matches('s') {
        "microsecond" => return Ok(micros),
        "millisecond" => return Ok(micros - micros.rem_euclid(1000)),
        "second" => return Ok(micros - micros.rem_euclid(1_000_000)),
        "minute" => return Ok(micros - micros.rem_euclid(60_000_000)),
        "hour" => return Ok(micros - micros.rem_euclid(3_600_000_000)),
        "day" => Some(date),
        "week" => Some(date.week(chrono::Weekday::Mon).first_day()),
        "month" => date.with_day(1),
        "quarter" => NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1),
        "year" => NaiveDate::from_ymd_opt(date.year(), 1, 1),
        "decade" => NaiveDate::from_ymd_opt(date.year().div_euclid(10) * 10, 1, 1),
        "century" | "centurie" => NaiveDate::from_ymd_opt((date.year() - 1).div_euclid(100) * 100 + 1, 1, 1),
        "millennium" | "millennia" => NaiveDate::from_ymd_opt((date.year() - 1).div_euclid(1000) * 1000 + 1, 1, 1),
        _ => return Err(unknown_field(unit, pg_type)),
    };
    Ok(i64::from(days.ok_or_else(out_of_range)?.to_epoch_days()) * DAY_MICROS)
}

fn truncated_in_zone(arguments: &Arguments<'_>, zone: &chrono_tz::Tz) -> Result<Value<'static>> {
    let local = utc_to_local(micros(arguments, 1)?, zone)?;
    Ok(Value::Timestamp(local_to_utc(truncated(arguments.text(0)?, local, "timestamp with time zone")?, zone)?))
}

fn truncated_interval(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let span = span(arguments, 1)?;
    let unit = arguments.text(0)?.to_ascii_lowercase();
    let months = |length: i32| IntervalMonthDayNano::new(span.months / length * length, 0, 0);
    let nanos = |length: i64| IntervalMonthDayNano::new(span.months, span.days, span.nanoseconds / length * length);
    Ok(Value::Interval(match unit.trim_end_matches('s') {
        "microsecond" => span,
        "millisecond" => nanos(1_000_000),
        "second" => nanos(1_000_000_000),
        "minute" => nanos(60_000_000_000),
        "hour" => nanos(3_600_000_000_000),
        "day" => IntervalMonthDayNano::new(span.months, span.days, 0),
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        "decade" => months(120),
        "century" | "centurie" => months(1200),
        "millennium" | "millennia" => months(12_000),
        _ => return Err(unknown_field(&unit, "interval")),
    }))
}

fn make_date(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (year, month, day) = (arguments.integer(0)?, arguments.integer(1)?, arguments.integer(2)?);
    // There is no year 0: -1 is the year before 1.
    let civil = i32::try_from(if year < 0 { year + 1 } else { year }).ok().filter(|_| year != 0);
    let date = civil.and_then(|year| NaiveDate::from_ymd_opt(year, month.try_into().ok()?, day.try_into().ok()?));
    let date = date.ok_or_else(|| {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        Error::new(ErrorKind::DatetimeFieldOverflow, message)
    })?;
    Ok(Value::Date(date.to_epoch_days()))
}

fn micros(arguments: &Arguments<'_>, at: usize) -> Result<i64> {
    match arguments.values.get(at) {
        Some(Value::Timestamp(micros)) => Ok(*micros),
        Some(Value::Date(days)) => Ok(i64::from(*days) * DAY_MICROS),
        other => Err(Error::internal(format!("timestamp expected, not {other:?}"))),
    }
}

fn span(arguments: &Arguments<'_>, at: usize) -> Result<IntervalMonthDayNano> {
    match arguments.values.get(at) {
        Some(Value::Interval(span)) => Ok(*span),
        other => Err(Error::internal(format!("interval expected, not {other:?}"))),
    }
}

fn out_of_range() -> Error {
    Error::new(ErrorKind::DatetimeFieldOverflow, "timestamp out of range")
}

fn today(arguments: &Arguments<'_>) -> Result<i64> {
    let local = utc_to_local(arguments.session.started_at.timestamp_micros(), &arguments.session.time_zone)?;
    Ok(local.div_euclid(DAY_MICROS) * DAY_MICROS)
}

/// Six digits after the point: what `extract` shows for seconds.
fn with_micros(micros: i64) -> Value<'static> {
    Value::Decimal(i128::from(micros), 6)
}

fn whole(number: i64) -> Value<'static> {
    Value::Decimal(i128::from(number) * 1_000_000, 6)
}

fn unknown_field(field: &str, pg_type: &str) -> Error {
    Error::new(ErrorKind::InvalidParameterValue, format!("unit \"{field}\" not recognized for type {pg_type}"))
}

fn extract_timestamptz(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let utc = micros(arguments, 1)?;
    let local = utc_to_local(utc, &arguments.session.time_zone)?;
    let offset_seconds = (local - utc) / 1_000_000;
    match arguments.text(0)?.to_ascii_lowercase().as_str() {
        "epoch" => Ok(with_micros(utc)),
        "timezone" => Ok(whole(offset_seconds)),
        "timezone_hour" => Ok(whole(offset_seconds / 3600)),
        "timezone_minute" => Ok(whole(offset_seconds / 60 % 60)),
        field => extract_local(field, local, "timestamp with time zone"),
    }
}

fn extract_timestamp(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let local = micros(arguments, 1)?;
    match arguments.text(0)?.to_ascii_lowercase().as_str() {
        "epoch" => Ok(with_micros(local)),
        field => extract_local(field, local, "timestamp without time zone"),
    }
}

fn extract_local(field: &str, local: i64, pg_type: &str) -> Result<Value<'static>> {
    let moment = civil_time(local)?;
    let in_minute = local.rem_euclid(60_000_000);
    let year = i64::from(moment.year());
    // No year 0: years before 1 are counted down from -1.
    let century = |length: i64| if year > 0 { (year + length - 1) / length } else { -((length - year) / length) };
    Ok(match field.trim_end_matches('s') {
        "second" => with_micros(in_minute),
        "millisecond" | "msec" => Value::Decimal(i128::from(in_minute) * 1000, 6),
        "microsecond" | "usec" | "u" => whole(in_minute),
        "minute" => whole(moment.minute().into()),
        "hour" => whole(moment.hour().into()),
        "day" => whole(moment.day().into()),
        "dow" => whole(moment.weekday().num_days_from_sunday().into()),
        "isodow" => whole(moment.weekday().number_from_monday().into()),
        "doy" => whole(moment.ordinal().into()),
        "week" => whole(iso(&moment).week().into()),
        "isoyear" => whole(iso(&moment).year().into()),
        "month" => whole(moment.month().into()),
        "quarter" => whole((moment.month0() / 3 + 1).into()),
        "year" => whole(if year > 0 { year } else { year - 1 }),
        "decade" => whole(year.div_euclid(10)),
        "century" | "centurie" => whole(century(100)),
        "millennium" | "millennia" => whole(century(1000)),
        "julian" => whole(i64::from(moment.date().to_epoch_days()) + 2_440_588),
        _ => return Err(unknown_field(field, pg_type)),
    })
}

fn iso(moment: &NaiveDateTime) -> IsoWeek {
    moment.iso_week()
}

fn extract_time(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let Value::Time(micros) = &arguments.values[1] else { return Err(Error::internal("time expected")) };
    match arguments.text(0)?.to_ascii_lowercase().as_str() {
        "epoch" => Ok(with_micros(*micros)),
        field @ ("day" | "month" | "year" | "dow" | "doy" | "week" | "quarter") => {
            Err(unknown_field(field, "time without time zone"))
        }
        field => extract_local(field, *micros, "time without time zone"),
    }
}

fn extract_interval(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let span = span(arguments, 1)?;
    let (months, micros) = (i64::from(span.months), span.nanoseconds / 1000);
    let in_minute = micros % 60_000_000;
    let field = arguments.text(0)?.to_ascii_lowercase();
    Ok(match field.trim_end_matches('s') {
        "second" => with_micros(in_minute),
        "millisecond" | "msec" => Value::Decimal(i128::from(in_minute) * 1000, 6),
        "microsecond" | "usec" => whole(in_minute),
        "minute" => whole(micros / 60_000_000 % 60),
        "hour" => whole(micros / 3_600_000_000),
        "day" => whole(span.days.into()),
        "month" => whole(months % 12),
        "quarter" => whole(months % 12 / 3 + 1),
        "year" => whole(months / 12),
        "decade" => whole(months / 120),
        "century" => whole(months / 1200),
        "millennium" => whole(months / 12_000),
        // A year counts 365.25 days here, as in PostgreSQL.
        "epoch" => with_micros(
            (months / 12) * 31_557_600_000_000
                + (months % 12) * 30 * DAY_MICROS
                + i64::from(span.days) * DAY_MICROS
                + micros,
        ),
        _ => return Err(unknown_field(&field, "interval")),
    })
}

fn age_in_zone(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let zone = &arguments.session.time_zone;
    age(utc_to_local(micros(arguments, 0)?, zone)?, utc_to_local(micros(arguments, 1)?, zone)?)
}

/// The difference in years, months, days and time, counted from the earlier one.
fn age(later: i64, earlier: i64) -> Result<Value<'static>> {
    let (sign, later, earlier) = if later < earlier { (-1, earlier, later) } else { (1, later, earlier) };
    let (end, start) = (civil_time(later)?, civil_time(earlier)?);
    let mut months = (end.year() - start.year()) * 12 + end.month().cast_signed() - start.month().cast_signed();
    let mut days = end.day().cast_signed() - start.day().cast_signed();
    let mut rest = micros_of_day(&end) - micros_of_day(&start);
    if rest < 0 {
        rest += DAY_MICROS;
        days -= 1;
    }
    if days < 0 {
        // PostgreSQL borrows the days of the earlier date's month.
        days += days_of_month(start.date());
        months -= 1;
    }
    Ok(Value::Interval(IntervalMonthDayNano::new(sign * months, sign * days, i64::from(sign) * rest * 1000)))
}

fn days_of_month(date: NaiveDate) -> i32 {
    i32::from(date.num_days_in_month())
}

fn make_timestamp(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let part = |at: usize| arguments.integer(at);
    let small = |at: usize| part(at).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let date =
        i32::try_from(part(0)?).ok().and_then(|year| NaiveDate::from_ymd_opt(year, small(1).ok()?, small(2).ok()?));
    let (hour, minute, second) = (part(3)?, part(4)?, arguments.float(5)?);
    let clock_fits = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    let date = date.filter(|_| clock_fits).ok_or_else(|| {
        Error::new(ErrorKind::DatetimeFieldOverflow, "date/time field value out of range in make_timestamp")
    })?;
    let clock = hour * 3_600_000_000 + minute * 60_000_000 + (second * 1e6).round() as i64;
    Ok(Value::Timestamp(i64::from(date.to_epoch_days()) * DAY_MICROS + clock))
}

fn make_timestamptz(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    match make_timestamp(arguments)? {
        Value::Timestamp(local) => Ok(Value::Timestamp(local_to_utc(local, &arguments.session.time_zone)?)),
        other => Ok(other),
    }
}

/// Years, months, weeks, days, hours, minutes, seconds; 0 where not given.
fn make_interval(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let part = |at: usize| if arguments.is_null(at) { Ok(0.0) } else { arguments.float(at) };
    let months = part(0)? * 12.0 + part(1)?;
    let days = part(2)? * 7.0 + part(3)?;
    let nanos = (part(4)? * 3600.0 + part(5)? * 60.0 + part(6)?) * 1e9;
    Ok(Value::Interval(IntervalMonthDayNano::new(months as i32, days as i32, nanos as i64)))
}

fn justify_days(span: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let (mut months, mut days) = (span.months + span.days / 30, span.days % 30);
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - 30);
    }
    IntervalMonthDayNano::new(months, days, span.nanoseconds)
}

fn justify_hours(span: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let day = DAY_MICROS * 1000;
    let whole_days = i32::try_from(span.nanoseconds / day).unwrap_or(0);
    let (mut days, mut nanos) = (span.days.saturating_add(whole_days), span.nanoseconds % day);
    if days > 0 && nanos < 0 {
        (days, nanos) = (days - 1, nanos + day);
    } else if days < 0 && nanos > 0 {
        (days, nanos) = (days + 1, nanos - day);
    }
    IntervalMonthDayNano::new(span.months, days, nanos)
}

/// All three parts with one sign: whole days out of the time, whole months out of the days, then borrow.
fn justify_interval(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let span = span(arguments, 0)?;
    let day = DAY_MICROS * 1000;
    let whole_days = i32::try_from(span.nanoseconds / day).unwrap_or(0);
    let (mut days, mut nanos) = (span.days.saturating_add(whole_days), span.nanoseconds % day);
    let mut months = span.months.saturating_add(days / 30);
    days %= 30;
    if months > 0 && (days < 0 || days == 0 && nanos < 0) {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && (days > 0 || days == 0 && nanos > 0) {
        (months, days) = (months + 1, days - 30);
    }
    if days > 0 && nanos < 0 {
        (days, nanos) = (days - 1, nanos + day);
    } else if days < 0 && nanos > 0 {
        (days, nanos) = (days + 1, nanos - day);
    }
    Ok(Value::Interval(IntervalMonthDayNano::new(months, days, nanos)))
}

fn zone_of(name: &str) -> Result<chrono_tz::Tz> {
    named_zone(name)
        .ok_or_else(|| Error::new(ErrorKind::InvalidParameterValue, format!("time zone \"{name}\" not recognized")))
}

fn to_zone(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Timestamp(utc_to_local(micros(arguments, 1)?, &zone_of(arguments.text(0)?)?)?))
}

fn from_zone(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Timestamp(local_to_utc(micros(arguments, 1)?, &zone_of(arguments.text(0)?)?)?))
}

/// Microseconds of an interval, as its comparisons count them: 30 days a month, 24 hours a day.
fn interval_length(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let span = span(arguments, 0)?;
    let days = i128::from(span.months) * 30 + i128::from(span.days);
    Ok(Value::Decimal(days * i128::from(DAY_MICROS) + i128::from(span.nanoseconds / 1000), 0))
}

/// `timestamp - timestamp`: whole days and the rest.
fn difference(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let all = micros(arguments, 0)?.checked_sub(micros(arguments, 1)?).ok_or_else(out_of_range)?;
    let days = i32::try_from(all / DAY_MICROS).map_err(|_| out_of_range())?;
    Ok(Value::Interval(IntervalMonthDayNano::new(0, days, all % DAY_MICROS * 1000)))
}

fn days(arguments: &Arguments<'_>, at: usize) -> Result<i32> {
    match arguments.values.get(at) {
        Some(Value::Date(days)) => Ok(*days),
        other => Err(Error::internal(format!("date expected, not {other:?}"))),
    }
}

fn add_days(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let sum = i64::from(days(arguments, 0)?).checked_add(arguments.integer(1)?).and_then(|sum| i32::try_from(sum).ok());
    let sum = sum.ok_or_else(|| Error::new(ErrorKind::DatetimeFieldOverflow, "date out of range"))?;
    civil(sum)?;
    Ok(Value::Date(sum))
}

fn date_difference(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Int(i64::from(days(arguments, 0)?) - i64::from(days(arguments, 1)?)))
}

/// `interval * number`: a fraction of a month becomes days, a fraction of a day time.
fn scale_interval(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (span, factor) = (span(arguments, 0)?, arguments.float(1)?);
    let months = f64::from(span.months) * factor;
    let days = f64::from(span.days) * factor + months.fract() * 30.0;
    let micros = (span.nanoseconds / 1000) as f64 * factor + (days.fract() * DAY_MICROS as f64).round();
    let fits = |number: f64| number.abs() <= f64::from(i32::MAX);
    if !fits(months) || !fits(days) || micros.abs() > 9.2e15 {
        return Err(Error::new(ErrorKind::DatetimeFieldOverflow, "interval out of range"));
    }
    Ok(Value::Interval(IntervalMonthDayNano::new(
        months.trunc() as i32,
        days.trunc() as i32,
        micros.round() as i64 * 1000,
    )))
}

/// A timestamp moved by an interval: months first, then days, then time.
pub(super) fn moved(micros: i64, span: IntervalMonthDayNano) -> Result<i64> {
    let start = civil_time(micros)?;
    let date = add_months(start.date(), span.months).ok_or_else(out_of_range)?;
    let days = i64::from(date.to_epoch_days()) + i64::from(span.days);
    days.checked_mul(DAY_MICROS)
        .and_then(|day| day.checked_add(micros_of_day(&start) + span.nanoseconds / 1000))
        .ok_or_else(out_of_range)
}
