//! What a request gets that failed: a status that fits the error, and the error as JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::{Error, ErrorKind};

/// How long a client is told to wait before it comes again.
const RETRY_SECONDS: &str = "1";

/// A request that failed.
pub(super) struct Failure {
    status: StatusCode,
    error: Error,
}

impl Failure {
    /// With a status that the error alone does not tell.
    pub fn new(status: StatusCode, error: Error) -> Self {
        Self { status, error }
    }

    /// A request that does not say what it has to.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::ProtocolViolation, message).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { status: status_of(error.kind()), error }
    }
}

fn status_of(kind: ErrorKind) -> StatusCode {
    use ErrorKind as Kind;
    match kind {
        Kind::InvalidAuthorization | Kind::InvalidPassword => StatusCode::UNAUTHORIZED,
        Kind::InsufficientPrivilege => StatusCode::FORBIDDEN,
        Kind::UndefinedTable | Kind::InvalidSchemaName => StatusCode::NOT_FOUND,
        // Somebody else is at it: another request with the same key, or an ALTER TABLE.
        Kind::SerializationFailure => StatusCode::CONFLICT,
        Kind::ProgramLimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::ConfigurationLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
        Kind::DiskFull | Kind::OutOfMemory | Kind::TooManyConnections | Kind::IoError => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Kind::AdminShutdown | Kind::CannotConnectNow | Kind::QueryCanceled => StatusCode::SERVICE_UNAVAILABLE,
        Kind::StatementCompletionUnknown => StatusCode::SERVICE_UNAVAILABLE,
        Kind::InternalError | Kind::DataCorrupted => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, error } = self;
        let mut body = serde_json::json!({ "sqlstate": error.sqlstate(), "message": error.message() });
        for (name, text) in [("detail", error.detail_text()), ("hint", error.hint_text())] {
            if let Some(text) = text {
                body[name] = text.into();
            }
        }
        let mut response = json(status, &body);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"headwater\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, realm);
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }
}

/// An answer that a terminal shows on a line of its own.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
