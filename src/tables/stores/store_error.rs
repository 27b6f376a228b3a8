//! Errors of object stores, given the SQLSTATE of their cause.

use std::error::Error as StdError;

use object_store::Error as StoreError;

use crate::error::{Error, ErrorKind};

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if let Some(io) = io_cause(&error)
            && let kind @ (ErrorKind::DiskFull | ErrorKind::InsufficientPrivilege) = io_kind(io)
        {
            return Error::new(kind, io.to_string()).detail(error.to_string());
        }
        let kind = match &error {
            StoreError::NotFound { .. } => ErrorKind::UndefinedFile,
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
                ErrorKind::InsufficientPrivilege
            }
            StoreError::InvalidPath { .. } => ErrorKind::InvalidName,
            StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => ErrorKind::FeatureNotSupported,
            _ => ErrorKind::IoError,
        };
        Error::new(kind, format!("object store: {error}"))
    }
}

fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a std::io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

fn io_kind(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
        std::io::ErrorKind::PermissionDenied => ErrorKind::InsufficientPrivilege,
        _ => ErrorKind::IoError,
    }
}
