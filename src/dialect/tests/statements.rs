//! All other statements.

use super::*;

#[test]
fn settings() {
    let set = |sql: &str| match one(sql) {
        Statement::Set(set) => set,
        other => panic!("{other:?}"),
    };
    let values = |list: &[&str]| SetValue::Values(names(list));
    assert_eq!(set("SET search_path TO a, \"B\", '$user'").value, values(&["a", "B", "$user"]));
    assert_eq!(set("SET LOCAL work_mem = '4MB'").scope, SetScope::Local);
    assert_eq!(
        set("SET SESSION x.y = -1.5"),
        SetVariable { scope: SetScope::Session, name: "x.y".into(), value: values(&["-1.5"]) }
    );
    assert_eq!(set("SET DateStyle = ISO, MDY").name, "datestyle");
    assert_eq!(set("SET a = on").value, values(&["on"]));
    assert_eq!(set("SET a TO DEFAULT").value, SetValue::Default);
    assert_eq!(set("SET TIME ZONE 'Europe/Berlin'").value, values(&["Europe/Berlin"]));
    assert_eq!(set("SET TIME ZONE LOCAL").value, SetValue::Default);
    assert_eq!(set("SET TIME ZONE -7").value, values(&["-7"]));
    assert_eq!(set("SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE").name, "timezone");
    assert_eq!(set("SET NAMES 'UTF8'").name, "client_encoding");
    assert_eq!(set("SET session = 1").name, "session");
    assert_eq!(set("SET search_path TO a, b").value.text().as_deref(), Some("a, b"));
    assert!(matches!(one("SET ROLE bob"), Statement::SetRole { role: Some(role), .. } if role == "bob"));
    assert!(matches!(one("SET SESSION AUTHORIZATION DEFAULT"), Statement::SetRole { role: None, .. }));
    assert!(matches!(one("SET CONSTRAINTS ALL DEFERRED"), Statement::SetConstraints));
    assert!(
        matches!(one("SHOW transaction isolation level"), Statement::Show(Setting::Named(name)) if name == "transaction_isolation")
    );
    assert!(matches!(one("SHOW TIME ZONE"), Statement::Show(Setting::Named(name)) if name == "timezone"));
    assert!(matches!(one("SHOW ALL"), Statement::Show(Setting::All)));
    assert!(matches!(one("SHOW server_version"), Statement::Show(Setting::Named(_))));
    assert!(matches!(one("RESET ALL"), Statement::Reset(Setting::All)));
    assert!(matches!(one("RESET search_path"), Statement::Reset(Setting::Named(_))));
    assert!(matches!(one("DISCARD ALL"), Statement::Discard(Discard::All)));
    assert!(matches!(one("DISCARD TEMP"), Statement::Discard(Discard::Temporary)));
}

#[test]
fn transactions() {
    let begin = |sql: &str| match one(sql) {
        Statement::Begin(modes) => modes,
        other => panic!("{other:?}"),
    };
    assert_eq!(begin("BEGIN"), TransactionModes::default());
    assert_eq!(begin("BEGIN WORK"), TransactionModes::default());
    let modes = begin("START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, NOT DEFERRABLE");
    let expected =
        TransactionModes { isolation: Some(Isolation::Serializable), read_only: Some(true), deferrable: Some(false) };
    assert_eq!(modes, expected);
    assert_eq!(begin("BEGIN READ WRITE").read_only, Some(false));
    for sql in ["COMMIT", "END", "COMMIT WORK", "END TRANSACTION AND NO CHAIN"] {
        assert!(matches!(one(sql), Statement::Commit { chain: false }), "{sql}");
    }
    assert!(matches!(one("COMMIT AND CHAIN"), Statement::Commit { chain: true }));
    for sql in ["ROLLBACK", "ABORT", "ROLLBACK WORK", "ABORT TRANSACTION"] {
        assert!(matches!(one(sql), Statement::Rollback { chain: false }), "{sql}");
    }
    assert!(matches!(one("SAVEPOINT A"), Statement::Savepoint(name) if name == "a"));
    assert!(matches!(one("RELEASE a"), Statement::Release(_)));
    assert!(matches!(one("RELEASE SAVEPOINT a"), Statement::Release(name) if name == "a"));
    assert!(matches!(one("ROLLBACK TO SAVEPOINT \"A\""), Statement::RollbackTo(name) if name == "A"));
    assert!(matches!(one("ROLLBACK WORK TO a"), Statement::RollbackTo(_)));
    assert!(matches!(one("SET TRANSACTION READ ONLY"), Statement::SetTransaction { session: false, .. }));
    assert!(matches!(
        one("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"),
        Statement::SetTransaction { session: true, .. }
    ));
    assert!(matches!(one("PREPARE TRANSACTION 'x'"), Statement::Unsupported(_)));
    assert_eq!(fails("SET TRANSACTION").sqlstate(), "42601");
}

