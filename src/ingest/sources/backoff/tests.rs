use std::time::Duration;

use super::Backoff;

#[test]
fn pauses_grow_by_chance_up_to_a_bound_and_the_breaker_opens() {
    let mut backoff = Backoff::new(Duration::from_secs(1), 6, || 1.0);
    let pauses: Vec<u128> = (0..7).map(|_| backoff.failed().as_millis()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000, 1000]);
    assert!(backoff.is_open());
    backoff.succeeded();
    assert!(!backoff.is_open());
    assert_eq!(backoff.failed().as_millis(), 100);

    let mut chances = [0.0, 0.5, 0.25].into_iter();
    let mut backoff = Backoff::new(Duration::from_secs(60), 100, || chances.next().unwrap());
    assert_eq!([0, 1, 2].map(|_| backoff.failed().as_millis()), [0, 100, 100]);
}

#[test]
fn an_open_breaker_waits_the_longest_pause_whatever_chance_says() {
    let mut backoff = Backoff::new(Duration::from_secs(30), 1, || 0.0);
    assert_eq!(backoff.failed(), Duration::from_secs(30));
    assert!(backoff.is_open());
}
