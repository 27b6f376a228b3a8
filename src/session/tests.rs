//! Statements that were planned before another session changed what they stand on: each runs here with the scope that it
//! began with, as it would after it has waited for a table's lock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::buffer::{Buffer, BufferOptions, TableChanges};
use crate::catalog::definition::{ColumnDef, RelationDef};
use crate::catalog::{Catalog, FolderLock};
use crate::clock::Clock;
use crate::config::Config;
use crate::dialect::Statement;
use crate::engine::{Engine, EngineConfig, Scope};
use crate::error::Result;
use crate::log::LogOptions;
use crate::session::statement::Known;
use crate::session::{Login, Reply, Server, Session};
use crate::tables::{Change, MetadataChange, Operation, Stores, Table, TableSpec};

mod conflicts;
mod vectors;

pub(super) async fn server(folder: &Path) -> Arc<Server> {
    server_on(folder, Stores::new(Default::default()).unwrap(), folder.display().to_string()).await
}

/// A server whose sessions may read and write what lies in `location`.
async fn server_on(folder: &Path, stores: Stores, location: String) -> Arc<Server> {
    let (config, stores) = (Config::in_folder(folder), Arc::new(stores));
    let catalog = Catalog::in_memory().unwrap();
    let log = folder.join("log");
    let options = BufferOptions { log: LogOptions::default(), tail_bytes_max: config.tail_bytes_max };
    let opened = Buffer::open(catalog, Arc::clone(&stores), Clock::Real, &log, options).await;
    let buffer = Arc::new(opened.unwrap());
    let engine = EngineConfig {
        memory_bytes_max: config.memory_bytes_max,
        spill_folder: folder.join("spill"),
        spill_bytes_max: config.spill_bytes_max,
        target_partitions: 2,
        // What these tests look at are commits.
        uses_tails: false,
        target_file_bytes: config.target_file_bytes,
        tables_url: Url::from_directory_path(folder).unwrap(),
        file_locations: vec![location],
    };
    let engine = Engine::new(engine, Arc::clone(&buffer)).unwrap();
    Arc::new(Server::new(engine, buffer, config, FolderLock::take(folder).unwrap()))
}

/// Two sessions of one database, and a table `t (k int, v text)` with the rows 1 and 2.
async fn two_sessions() -> (tempfile::TempDir, Session, Session) {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let session = || Session::open(&server, Login::embedded()).unwrap();
    let (slow, quick) = (session(), session());
    done(&quick, "CREATE TABLE t (k int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    (folder, slow, quick)
}

async fn done(session: &Session, sql: &str) {
    if let Reply::Rows(rows) = session.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")) {
        rows.collect().await.unwrap();
    }
}

/// The rows of a query, each as one text.
async fn rows(session: &Session, sql: &str) -> Result<Vec<String>> {
    let Reply::Rows(rows) = session.sql(sql).await? else { panic!("{sql} gives no rows") };
    let options = FormatOptions::new().with_null("NULL");
    let mut lines = Vec::new();
    for batch in rows.collect().await? {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        let line = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" ");
        lines.extend((0..batch.num_rows()).map(line));
    }
    Ok(lines)
}

/// Runs a statement that began when `scope` was the present.
async fn late(session: &Session, scope: &Scope, sql: &str) -> Result<()> {
    let (cancel, engine) = (CancellationToken::new(), session.server.engine());
    match &session.parse(sql)?[0].statement {
        Statement::Insert(insert) => engine.insert(scope, insert, None, &[], &cancel).await.map(drop),
        Statement::Update(update) => engine.update(scope, update, &[], &cancel).await.map(drop),
        Statement::Delete(delete) => engine.delete(scope, delete, &[], &cancel).await.map(drop),
        Statement::Merge(merge) => engine.merge(scope, merge, &[], &cancel).await.map(drop),
        Statement::AlterRelation(alter) => session.alter_relation(scope, alter, &cancel).await.map(drop),
        Statement::CreateTable(create) => session.create_table(scope, create, &[], &cancel).await.map(drop),
        Statement::Comment(comment) => session.comment(scope, comment).map(drop),
        other => panic!("{other:?}"),
    }
}

