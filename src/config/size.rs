//! Sizes in bytes, and how much memory the machine gives us.

use std::fs;

/// What a machine is taken to have when it does not say.
const MEMORY_BYTES_FALLBACK: u64 = 4 << 30;

/// Reads `1048576`, `512MiB`, `2 GB`, `60%` (of the machine's memory).
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(share) = text.strip_suffix('%') {
        let share: f64 = share.trim().parse().ok()?;
        return (0.0..=100.0).contains(&share).then(|| (machine_memory_bytes() as f64 * share / 100.0) as u64);
    }
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let factor: u64 = match text[end..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "kib" => 1 << 10,
        "mb" | "mib" => 1 << 20,
        "gb" | "gib" => 1 << 30,
        "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    match text[..end].trim() {
        number if number.contains('.') => {
            let bytes = number.parse::<f64>().ok()? * factor as f64;
            (bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
        }
        number => number.parse::<u64>().ok()?.checked_mul(factor),
    }
}

/// The memory that this process may use: the machine's, or its control group's if that is less.
pub fn machine_memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    let machine = machine.map_or(MEMORY_BYTES_FALLBACK, |kilobytes| kilobytes << 10);
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    group.map_or(machine, |limit| limit.min(machine))
}
