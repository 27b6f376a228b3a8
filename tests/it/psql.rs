//! Real `psql` against the server.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::oracle::Oracle;
use crate::program::{run, text_of};
use crate::server::Server;

/// Runs commands through one psql and gives what it prints.
fn psql(server: &Server, commands: &[&str]) -> String {
    let mut program = server.psql();
    program.args(["-v", "ON_ERROR_STOP=1"]);
    for command in commands {
        program.args(["-c", command]);
    }
    text_of(&mut program)
}

#[test]
fn the_meta_commands_work() {
    let server = Server::start();
    psql(
        &server,
        &[
            "CREATE TABLE visits (id bigint PRIMARY KEY, path text NOT NULL, price numeric(8, 2) DEFAULT 1.5)",
            "COMMENT ON TABLE visits IS 'who came'",
            "CREATE VIEW paths AS SELECT path FROM visits",
        ],
    );
    for (command, expected) in [
        ("\\dt+", vec!["visits | table | headwater | permanent   | delta", "who came"]),
        ("\\dn+", vec!["public | headwater", "standard public schema", "system"]),
        ("\\l", vec!["headwater | headwater | UTF8"]),
        ("\\l+", vec!["headwater | headwater | UTF8", "pg_default"]),
        ("\\du", vec!["headwater | Superuser"]),
        ("\\d+ paths", vec!["View definition:", "SELECT path FROM visits"]),
        ("\\sv paths", vec!["CREATE OR REPLACE VIEW public.paths AS", "SELECT path FROM visits"]),
        ("\\di+", vec!["visits_pkey | index | headwater | visits"]),
        ("\\df lower", vec!["pg_catalog | lower | text"]),
        ("\\da count", vec!["pg_catalog | count | bigint"]),
        ("\\dx", vec!["List of installed extensions"]),
        ("\\dS pg_class", vec!["relname             | name"]),
        ("\\conninfo", vec!["headwater"]),
    ] {
        let text = psql(&server, &[command]);
        for part in expected {
            assert!(text.contains(part), "{command} prints no {part}:\n{text}");
        }
    }
}

/// DDL that means the same on both servers.
const SAME_TABLES: &str = "
    CREATE TABLE visits (
        id bigint PRIMARY KEY, path varchar(80) NOT NULL, price numeric(8, 2) DEFAULT 1.5, at timestamptz DEFAULT now(),
        tags text[], stars int CHECK (stars > 0), day date, seen boolean DEFAULT true);
    CREATE TABLE notes (a int, b int, j jsonb, CONSTRAINT notes_key PRIMARY KEY (a, b), CHECK (a <> b));
    COMMENT ON TABLE visits IS 'who came';
    COMMENT ON COLUMN visits.path IS 'the page';
    CREATE VIEW paths AS SELECT path, count(*) AS n FROM visits GROUP BY path;
    CREATE SCHEMA other;
    CREATE TABLE other.plain (x text)";

/// What psql asks and prints of them, equal to the byte but for the name of the storage.
const SAME_COMMANDS: &[&str] = &[
    "\\d",
    "\\d visits",
    "\\d+ visits",
    "\\d notes",
    "\\d+ notes",
    "\\d paths",
    "\\d other.plain",
    "\\d missing",
    "\\d visits_pkey",
    "\\dt",
    "\\dt other.*",
    "\\dt *.plain",
    "\\dv",
    "\\dv+",
    "\\di",
    "\\ds",
    "\\dm",
    "\\df",
    "\\dT",
    "\\dp",
    "\\z visits",
    "\\db",
    "\\dy",
    "\\dD",
    "\\des",
    "\\drds",
    "\\dRp",
    "\\dO",
    "\\dP",
    "\\dn other",
    "\\dconfig TimeZone",
];

