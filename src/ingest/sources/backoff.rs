//! Pauses between attempts: longer from one to the next, by chance, and up to a bound; and the breaker.
//!
//! The pause before attempt n is anything up to `first * 2^n`: sources that failed together do not come back together.
//! After so many failures in a row the breaker opens: from then on there is one attempt each longest pause.

use std::time::Duration;

/// The first pause is at most this long.
const FIRST: Duration = Duration::from_millis(100);
/// An attempt that fails only after so long has gone well before: connections break once in a while.
const WELL: Duration = Duration::from_secs(300);

/// What stands between failures and attempts.
pub(super) struct Backoff<R> {
    failures: u32,
    longest: Duration,
    breaker_failures: u32,
    /// Numbers from 0 up to 1.
    random: R,
}

impl<R: FnMut() -> f64> Backoff<R> {
    pub fn new(longest: Duration, breaker_failures: u32, random: R) -> Self {
        Self { failures: 0, longest, breaker_failures, random }
    }

    /// Something went well.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after another failure, of an attempt that lasted so long.
    pub fn failed(&mut self, lasted: Duration) -> Duration {
        if lasted > WELL {
            self.succeeded();
        }
        self.failures = self.failures.saturating_add(1);
        if self.is_open() {
            return self.longest;
        }
        let most = FIRST.saturating_mul(2_u32.saturating_pow(self.failures - 1)).min(self.longest);
        most.mul_f64((self.random)())
    }

    /// True while there are only rare attempts.
    pub fn is_open(&self) -> bool {
        self.failures >= self.breaker_failures
    }
}

#[cfg(test)]
mod tests;
