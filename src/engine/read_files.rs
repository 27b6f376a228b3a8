//! `read_parquet`, `read_csv`, `read_json`: files in the configured locations as relations.
//!
//! Invariant: a path is compared with the configured locations after it has been made absolute and its links
//! resolved, so neither `..` nor a link leads out of them.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::datasource::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr};
use url::Url;

use crate::engine::values::constant;
use crate::engine::{Engine, Scope};
use crate::error::{Error, ErrorKind, Result};

/// Rows that are read to guess the types of a CSV or JSON file.
const INFER_ROWS_MAX: usize = 10_000;

/// The relation that `function(arguments)` stands for.
pub(in crate::engine) async fn provider(
    engine: &Engine,
    scope: &Scope,
    function: &str,
    arguments: &[FunctionArg],
) -> Result<Arc<dyn TableProvider>> {
    let (path, options) = split_arguments(scope, function, arguments)?;
    let url = engine.allowed_location(&path)?;
    let (format, extension) = format(function, &options)?;
    open(scope, url, format, extension).await
}

async fn open(scope: &Scope, url: Url, format: Arc<dyn FileFormat>, extension: &str) -> Result<Arc<dyn TableProvider>> {
    let listing_url = ListingTableUrl::parse(url.as_str())?;
    let extension = if listing_url.is_collection() { extension } else { "" };
    let options = ListingOptions::new(format).with_file_extension(extension);
    let schema = options.infer_schema(&**scope.state, &listing_url).await.map_err(|error| {
        let error = Error::from(error);
        match error.kind() {
            ErrorKind::IoError | ErrorKind::UndefinedFile => {
                Error::new(ErrorKind::UndefinedFile, format!("could not read \"{url}\"")).detail(error.message())
            }
            _ => error.within(format!("could not read \"{url}\"")),
        }
    })?;
    if schema.fields().is_empty() {
        return Err(Error::new(ErrorKind::UndefinedFile, format!("no file with columns at \"{url}\"")));
    }
    let config = ListingTableConfig::new(listing_url).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// `function('path', name => value, ...)`.
fn split_arguments(
    scope: &Scope,
    function: &str,
    arguments: &[FunctionArg],
) -> Result<(String, Vec<(String, String)>)> {
    let mut path = None;
    let mut options = Vec::new();
    for argument in arguments {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) if path.is_none() => {
                path = Some(text_constant(scope, value)?);
            }
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                options.push((name.value.to_ascii_lowercase(), text_constant(scope, value)?));
            }
            other => {
                return Err(Error::new(ErrorKind::UndefinedFunction, format!("{function} does not take \"{other}\""))
                    .hint(format!("Write {function}('path', option => value).")));
            }
        }
    }
    let path = path.ok_or_else(|| Error::new(ErrorKind::UndefinedFunction, format!("{function} needs a path")))?;
    Ok((path, options))
}

fn text_constant(scope: &Scope, value: &ast::Expr) -> Result<String> {
    match constant(scope, value.clone(), &DataType::Utf8)? {
        ScalarValue::Utf8(Some(text)) => Ok(text),
        _ => Err(Error::new(ErrorKind::InvalidParameterValue, "a path or option must not be null")),
    }
}

fn format(function: &str, options: &[(String, String)]) -> Result<(Arc<dyn FileFormat>, &'static str)> {
    match function {
        "read_csv" => csv_format(options).map(|format| (format, ".csv")),
        "read_json" => {
            refuse_options(function, options, &[])?;
            Ok((Arc::new(JsonFormat::default().with_schema_infer_max_rec(INFER_ROWS_MAX)), ".json"))
        }
        _ => {
            refuse_options(function, options, &[])?;
            Ok((Arc::new(ParquetFormat::default()), ".parquet"))
        }
    }
}

