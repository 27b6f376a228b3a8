//! What a loss of power may leave of the log's end: changes that nobody was told of, torn, damaged, or never written whole.
//!
//! The layout is that of `src/log/frame.rs` and `src/log/segment.rs`.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

const SEGMENT_HEADER: usize = 32;
const FRAME_HEADER: usize = 32;
/// What is written behind the end, at most.
const JUNK_BYTES_MAX: usize = 9000;

/// What was done to the log, for the count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Harm {
    /// Bytes that were cut off.
    pub cut: usize,
    pub flipped_bits: usize,
    /// Bytes of a change that was never written whole.
    pub junk: usize,
}

struct Frame {
    start: usize,
    end: usize,
    lsn: i64,
}

/// Harms what is behind the last change that counts: one that was durable when another was written, or whose body `is_promised`.
pub fn harm(folder: &Path, random: &mut StdRng, is_promised: impl Fn(&[u8]) -> bool) -> Harm {
    let mut done = Harm::default();
    let Some(path) = newest(&folder.join("log")) else { return done };
    let mut bytes = std::fs::read(&path).unwrap();
    // The kill came while the segment was made.
    if bytes.len() < SEGMENT_HEADER {
        return done;
    }
    let (frames, durable) = frames(&bytes);
    let counts = |frame: &&Frame| frame.lsn <= durable || is_promised(&bytes[frame.start + FRAME_HEADER..frame.end]);
    let kept = frames.iter().rfind(counts).map_or(SEGMENT_HEADER, |frame| frame.end);
    let next = frames.last().map(|last| torn_next(&bytes[last.start..last.end], last.lsn + 1, durable, random));
    if kept < bytes.len() {
        match random.random_bool(0.5) {
            true => {
                let end = random.random_range(kept..bytes.len());
                done.cut = bytes.len() - end;
                bytes.truncate(end);
            }
            false => {
                done.flipped_bits = random.random_range(1..4);
                flip(&mut bytes[kept..], done.flipped_bits, random);
            }
        }
    }
    if random.random_bool(0.5) {
        let mut junk = vec![0; random.random_range(1..JUNK_BYTES_MAX)];
        match (random.random_range(0..3), next) {
            (0, _) => {}
            (1, Some(torn)) => junk = torn,
            _ => random.fill_bytes(&mut junk),
        }
        done.junk = junk.len();
        bytes.extend(junk);
    }
    std::fs::write(&path, bytes).unwrap();
    done
}

/// The segment that was written to.
fn newest(log: &Path) -> Option<PathBuf> {
    let paths = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "log")).max()
}

/// The whole frames, and the newest change that they say was durable.
fn frames(bytes: &[u8]) -> (Vec<Frame>, i64) {
    let (mut frames, mut durable) = (Vec::new(), number(bytes, 16));
    let mut start = SEGMENT_HEADER;
    while let Some(header) = bytes.get(start..start + FRAME_HEADER) {
        let end = start + FRAME_HEADER + number32(header, 0) as usize;
        if number32(header, 28) != crc32fast::hash(&header[..28]) || end > bytes.len() {
            break;
        }
        frames.push(Frame { start, end, lsn: number(header, 8) });
        durable = durable.max(number(header, 16));
        start = end;
    }
    (frames, durable)
}

/// The change that would have come next: another one's rows, with bits flipped or without its end.
fn torn_next(frame: &[u8], lsn: i64, durable: i64, random: &mut StdRng) -> Vec<u8> {
    let mut torn = frame.to_vec();
    torn[8..16].copy_from_slice(&lsn.to_le_bytes());
    torn[16..24].copy_from_slice(&durable.to_le_bytes());
    let sum = crc32fast::hash(&torn[..28]);
    torn[28..32].copy_from_slice(&sum.to_le_bytes());
    match random.random_bool(0.5) {
        // One bit: two might be the same one.
        true => flip(&mut torn, 1, random),
        false => torn.truncate(random.random_range(1..frame.len())),
    }
    torn
}

fn flip(bytes: &mut [u8], bits: usize, random: &mut StdRng) {
    for _ in 0..bits {
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
    }
}

fn number32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn number(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
