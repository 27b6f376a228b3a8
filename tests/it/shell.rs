//! The interactive shell on a terminal of its own (`script` makes one).

use std::fs;
use std::io::{Read, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::program::Running;
use crate::server::{headwater, without_settings};

/// Reads up to a text; gives all that came before.
fn wait_for(screen: &mut ChildStdout, wanted: &str) -> String {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&seen).ends_with(wanted) {
        let read = screen.read(&mut byte).unwrap();
        assert!(read > 0, "no {wanted:?} in:\n{}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn a_person_types_completes_and_finds_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history");
    let program = headwater().get_program().to_string_lossy().into_owned();
    let typed = format!("{program} sql --data {}", folder.path().join("data").display());
    let mut command = without_settings(Command::new("script"));
    command.args(["-qefc", &typed, "/dev/null"]).env("HEADWATER_HISTORY", &history).env("TERM", "xterm");
    let mut shell = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (mut keys, mut screen) = (shell.child().stdin.take().unwrap(), shell.child().stdout.take().unwrap());
    // The output first: the prompt is also painted again while one types.
    let mut ask = |text: &str, output: &str, prompt: &str| {
        keys.write_all(text.as_bytes()).unwrap();
        wait_for(&mut screen, output) + &wait_for(&mut screen, prompt)
    };
    ask("", "help", "=> ");
    ask("CREATE TABLE visits (path text);\r", "CREATE TABLE in", "=> ");
    // A word of SQL and the name of the new table, by the tab key.
    ask("SEL\t 40 + 2 AS answer, count(*)\r", "-> ", "");
    let answer = ask("FROM vis\t;\r", "(1 row)", "=> ");
    assert!(answer.contains(" answer | count") && answer.contains("42 |     0"), "{answer}");
    assert!(ask("\\d\r", "(1 row)", "=> ").contains("public | visits | BASE TABLE"));
    assert!(ask("\\d visits\r", "(1 row)", "=> ").contains("path"));
    assert!(ask("SELECT missing;\r", "does not exist", "=> ").contains("ERROR:"));
    // The line before, by the arrow key.
    ask("\x1b[A\r", "does not exist", "=> ");
    ask("\\q\r", "\n", "");
    assert_eq!(shell.wait(Duration::from_secs(10)), Some(0));
    let kept = fs::read_to_string(&history).unwrap();
    for statement in ["CREATE TABLE visits (path text);", "SELECT 40 + 2 AS answer, count(*)", "SELECT missing;"] {
        assert!(kept.contains(statement), "{kept}");
    }
}
