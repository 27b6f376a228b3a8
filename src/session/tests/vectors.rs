//! A table in which another writer has marked rows as deleted: every statement sees, changes and keeps what is left.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::{code, done, rows, server};
use crate::clock::Clock;
use crate::session::{Login, Reply, Session};
use crate::tables::{DeletionVector, Snapshot, Table, VectorKind, write_vector};

/// `v` by `id`.
type Model = BTreeMap<i64, i64>;

/// Rows of a file, and of its row groups.
const FILE_ROWS: i64 = 100;
const ROW_GROUP_ROWS: usize = 16;

/// The rows of a file that are deleted at a version.
fn deleted(version: i64, file: i64) -> Option<(VectorKind, Vec<u64>)> {
    let rows = 0..FILE_ROWS as u64;
    match (version, file) {
        (1, 0) => Some((VectorKind::Relative, rows.step_by(3).collect())),
        (1, 1) => Some((VectorKind::Inline, (10..30).collect())),
        (1, 2) => Some((VectorKind::Absolute, rows.collect())),
        (2, 0) => Some((VectorKind::Relative, rows.filter(|row| row % 3 == 0 || row % 5 == 0).collect())),
        (2, 4) => Some((VectorKind::Relative, (0..99).collect())),
        _ => None,
    }
}

/// Writes a table `(id, v)` of five files with three versions, and gives the rows of each.
fn foreign_table(folder: &Path) -> Vec<Model> {
    std::fs::create_dir_all(folder.join("_delta_log")).unwrap();
    let mut vectors: BTreeMap<i64, DeletionVector> = BTreeMap::new();
    let sizes: Vec<u64> = (0..5).map(|file| write_file(&folder.join(path(file)), file)).collect();
    let mut models = vec![(0..5 * FILE_ROWS).map(|id| (id, id * 10)).collect::<Model>()];
    let mut first = vec![
        json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
            "writerFeatures": ["deletionVectors", "checkConstraints", "invariants"]}}),
        metadata(),
    ];
    first.extend((0..5).map(|file| json!({"add": described(file, sizes[file as usize], None)})));
    commit(folder, 0, "WRITE", &first);
    for version in 1..=2 {
        let mut model = models[models.len() - 1].clone();
        let mut lines = Vec::new();
        for file in 0..5 {
            let Some((kind, gone)) = deleted(version, file) else { continue };
            let vector = write_vector(folder, kind, gone.iter().copied());
            model.retain(|id, _| id / FILE_ROWS != file || !gone.contains(&((id % FILE_ROWS) as u64)));
            let size = sizes[file as usize];
            lines.push(json!({"add": described(file, size, Some(&vector))}));
            lines.push(json!({"remove": described(file, size, vectors.insert(file, vector).as_ref())}));
        }
        commit(folder, version, "DELETE", &lines);
        models.push(model);
    }
    models
}

fn path(file: i64) -> String {
    format!("part-{file}.parquet")
}