#[test]
fn descriptions_are_those_of_postgresql() {
    let (server, oracle) = (Server::start(), Oracle::start());
    let print = |mut program: Command, command: &str| {
        let printed = run(program.args(["-c", command]));
        let text = [printed.stdout, printed.stderr].concat();
        String::from_utf8_lossy(&text).replace("Access method: delta", "Access method: heap")
    };
    for program in [server.psql(), oracle.psql()] {
        let made = print(program, SAME_TABLES);
        assert!(!made.contains("ERROR"), "{made}");
    }
    for command in SAME_COMMANDS {
        let (ours, theirs) = (print(server.psql(), command), print(oracle.psql(), command));
        assert_eq!(ours, theirs, "{command}\nours:\n{ours}\nPostgreSQL's:\n{theirs}");
    }
}

#[test]
fn an_error_is_shown_where_postgresql_shows_it() {
    let (server, oracle) = (Server::start(), Oracle::start());
    for statement in [
        "SELEC 1",
        "SELECT 1 +",
        "SELECT * FROM pg_class WHERE = 1",
        "SELECT 'größe',\n  2 AS two three\n  FROM pg_class",
        "SELECT relname, nope FROM pg_class",
        "SELECT * FROM nope",
        "SELECT 'abc'::integer",
        "SELECT 1::nope",
    ] {
        // What we say beside it is our own.
        let stderr = |mut program: Command| {
            let printed = run(program.args(["-c", statement])).stderr;
            let text = String::from_utf8_lossy(&printed).into_owned();
            let lines = text.lines().filter(|line| !line.starts_with("DETAIL:") && !line.starts_with("HINT:"));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        let (ours, theirs) = (stderr(server.psql()), stderr(oracle.psql()));
        assert!(theirs.contains("\nLINE ") && theirs.contains("^"), "{theirs}");
        assert_eq!(ours, theirs, "{statement}");
    }
    let parts = run(server.psql().args(["-c", "SELECT 1, 2 UNION SELECT 1"])).stderr;
    assert!(!String::from_utf8_lossy(&parts).contains("LINE"), "no place is better than a wrong one");
    let timed = psql(&server, &["\\timing on", "SELECT 1"]);
    assert!(timed.contains("Timing is on.") && timed.lines().last().unwrap().starts_with("Time: "), "{timed}");
}

#[test]
fn copy_goes_in_and_out() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    fs::write(&file, "id,name\n1,\"a, b\"\n2,\n3,\"\"\n").unwrap();
    psql(&server, &["CREATE TABLE t (id int, name text)"]);
    let path = file.display();
    assert_eq!(psql(&server, &[&format!("\\copy t FROM '{path}' WITH (FORMAT csv, HEADER true)")]).trim(), "COPY 3");
    let out = psql(&server, &["COPY (SELECT * FROM t ORDER BY id) TO STDOUT WITH (FORMAT csv)"]);
    assert_eq!(out, "1,\"a, b\"\n2,\n3,\"\"\n");
    let quoted = psql(&server, &["COPY (SELECT * FROM t ORDER BY id) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)"]);
    assert_eq!(quoted, "\"1\",\"a, b\"\n\"2\",\n\"3\",\"\"\n");
    let text = psql(&server, &["COPY (SELECT * FROM t ORDER BY id) TO STDOUT"]);
    assert_eq!(text, "1\ta, b\n2\t\\N\n3\t\n");
}

#[test]
fn a_wrong_row_is_named() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    fs::write(&file, "1,a\n2,b\nx,c\n").unwrap();
    psql(&server, &["CREATE TABLE t (id int, name text)"]);
    let copy = format!("\\copy t FROM '{}' WITH (FORMAT csv)", file.display());
    let failed = run(server.psql().args(["-c", &copy]));
    let message = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(message.contains("line 3") && message.contains("column id"), "{message}");
    assert_eq!(psql(&server, &["SELECT count(*) FROM t", "\\t"]).lines().nth(2).map(str::trim), Some("0"));
}

#[test]
fn an_interrupt_cancels_the_statement() {
    let server = Server::start();
    let mut program = server.psql();
    program.args(["-c", "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"]);
    let mut child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let started = Instant::now();
    text_of(Command::new("kill").args(["-INT", &child.id().to_string()]));
    child.wait().unwrap();
    assert!(started.elapsed().as_secs() < 5, "psql waited {:?} for the cancel", started.elapsed());
}
