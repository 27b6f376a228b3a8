//! One connection's user, settings, transaction and statements, the same for every wire.

mod reply;