#[test]
fn prepared_statements_and_cursors() {
    let Statement::Prepare(prepare) = one("PREPARE p (int, unknown, numeric(3,1)) AS SELECT $1, $2") else { panic!() };
    assert_eq!((prepare.name.as_str(), prepare.types.len(), prepare.types[1].is_none()), ("p", 3, true));
    let Statement::Execute(execute) = one("EXECUTE p (1, 'x', a + 1)") else { panic!() };
    assert_eq!(execute.arguments.len(), 3);
    assert!(matches!(one("DEALLOCATE PREPARE ALL"), Statement::Deallocate(None)));
    assert!(matches!(one("DEALLOCATE p"), Statement::Deallocate(Some(_))));
    assert_eq!(fails("PREPARE p AS BEGIN").sqlstate(), "42601");
    let Statement::DeclareCursor(cursor) = one("DECLARE c BINARY NO SCROLL CURSOR WITH HOLD FOR SELECT 1") else {
        panic!()
    };
    assert!(cursor.binary && cursor.hold && cursor.scroll == Some(false));
    for (sql, direction) in [
        ("FETCH c", Direction::Forward(1)),
        ("FETCH FROM c", Direction::Forward(1)),
        ("FETCH next", Direction::Forward(1)),
        ("FETCH NEXT FROM c", Direction::Forward(1)),
        ("FETCH PRIOR IN c", Direction::Forward(-1)),
        ("FETCH 10 c", Direction::Forward(10)),
        ("FETCH -3 FROM c", Direction::Forward(-3)),
        ("FETCH ALL FROM c", Direction::ForwardAll),
        ("FETCH FORWARD FROM c", Direction::Forward(1)),
        ("FETCH FORWARD 7 FROM c", Direction::Forward(7)),
        ("FETCH BACKWARD ALL FROM c", Direction::BackwardAll),
        ("FETCH BACKWARD 2 c", Direction::Forward(-2)),
        ("FETCH ABSOLUTE -1 FROM c", Direction::Absolute(-1)),
        ("FETCH RELATIVE 0 FROM c", Direction::Relative(0)),
        ("FETCH FIRST FROM c", Direction::Absolute(1)),
        ("FETCH LAST FROM c", Direction::Absolute(-1)),
    ] {
        let Statement::FetchCursor(fetch) = one(sql) else { panic!("{sql}") };
        assert_eq!((fetch.direction, fetch.only_move), (direction, false), "{sql}");
    }
    assert!(matches!(one("MOVE 3 FROM c"), Statement::FetchCursor(FetchCursor { only_move: true, .. })));
    assert!(matches!(one("CLOSE ALL"), Statement::CloseCursor(None)));
    assert!(matches!(one("CLOSE c"), Statement::CloseCursor(Some(_))));
}

