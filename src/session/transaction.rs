//! Where a session stands: outside a transaction, in one that sees one version throughout, or in a failed one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::buffer::DbVersion;
use crate::catalog::name::Oid;
use crate::error::{Error, ErrorKind, Result};
use crate::session::reply::TransactionStatus;

/// A session's transaction.
pub(crate) enum Transaction {
    /// None: each statement is its own.
    Idle,
    /// Begun: reads see `version` from the first to the last; tables that others write too as at the first look.
    Active { version: Option<Arc<DbVersion>>, looked_at: BTreeSet<Oid>, read_only: bool },
    /// A statement failed: only the end of the transaction is accepted.
    Failed,
}

impl Transaction {
    /// One that has read nothing yet.
    pub(crate) fn begun(read_only: bool) -> Self {
        Self::Active { version: None, looked_at: BTreeSet::new(), read_only }
    }

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

    /// True for the first look at a table.
    pub(crate) fn looks_first(&mut self, oid: Oid) -> bool {
        match self {
            Self::Active { looked_at, .. } => looked_at.insert(oid),
            Self::Idle | Self::Failed => true,
        }
    }

    /// Sees `current` of a table from now on, unless the table has been defined anew since the transaction began to read.
    pub(crate) fn follow(&mut self, oid: Oid, current: &DbVersion) -> Result<()> {
        if let Self::Active { version: Some(version), .. } = self
            && version.catalog.relation_by_oid(oid) == current.catalog.relation_by_oid(oid)
        {
            *version = Arc::new(version.with_snapshot(oid, Arc::clone(current.snapshot(oid)?)));
        }
        Ok(())
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