fn write_file(path: &Path, file: i64) -> u64 {
    let ids = file * FILE_ROWS..(file + 1) * FILE_ROWS;
    let v: ArrayRef = Arc::new(Int64Array::from_iter_values(ids.clone().map(|id| id * 10)));
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let rows = RecordBatch::try_from_iter_with_nullable([("id", id, false), ("v", v, true)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(ROW_GROUP_ROWS)).build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    std::fs::metadata(path).unwrap().len()
}

fn metadata() -> Value {
    let field = |name, nullable| json!({"name": name, "type": "long", "nullable": nullable, "metadata": {}});
    let schema = json!({"type": "struct", "fields": [field("id", false), field("v", true)]}).to_string();
    let configuration = json!({"delta.enableDeletionVectors": "true", "delta.constraints.small": "v < 1000000",
        "delta.checkpointInterval": "4"});
    json!({"metaData": {"id": "9d1b1c5e-0000-4000-8000-000000000000", "format": {"provider": "parquet", "options": {}},
        "schemaString": schema, "partitionColumns": [], "configuration": configuration}})
}

/// What an `add` and a `remove` action say of a file.
fn described(file: i64, size: u64, vector: Option<&DeletionVector>) -> Value {
    let (first, last) = (file * FILE_ROWS, (file + 1) * FILE_ROWS - 1);
    let stats = json!({"numRecords": FILE_ROWS, "tightBounds": vector.is_none(),
        "minValues": {"id": first, "v": first * 10}, "maxValues": {"id": last, "v": last * 10}, "nullCount": {"id": 0, "v": 0}});
    let mut action = json!({"path": path(file), "partitionValues": {}, "size": size, "modificationTime": 0,
        "deletionTimestamp": 1, "extendedFileMetadata": true, "dataChange": true, "stats": stats.to_string()});
    if let Some(vector) = vector {
        action["deletionVector"] = serde_json::to_value(vector).unwrap();
    }
    action
}

fn commit(folder: &Path, version: i64, operation: &str, actions: &[Value]) {
    let mut text =
        json!({"commitInfo": {"timestamp": 1_700_000_000_000_i64 + version, "operation": operation}}).to_string();
    actions.iter().for_each(|action| text.push_str(&format!("\n{action}")));
    std::fs::write(folder.join(format!("_delta_log/{version:020}.json")), text).unwrap();
}

/// A session that knows the table as `t`, and the rows of the table's versions.
async fn database() -> (tempfile::TempDir, Session, Vec<Model>) {
    let folder = tempfile::tempdir().unwrap();
    let models = foreign_table(&folder.path().join("t"));
    let session = Session::open(&server(folder.path()).await, Login::embedded()).unwrap();
    done(&session, &format!("CREATE TABLE t USING DELTA LOCATION '{}'", folder.path().join("t").display())).await;
    (folder, session, models)
}

fn table(session: &Session) -> (Arc<Table>, Arc<Snapshot>) {
    let version = session.scope().version;
    let oid = version.catalog.relations().find(|relation| relation.name == "t").unwrap().oid;
    (Arc::clone(version.table(oid).unwrap()), Arc::clone(version.snapshot(oid).unwrap()))
}

async fn check(session: &Session, at: &str, model: &Model, case: &str) {
    let wanted: Vec<String> = model.iter().map(|(id, v)| format!("{id} {v}")).collect();
    assert_eq!(rows(session, &format!("SELECT id, v FROM t {at} ORDER BY id")).await.unwrap(), wanted, "{case}");
    let bound = |bound: Option<&i64>| bound.map_or("NULL".to_owned(), ToString::to_string);
    let summary = format!("{} {} {}", model.len(), bound(model.keys().min()), bound(model.values().max()));
    let sql = format!("SELECT count(*), min(id), max(v) FROM t {at}");
    assert_eq!(rows(session, &sql).await.unwrap(), [summary], "{case}");
}

/// Checks that the changes after version `from` lead from one model to the other.
async fn check_changes(session: &Session, from: i64, to: i64, models: [&Model; 2], case: &str) {
    let mut net: BTreeMap<String, i64> = BTreeMap::new();
    models[1].iter().for_each(|(id, v)| *net.entry(format!("{id} {v}")).or_default() += 1);
    models[0].iter().for_each(|(id, v)| *net.entry(format!("{id} {v}")).or_default() -= 1);
    let added = "_change_type IN ('insert', 'update_postimage')";
    let sql = format!("SELECT {added}, id, v FROM table_changes('t', {}, {to})", from + 1);
    for change in rows(session, &sql).await.unwrap() {
        let (added, row) = change.split_once(' ').unwrap();
        *net.entry(row.to_owned()).or_default() -= if added == "true" { 1 } else { -1 };
    }
    net.retain(|_, count| *count != 0);
    assert!(net.is_empty(), "{case}: {net:?}");
}

/// What a statement does.
type Effect = fn(&mut Model);

const STATEMENTS: [(&str, Effect); 16] = [
    ("UPDATE t SET v = -v WHERE id % 7 = 0", |t| t.iter_mut().filter(|(id, _)| *id % 7 == 0).for_each(|(_, v)| *v = -*v)),
    ("UPDATE t SET v = (SELECT count(*) FROM t) WHERE id % 5 = 1", |t| {
        let count = t.len() as i64;
        t.iter_mut().filter(|(id, _)| *id % 5 == 1).for_each(|(_, v)| *v = count);
    }),
    ("UPDATE t SET v = s.w FROM (VALUES (1, -1), (15, -2), (301, -3)) AS s(k, w) WHERE id = s.k", |t| {
        t.extend([(1, -1), (301, -3)]);
    }),
    ("UPDATE t SET id = id + 1000 WHERE id BETWEEN 90 AND 310", |t| {
        *t = t.iter().map(|(id, v)| (if (90..=310).contains(id) { id + 1000 } else { *id }, *v)).collect();
    }),
    ("DELETE FROM t WHERE id % 4 = 2", |t| t.retain(|id, _| id % 4 != 2)),
    ("DELETE FROM t WHERE id BETWEEN 100 AND 199", |t| t.retain(|id, _| !(100..200).contains(id))),
    ("DELETE FROM t USING t AS o WHERE o.id = t.id + 1", |t| {
        let all = t.clone();
        t.retain(|id, _| !all.contains_key(&(id + 1)));
    }),
    ("DELETE FROM t WHERE id >= 0", Model::clear),
    ("DELETE FROM t", Model::clear),
    ("TRUNCATE t", Model::clear),
    // 12, 115 and 250 are deleted.
    (
        "MERGE INTO t USING (VALUES (1, 1), (2, 2), (12, 3), (115, 4), (131, 5), (250, 6), (499, 7)) AS s(k, w) ON id = s.k
         WHEN MATCHED AND s.k = 131 THEN DELETE WHEN MATCHED THEN UPDATE SET v = -s.w WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.w)",
        |t| {
            t.extend([(1, -1), (2, -2), (12, 3), (115, 4), (250, 6), (499, -7)]);
            t.remove(&131);
        },
    ),
    (
        "MERGE INTO t USING (SELECT k FROM generate_series(0, 320) AS g(k)) AS s ON id = s.k WHEN MATCHED AND id % 2 = 0 THEN UPDATE SET v = 0
         WHEN NOT MATCHED BY SOURCE THEN DELETE",
        |t| {
            t.retain(|id, _| *id <= 320);
            t.iter_mut().filter(|(id, _)| *id % 2 == 0).for_each(|(_, v)| *v = 0);
        },
    ),
    ("INSERT INTO t SELECT id + 1000, v FROM t WHERE id < 130", |t| {
        let copies: Vec<_> = t.range(..130).map(|(id, v)| (id + 1000, *v)).collect();
        t.extend(copies);
    }),
    ("OPTIMIZE t FULL", |_| ()),
    ("OPTIMIZE t ZORDER BY (v, id)", |_| ()),
    ("ALTER TABLE t ADD COLUMN w int DEFAULT 5", |_| ()),
];

