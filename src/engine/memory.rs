//! The memory that all statements share, dealt out so that an operator that may spill has room to do it.
//!
//! DataFusion's `FairSpillPool` lets operators that spill fill it, and their spilling then finds no room to merge what they
//! hold; a merge of spilled files takes all that is left, and the next one finds none. Here operators that spill share three
//! tenths in equal parts, merges of sorts six (spilling needs up to twice what it merges), exchanges one; joins, and whatever else
//! cannot spill, take what is free.
//! Invariant: the sum of all reservations that asked first ([`MemoryPool::try_grow`]) is at most the limit.

use std::collections::HashMap;
use std::fmt;

use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

use crate::engine::Engine;

impl Engine {
    /// A share, empty at first, of the memory of all statements, for who holds data outside of a plan.
    pub fn reservation(&self, name: &str) -> MemoryReservation {
        MemoryConsumer::new(name).register(&self.runtime().memory_pool)
    }
}

/// How DataFusion's sorts name what they merge with.
const MERGE_NAME: &str = "ExternalSorterMerge";
/// How DataFusion names exchanges, which write to disk whatever they are refused.
const EXCHANGE_NAME: &str = "RepartitionExec";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Spills,
    Merges,
    Exchanges,
    Other,
}

impl Kind {
    fn of(consumer: &MemoryConsumer) -> Self {
        match consumer.can_spill() {
            true if consumer.name().starts_with(EXCHANGE_NAME) => Self::Exchanges,
            true => Self::Spills,
            false if consumer.name().starts_with(MERGE_NAME) => Self::Merges,
            false => Self::Other,
        }
    }

    /// The tenths of the limit that all of a kind share; `None` for what takes whatever is free.
    fn tenths(self) -> Option<usize> {
        match self {
            Self::Spills => Some(3),
            Self::Merges => Some(6),
            Self::Exchanges => Some(1),
            Self::Other => None,
        }
    }
}

/// The pool.
#[derive(Debug)]
pub struct SharedMemory {
    limit_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Bytes by the consumer's number: a consumer may have several reservations.
    bytes: HashMap<usize, usize>,
    sum: usize,
    /// The number of consumers.
    peers: HashMap<Kind, usize>,
}

impl Held {
    fn change(&mut self, consumer: &MemoryConsumer, change: impl Fn(usize) -> usize) {
        let bytes = self.bytes.entry(consumer.id()).or_default();
        let before = *bytes;
        *bytes = change(before);
        self.sum = self.sum - before + *bytes;
    }
}

impl SharedMemory {
    /// A pool of so many bytes.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, held: Mutex::default() }
    }
}

impl MemoryPool for SharedMemory {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        *self.held.lock().peers.entry(Kind::of(consumer)).or_default() += 1;
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut held = self.held.lock();
        held.change(consumer, |_| 0);
        held.bytes.remove(&consumer.id());
        let peers = held.peers.entry(Kind::of(consumer)).or_default();
        *peers = peers.saturating_sub(1);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.held.lock().change(reservation.consumer(), |bytes| bytes + additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.held.lock().change(reservation.consumer(), |bytes| bytes.saturating_sub(shrink));
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> DataFusionResult<()> {
        let consumer = reservation.consumer();
        let mut held = self.held.lock();
        let own = held.bytes.get(&consumer.id()).copied().unwrap_or(0);
        let free = self.limit_bytes.saturating_sub(held.sum - own);
        let kind = Kind::of(consumer);
        let peers = held.peers.get(&kind).copied().unwrap_or(0).max(1);
        let share = match kind.tenths() {
            Some(tenths) => free.min(self.limit_bytes / 10 * tenths / peers),
            None => free,
        };
        if own + additional > share {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} asks for {additional} bytes, holds {own} and may hold {share} of {}",
                consumer.name(),
                self.limit_bytes
            )));
        }
        held.change(consumer, |bytes| bytes + additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.held.lock().sum
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit_bytes)
    }
}

impl fmt::Display for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shared(pool_size: {} bytes)", self.limit_bytes)
    }
}

#[cfg(test)]
mod tests;
