//! DataFusion's and Arrow's errors, given the SQLSTATE that PostgreSQL would give.

use arrow::error::ArrowError;
use datafusion::common::{Column, DataFusionError, SchemaError};
use parquet::errors::ParquetError;

use super::{Error, ErrorKind, translate};

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        from_datafusion(error)
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        from_arrow(error)
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => match other.downcast_ref::<ParquetError>() {
                Some(parquet) => from_parquet(parquet),
                None => from_arrow_text(&other.to_string()),
            },
        },
        DataFusionError::Context(_, inner) => from_datafusion(*inner),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let error = from_datafusion(*inner);
            match diagnostic.span {
                // Of queries that do not go together it has the whole first one: no place is better than a wrong one.
                Some(span) if error.kind() != ErrorKind::SyntaxError => {
                    error.at_place((span.start.line, span.start.column))
                }
                _ => error,
            }
        }
        DataFusionError::Shared(inner) => from_shared(&inner),
        DataFusionError::Collection(mut all) if !all.is_empty() => from_datafusion(all.swap_remove(0)),
        DataFusionError::ArrowError(inner, _) => from_arrow(*inner),
        DataFusionError::SQL(inner, _) => Error::new(ErrorKind::SyntaxError, inner.to_string()),
        DataFusionError::SchemaError(inner, _) => from_schema(&inner),
        DataFusionError::IoError(inner) => from_io(inner),
        DataFusionError::ObjectStore(inner) => from_store(&inner),
        DataFusionError::ParquetError(inner) => from_parquet(&inner),
        DataFusionError::NotImplemented(message) => {
            translate::translated(&message).unwrap_or_else(|| Error::unsupported(lower_first(&message)))
        }
        DataFusionError::ResourcesExhausted(message) => exhausted(&message),
        DataFusionError::Plan(message) | DataFusionError::Configuration(message) => from_plan_text(&message),
        DataFusionError::Execution(message) => from_execution_text(&message),
        other => Error::new(ErrorKind::InternalError, other.strip_backtrace()),
    }
}

fn from_shared(error: &DataFusionError) -> Error {
    if let DataFusionError::External(inner) = error.find_root()
        && let Some(own) = inner.downcast_ref::<Error>()
    {
        return own.clone();
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => exhausted(message),
        DataFusionError::Execution(message) => from_execution_text(message),
        DataFusionError::ObjectStore(inner) => from_store(inner),
        DataFusionError::ParquetError(inner) => from_parquet(inner),
        DataFusionError::IoError(inner) => from_io(std::io::Error::new(inner.kind(), inner.to_string())),
        DataFusionError::ArrowError(inner, _) => from_arrow_text(&inner.to_string()),
        other => Error::new(ErrorKind::InternalError, other.strip_backtrace()),
    }
}

fn exhausted(message: &str) -> Error {
    Error::new(ErrorKind::OutOfMemory, format!("out of memory: {message}"))
        .hint("Raise memory_bytes_max, or ask for fewer rows or groups at a time.")
}

/// DataFusion's bound on spill files comes as an error of files.
fn from_io(error: std::io::Error) -> Error {
    match error.to_string() {
        text if text.contains("disk space during the spilling") => {
            Error::new(ErrorKind::DiskFull, "the statement outgrows its memory, and the spill folder is full")
                .detail(text)
                .hint("Raise memory_bytes_max or spill_bytes_max, or ask for fewer rows or groups at a time.")
        }
        _ => error.into(),
    }
}

/// A reader reports what the store said inside of what Parquet said.
fn from_parquet(error: &ParquetError) -> Error {
    if let ParquetError::External(inner) = error
        && let Some(store) = inner.downcast_ref::<object_store::Error>()
    {
        return from_store(store);
    }
    let text = error.to_string();
    // The reader of footers gives no more than a text.
    if let Some((path, _)) = text.split_once("Object at location ").and_then(|(_, rest)| rest.split_once(" not found"))
    {
        return missing_file(path, &text);
    }
    match text.split_once("Object Store error: ") {
        Some((_, said)) => Error::new(ErrorKind::IoError, format!("object store: {said}")),
        None => Error::new(ErrorKind::DataCorrupted, text),
    }
}

fn missing_file(path: &str, text: &str) -> Error {
    Error::new(ErrorKind::UndefinedFile, format!("the file \"{path}\" is missing"))
        .detail(text.to_owned())
        .hint("`headwater check` lists what is missing. RESTORE TABLE takes a table back to a version without it.")
}

