//! COPY in both forms.

use super::*;

fn copy(sql: &str) -> crate::dialect::Copy {
    match one(sql) {
        Statement::Copy(copy) => *copy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_form_with_parentheses() {
    let read = copy(
        "COPY s.t (a, \"B\") FROM STDIN WITH (FORMAT csv, HEADER MATCH, DELIMITER ';', NULL 'NA', QUOTE '''', ESCAPE E'\\\\',
         FORCE_NULL (a), FORCE_NOT_NULL *, ENCODING 'UTF8', ON_ERROR ignore, REJECT_LIMIT 5, LOG_VERBOSITY verbose, FREEZE)
         WHERE a > 1",
    );
    assert!(read.from && read.condition.is_some() && read.target == CopyTarget::Client);
    assert!(matches!(&read.source, CopySource::Table(_, columns) if *columns == names(&["a", "B"])));
    let expected = CopyOptions {
        format: Some(CopyFileFormat::Csv),
        header: Some(CopyHeader::Match),
        delimiter: Some(b';'),
        null: Some("NA".to_owned()),
        quote: Some(b'\''),
        escape: Some(b'\\'),
        force_null: Some(names(&["a"])),
        force_not_null: Some(Vec::new()),
        encoding: Some("UTF8".to_owned()),
        ignore_errors: true,
        reject_limit: Some(5),
        verbosity: CopyVerbosity::Verbose,
        freeze: true,
        ..CopyOptions::default()
    };
    assert_eq!(read.options, expected);
    let written = copy("COPY (SELECT 1 AS a) TO 's3://b/x.parquet' (FORMAT parquet)");
    assert!(!written.from && written.query().is_some());
    assert_eq!(written.target, CopyTarget::File("s3://b/x.parquet".to_owned()));
    assert!(copy("COPY (DELETE FROM t RETURNING *) TO STDOUT").query().is_none());
    assert_eq!(copy("COPY t TO STDOUT (HEADER off)").options.header, Some(CopyHeader::Off));
    assert_eq!(copy("COPY t TO STDOUT (HEADER 1)").options.header, Some(CopyHeader::On));
}

#[test]
fn the_old_form() {
    let old = copy(
        "COPY t FROM '/x' WITH DELIMITER AS ',' NULL AS '' CSV HEADER QUOTE '\"' ESCAPE AS '\"' FORCE NOT NULL a, b",
    )
    .options;
    assert_eq!((old.format, old.header, old.delimiter), (Some(CopyFileFormat::Csv), Some(CopyHeader::On), Some(b',')));
    assert_eq!(old.force_not_null, Some(names(&["a", "b"])));
    assert_eq!(copy("COPY t TO STDOUT CSV FORCE QUOTE *").options.force_quote, Some(Vec::new()));
    assert_eq!(copy("COPY t TO STDOUT BINARY").options.format, Some(CopyFileFormat::Binary));
    assert_eq!(copy("COPY BINARY t FROM STDIN").options.format, Some(CopyFileFormat::Binary));
    assert_eq!(copy("copy t from stdin").options, CopyOptions::default());
}

#[test]
fn the_name_of_a_file_tells_its_format() {
    for (sql, format) in [
        ("COPY t FROM '/a/x.csv'", Some(CopyFileFormat::Csv)),
        ("COPY t TO 's3://b/x.parquet'", Some(CopyFileFormat::Parquet)),
        ("COPY t FROM '/x.ndjson'", Some(CopyFileFormat::Json)),
        ("COPY t FROM '/x.csv' (FORMAT text)", Some(CopyFileFormat::Text)),
        ("COPY t FROM '/x'", None),
    ] {
        assert_eq!(copy(sql).options.format, format, "{sql}");
    }
    assert_eq!(copy("COPY t FROM '/x.csv' (QUOTE '|')").options.quote, Some(b'|'));
}

#[test]
fn skip_is_another_word_for_ignore() {
    assert!(copy("COPY t FROM STDIN (ON_ERROR skip)").options.ignore_errors);
    assert!(!copy("COPY t FROM STDIN (ON_ERROR stop)").options.ignore_errors);
}

#[test]
fn files_of_columns_know_no_options_of_lines() {
    for format in ["parquet", "json"] {
        for option in [
            "DELIMITER ';'",
            "NULL 'x'",
            "HEADER",
            "HEADER off",
            "QUOTE '|'",
            "ESCAPE '|'",
            "FORCE_NULL (a)",
            "ENCODING 'UTF8'",
            "FREEZE",
            "ON_ERROR ignore",
            "LOG_VERBOSITY verbose",
        ] {
            let sql = format!("COPY t FROM '/x' (FORMAT {format}, {option})");
            let error = fails(&sql);
            let name = option.split(' ').next().unwrap();
            assert_eq!(error.message(), format!("COPY {name} is not an option of the format {format}"), "{sql}");
            assert_eq!(error.sqlstate(), "0A000", "{sql}");
        }
    }
}

#[test]
fn what_does_not_go_together() {
    for (sql, code) in [
        ("COPY t FROM STDIN (FORMAT xml)", "22023"),
        ("COPY t FROM STDIN (DELIMITER 'ab')", "0A000"),
        ("COPY t FROM STDIN (FORMAT binary, DELIMITER ',')", "42601"),
        ("COPY t FROM STDIN (FORMAT text, QUOTE '\"')", "0A000"),
        ("COPY t TO STDOUT (FORMAT csv, FORCE_NULL (a))", "22023"),
        ("COPY t FROM STDIN (FORMAT csv, FORCE_QUOTE (a))", "22023"),
        ("COPY t FROM STDIN (FORMAT csv, DELIMITER '\"')", "22023"),
        ("COPY t FROM STDIN (DELIMITER 'a')", "22023"),
        ("COPY t FROM STDIN (NULL E'\\n')", "22023"),
        ("COPY t FROM STDIN (FORMAT csv, FORMAT text)", "42601"),
        ("COPY t FROM STDIN (ON_ERROR pass)", "22023"),
        ("COPY t FROM STDIN (ENCODING 'LATIN1')", "0A000"),
        ("COPY t TO '/x' ENCODING 'SQL_ASCII'", "0A000"),
        ("COPY t FROM STDIN (DEFAULT '-')", "0A000"),
        ("COPY t FROM STDIN (COMPRESSION gzip)", "42601"),
        ("COPY t TO STDOUT (LOG_VERBOSITY silent)", "22023"),
        ("COPY BINARY t FROM STDIN DELIMITER ','", "42601"),
        ("COPY t FROM '/x.json' QUOTE '|'", "0A000"),
        ("COPY t FROM STDIN (REJECT_LIMIT 3)", "42601"),
        ("COPY t FROM STDIN (HEADER maybe)", "42601"),
        ("COPY (SELECT 1) FROM STDIN", "42601"),
        ("COPY (DELETE FROM t) TO STDOUT", "0A000"),
        ("COPY t FROM PROGRAM 'ls'", "0A000"),
        ("COPY t FROM STDIN (HEADER MATCH", "42601"),
        ("COPY t", "42601"),
    ] {
        let error = fails(sql);
        assert_eq!(error.sqlstate(), code, "{sql}: {error}");
        assert!(error.position().is_some(), "{sql}: {error}");
    }
}