fn code(outcome: Result<()>) -> &'static str {
    outcome.err().map_or("00000", |error| error.sqlstate())
}

#[tokio::test]
async fn a_statement_that_waited_for_the_lock_does_not_undo_a_change_of_the_definition() {
    for sql in [
        "UPDATE t SET v = 'late' WHERE k = 1",
        "DELETE FROM t WHERE k = 1",
        "DELETE FROM t",
        "MERGE INTO t USING (VALUES (1, 'late'), (3, 'new')) AS s(k, v) ON t.k = s.k
         WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v)",
        "INSERT INTO t VALUES (3, 'late')",
        "ALTER TABLE t ADD COLUMN y int",
        "ALTER TABLE t ADD COLUMN y int DEFAULT 7",
        "ALTER TABLE t DROP COLUMN v",
        "ALTER TABLE t RENAME COLUMN v TO w",
        "ALTER TABLE t ADD CHECK (k > 0)",
        "ALTER TABLE t ALTER COLUMN v SET DEFAULT 'z'",
        "ALTER TABLE t SET (target_file_bytes = 1000000)",
        "ALTER TABLE t RENAME CONSTRAINT t_pkey TO key",
        "CREATE OR REPLACE TABLE t (other int)",
    ] {
        let (_folder, slow, quick) = two_sessions().await;
        let scope = slow.scope();
        done(&quick, "ALTER TABLE t ADD COLUMN x int DEFAULT 5").await;
        let error = late(&slow, &scope, sql).await.expect_err(sql);
        assert_eq!(error.sqlstate(), "40001", "{sql}: {error}");
        assert_eq!(rows(&quick, "SELECT * FROM t ORDER BY k").await.unwrap(), ["1 a 5", "2 b 5"], "{sql}");
        done(&quick, "INSERT INTO t (k) VALUES (9)").await;
        assert_eq!(
            rows(&quick, "SELECT x FROM t WHERE k = 9").await.unwrap(),
            ["5"],
            "{sql}: the default is forgotten"
        );
        assert_eq!(
            code(late(&slow, &slow.scope(), sql).await),
            "00000",
            "{sql}: the second time nothing is in its way"
        );
    }
}

#[tokio::test]
async fn a_check_that_was_added_meanwhile_holds() {
    let (_folder, slow, quick) = two_sessions().await;
    let scope = slow.scope();
    done(&quick, "ALTER TABLE t ADD CONSTRAINT small CHECK (k < 10)").await;
    assert_eq!(code(late(&slow, &scope, "UPDATE t SET k = 10 WHERE k = 1").await), "40001");
    assert_eq!(code(late(&slow, &slow.scope(), "UPDATE t SET k = 10 WHERE k = 1").await), "23514");
    let scope = slow.scope();
    done(&quick, "ALTER TABLE t ALTER COLUMN v SET DEFAULT 'late'").await;
    let merge = "MERGE INTO t USING (VALUES (3)) AS s(k) ON t.k = s.k WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k)";
    assert_eq!(code(late(&slow, &scope, merge).await), "40001");
}

