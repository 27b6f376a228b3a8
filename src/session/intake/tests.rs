//! Every type's input and output against what PostgreSQL 15 answered for the same texts (`postgres15.tsv`, made with
//! `SET timezone = 'America/New_York'`: type, input, SQLSTATE, output or message, binary output in hexadecimal).

use arrow::array::AsArray;

use crate::catalog::pg_type::{PgType, parse_type_name};
use crate::session::cells::{Cells, Style, canonical};
use crate::session::copy_format::Decoder;
use crate::session::intake::Intake;
use crate::session::reply::{Column, CopyFormat, CopyOptions};
use crate::session::text::zone::Zone;

const EXPECTED: &str = include_str!("postgres15.tsv");

/// Where we differ on purpose: (type, input, why).
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("character varying(3)", "abcd", "the file was made with an explicit cast, which cuts"),
    ("character(4)", "abcde", "the file was made with an explicit cast, which cuts"),
    ("numeric(10,2)", "NaN", "Arrow's decimals have no NaN"),
    ("timestamp", "294276-12-31 23:59:59.999999", "we count from 1970, so our time ends 30 years earlier"),
    ("timestamptz", "294276-12-31 23:59:59.999999", "we count from 1970, so our time ends 30 years earlier"),
];

fn expected_rows() -> Vec<[String; 5]> {
    let column = |name: &str| Column { name: name.to_owned(), pg_type: PgType::Text, relation: None, number: 0 };
    let columns = ["t", "i", "s", "x", "b"].map(column);
    let options = CopyOptions::of(CopyFormat::Text);
    let mut decoder = Decoder::new("expected", &columns, &options, Zone::default());
    decoder.push(EXPECTED.as_bytes()).unwrap();
    decoder.finish().unwrap();
    let mut rows = Vec::new();
    while let Some(batch) = decoder.next_batch() {
        for row in 0..batch.num_rows() {
            rows.push(std::array::from_fn(|at| batch.column(at).as_string_view().value(row).to_owned()));
        }
    }
    rows
}

struct Printed {
    text: String,
    binary: Vec<u8>,
}

fn print(intake: &mut Intake, pg_type: &PgType, style: &Style) -> Printed {
    let array = canonical(&intake.finish().unwrap(), pg_type).unwrap();
    let cells = Cells::new(&array, pg_type, style).unwrap();
    let (mut text, mut binary) = (Vec::new(), Vec::new());
    cells.write_text(0, &mut text);
    cells.write_binary(0, &mut binary).unwrap();
    Printed { text: String::from_utf8(text).unwrap(), binary }
}

/// The file shows `value::text`, which differs from the output function for these two.
fn as_cast(text: &str, pg_type: &PgType) -> String {
    match (pg_type, text) {
        (PgType::Bool, "t") => "true".to_owned(),
        (PgType::Bool, "f") => "false".to_owned(),
        (PgType::Char(_), text) => text.trim_end_matches(' ').to_owned(),
        (_, text) => text.to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn values_are_read_and_printed_as_postgres_does() {
    let zone = Zone::find("america/new_york").unwrap();
    let style = Style { zone, reg_name: None };
    let mut wrong = Vec::new();
    for [type_name, input, state, output, binary] in expected_rows() {
        if DIFFERENT.iter().any(|row| row.0 == type_name && row.1 == input) {
            continue;
        }
        let pg_type = parse_type_name(&type_name).unwrap();
        let mut intake = Intake::new(&pg_type, zone);
        let found = match intake.push_text(&input) {
            Err(error) => {
                let message = error.message().to_owned();
                if error.sqlstate() == state
                    && (message == output || message.contains("json") || message.contains("array"))
                {
                    continue;
                }
                format!("{} {message}", error.sqlstate())
            }
            Ok(()) => {
                let mut printed = print(&mut intake, &pg_type, &style);
                printed.text = as_cast(&printed.text, &pg_type);
                if state == "00000" && printed.text == output && hex(&printed.binary) == binary {
                    // What was sent in binary must come back the same.
                    let mut again = Intake::new(&pg_type, zone);
                    match again.push_binary(&printed.binary) {
                        Ok(()) if as_cast(&print(&mut again, &pg_type, &style).text, &pg_type) == output => continue,
                        Ok(()) => "another value from its own binary form".to_owned(),
                        Err(error) => format!("{error:?} from its own binary form"),
                    }
                } else {
                    format!("00000 {} {}", printed.text, hex(&printed.binary))
                }
            }
        };
        wrong.push(format!("{type_name} {input:?}\n   wanted {state} {output} {binary}\n   found  {found}"));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
