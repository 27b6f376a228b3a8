//! Rows that come as bytes, from programs and from sources, into tables: decoded, checked, durable.
//!
//! A [`Batch`] is some payloads for one table: the body of a request, or messages of a source. [`decode`] makes rows of
//! them; [`accept`] adds these to the table, what could not be stored to its dead letters ([`dead_letter`]), and what came
//! late where the table says ([`late`]), in one change of the log. Invariants: a batch is added whole or not at all; no
//! record vanishes: it is a row, or a dead letter, or came late and is counted, or the batch fails; a field that no column
//! takes is counted, or becomes a column ([`evolution`]).

mod accept;
mod dead_letter;
pub mod decode;
mod evolution;
mod late;
mod outdated;
mod side_table;
pub mod sources;

pub use accept::{Accepted, Batch, Beside, accept};
pub use decode::{Broken, CsvLayout, Format, Payload};
pub use evolution::{EVOLUTION_OPTION, evolution_value};
pub use late::WayIn;
