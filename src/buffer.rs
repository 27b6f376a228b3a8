//! What every statement sees: one version of the whole database.
