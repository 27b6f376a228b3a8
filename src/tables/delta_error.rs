//! deltalake's errors as ours.

use std::error::Error as StdError;

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
            other => match said_by_store(&other) {
                Some(said) => Error::new(ErrorKind::IoError, format!("object store: {said}")),
                None => Error::new(ErrorKind::InternalError, format!("delta: {other}")),
            },
        }
    }
}

/// What the store said, where the kernel hands on its error or the text of it.
fn said_by_store(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    if let Some(store) = causes.find_map(|cause| cause.downcast_ref::<object_store::Error>()) {
        return Some(store.to_string());
    }
    error.to_string().split_once("interacting with object store: ").map(|(_, said)| said.to_owned())
}
