//! Database: opens the floors bottom-up, owns background tasks, closes top-down.
