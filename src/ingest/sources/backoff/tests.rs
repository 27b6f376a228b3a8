use std::time::Duration;

use super::{Backoff, WELL};

const AT_ONCE: Duration = Duration::ZERO;

#[test]
fn pauses_grow_by_chance_up_to_a_bound_and_the_breaker_opens() {
    let mut backoff = Backoff::new(Duration::from_secs(1), 6, || 1.0);
    let pauses: Vec<u128> = (0..7).map(|_| backoff.failed(AT_ONCE).as_millis()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000, 1000]);
    assert!(backoff.is_open());
    backoff.succeeded();
    assert!(!backoff.is_open());
    assert_eq!(backoff.failed(AT_ONCE).as_millis(), 100);

    let mut chances = [0.0, 0.5, 0.25].into_iter();
    let mut backoff = Backoff::new(Duration::from_secs(60), 100, || chances.next().unwrap());
    assert_eq!([0, 1, 2].map(|_| backoff.failed(AT_ONCE).as_millis()), [0, 100, 100]);
}

#[test]
fn an_open_breaker_waits_the_longest_pause_whatever_chance_says() {
    let mut backoff = Backoff::new(Duration::from_secs(30), 1, || 0.0);
    assert_eq!(backoff.failed(AT_ONCE), Duration::from_secs(30));
    assert!(backoff.is_open());
}

#[test]
fn failures_with_much_time_between_are_not_in_a_row() {
    let mut backoff = Backoff::new(Duration::from_secs(30), 2, || 1.0);
    for _ in 0..5 {
        assert_eq!(backoff.failed(WELL * 2).as_millis(), 100);
        assert!(!backoff.is_open());
    }
    backoff.failed(WELL);
    assert!(backoff.is_open());
}
