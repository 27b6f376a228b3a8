//! What DataFusion and Arrow say, in PostgreSQL's words and with its SQLSTATE.
//!
//! They tell errors apart by text alone, so each rule looks for a phrase of theirs and takes what stands behind it. A text
//! that no rule knows keeps its words. Invariant: a name in a message was in the text: nothing is guessed.

use super::{Error, ErrorKind as Kind};

const CASTS_HINT: &str =
    "No function matches the given name and argument types. You might need to add explicit type casts.";

/// A phrase, what ends the part behind it (nothing: the line), the class of the error and its message from that part.
type Rule = (&'static str, &'static str, Kind, fn(&str) -> String);

/// The first rule that fits gives the error.
pub(super) fn translated(text: &str) -> Option<Error> {
    if let Some(error) = function(text) {
        return Some(error);
    }
    PLANNING.iter().chain(RUNNING).find_map(|(start, end, kind, say)| {
        let rest = text.split_once(start)?.1;
        let part = if end.is_empty() { rest.lines().next().unwrap_or("") } else { rest.split_once(end)?.0 };
        Some(Error::new(*kind, say(part)))
    })
}

const PLANNING: &[Rule] = &[
    ("While expanding wildcard, column \"", "\" must appear in the GROUP BY", Kind::GroupingError, |column| {
        format!("column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function")
    }),
    ("ggregate function calls cannot be nested", "", Kind::GroupingError, |_| {
        "aggregate function calls cannot be nested".to_owned()
    }),
    ("ggregate functions are not allowed in the ", " clause", Kind::GroupingError, |clause| {
        format!("aggregate functions are not allowed in {clause}")
    }),
    ("to grouping function is not in grouping columns", "", Kind::GroupingError, |_| {
        "arguments to GROUPING must be grouping expressions of the associated query level".to_owned()
    }),
    ("o files found at ", ". Cannot infer", Kind::UndefinedFile, |url| format!("there is no file at \"{url}\"")),
    ("non-boolean predicate", "", Kind::DatatypeMismatch, |rest| {
        let given = rest.rsplit_once("returning ").map_or(rest, |(_, given)| given);
        format!("argument of WHERE must be type boolean, not type {}", sql_name(given))
    }),
    ("operator 'NOT' requires a boolean expression, got ", "", Kind::DatatypeMismatch, |given| {
        format!("argument of NOT must be type boolean, not type {}", sql_name(given))
    }),
    ("Union: Previous inputs were of type ", " on column", Kind::DatatypeMismatch, |types| {
        match types.split_once(", but got incompatible type ") {
            Some((one, two)) => format!("UNION types {} and {} cannot be matched", sql_name(one), sql_name(two)),
            None => format!("UNION types {types} cannot be matched"),
        }
    }),
    ("ailed to unify argument types of make_array: [", "]", Kind::DatatypeMismatch, |types| {
        format!("ARRAY types {} cannot be matched", arguments(types).join(" and "))
    }),
    ("array_element does not support type ", ". ", Kind::DatatypeMismatch, |given| {
        format!("cannot subscript type {} because it does not support subscripting", sql_name(given))
    }),
    ("isn't a common type to coerce ", " in ", Kind::UndefinedFunction, |types| {
        let (one, two) = types.split_once(" and ").unwrap_or((types, ""));
        format!("operator does not exist: {} ~~ {}", sql_name(one), sql_name(two))
    }),
    ("unnest() can only be applied to", "", Kind::UndefinedFunction, |_| {
        "function unnest does not exist for a type that is no array".to_owned()
    }),
    ("operator '-' only supports", "", Kind::UndefinedFunction, |_| {
        "operator does not exist: - of a type that is no number".to_owned()
    }),
    ("LIMIT must be >= 0", "", Kind::InvalidRowCountInLimit, |_| "LIMIT must not be negative".to_owned()),
    ("OFFSET must be >=0", "", Kind::InvalidRowCountInOffset, |_| "OFFSET must not be negative".to_owned()),
    ("Order by column out of bounds, specified: ", ",", Kind::InvalidColumnReference, |position| {
        format!("ORDER BY position {position} is not in select list")
    }),
    ("Order by index starts at 1", "", Kind::InvalidColumnReference, |_| {
        "ORDER BY position 0 is not in select list".to_owned()
    }),
    ("annot find column with position ", " in SELECT", Kind::InvalidColumnReference, |position| {
        format!("GROUP BY position {position} is not in select list")
    }),
    ("or SELECT DISTINCT, ORDER BY expressions ", " must appear", Kind::InvalidColumnReference, |_| {
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list".to_owned()
    }),
    (" queries have different number of columns", "", Kind::SyntaxError, |_| {
        "each UNION, INTERSECT or EXCEPT query must have the same number of columns".to_owned()
    }),
    ("WITH query name \"", "\" specified more than once", Kind::DuplicateAlias, |name| {
        format!("WITH query name \"{name}\" specified more than once")
    }),
    ("ource table contains ", " names given as column alias", Kind::InvalidColumnReference, |counts| {
        let (has, given) = counts.split_once(" columns but only ").unwrap_or((counts, "more"));
        format!("the table has {has} columns available but {given} columns specified")
    }),
    ("does not support logical expression WindowFunction", "", Kind::WindowingError, |_| {
        "window functions are not allowed here".to_owned()
    }),
    ("nvalid window frame: ", "", Kind::WindowingError, |what| format!("invalid window frame: {what}")),
    ("ercentile value must be between 0.0 and 1.0 inclusive, ", " is invalid", Kind::NumericValueOutOfRange, |given| {
        format!("percentile value {given} is not between 0 and 1")
    }),
];