#[test]
fn upkeep_and_history() {
    let Statement::Optimize(optimize) = one("OPTIMIZE s.t WHERE day > '2024-01-01' ZORDER BY (a, B) FULL") else {
        panic!()
    };
    assert!(optimize.full && optimize.condition.is_some());
    assert_eq!(optimize.zorder_by, names(&["a", "b"]));
    let vacuum = |sql: &str| match one(sql) {
        Statement::Vacuum(vacuum) => vacuum,
        other => panic!("{other:?}"),
    };
    let full = vacuum("VACUUM t RETAIN 0.5 HOURS DRY RUN");
    assert_eq!((full.retain_hours, full.dry_run, full.tables.len()), (Some(0.5), true, 1));
    assert_eq!(vacuum("VACUUM t RETAIN 7 DAYS").retain_hours, Some(168.0));
    assert!(vacuum("VACUUM").tables.is_empty());
    assert!(vacuum("VACUUM FULL VERBOSE ANALYZE t (a)").analyze);
    assert!(vacuum("VACUUM (ANALYZE, VERBOSE) t").analyze);
    assert!(matches!(one("ANALYZE"), Statement::Analyze(Analyze { tables }) if tables.is_empty()));
    assert!(matches!(one("ANALYZE VERBOSE t (a, b)"), Statement::Analyze(Analyze { tables }) if tables.len() == 1));
    assert!(matches!(one("FLUSH TABLE t"), Statement::Flush(_)));
    assert!(matches!(
        one("DESCRIBE HISTORY t LIMIT 3"),
        Statement::DescribeHistory(DescribeHistory { limit: Some(3), .. })
    ));
    assert!(matches!(one("DESC HISTORY t"), Statement::DescribeHistory(_)));
    assert!(
        matches!(one("DESCRIBE history"), Statement::Describe(Describe { relation, .. }) if relation.name == "history")
    );
    assert!(matches!(one("DESCRIBE TABLE EXTENDED s.t"), Statement::Describe(Describe { extended: true, .. })));
    let restore = |sql: &str| match one(sql) {
        Statement::Restore(restore) => restore.to,
        other => panic!("{other:?}"),
    };
    assert!(matches!(restore("RESTORE TABLE t TO VERSION AS OF 12"), TimePoint::Version(12)));
    assert!(matches!(restore("RESTORE TABLE t TO TIMESTAMP AS OF '2024-01-01'"), TimePoint::Timestamp(_)));
}

#[test]
fn explain() {
    let explain = |sql: &str| match one(sql) {
        Statement::Explain(explain) => explain,
        other => panic!("{other:?}"),
    };
    assert!(explain("EXPLAIN ANALYZE VERBOSE SELECT 1").analyze);
    let all = explain("EXPLAIN (ANALYZE true, VERBOSE off, COSTS, FORMAT JSON) INSERT INTO t SELECT 1");
    assert!(all.analyze && !all.verbose && all.format == ExplainFormat::Json);
    assert!(matches!(*explain("EXPLAIN (SELECT 1)").statement, Statement::Query(_)));
    assert!(matches!(*explain("EXPLAIN ((SELECT 1))").statement, Statement::Query(_)));
    assert!(matches!(*explain("EXPLAIN CREATE TABLE t AS SELECT 1").statement, Statement::CreateTable(_)));
    assert_eq!(fails("EXPLAIN BEGIN").sqlstate(), "42601");
    assert_eq!(fails("EXPLAIN (FORMAT xml) SELECT 1").sqlstate(), "0A000");
}

#[test]
fn roles_and_privileges() {
    let create = |sql: &str| match one(sql) {
        Statement::CreateRole(create) => create,
        other => panic!("{other:?}"),
    };
    let role = create("CREATE ROLE bob WITH SUPERUSER LOGIN ENCRYPTED PASSWORD 's3cret' CONNECTION LIMIT 5");
    assert_eq!((role.options.superuser, role.options.login), (Some(true), Some(true)));
    assert_eq!(role.options.password, Some(Some("s3cret".to_owned())));
    assert!(!format!("{role:?}").contains("s3cret"), "a password is printed");
    assert_eq!(create("CREATE USER bob").options.login, Some(true));
    assert_eq!(create("CREATE ROLE bob").options.login, None);
    assert_eq!(create("CREATE USER bob NOLOGIN").options.login, Some(false));
    let alter = |sql: &str| match one(sql) {
        Statement::AlterRole(alter) => alter,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        alter("ALTER USER bob PASSWORD NULL"),
        AlterRole::Options(_, RoleOptions { password: Some(None), .. })
    ));
    assert!(matches!(alter("ALTER ROLE bob RENAME TO rob"), AlterRole::Rename(..)));
    assert!(matches!(alter("ALTER ROLE bob SET search_path TO a, b"), AlterRole::Setting(_, RoleSetting::Set(..))));
    assert!(matches!(alter("ALTER ROLE bob RESET ALL"), AlterRole::Setting(_, RoleSetting::Reset(Setting::All))));
    assert_eq!(fails("CREATE ROLE bob FROBNICATE").sqlstate(), "42601");
    assert_eq!(fails("CREATE ROLE bob REPLICATION").sqlstate(), "0A000");
    let Statement::Grant(grant) = one("GRANT SELECT (a, b), UPDATE ON s.t, u TO bob, PUBLIC WITH GRANT OPTION") else {
        panic!()
    };
    assert_eq!(grant.privileges[0], ("select".to_owned(), names(&["a", "b"])));
    assert_eq!((grant.kind.as_str(), grant.objects.len(), grant.grant_option), ("table", 2, true));
    assert!(
        matches!(one("GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA s TO bob"), Statement::Grant(grant) if grant.kind == "all tables in schema")
    );
    assert!(matches!(one("GRANT admin TO bob"), Statement::Grant(grant) if grant.kind == "role"));
    assert!(
        matches!(one("REVOKE GRANT OPTION FOR SELECT ON t FROM bob CASCADE"), Statement::Revoke(revoke) if revoke.cascade && revoke.grant_option)
    );
}

