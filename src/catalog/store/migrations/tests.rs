//! Files of an older version, with steps that are still to come.

use super::*;

fn counters(connection: &Connection) -> Vec<String> {
    let mut names = connection.prepare("SELECT name || ' ' || value FROM counter ORDER BY name").unwrap();
    names.query_map([], |row| row.get(0)).unwrap().map(rusqlite::Result::unwrap).collect()
}

fn version(connection: &Connection) -> i64 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// Not to be taken twice.
fn double(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("UPDATE counter SET value = value * 2 WHERE name = 'next_oid'", []).map(drop)
}

fn broken(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM counter", [])?;
    transaction.execute("DELETE FROM nothing", []).map(drop)
}

#[test]
fn an_old_file_takes_the_steps_it_lacks_once() {
    let mut connection = Connection::open_in_memory().unwrap();
    take(&[create], &mut connection, "c").unwrap();
    let (first, doubled) = (Oid::FIRST_USER.0, Oid::FIRST_USER.0 * 2);
    assert_eq!(counters(&connection), ["generation 0".to_owned(), format!("next_oid {first}")]);
    for _ in 0..2 {
        take(&[create, double], &mut connection, "c").unwrap();
        assert_eq!(counters(&connection), ["generation 0".to_owned(), format!("next_oid {doubled}")]);
        assert_eq!(version(&connection), 2);
    }
    let error = take(&[create], &mut connection, "c").unwrap_err();
    assert_eq!(error.message(), "the catalog \"c\" has version 2; this program reads up to 1");
}

#[test]
fn a_step_that_fails_leaves_the_file_as_it_was() {
    let mut connection = Connection::open_in_memory().unwrap();
    take(&[create], &mut connection, "c").unwrap();
    let before = counters(&connection);
    assert!(take(&[create, double, broken], &mut connection, "c").is_err());
    assert_eq!((counters(&connection), version(&connection)), (before, 1));
}
