use rustyline::history::MemHistory;

use super::*;

fn completed(line: &str, position: usize) -> (usize, Vec<String>) {
    let words = ["SELECT", "SET", "FROM", "visits", "visited_at", "größe"].map(str::to_owned).to_vec();
    let history = MemHistory::new();
    let (start, pairs) = Completion { words }.complete(line, position, &Context::new(&history)).unwrap();
    (start, pairs.into_iter().map(|pair| pair.replacement).collect())
}

#[test]
fn the_word_before_the_cursor_is_completed() {
    assert_eq!(completed("SEL", 3), (0, vec!["SELECT".to_owned()]));
    assert_eq!(completed("se", 2), (0, vec!["SELECT".to_owned(), "SET".to_owned()]));
    assert_eq!(completed("SELECT count(VIS", 16), (13, vec!["visits".to_owned(), "visited_at".to_owned()]));
    assert_eq!(completed("SELECT vis FROM t", 10), (7, vec!["visits".to_owned(), "visited_at".to_owned()]));
    assert_eq!(completed("SELECT 'ü' = grö", 18), (14, vec!["größe".to_owned()]));
}

#[test]
fn nothing_completes_nothing() {
    assert_eq!(completed("", 0), (0, vec![]));
    assert_eq!(completed("SELECT ", 7), (7, vec![]));
    assert_eq!(completed("visits", 6).1, [""; 0]);
    assert_eq!(completed("größ", 6).1, ["größe"]);
}
