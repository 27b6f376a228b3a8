use std::sync::Arc;
use std::time::Duration;

use super::*;

#[test]
fn the_tables_are_in_the_order_of_their_enums() {
    assert!(COUNTERS.iter().enumerate().all(|(index, (counter, ..))| *counter as usize == index));
    assert!(GAUGES.iter().enumerate().all(|(index, (gauge, ..))| *gauge as usize == index));
}

#[test]
fn a_raised_gauge_falls_by_itself() {
    let metrics = Arc::new(Metrics::default());
    let first = metrics.raise(Gauge::ConnectionsOpen);
    let second = metrics.raise(Gauge::ConnectionsOpen);
    assert_eq!(metrics.level(Gauge::ConnectionsOpen), 2);
    drop((first, second));
    assert_eq!(metrics.level(Gauge::ConnectionsOpen), 0);
}

#[test]
fn the_page_has_a_head_and_a_value_for_each() {
    let metrics = Arc::new(Metrics::default());
    metrics.count(Counter::Statements);
    metrics.add(Counter::RowsReturned, 41);
    metrics.count(Counter::RowsReturned);
    metrics.set(Gauge::MemoryBytes, 1 << 20);
    metrics.failed("42P01");
    metrics.failed("42P01");
    metrics.took(Duration::from_millis(2));
    metrics.took(Duration::from_secs(3600));
    let page = metrics.render();
    for line in [
        "# TYPE headwater_statements_total counter",
        "headwater_statements_total 1",
        "headwater_rows_returned_total 42",
        "# TYPE headwater_memory_bytes gauge",
        "headwater_memory_bytes 1048576",
        "headwater_statement_errors_total{sqlstate=\"42P01\"} 2",
        "headwater_statement_seconds_bucket{le=\"0.001\"} 0",
        "headwater_statement_seconds_bucket{le=\"0.002\"} 1",
        "headwater_statement_seconds_bucket{le=\"600\"} 1",
        "headwater_statement_seconds_bucket{le=\"+Inf\"} 2",
        "headwater_statement_seconds_sum 3600.002",
        "headwater_statement_seconds_count 2",
    ] {
        assert!(page.lines().any(|written| written == line), "no line {line:?} in\n{page}");
    }
}
