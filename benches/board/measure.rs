//! What a process used, read from `/proc`: CPU seconds of all its threads (10 ms steps), memory now and at its peak.

use std::time::{Duration, Instant};

/// This process; any other by its id.
pub const THIS: &str = "self";

/// Clock ticks of `/proc/<pid>/stat` a second, on every Linux.
const TICKS: f64 = 100.0;

/// Wall and CPU time since it was made.
pub struct Meter {
    process: String,
    started: Instant,
    cpu: f64,
}

impl Meter {
    pub fn start(process: &str) -> Self {
        Self { process: process.to_owned(), started: Instant::now(), cpu: cpu_seconds(process) }
    }

    pub fn wall(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    pub fn cpu(&self) -> f64 {
        cpu_seconds(&self.process) - self.cpu
    }
}

/// User and system time that the process has used.
pub fn cpu_seconds(process: &str) -> f64 {
    let stat = read(process, "stat");
    // The name in parentheses may hold blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS
}

/// The process and those that it has started, as a server of PostgreSQL does.
pub fn family(process: &str) -> Vec<String> {
    let children = read(process, &format!("task/{process}/children"));
    std::iter::once(process).chain(children.split_whitespace()).map(str::to_owned).collect()
}

/// Resident memory in MB: now, and the most since the last [`forget_peak`].
pub fn memory_mb(process: &str) -> (f64, f64) {
    let status = read(process, "status");
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
    };
    (value("VmRSS:"), value("VmHWM:"))
}

/// The peak is counted from here.
pub fn forget_peak(process: &str) {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").expect("a process of ours can be measured");
}

fn read(process: &str, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{process}/{file}")).expect("the process runs")
}

/// Times of many runs of one thing.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Milliseconds that this share of the runs took at most.
    pub fn ms(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len() - 1;
        self.0[(last as f64 * share).round() as usize].as_secs_f64() * 1e3
    }
}