#[tokio::test]
async fn every_statement_sees_what_is_left() {
    let (_folder, session, models) = database().await;
    for (version, model) in models.iter().enumerate() {
        check(&session, &format!("VERSION AS OF {version}"), model, "an old version").await;
    }
    for (from, to) in [(0, 1), (1, 2), (0, 2)] {
        check_changes(&session, from, to, [&models[from as usize], &models[to as usize]], "their changes").await;
    }
    for (sql, change) in STATEMENTS {
        let before = table(&session).1.version;
        let mut model = models[2].clone();
        change(&mut model);
        let tag = match session.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")) {
            Reply::Done(tag) => tag.0,
            _ => String::new(),
        };
        check(&session, "", &model, sql).await;
        if let Some(count) = tag.split(' ').next_back().and_then(|word| word.parse::<usize>().ok()) {
            let new = model.iter().filter(|(id, v)| models[2].get(id) != Some(v)).count();
            let gone = models[2].keys().filter(|id| !model.contains_key(id)).count();
            let changed = if tag.starts_with("UPDATE") { new } else { new + gone };
            assert_eq!(count, changed, "{sql}: {tag}");
        }
        check_changes(&session, before, table(&session).1.version, [&models[2], &model], sql).await;
        done(&session, "RESTORE TABLE t TO VERSION AS OF 2").await;
        check(&session, "", &models[2], &format!("after {sql} and RESTORE")).await;
    }
    done(&session, "ALTER TABLE t ADD UNIQUE (id)").await;
    // 12, 115 and 250 are deleted.
    let upsert = "INSERT INTO t VALUES (1, 1), (12, 3), (115, 4), (131, 5), (250, 6), (499, 7) ON CONFLICT (id) DO UPDATE SET v = -excluded.v WHERE t.id <> 131 RETURNING id";
    assert_eq!(rows(&session, upsert).await.unwrap(), ["1", "12", "115", "250", "499"]);
    let mut model = models[2].clone();
    model.extend([(1, -1), (12, 3), (115, 4), (250, 6), (499, -7)]);
    check(&session, "", &model, upsert).await;
    done(&session, "RESTORE TABLE t TO VERSION AS OF 2").await;
    let wanted = |from: i64, to: i64| models[2].range(from..to).map(|(id, _)| id.to_string()).collect::<Vec<_>>();
    assert_eq!(rows(&session, "UPDATE t SET v = 0 WHERE id < 25 RETURNING id").await.unwrap(), wanted(0, 25));
    assert_eq!(
        rows(&session, "DELETE FROM t WHERE id BETWEEN 95 AND 139 RETURNING id").await.unwrap(),
        wanted(95, 140)
    );
}

