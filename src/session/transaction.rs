//! Where a session stands: outside a transaction, in one that sees one version throughout, or in a failed one.

use std::sync::Arc;

use crate::buffer::DbVersion;
use crate::error::{Error, ErrorKind, Result};
use crate::session::reply::TransactionStatus;

/// A session's transaction.
pub(crate) enum Transaction {
    /// None: each statement is its own.
    Idle,
    /// Begun: reads see `version` from the first to the last.
    Active { version: Option<Arc<DbVersion>>, read_only: bool },
    /// A statement failed: only the end of the transaction is accepted.
    Failed,
}

impl Transaction {
    /// The letter of ReadyForQuery.
    pub(crate) fn status(&self) -> TransactionStatus {
        match self {
            Self::Idle => TransactionStatus::Idle,
            Self::Active { .. } => TransactionStatus::Active,
            Self::Failed => TransactionStatus::Failed,
        }
    }

    /// The version that a statement sees; the first of a transaction pins it.
    pub(crate) fn version(&mut self, current: impl FnOnce() -> Arc<DbVersion>) -> Arc<DbVersion> {
        match self {
            Self::Active { version, .. } => Arc::clone(version.get_or_insert_with(current)),
            Self::Idle | Self::Failed => current(),
        }
    }

    /// True where the next statement sees the version that an earlier one saw.
    pub(crate) fn is_pinned(&self) -> bool {
        matches!(self, Self::Active { version: Some(_), .. })
    }

    /// Refuses what cannot be done inside a transaction.
    pub(crate) fn refuse_writes(&self, what: &str) -> Result<()> {
        match self {
            Self::Idle => Ok(()),
            Self::Active { read_only: true, .. } => Err(Error::new(
                ErrorKind::ReadOnlyTransaction,
                format!("cannot execute {what} in a read-only transaction"),
            )),
            Self::Active { .. } | Self::Failed => {
                Err(Error::unsupported(format!("{what} inside a transaction block is not supported yet"))
                    .hint("Run it outside BEGIN ... COMMIT: each statement commits by itself."))
            }
        }
    }

    /// The statement failed.
    pub(crate) fn fail(&mut self) {
        if matches!(self, Self::Active { .. }) {
            *self = Self::Failed;
        }
    }
}