fn from_store(error: &object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { path, .. } => missing_file(path, &error.to_string()),
        _ => Error::new(ErrorKind::IoError, error.to_string()),
    }
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::AmbiguousReference { field } => {
            Error::new(ErrorKind::AmbiguousColumn, format!("column reference \"{}\" is ambiguous", field.name))
        }
        SchemaError::FieldNotFound { field, valid_fields } => undefined_column(field, valid_fields),
        SchemaError::DuplicateQualifiedField { qualifier, .. } => Error::new(
            ErrorKind::DuplicateAlias,
            format!("table name \"{}\" specified more than once", qualifier.table()),
        ),
        SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(ErrorKind::DuplicateColumn, format!("column \"{name}\" specified more than once"))
        }
    }
}

fn undefined_column(field: &Column, known: &[Column]) -> Error {
    let Some(relation) = &field.relation else {
        let error = Error::new(ErrorKind::UndefinedColumn, format!("column \"{}\" does not exist", field.name));
        return match nearest(&field.name, known.iter().map(|column| column.name.as_str())) {
            Some(near) => error.hint(format!("Perhaps you meant to reference the column \"{near}\".")),
            None => error,
        };
    };
    let table = relation.table();
    let is_there = |column: &Column| column.relation.as_ref().is_some_and(|relation| relation.table() == table);
    if !known.is_empty() && !known.iter().any(is_there) {
        return Error::new(ErrorKind::UndefinedTable, format!("missing FROM-clause entry for table \"{table}\""));
    }
    let error = Error::new(ErrorKind::UndefinedColumn, format!("column {table}.{} does not exist", field.name));
    match nearest(&field.name, known.iter().filter(|column| is_there(column)).map(|column| column.name.as_str())) {
        Some(near) => error.hint(format!("Perhaps you meant to reference the column \"{table}.{near}\".")),
        None => error,
    }
}

/// The candidate that differs least from `name`, if it is near enough to be a slip of the pen.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (datafusion::common::utils::datafusion_strsim::levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance * 3 <= name.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn from_plan_text(message: &str) -> Error {
    if let Some(known) = translate::translated(message) {
        return known;
    }
    let text = lower_first(message);
    let kind = if text.contains("coerce") || text.contains("type mismatch") || text.contains("cannot infer common") {
        ErrorKind::DatatypeMismatch
    } else if text.starts_with("table") && text.contains("not found") {
        ErrorKind::UndefinedTable
    } else {
        ErrorKind::SyntaxError
    };
    Error::new(kind, text)
}

fn from_execution_text(message: &str) -> Error {
    from_arrow_text(message)
}

fn from_arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::DivideByZero => Error::new(ErrorKind::DivisionByZero, "division by zero"),
        ArrowError::ArithmeticOverflow(message) => Error::new(ErrorKind::NumericValueOutOfRange, lower_first(&message)),
        ArrowError::IoError(_, inner) => from_io(inner),
        ArrowError::ExternalError(inner) => match inner.downcast::<DataFusionError>() {
            Ok(inner) => from_datafusion(*inner),
            Err(other) => match other.downcast::<Error>() {
                Ok(own) => *own,
                Err(other) => match other.downcast_ref::<ParquetError>() {
                    Some(parquet) => from_parquet(parquet),
                    None => Error::new(ErrorKind::InternalError, other.to_string()),
                },
            },
        },
        other => from_arrow_text(&other.to_string()),
    }
}

fn from_arrow_text(message: &str) -> Error {
    if let Some(known) = translate::translated(message) {
        return known;
    }
    let text = lower_first(KIND_NAMES.iter().find_map(|name| message.strip_prefix(name)).unwrap_or(message));
    let kind = if text.contains("ivide by zero") || text.contains("division by zero") {
        return Error::new(ErrorKind::DivisionByZero, "division by zero");
    } else if text.contains("overflow") || text.contains("out of range") || text.contains("too large to store") {
        ErrorKind::NumericValueOutOfRange
    } else if text.contains("timestamp") || text.contains("date") && text.contains("pars") {
        ErrorKind::InvalidDatetimeFormat
    } else if text.contains("cast") || text.contains("pars") {
        ErrorKind::InvalidTextRepresentation
    } else if text.contains("more than one row") {
        ErrorKind::CardinalityViolation
    } else if text.contains("No space left") {
        ErrorKind::DiskFull
    } else {
        ErrorKind::InternalError
    };
    Error::new(kind, text)
}

/// What Arrow puts before its messages.
const KIND_NAMES: &[&str] = &["Cast error: ", "Compute error: ", "Invalid argument error: ", "Parser error: "];

/// DataFusion starts its messages with a capital; ours are lower-case. Words in capitals stay.
fn lower_first(message: &str) -> String {
    let mut letters = message.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => message.to_owned(),
    }
}