#[tokio::test]
async fn their_constraints_hold_and_their_row_groups_are_skipped() {
    let (_folder, session, models) = database().await;
    for (sql, refused) in [
        ("INSERT INTO t VALUES (NULL, 1)", "23502"),
        ("INSERT INTO t VALUES (1, 1000000)", "23514"),
        ("UPDATE t SET v = v + 999000 WHERE id > 300", "23514"),
        ("MERGE INTO t USING (VALUES (1)) AS s(k) ON id = s.k WHEN MATCHED THEN UPDATE SET id = NULL", "23502"),
    ] {
        assert_eq!(code(session.sql(sql).await.map(drop)), refused, "{sql}");
    }
    check(&session, "", &models[2], "nothing was changed").await;
    let plan = rows(&session, "EXPLAIN ANALYZE SELECT v FROM t WHERE id = 355").await.unwrap().join("\n");
    assert!(plan.contains("\nFiles Pruned: 4 of 5\nRow Groups Pruned: 6 of 7\n"), "{plan}");
}

#[tokio::test]
async fn maintenance_keeps_the_vectors_that_are_needed_and_takes_the_others() {
    let (folder, session, models) = database().await;
    let files = |ending: &str| {
        let folders = [folder.path().join("t"), folder.path().join("t/a b")];
        let names = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
        names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().ends_with(ending)).count()
    };
    assert_eq!((files(".parquet"), files(".bin")), (5, 4));
    done(&session, "VACUUM t RETAIN 0 HOURS").await;
    assert_eq!((files(".parquet"), files(".bin")), (5, 3), "the first vector of the first file is not needed any more");
    check(&session, "", &models[2], "after VACUUM").await;
    assert_eq!(code(rows(&session, "SELECT * FROM t VERSION AS OF 1").await.map(drop)), "58P01");
    let restored = session.sql("RESTORE TABLE t TO VERSION AS OF 1").await.map(drop);
    assert_eq!(code(restored), "58P01", "a vector of that version is gone");
    check(&session, "", &models[2], "after a RESTORE that failed").await;
    done(&session, "UPDATE t SET v = 0 WHERE id = 350").await;
    let (handle, snapshot) = table(&session);
    assert!(snapshot.files().iter().any(|file| file.deletion_vector.is_some()));
    let report = handle.check().await.unwrap();
    assert_eq!((report.orphans, report.bad_files, report.bad_log), Default::default());
    // So does a checkpoint.
    assert_eq!(snapshot.version, 4);
    session.server.buffer().stores().settle().await;
    let checkpoint = format!("t/_delta_log/{:020}.checkpoint.parquet", snapshot.version);
    assert!(folder.path().join(checkpoint).exists());
    let opened = Table::open(session.server.buffer().stores(), &Clock::Real, handle.location()).await.unwrap();
    assert!(opened.snapshot().files().iter().eq(snapshot.files().iter()));
    drop((handle, snapshot, opened));
    done(&session, "OPTIMIZE t FULL").await;
    assert!(table(&session).1.files().iter().all(|file| file.deletion_vector.is_none()));
    done(&session, "VACUUM t RETAIN 0 HOURS").await;
    assert_eq!((files(".parquet"), files(".bin")), (1, 0));
    let mut model = models[2].clone();
    model.insert(350, 0);
    check(&session, "", &model, "after OPTIMIZE and VACUUM").await;
}
