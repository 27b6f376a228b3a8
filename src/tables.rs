//! One Delta table at one version: open, commit, scan, maintain.