#[tokio::test]
async fn names_owners_and_comments_may_change_while_a_statement_waits() {
    let (_folder, slow, quick) = two_sessions().await;
    let scope = slow.scope();
    done(&quick, "CREATE SCHEMA s; CREATE ROLE other; ALTER TABLE t SET SCHEMA s; ALTER TABLE s.t RENAME TO u").await;
    done(&quick, "COMMENT ON TABLE s.u IS 'whole'; COMMENT ON COLUMN s.u.v IS 'part'; ALTER TABLE s.u OWNER TO other")
        .await;
    assert_eq!(code(late(&slow, &scope, "UPDATE t SET v = 'c' WHERE k = 2").await), "00000");
    // The first has an entry in the log, the second only in the catalog.
    assert_eq!(code(late(&slow, &scope, "ALTER TABLE t ADD COLUMN x int DEFAULT 5").await), "00000");
    assert_eq!(rows(&quick, "SELECT * FROM s.u ORDER BY k").await.unwrap(), ["1 a 5", "2 c 5"]);
    let scope = slow.scope();
    done(&quick, "ALTER TABLE s.u RENAME TO w").await;
    assert_eq!(code(late(&slow, &scope, "ALTER TABLE s.u ALTER COLUMN v SET DEFAULT 'd'").await), "00000");
    done(&quick, "INSERT INTO s.w (k) VALUES (3)").await;
    assert_eq!(rows(&quick, "SELECT v, x FROM s.w WHERE k = 3").await.unwrap(), ["d 5"]);
    let catalog = Arc::clone(&quick.scope().version.catalog);
    let table = catalog.relations().find(|relation| relation.name == "w").unwrap().clone();
    assert_eq!(table.comment.as_deref(), Some("whole"));
    assert_eq!(table.column("v").unwrap().comment.as_deref(), Some("part"));
    assert_eq!(table.owner, catalog.role("other").unwrap().oid);
}

#[tokio::test]
async fn what_only_the_catalog_knows_is_changed_without_forgetting_the_rest() {
    let (_folder, slow, quick) = two_sessions().await;
    let scope = slow.scope();
    done(&quick, "ALTER TABLE t ADD COLUMN x int DEFAULT 5").await;
    for sql in ["COMMENT ON TABLE t IS 'late'", "ALTER TABLE t OWNER TO headwater", "ALTER TABLE t RENAME TO u"] {
        assert_eq!(code(late(&slow, &scope, sql).await), "00000", "{sql}");
    }
    done(&quick, "UPDATE u SET v = 'c' WHERE k = 1; INSERT INTO u (k, v) VALUES (3, 'd')").await;
    assert_eq!(rows(&quick, "SELECT * FROM u ORDER BY k").await.unwrap(), ["1 c 5", "2 b 5", "3 d 5"]);
}

#[tokio::test]
async fn a_dropped_table_is_not_changed() {
    let (_folder, slow, quick) = two_sessions().await;
    let scope = slow.scope();
    done(&quick, "DROP TABLE t; CREATE TABLE t (k int)").await;
    for sql in
        ["UPDATE t SET v = 'x'", "ALTER TABLE t ADD COLUMN x int", "ALTER TABLE t ALTER COLUMN v SET DEFAULT 'z'"]
    {
        assert_eq!(code(late(&slow, &scope, sql).await), "40001", "{sql}");
    }
}