#[test]
fn notifications() {
    assert!(matches!(one("LISTEN Chan"), Statement::Listen(channel) if channel == "chan"));
    assert!(matches!(one("UNLISTEN *"), Statement::Unlisten(None)));
    let Statement::Notify(notify) = one("NOTIFY chan, 'hello'") else { panic!() };
    assert_eq!((notify.channel.as_str(), notify.payload.as_str()), ("chan", "hello"));
    assert_eq!(fails(&format!("NOTIFY c, '{}'", "x".repeat(8000))).sqlstate(), "22023");
}

#[test]
fn what_the_server_lacks_is_named() {
    for (sql, what) in [
        ("CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql", "CREATE FUNCTION"),
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql", "CREATE FUNCTION"),
        ("CREATE UNIQUE INDEX i ON t (a)", "CREATE UNIQUE INDEX"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "CREATE MATERIALIZED VIEW"),
        ("CREATE DATABASE d", "CREATE DATABASE"),
        ("DROP TYPE t", "DROP TYPE"),
        ("ALTER SEQUENCE s RESTART", "ALTER SEQUENCE"),
        ("LOCK TABLE t IN EXCLUSIVE MODE", "LOCK TABLE"),
        ("DO $$ BEGIN END $$", "DO"),
        ("CALL f(1)", "CALL"),
    ] {
        let Statement::Unsupported(unsupported) = one(sql) else { panic!("{sql}") };
        assert_eq!(unsupported.what, what);
        assert_eq!(unsupported.error().sqlstate(), "0A000");
    }
    assert_eq!(fails("CREATE FROB x").sqlstate(), "42601");
}

#[test]
fn changes_of_rows() {
    let Statement::Insert(insert) = one("INSERT INTO t DEFAULT VALUES RETURNING a") else { panic!() };
    assert!(insert.source.is_none() && insert.returning.is_some());
    let Statement::Insert(insert) = one("INSERT INTO s.t AS x (a) SELECT 1 ON CONFLICT DO NOTHING") else { panic!() };
    assert!(insert.on.is_some() && insert.table_alias.is_some());
    let Statement::Insert(insert) = one("INSERT INTO t SELECT 1 RETURNING a") else { panic!() };
    assert!(insert.returning.is_some());
    let Statement::Insert(insert) = one("INSERT INTO t SELECT a FROM u RETURNING a AS returning") else { panic!() };
    assert!(insert.returning.is_some());
    one("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x");
    let Statement::Update(update) = one("UPDATE ONLY_T SET (a, b) = (1, DEFAULT), c = DEFAULT FROM u, v WHERE true")
    else {
        panic!()
    };
    assert!(update.from.is_some());
    let Statement::Merge(merge) = one(
        "MERGE INTO t USING (SELECT 1 AS a) s ON t.a IS NOT DISTINCT FROM s.a AND true WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN MATCHED THEN UPDATE SET a = DEFAULT RETURNING t.a",
    ) else {
        panic!()
    };
    assert_eq!(merge.clauses.len(), 2);
}
