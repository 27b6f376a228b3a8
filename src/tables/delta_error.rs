//! deltalake's errors as ours.

use deltalake::DeltaTableError;

use crate::error::{Error, ErrorKind};

impl From<DeltaTableError> for Error {
    fn from(error: DeltaTableError) -> Self {
        match error {
            DeltaTableError::ObjectStore { source } => source.into(),
            DeltaTableError::Arrow { source } => source.into(),
            DeltaTableError::Io { source } => source.into(),
            DeltaTableError::Parquet { source } => Error::new(ErrorKind::DataCorrupted, source.to_string()),
            DeltaTableError::NotATable(_) => {
                Error::new(ErrorKind::UndefinedFile, "the location holds no Delta table").detail(error.to_string())
            }
            DeltaTableError::Transaction { .. } | DeltaTableError::VersionAlreadyExists(_) => {
                Error::new(ErrorKind::SerializationFailure, error.to_string()).hint("Run the statement again.")
            }
            DeltaTableError::InvalidJsonLog { .. } | DeltaTableError::InvalidStatsJson { .. } => {
                Error::new(ErrorKind::DataCorrupted, error.to_string())
            }
            other => Error::new(ErrorKind::InternalError, format!("delta: {other}")),
        }
    }
}