const RUNNING: &[Rule] = &[
    ("is too large to store in a Decimal", "", Kind::NumericValueOutOfRange, |_| "numeric field overflow".to_owned()),
    ("is too small to store in a Decimal", "", Kind::NumericValueOutOfRange, |_| "numeric field overflow".to_owned()),
    ("an't cast value ", "", Kind::NumericValueOutOfRange, |rest| {
        format!("{} out of range", sql_name(rest.rsplit_once("to type ").map_or(rest, |(_, to)| to)))
    }),
    ("annot cast string '", " type", Kind::InvalidTextRepresentation, |rest| {
        let (given, to) = rest.rsplit_once("' to value of ").unwrap_or((rest, ""));
        format!("invalid input syntax for type {}: \"{given}\"", sql_name(to))
    }),
    ("rror parsing timestamp from '", "'", Kind::InvalidDatetimeFormat, |given| {
        format!("invalid input syntax for type timestamp: \"{given}\"")
    }),
    ("egex parse error:", "", Kind::InvalidRegularExpression, |_| "invalid regular expression".to_owned()),
    ("egular expression did not compile", "", Kind::InvalidRegularExpression, |_| {
        "invalid regular expression".to_owned()
    }),
    ("ate part '", "' not supported", Kind::InvalidParameterValue, |unit| format!("unit \"{unit}\" not recognized")),
    ("date_trunc granularity: '", "'", Kind::InvalidParameterValue, |unit| format!("unit \"{unit}\" not recognized")),
    ("onth value '", "' is out of range", Kind::DatetimeFieldOverflow, |month| {
        format!("date field value out of range: month {month}")
    }),
    ("ay value '", "' is out of range", Kind::DatetimeFieldOverflow, |day| {
        format!("date field value out of range: day {day}")
    }),
    ("our value '", "' is out of range", Kind::DatetimeFieldOverflow, |hour| {
        format!("time field value out of range: hour {hour}")
    }),
    ("egative count not allowed", "", Kind::SubstringError, |_| "negative substring length not allowed".to_owned()),
    ("egative substring length not allowed", "", Kind::SubstringError, |_| {
        "negative substring length not allowed".to_owned()
    }),
    ("ield position must not be zero", "", Kind::InvalidParameterValue, |_| {
        "field position must not be zero".to_owned()
    }),
    ("actorial of a negative number is undefined", "", Kind::NumericValueOutOfRange, |_| {
        "factorial of a negative number is undefined".to_owned()
    }),
    ("zero raised to a negative power", "", Kind::InvalidArgumentForPower, |_| {
        "zero raised to a negative power is undefined".to_owned()
    }),
    ("nvalid Unicode scalar value", "", Kind::InvalidParameterValue, |_| "requested character not valid".to_owned()),
];

/// No function of that name, or none for these arguments.
fn function(text: &str) -> Option<Error> {
    let undefined = |message: String| Error::new(Kind::UndefinedFunction, message);
    if let Some((_, rest)) = text.split_once("nvalid function '") {
        let missing = undefined(format!("function {} does not exist", rest.split_once('\'')?.0));
        return Some(match rest.split_once("Did you mean '").and_then(|(_, near)| near.split_once('\'')) {
            Some((near, _)) => missing.hint(format!("Perhaps you meant the function {near}.")),
            None => missing,
        });
    }
    // An error of ours from inside a coercion.
    if let Some((_, own)) = text.split_once("coercion failed with: External error: ") {
        return Some(undefined(own.split_once(" does not exist")?.0.to_owned() + " does not exist").hint(CASTS_HINT));
    }
    if PLANNING.iter().any(|(start, ..)| text.contains(start)) {
        return None;
    }
    let (name, rest) = text.split_once("given name and argument types '")?.1.split_once('(')?;
    let types = arguments(rest.split_once(")'")?.0).join(", ");
    Some(undefined(format!("function {name}({types}) does not exist")).hint(CASTS_HINT))
}

/// The types of a list that Arrow printed, as SQL names them.
fn arguments(list: &str) -> Vec<String> {
    let (mut depth, mut start, mut types) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '(' | '<' | '[' | '{' => depth += 1,
            ')' | '>' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                types.push(sql_name(&list[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    if !list[start..].trim().is_empty() {
        types.push(sql_name(&list[start..]));
    }
    types
}

/// The SQL name of a type that Arrow printed.
fn sql_name(arrow: &str) -> String {
    let arrow = arrow.trim();
    let head: String = arrow.chars().take_while(|letter| letter.is_ascii_alphanumeric()).collect();
    let name = match head.as_str() {
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" => "bigint",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "Utf8" | "LargeUtf8" | "Utf8View" | "String" => "text",
        "Boolean" => "boolean",
        "Date32" | "Date64" => "date",
        "Timestamp" if arrow.contains(',') => "timestamp with time zone",
        "Timestamp" => "timestamp without time zone",
        "Time32" | "Time64" => "time without time zone",
        "Interval" | "Duration" => "interval",
        "Binary" | "LargeBinary" | "BinaryView" => "bytea",
        "Null" => "unknown",
        _ if head.starts_with("Decimal") || head == "UInt64" => "numeric",
        "List" | "LargeList" => {
            let inner = arrow.split_once('(').map_or("", |(_, inner)| inner.trim_end_matches(')'));
            return format!("{}[]", sql_name(inner.trim_start_matches("non-null ")));
        }
        _ => arrow,
    };
    name.to_owned()
}