#[tokio::test]
async fn an_alter_that_the_catalog_refuses_leaves_no_commit() {
    let (_folder, _, quick) = two_sessions().await;
    let many: Vec<String> = (0..1600).map(|at| format!("ADD COLUMN c{at} int")).collect();
    let error = quick.sql(&format!("ALTER TABLE t {}", many.join(", "))).await.err().unwrap();
    assert_eq!(error.sqlstate(), "54000");
    assert_eq!(rows(&quick, "SELECT * FROM t ORDER BY k").await.unwrap(), ["1 a", "2 b"]);
    assert_eq!(rows(&quick, "DESCRIBE HISTORY t").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_column_that_another_program_added_is_not_lost() {
    let (_folder, slow, quick) = two_sessions().await;
    let scope = slow.scope();
    let relation = scope.version.catalog.relations().find(|relation| relation.name == "t").unwrap().clone();
    let location = Url::parse(&relation.table().unwrap().location).unwrap();
    let buffer = slow.server.buffer();
    let foreign = Table::open(buffer.stores(), &Clock::Real, &location).await.unwrap();
    let mut columns = relation.columns.clone();
    columns.push(ColumnDef { number: 3, name: "x".into(), ..columns[1].clone() });
    let mut change = Change::new(Operation::new("ADD COLUMNS"));
    change.metadata = Some(MetadataChange { columns: Some(columns), ..MetadataChange::default() });
    foreign.lock().await.unwrap().commit(change).await.unwrap();
    assert_eq!(code(late(&slow, &scope, "UPDATE t SET v = 'c' WHERE k = 1").await), "40001");
    done(&slow, "UPDATE t SET v = 'c', x = 'd' WHERE k = 1").await;
    assert_eq!(rows(&quick, "SELECT * FROM t ORDER BY k").await.unwrap(), ["1 c d", "2 b NULL"]);
}

#[tokio::test]
async fn nobody_follows_an_alter_that_is_not_done() {
    let (_folder, slow, quick) = two_sessions().await;
    let version = slow.scope().version.clone();
    let relation = version.catalog.relations().find(|relation| relation.name == "t").unwrap().clone();
    let mut writer = version.table(relation.oid).unwrap().lock().await.unwrap();
    let mut new = RelationDef::clone(&relation);
    new.columns[1].not_null = true;
    let mut change = Change::new(Operation::new("CHANGE COLUMN"));
    change.metadata = Some(MetadataChange { columns: Some(new.columns.clone()), ..MetadataChange::default() });
    writer.commit(change).await.unwrap();
    let buffer = quick.server.buffer();
    let mut following = Box::pin(buffer.refresh(relation.oid));
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut following).await;
    assert!(waits.is_err(), "the entry in the catalog is still to come");
    new.columns[1].default = Some("'z'".to_owned());
    let opened = vec![(relation.oid, Arc::clone(writer.table()))];
    let changes = TableChanges { opened, closed: Vec::new() };
    buffer.define(|draft| draft.change_relation(&relation, new), |()| changes).unwrap();
    drop(writer);
    following.await.unwrap();
    let relation = buffer.current().catalog.relation_by_oid(relation.oid).unwrap();
    assert_eq!(relation.column("v").unwrap().default.as_deref(), Some("'z'"));
}

#[tokio::test]
async fn a_table_with_a_change_data_feed_takes_only_what_needs_no_feed() {
    let (folder, session, _) = two_sessions().await;
    let scope = session.scope();
    let columns = scope.version.catalog.relations().find(|relation| relation.name == "t").unwrap().columns.clone();
    let properties = [("delta.enableChangeDataFeed".to_owned(), "true".to_owned())].into();
    let location = Url::from_directory_path(folder.path().join("feed")).unwrap();
    let spec = TableSpec { columns, properties, ..TableSpec::default() };
    Table::create(session.server.buffer().stores(), &Clock::Real, &location, &spec).await.unwrap();
    done(&session, &format!("CREATE TABLE feed USING DELTA LOCATION '{location}'")).await;
    done(&session, "INSERT INTO feed SELECT * FROM t").await;
    for sql in ["UPDATE feed SET v = 'x' WHERE k = 1", "DELETE FROM feed WHERE k = 1"] {
        let error = session.sql(sql).await.err().expect(sql);
        assert_eq!(error.sqlstate(), "0A000", "{sql}: {error}");
    }
    done(&session, "DELETE FROM feed WHERE k > 0; INSERT INTO feed SELECT * FROM t").await;
    done(&session, "ALTER TABLE feed RESET (delta.enableChangeDataFeed); DELETE FROM feed WHERE k = 1").await;
    assert_eq!(rows(&session, "SELECT * FROM feed").await.unwrap(), ["2 b"]);
}

#[tokio::test]
async fn a_partition_value_that_cannot_be_read_fails_only_who_needs_it() {
    let (folder, session, _) = two_sessions().await;
    let location = folder.path().join("p");
    done(&session, &format!("CREATE TABLE p (a int, p int) PARTITIONED BY (p) LOCATION '{}'", location.display()))
        .await;
    done(&session, "INSERT INTO p VALUES (1, 10); INSERT INTO p VALUES (2, 20); DROP TABLE p").await;
    let commit = location.join(format!("_delta_log/{:020}.json", 2));
    let text = std::fs::read_to_string(&commit).unwrap();
    std::fs::write(&commit, text.replace("\"p\":\"20\"", "\"p\":\"twenty\"")).unwrap();
    done(&session, &format!("CREATE TABLE p USING DELTA LOCATION '{}'", location.display())).await;
    assert_eq!(rows(&session, "SELECT a FROM p ORDER BY a").await.unwrap(), ["1", "2"]);
    assert_eq!(rows(&session, "SELECT count(*) FROM p").await.unwrap(), ["2"]);
    assert_eq!(rows(&session, "SELECT a, p FROM p WHERE a = 1").await.unwrap(), ["1 10"]);
    for sql in ["SELECT p FROM p", "SELECT a FROM p WHERE p = 20", "SELECT count(p), min(p) FROM p"] {
        assert_eq!(rows(&session, sql).await.err().map(|error| error.sqlstate()), Some("XX001"), "{sql}");
    }
    done(&session, "DELETE FROM p WHERE a = 2; DELETE FROM p WHERE p = 10; INSERT INTO p VALUES (3, 30)").await;
    assert_eq!(rows(&session, "SELECT * FROM p").await.unwrap(), ["3 30"]);
}

#[tokio::test]
async fn a_column_that_goes_tells_every_view_that_goes_with_it() {
    let (_folder, session, _) = two_sessions().await;
    let views = "CREATE VIEW reads AS SELECT v FROM t; CREATE VIEW above AS SELECT v FROM reads; CREATE VIEW keys AS SELECT k FROM t";
    done(&session, views).await;
    session.take_notices();
    done(&session, "ALTER TABLE t DROP COLUMN v CASCADE").await;
    let told: Vec<String> = session.take_notices().into_iter().map(|notice| notice.message).collect();
    assert!(told.contains(&"drop cascades to 2 other objects".to_owned()), "{told:?}");
    done(&session, "SELECT k FROM keys").await;
}

#[tokio::test]
async fn rows_that_are_written_out_take_no_plan() {
    let (_folder, session, _) = two_sessions().await;
    done(
        &session,
        "CREATE TABLE s (k int, d date DEFAULT '2026-01-31', at timestamptz DEFAULT now(), n numeric(9, 2))",
    )
    .await;
    done(&session, "CREATE TABLE c (k int, v text) CLUSTER BY (k)").await;
    for (sql, is_direct) in [
        ("INSERT INTO t VALUES (3, 'c')", true),
        ("INSERT INTO t VALUES ($1, $2)", true),
        ("INSERT INTO t (v, k) VALUES ($1, 5), (NULL, $2) RETURNING *", false),
        ("INSERT INTO t (v, k) VALUES ($1, $2), (NULL, $3) RETURNING *", true),
        ("INSERT INTO t VALUES (-3, CAST($1 AS text)) ON CONFLICT DO NOTHING", true),
        ("INSERT INTO t VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v", true),
        ("INSERT INTO s VALUES ('5', DATE '2026-01-31', '2026-01-31', 1.5)", true),
        ("INSERT INTO s (k) VALUES (1), (2)", true),
        ("INSERT INTO s DEFAULT VALUES", true),
        ("INSERT INTO c VALUES (1, 'a')", true),
        ("INSERT INTO c VALUES (2, 'a'), (1, 'b')", false),
        ("INSERT INTO t VALUES (1 + 1, 'c')", false),
        ("INSERT INTO t SELECT 3, 'c'", false),
        ("INSERT INTO t VALUES (3, 'c') LIMIT 1", false),
    ] {
        let prepared = session.prepare(&session.parse(sql).unwrap()[0], &[]).await.unwrap();
        assert_eq!(matches!(prepared.known, Some(Known::Insert(_))), is_direct, "{sql}");
    }
}