fn csv_format(options: &[(String, String)]) -> Result<Arc<dyn FileFormat>> {
    refuse_options("read_csv", options, &["delimiter", "header", "quote"])?;
    let mut format = CsvFormat::default().with_has_header(true).with_schema_infer_max_rec(INFER_ROWS_MAX);
    for (name, value) in options {
        format = match name.as_str() {
            "header" => format.with_has_header(matches!(value.as_str(), "true" | "t" | "on" | "1")),
            "delimiter" => format.with_delimiter(one_byte(name, value)?),
            _ => format.with_quote(one_byte(name, value)?),
        };
    }
    Ok(Arc::new(format))
}

fn one_byte(name: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::new(ErrorKind::InvalidParameterValue, format!("option \"{name}\" must be one byte"))),
    }
}

fn refuse_options(function: &str, options: &[(String, String)], known: &[&str]) -> Result<()> {
    match options.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Error::new(ErrorKind::InvalidParameterValue, format!("{function} has no option \"{name}\"")).hint(
                match known {
                    [] => format!("{function} has no options."),
                    known => format!("The options are: {}.", known.join(", ")),
                },
            ))
        }
    }
}

impl Engine {
    /// The URL of a file or folder that statements may read or write, or 42501.
    pub fn allowed_location(&self, path: &str) -> Result<Url> {
        let refused = || {
            Error::new(ErrorKind::InsufficientPrivilege, format!("permission denied for location \"{path}\""))
                .detail("It is in none of the configured file locations.")
                .hint("Start the server with --file-locations, a list of folders and URLs that statements may use.")
        };
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        if decoded.split('/').any(|part| part == "..") && decoded != path {
            return Err(refused());
        }
        let (scheme, rest) = path.split_once("://").unwrap_or(("file", path));
        if !scheme.eq_ignore_ascii_case("file") {
            let url = Url::parse(path).map_err(|error| {
                Error::new(ErrorKind::InvalidParameterValue, format!("\"{path}\" is not a URL"))
                    .detail(error.to_string())
            })?;
            let inside = |location: &String| {
                let location = location.trim_end_matches('/');
                url.as_str().strip_prefix(location).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let climbs = path.split('/').any(|part| part == "..");
            return if !climbs && self.config().file_locations.iter().any(inside) { Ok(url) } else { Err(refused()) };
        }
        let local = resolved(Path::new(rest))?.ok_or_else(refused)?;
        let inside = |location: &String| {
            let folder = Path::new(location.strip_prefix("file://").unwrap_or(location));
            std::fs::canonicalize(folder).is_ok_and(|folder| local.starts_with(folder))
        };
        if !self.config().file_locations.iter().any(inside) || links_out(&local)? {
            return Err(refused());
        }
        let url = if path.ends_with('/') || local.is_dir() {
            Url::from_directory_path(&local)
        } else {
            Url::from_file_path(&local)
        };
        url.map_err(|()| Error::new(ErrorKind::InvalidParameterValue, format!("\"{path}\" is not an absolute path")))
    }
}

/// The path with its links resolved, as far as it exists. None where what does not exist climbs up again.
fn resolved(path: &Path) -> Result<Option<std::path::PathBuf>> {
    let absolute = std::path::absolute(path)?;
    let existing = |folder: &Path| std::fs::canonicalize(folder).ok();
    let found = absolute.ancestors().find_map(|folder| Some((existing(folder)?, absolute.strip_prefix(folder).ok()?)));
    let climbs = |rest: &Path| rest.components().any(|part| part == std::path::Component::ParentDir);
    Ok(found.and_then(|(folder, rest)| (!climbs(rest)).then(|| folder.join(rest))))
}

/// True where a link below the folder leads out of it: a listing would follow it.
fn links_out(folder: &Path) -> Result<bool> {
    let mut folders = vec![folder.to_owned()];
    while let Some(below) = folders.pop().filter(|path| path.is_dir()) {
        for entry in std::fs::read_dir(below)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_symlink() && std::fs::canonicalize(entry.path()).is_ok_and(|to| !to.starts_with(folder)) {
                return Ok(true);
            }
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(false)
}
