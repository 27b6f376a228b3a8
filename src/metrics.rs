//! Counters and gauges of the server.
