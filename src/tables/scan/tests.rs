//! Scans against the truth: the same rows in memory.

mod fixture;
mod order;
mod planning;
mod pruning;
mod real;
mod statistics;
mod vectors;
mod wire;
