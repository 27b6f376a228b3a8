//! The one error type: a SQLSTATE, a lower-case message that names the object, and what to do about it.
//!
//! Errors are written for the person at the SQL prompt. Every floor returns [`Error`]; the wires print it,
//! the library hands it out. Invariant: a message never holds a secret, and never a library's debug output alone.

use std::fmt;

mod engine;
mod kind;
mod translate;

pub(crate) use engine::nearest;
pub use kind::ErrorKind;

/// Shorthand used on every floor.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, on which object, and what to do.
#[derive(Clone)]
pub struct Error(Box<Report>);

#[derive(Clone, Debug)]
struct Report {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    context: Option<String>,
    position: Option<usize>,
    place: Option<Place>,
}

/// A line and a column of a message, both counted from 1.
pub type Place = (u64, u64);

impl Error {
    /// An error of `kind` with a lower-case message that names the object.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Report {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
            context: None,
            position: None,
            place: None,
        }))
    }

    /// Something that cannot happen did; a bug of ours or a broken dependency.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InternalError, message)
    }

    /// A construct we do not offer. Say what to use instead with [`Error::hint`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::FeatureNotSupported, message)
    }

    /// The statement was told to stop.
    pub fn canceled() -> Self {
        Self::new(ErrorKind::QueryCanceled, "canceling statement due to user request")
    }

    /// Adds the DETAIL line.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the HINT line: what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the CONTEXT line: where in the data it happened.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.context = Some(context.into());
        self
    }

    /// Adds the place in the statement's text, counted in characters from 1.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Adds the line and column where it is, for [`Error::located`] to count characters to.
    #[must_use]
    pub fn at_place(mut self, place: Place) -> Self {
        self.0.place.get_or_insert(place);
        self
    }

    /// Gives the place as a position, where only its line and column are known.
    #[must_use]
    pub fn located(mut self, position_of: impl FnOnce(Place) -> Option<usize>) -> Self {
        if let (None, Some(place)) = (self.0.position, self.0.place.take()) {
            self.0.position = position_of(place);
        }
        self
    }

    /// Moves the place by the characters that stand before the statement in its message.
    #[must_use]
    pub fn offset_by(mut self, characters: usize) -> Self {
        self.0.position = self.0.position.map(|position| position + characters);
        self
    }

    /// Puts `context: ` before the message, for a caller that knows the object's name. A place in the object's own text goes.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self.0.place = None;
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The five-character code of the SQL standard and PostgreSQL.
    pub fn sqlstate(&self) -> &'static str {
        self.0.kind.sqlstate()
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The DETAIL line, if any.
    pub fn detail_text(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The HINT line, if any.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The CONTEXT line, if any.
    pub fn context_text(&self) -> Option<&str> {
        self.0.context.as_deref()
    }

    /// The place in the statement's text, counted in characters from 1.
    pub fn position(&self) -> Option<usize> {
        self.0.position
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(detail) = &self.0.detail {
            write!(f, "\nDETAIL: {detail}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nHINT: {hint}")?;
        }
        if let Some(context) = &self.0.context {
            write!(f, "\nCONTEXT: {context}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {self}", self.sqlstate())
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::DiskFull,
            Io::NotFound => ErrorKind::UndefinedFile,
            Io::PermissionDenied => ErrorKind::InsufficientPrivilege,
            _ => ErrorKind::IoError,
        };
        Self::new(kind, error.to_string())
    }
}
