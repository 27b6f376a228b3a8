//! Names of objects, as written and as resolved.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// An object's permanent number. Objects of users start at [`Oid::FIRST_USER`]; a number is never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(pub u32);

impl Oid {
    /// No object: what [`Draft`](crate::catalog::Draft) replaces by a fresh number.
    pub const NONE: Self = Self(0);
    /// The role `headwater`, the first superuser.
    pub const FIRST_ROLE: Self = Self(10);
    /// The first number that is given to an object a user makes (as in PostgreSQL).
    pub const FIRST_USER: Self = Self(16384);
    /// The schema `pg_catalog`.
    pub const PG_CATALOG: Self = Self(11);
    /// The schema `public`.
    pub const PUBLIC: Self = Self(2200);
    /// The schema `information_schema`.
    pub const INFORMATION_SCHEMA: Self = Self(13000);
    /// The schema `system`.
    pub const SYSTEM: Self = Self(13001);
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest name in bytes, as in PostgreSQL.
pub const NAME_BYTES_MAX: usize = 63;

/// A name as it was written, case folded: `[schema.]name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// The schema, if one was given.
    pub schema: Option<String>,
    /// The object's own name.
    pub name: String,
}

impl ObjectName {
    /// A name without a schema.
    pub fn bare(name: impl Into<String>) -> Self {
        Self { schema: None, name: name.into() }
    }

    /// A name with its schema.
    pub fn qualified(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: Some(schema.into()), name: name.into() }
    }

    /// Builds a name from its written parts; `database.schema.name` must name this `database`.
    pub fn from_parts(parts: &[String], database: &str) -> Result<Self> {
        match parts {
            [name] => Ok(Self::bare(name)),
            [schema, name] => Ok(Self::qualified(schema, name)),
            [first, schema, name] if first == database => Ok(Self::qualified(schema, name)),
            [_, _, _] => Err(Error::unsupported(format!(
                "cross-database references are not implemented: \"{}\"",
                parts.join(".")
            ))),
            _ => Err(Error::new(ErrorKind::SyntaxError, format!("improper qualified name: {}", parts.join(".")))),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl ObjectName {
    /// The name with every part quoted where it must be, fit to be parsed again.
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote_identifier(schema), quote_identifier(&self.name)),
            None => quote_identifier(&self.name),
        }
    }
}

/// A name as it must be written to be read back: quoted where it is not plain lower case.
pub fn quote_identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
