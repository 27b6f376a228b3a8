use bytes::Bytes;

use super::{Cutter, Records};
use crate::ingest::sources::options::Limits;

const LIMITS: Limits = Limits { bytes: 24, rows: 3, record_bytes: 40 };

/// Pieces with their records, and records that were refused with their reasons.
type Pieces = (Vec<(String, u64)>, Vec<(i64, String)>);

/// All pieces of a text that comes in parts of so many bytes; each with its records, and what was refused.
fn pieces(records: Records, stored: u64, text: &str, part: usize) -> Pieces {
    let mut cutter = Cutter::new(records, LIMITS, stored, "f".into());
    let (mut pieces, mut refused) = (Vec::new(), Vec::new());
    let mut parts = text.as_bytes().chunks(part);
    let mut is_last = false;
    while !is_last {
        while !cutter.is_full() && !is_last {
            if cutter.is_hungry() {
                match parts.next() {
                    Some(part) => cutter.push(Bytes::copy_from_slice(part)),
                    None => {
                        cutter.finish();
                        is_last = true;
                    }
                }
            }
            cutter.work();
        }
        let cut = cutter.cut();
        refused.extend(cut.refused.into_iter().map(|refused| (refused.place, refused.reason)));
        pieces.push((String::from_utf8(cut.bytes.to_vec()).unwrap(), cut.records));
    }
    pieces.retain(|(text, records)| !text.is_empty() || *records > 0);
    (pieces, refused)
}

fn texts(pieces: &[(String, u64)]) -> Vec<&str> {
    pieces.iter().map(|(text, _)| text.as_str()).collect()
}

#[test]
fn lines_stay_whole_however_the_bytes_come() {
    let text = "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n\n{\"a\":5}";
    for part in 1..text.len() {
        let (pieces, refused) = pieces(Records::Json, 0, text, part);
        assert_eq!(texts(&pieces), ["{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", "{\"a\":4}\n\n{\"a\":5}\n"], "{part}");
        assert_eq!(pieces.iter().map(|(_, records)| records).sum::<u64>(), 6);
        assert!(refused.is_empty());
    }
}

#[test]
fn every_piece_of_csv_has_the_header_and_quotes_hold_lines_together() {
    let text = "a,b\r\n1,\"x\ny\"\r\n2,\"\"\"\n\"\r\n3,z\n4,w\n";
    for part in 1..text.len() {
        let (pieces, _) = pieces(Records::csv(true), 0, text, part);
        let expected = ["a,b\r\n1,\"x\ny\"\r\n2,\"\"\"\n\"\r\n3,z\n", "a,b\r\n4,w\n"];
        assert_eq!(texts(&pieces), expected, "{part}");
    }
    let (pieces, _) = pieces(Records::csv(false), 0, "1,2\n3,4", 3);
    assert_eq!(texts(&pieces), ["1,2\n3,4\n"]);
}

#[test]
fn elements_of_an_array_become_lines() {
    let text = " [ {\"a\": [1,\n2], \"s\": \"]},\\\"[\\\\\"} ,\n{}, 3 ,\"x\"]  ";
    for part in 1..text.len() {
        let (pieces, refused) = pieces(Records::Json, 0, text, part);
        let all: String = texts(&pieces).concat();
        let lines: Vec<&str> = all.lines().map(str::trim_end).collect();
        assert_eq!(lines, ["{\"a\": [1, 2], \"s\": \"]},\\\"[\\\\\"}", "{}", "3", "\"x\""], "{part}");
        assert!(refused.is_empty());
    }
    let (pieces, refused) = pieces(Records::Json, 0, "[{\"a\":1},{\"a\":", 4);
    assert_eq!(texts(&pieces)[0], "{\"a\":1}\n");
    assert_eq!((refused.len(), refused[0].0), (1, 2));
}

#[test]
fn stored_records_are_left_out_and_numbers_go_on() {
    let text: String = (1..=10).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    for stored in 0..=10 {
        let (pieces, _) = pieces(Records::Json, stored, &text, 7);
        let expected: String = (stored + 1..=10).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        assert_eq!(texts(&pieces).concat(), expected);
        assert_eq!(pieces.iter().map(|(_, records)| records).sum::<u64>(), 10 - stored);
    }
    let (pieces, _) = pieces(Records::csv(true), 2, "a\n1\n2\n3\n", 2);
    assert_eq!(texts(&pieces), ["a\n3\n"]);
}

#[test]
fn a_record_that_is_too_large_goes_aside_with_its_beginning() {
    let large = "x".repeat(100);
    let text = format!("{{\"n\":1}}\n{{\"n\":\"{large}\"}}\n{{\"n\":3}}\n");
    for part in [1, 10, 64, 1000] {
        let (pieces, refused) = pieces(Records::Json, 0, &text, part);
        assert_eq!(texts(&pieces).concat(), "{\"n\":1}\n{\"n\":3}\n", "{part}");
        assert_eq!(pieces.iter().map(|(_, records)| records).sum::<u64>(), 3);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].0 == 2 && refused[0].1.starts_with("54000"), "{refused:?}");
    }
}
