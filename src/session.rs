//! One connection's user, settings, transaction and statements, the same for every wire.

mod cells;
mod copy_format;
mod intake;
mod reply;
mod text;
