//! The catalog against a real file: what is published is stored, what fails leaves no trace.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::catalog::definition::*;
use crate::catalog::name::{ObjectName, Oid};
use crate::catalog::pg_type::PgType;
use crate::catalog::{Catalog, Draft, Snapshot, constraint_name, system};
use crate::error::{Error, ErrorKind, Result};

fn relation(name: &str, kind: RelationKind) -> RelationDef {
    let columns = vec![ColumnDef::new(1, "a", PgType::Int4), ColumnDef::new(2, "b", PgType::Varchar(Some(10)))];
    let (oid, schema, owner) = (Oid::NONE, Oid::PUBLIC, Oid::FIRST_ROLE);
    RelationDef { oid, schema, name: name.to_owned(), owner, comment: None, columns, kind }
}

fn table(name: &str) -> RelationDef {
    let location = format!("file:///t/{}", uuid::Uuid::new_v4());
    relation(name, RelationKind::Table(TableDef { location, ..TableDef::default() }))
}

fn view(name: &str, depends_on: &[Oid]) -> RelationDef {
    let query = "SELECT 1".to_owned();
    relation(name, RelationKind::View(ViewDef { query, depends_on: depends_on.to_vec(), ..ViewDef::default() }))
}

fn path() -> Vec<String> {
    vec!["public".to_owned()]
}

fn find(snapshot: &Snapshot, name: &str) -> Option<Arc<RelationDef>> {
    snapshot.resolve(&ObjectName::bare(name), &path())
}

fn make(catalog: &Catalog, relation: RelationDef) -> Oid {
    catalog.change(|draft| draft.create_relation(relation)).unwrap().0
}

fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("00000", |error| error.sqlstate())
}

fn change<T>(catalog: &Catalog, edit: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
    catalog.change(edit).map(|(value, _)| value)
}

#[test]
fn a_new_catalog_has_the_first_role_and_schemas() {
    let snapshot = Catalog::in_memory().unwrap().snapshot();
    let role = snapshot.role("headwater").unwrap();
    assert!(role.superuser && role.login && role.verifier.is_none());
    let names: Vec<String> = snapshot.schemas().map(|schema| schema.name.clone()).collect();
    assert_eq!(names, ["information_schema", "pg_catalog", "public", "system"]);
    assert_eq!(snapshot.schema("public").unwrap().oid, Oid::PUBLIC);
}

#[test]
fn definitions_and_numbers_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    let catalog = Catalog::open(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = make(&catalog, table("t"));
    let dropped = make(&catalog, table("gone"));
    change(&catalog, |draft| draft.drop_relations(&[dropped], false)).unwrap();
    change(&catalog, |draft| draft.comment_on_column(first, "b", Some("name".to_owned()))).unwrap();
    let generation = catalog.snapshot().generation;
    drop(catalog);
    let catalog = Catalog::open(&file).unwrap();
    let snapshot = catalog.snapshot();
    assert_eq!(snapshot.generation, generation);
    let found = find(&snapshot, "t").unwrap();
    assert_eq!(found.oid, first);
    assert_eq!(found.columns[1].pg_type, PgType::Varchar(Some(10)));
    assert_eq!(found.columns[1].comment.as_deref(), Some("name"));
    assert!(find(&snapshot, "gone").is_none());
    assert!(make(&catalog, table("new")) > dropped, "a number was given twice");
    assert_eq!(catalog.check().unwrap(), []);
}

#[test]
fn an_error_in_the_edit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    let catalog = Catalog::open(&file).unwrap();
    let before = catalog.snapshot();
    let result: Result<()> = change(&catalog, |draft| {
        draft.create_schema("s", Oid::FIRST_ROLE)?;
        draft.create_relation(table("t"))?;
        assert!(find(draft, "t").is_some(), "a draft sees its own edits");
        Err(Error::internal("stop"))
    });
    assert!(result.is_err());
    assert_eq!(catalog.snapshot().generation, before.generation);
    assert!(catalog.snapshot().schema("s").is_none());
    drop(catalog);
    let reopened = Catalog::open(&file).unwrap().snapshot();
    assert!(reopened.schema("s").is_none() && find(&reopened, "t").is_none());
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    let catalog = Catalog::open(&file).unwrap();
    make(&catalog, table("before"));
    {
        let store = catalog.store.lock();
        let pages: i64 = store.connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        store.connection().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    }
    let result = change(&catalog, |draft| {
        for number in 0..500 {
            draft.create_relation(table(&format!("t{number}")))?;
        }
        Ok(())
    });
    assert_eq!(code(result), "53100");
    assert!(find(&catalog.snapshot(), "t0").is_none());
    assert_eq!(catalog.snapshot().relations().count(), 1);
    drop(catalog);
    let catalog = Catalog::open(&file).unwrap();
    assert_eq!(catalog.snapshot().relations().count(), 1);
    make(&catalog, table("t0"));
    assert_eq!(catalog.check().unwrap(), []);
}

#[test]
fn a_commit_that_fails_at_its_end_leaves_nothing() {
    let catalog = Catalog::in_memory().unwrap();
    // A deferred foreign key that nothing satisfies makes COMMIT itself fail.
    catalog
        .store
        .lock()
        .connection()
        .execute_batch(
            "CREATE TABLE missing (id INTEGER PRIMARY KEY);
             CREATE TABLE broken (id INTEGER REFERENCES missing (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER late AFTER INSERT ON object BEGIN INSERT INTO broken VALUES (1); END;",
        )
        .unwrap();
    let generation = catalog.snapshot().generation;
    assert_eq!(code(change(&catalog, |draft| draft.create_relation(table("t")))), "58030");
    assert_eq!(catalog.snapshot().generation, generation);
    catalog.store.lock().connection().execute_batch("DROP TRIGGER late").unwrap();
    make(&catalog, table("t"));
    assert_eq!(catalog.snapshot().relations().count(), 1);
}

#[test]
fn foreign_and_damaged_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.sqlite");
    std::fs::write(&text, "this is no database, but it is long enough to have a header of some kind").unwrap();
    let error = Catalog::open(&text).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::DataCorrupted);
    assert!(error.message().contains("text.sqlite"), "{error}");

    let foreign = folder.path().join("foreign.sqlite");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    let error = Catalog::open(&foreign).err().unwrap();
    assert!(error.message().contains("is not a Headwater catalog"), "{error}");

    let newer = folder.path().join("newer.sqlite");
    drop(Catalog::open(&newer).unwrap());
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(Catalog::open(&newer).err().unwrap().message().contains("has version 99"));

    let torn = folder.path().join("torn.sqlite");
    let catalog = Catalog::open(&torn).unwrap();
    for number in 0..200 {
        make(&catalog, table(&format!("t{number}")));
    }
    drop(catalog);
    let mut bytes = std::fs::read(&torn).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0xA5);
    std::fs::write(&torn, bytes).unwrap();
    assert_eq!(Catalog::open(&torn).err().unwrap().kind(), ErrorKind::DataCorrupted);
}

#[test]
fn a_definition_that_cannot_be_read_names_its_object() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    let catalog = Catalog::open(&file).unwrap();
    make(&catalog, table("t"));
    drop(catalog);
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute("UPDATE object SET body = '{}' WHERE name = 't'", []).unwrap();
    let error = Catalog::open(&file).err().unwrap();
    assert!(error.detail_text().unwrap().contains("relation \"t\""), "{error}");
}

#[test]
fn names_are_resolved_by_the_search_path() {
    let catalog = Catalog::in_memory().unwrap();
    let first = make(&catalog, table("t"));
    let (schema, _) = catalog.change(|draft| draft.create_schema("s", Oid::FIRST_ROLE)).unwrap();
    let second = make(&catalog, RelationDef { schema, ..table("t") });
    let snapshot = catalog.snapshot();
    let resolve = |name: ObjectName, path: &[&str]| {
        let path: Vec<String> = path.iter().map(|schema| (*schema).to_owned()).collect();
        snapshot.resolve(&name, &path).map(|relation| relation.oid)
    };
    assert_eq!(resolve(ObjectName::bare("t"), &["$user", "public", "s"]), Some(first));
    assert_eq!(resolve(ObjectName::bare("t"), &["s", "public"]), Some(second));
    assert_eq!(resolve(ObjectName::qualified("s", "t"), &["public"]), Some(second));
    assert_eq!(resolve(ObjectName::bare("t"), &[]), None);
    assert!(snapshot.is_visible(&snapshot.relation_by_oid(first).unwrap(), &path()));
    assert!(!snapshot.is_visible(&snapshot.relation_by_oid(second).unwrap(), &path()));
}

#[test]
fn a_missing_relation_is_told_with_the_nearest_name() {
    let catalog = Catalog::in_memory().unwrap();
    make(&catalog, table("customers"));
    let snapshot = catalog.snapshot();
    let error = snapshot.require(&ObjectName::bare("custmers"), &path()).err().unwrap();
    assert_eq!(error.message(), "relation \"custmers\" does not exist");
    assert_eq!(error.hint_text(), Some("Perhaps you meant \"customers\"."));
    let error = snapshot.require(&ObjectName::qualified("nope", "t"), &path()).err().unwrap();
    assert_eq!((error.sqlstate(), error.detail_text()), ("42P01", Some("Schema \"nope\" does not exist.")));
}

#[test]
fn drop_asks_for_cascade() {
    let catalog = Catalog::in_memory().unwrap();
    let base = make(&catalog, table("t"));
    let first = make(&catalog, view("v", &[base]));
    let second = make(&catalog, view("w", &[first]));
    let error = change(&catalog, |draft| draft.drop_relations(&[base], false)).err().unwrap();
    assert_eq!(error.sqlstate(), "2BP01");
    assert_eq!(error.message(), "cannot drop table t because other objects depend on it");
    assert_eq!(error.detail_text(), Some("view v depends on table t\nview w depends on view v"));
    assert_eq!(error.hint_text(), Some("Use DROP ... CASCADE to drop the dependent objects too."));
    let dropped = change(&catalog, |draft| draft.drop_relations(&[base], true)).unwrap();
    let numbers: Vec<Oid> = dropped.iter().map(|relation| relation.oid).collect();
    assert_eq!(numbers, [base, first, second]);
    assert_eq!(catalog.snapshot().relations().count(), 0);
    assert_eq!(catalog.check().unwrap(), []);
}

#[test]
fn a_list_may_hold_what_depends_on_it() {
    let catalog = Catalog::in_memory().unwrap();
    let base = make(&catalog, table("t"));
    let over = make(&catalog, view("v", &[base]));
    assert_eq!(change(&catalog, |draft| draft.drop_relations(&[base, over], false)).unwrap().len(), 2);
}

#[test]
fn foreign_keys_hold_their_target_and_go_with_cascade() {
    let catalog = Catalog::in_memory().unwrap();
    let target = make(&catalog, table("target"));
    let mut source = table("source");
    let key = ConstraintKind::ForeignKey {
        columns: vec!["a".into()],
        references: target,
        referenced_columns: vec!["a".into()],
    };
    let RelationKind::Table(definition) = &mut source.kind else { unreachable!() };
    definition.constraints.push(ConstraintDef { oid: Oid::NONE, name: "source_a_fkey".to_owned(), kind: key });
    let source = make(&catalog, source);
    let error = change(&catalog, |draft| draft.drop_relations(&[target], false)).err().unwrap();
    assert_eq!(error.detail_text(), Some("constraint source_a_fkey on table source depends on table target"));
    change(&catalog, |draft| draft.rename_column(target, "a", "id")).unwrap();
    let constraint = catalog.snapshot().relation_by_oid(source).unwrap().table().unwrap().constraints[0].clone();
    assert!(constraint.oid >= Oid::FIRST_USER);
    assert!(
        matches!(constraint.kind, ConstraintKind::ForeignKey { referenced_columns, .. } if referenced_columns == ["id"])
    );
    assert_eq!(change(&catalog, |draft| draft.drop_relations(&[target], true)).unwrap().len(), 1);
    assert!(catalog.snapshot().relation_by_oid(source).unwrap().table().unwrap().constraints.is_empty());
}

#[test]
fn schemas_are_dropped_with_what_is_in_them() {
    let catalog = Catalog::in_memory().unwrap();
    let (schema, _) = catalog.change(|draft| draft.create_schema("s", Oid::FIRST_ROLE)).unwrap();
    let inside = make(&catalog, RelationDef { schema, ..table("t") });
    let outside = make(&catalog, view("v", &[inside]));
    let error = change(&catalog, |draft| draft.drop_schema("s", false)).err().unwrap();
    assert_eq!(error.message(), "cannot drop schema s because other objects depend on it");
    assert_eq!(error.detail_text(), Some("table s.t depends on schema s\nview v depends on table s.t"));
    change(&catalog, |draft| draft.rename_schema("s", "r")).unwrap();
    assert!(catalog.snapshot().resolve(&ObjectName::qualified("r", "t"), &[]).is_some());
    let dropped = change(&catalog, |draft| draft.drop_schema("r", true)).unwrap();
    assert_eq!(dropped.iter().map(|relation| relation.oid).collect::<Vec<_>>(), [inside, outside]);
    assert!(catalog.snapshot().schema("r").is_none());
}

#[test]
fn system_schemas_and_prefixes_are_reserved() {
    let catalog = Catalog::in_memory().unwrap();
    let schema = |name: &str| code(change(&catalog, |draft| draft.create_schema(name, Oid::FIRST_ROLE)));
    assert_eq!(schema("pg_mine"), "42939");
    assert_eq!(schema("public"), "42P06");
    assert_eq!(schema("system"), "42P06");
    assert_eq!(schema(&"x".repeat(64)), "42622");
    assert_eq!(schema(""), "42601");
    let system = RelationDef { schema: Oid::PG_CATALOG, ..table("t") };
    assert_eq!(code(change(&catalog, |draft| draft.create_relation(system))), "42501");
    assert_eq!(code(change(&catalog, |draft| draft.drop_schema("pg_catalog", true))), "2BP01");
    assert_eq!(code(change(&catalog, |draft| draft.drop_schema("nope", true))), "3F000");
}

#[test]
fn renames_and_moves_keep_the_number() {
    let catalog = Catalog::in_memory().unwrap();
    let oid = make(&catalog, table("t"));
    make(&catalog, table("taken"));
    assert_eq!(code(change(&catalog, |draft| draft.rename_relation(oid, "taken"))), "42P07");
    change(&catalog, |draft| draft.rename_relation(oid, "u")).unwrap();
    assert!(find(&catalog.snapshot(), "t").is_none());
    assert_eq!(find(&catalog.snapshot(), "u").unwrap().oid, oid);
    let (schema, _) = catalog.change(|draft| draft.create_schema("s", Oid::FIRST_ROLE)).unwrap();
    change(&catalog, |draft| draft.move_relation(oid, schema)).unwrap();
    assert_eq!(catalog.snapshot().relation_in(schema, "u").unwrap().oid, oid);
    assert_eq!(catalog.snapshot().relations_in(Oid::PUBLIC).count(), 1);
}

#[test]
fn a_view_keeps_its_relations_under_new_names() {
    let catalog = Catalog::in_memory().unwrap();
    let oid = make(&catalog, table("t"));
    let mut over = view("v", &[oid]);
    if let RelationKind::View(view) = &mut over.kind {
        view.bindings = BTreeMap::from([(ObjectName::bare("t").quoted(), oid)]);
    }
    let over = make(&catalog, over);
    change(&catalog, |draft| draft.rename_relation(oid, "renamed")).unwrap();
    make(&catalog, table("t"));
    let snapshot = catalog.snapshot();
    let view = snapshot.relation_by_oid(over).unwrap();
    let found = snapshot.find_in_view(view.view().unwrap(), &ObjectName::bare("t"));
    assert!(matches!(found, Some(crate::catalog::Found::Relation(relation)) if relation.oid == oid));
}

#[test]
fn a_replaced_view_keeps_its_leading_columns() {
    let catalog = Catalog::in_memory().unwrap();
    let base = make(&catalog, table("t"));
    let oid = make(&catalog, view("v", &[base]));
    let replace = |edit: &dyn Fn(&mut RelationDef)| {
        let mut new = RelationDef { oid, ..view("v", &[base]) };
        edit(&mut new);
        change(&catalog, |draft| draft.replace_view(new))
    };
    assert!(replace(&|view| view.columns.push(ColumnDef::new(3, "c", PgType::Bool))).is_ok());
    let error = replace(&|_| ()).err().unwrap();
    assert_eq!((error.sqlstate(), error.message()), ("42P16", "cannot drop columns from view"));
    let three = |view: &mut RelationDef| view.columns.push(ColumnDef::new(3, "c", PgType::Bool));
    let error = replace(&|view| {
        three(view);
        view.columns[0].name = "x".to_owned();
    });
    assert_eq!(error.err().unwrap().message(), "cannot change name of view column \"a\" to \"x\"");
    let error = replace(&|view| {
        three(view);
        view.columns[0].pg_type = PgType::Text;
    });
    assert_eq!(error.err().unwrap().message(), "cannot change data type of view column \"a\" from integer to text");
    let error = replace(&|view| {
        three(view);
        view.kind = RelationKind::View(ViewDef { depends_on: vec![oid], ..ViewDef::default() });
    });
    assert_eq!(code(error), "42P17");
    assert_eq!(
        code(change(&catalog, |draft| draft.replace_view(RelationDef { oid: base, ..view("t", &[]) }))),
        "42809"
    );
}

#[test]
fn columns_are_renamed_in_keys_and_layout() {
    let catalog = Catalog::in_memory().unwrap();
    let mut keyed = table("t");
    if let RelationKind::Table(table) = &mut keyed.kind {
        table.clustered_by = vec!["a".to_owned()];
        let kind = ConstraintKind::PrimaryKey { columns: vec!["a".to_owned()] };
        table.constraints.push(ConstraintDef { oid: Oid::NONE, name: "t_pkey".to_owned(), kind });
    }
    let oid = make(&catalog, keyed);
    assert_eq!(code(change(&catalog, |draft| draft.rename_column(oid, "a", "b"))), "42701");
    assert_eq!(code(change(&catalog, |draft| draft.rename_column(oid, "x", "y"))), "42703");
    change(&catalog, |draft| draft.rename_column(oid, "a", "id")).unwrap();
    let table = catalog.snapshot().relation_by_oid(oid).unwrap();
    assert_eq!(table.table().unwrap().clustered_by, ["id"]);
    assert_eq!(table.table().unwrap().primary_key(), ["id"]);
    assert_eq!(table.columns[0].number, 1);
    assert_eq!(catalog.check().unwrap(), []);
}

#[test]
fn roles_are_kept_and_guarded() {
    let catalog = Catalog::in_memory().unwrap();
    let role = |name: &str| RoleDef {
        oid: Oid::NONE,
        name: name.to_owned(),
        verifier: Some("SCRAM-SHA-256$4096:...".to_owned()),
        superuser: false,
        login: true,
        settings: BTreeMap::from([("work_mem".to_owned(), "1GB".to_owned())]),
    };
    let oid = change(&catalog, |draft| draft.create_role(role("ann"))).unwrap();
    assert_eq!(code(change(&catalog, |draft| draft.create_role(role("ann")))), "42710");
    assert_eq!(code(change(&catalog, |draft| draft.create_role(role("pg_ann")))), "42939");
    assert_eq!(code(change(&catalog, |draft| draft.drop_role("headwater"))), "55006");
    assert_eq!(code(change(&catalog, |draft| draft.drop_role("nobody"))), "42704");
    let owned = make(&catalog, RelationDef { owner: oid, ..table("t") });
    let error = change(&catalog, |draft| draft.drop_role("ann")).err().unwrap();
    assert_eq!(error.detail_text(), Some("owner of table public.t"));
    change(&catalog, |draft| draft.own_relation(owned, Oid::FIRST_ROLE)).unwrap();
    change(&catalog, |draft| draft.drop_role("ann")).unwrap();
    assert!(catalog.snapshot().role("ann").is_none());
}

#[test]
fn drafts_over_several_statements_conflict_cleanly() {
    let catalog = Catalog::in_memory().unwrap();
    let mut first = catalog.draft();
    let mut second = catalog.draft();
    let a = first.create_relation(table("a")).unwrap();
    let b = second.create_relation(table("b")).unwrap();
    assert_ne!(a, b);
    assert!(find(&catalog.snapshot(), "a").is_none());
    catalog.publish(first).unwrap();
    assert!(find(&catalog.snapshot(), "a").is_some());
    assert_eq!(code(catalog.publish(second)), "40001");
    assert!(find(&catalog.snapshot(), "b").is_none());
    catalog.publish(catalog.draft()).unwrap();
}

#[test]
fn readers_keep_what_they_hold() {
    let catalog = Catalog::in_memory().unwrap();
    let before = catalog.snapshot();
    make(&catalog, table("t"));
    assert!(find(&before, "t").is_none());
    assert_eq!(catalog.snapshot().generation, before.generation + 1);
}

#[test]
fn constraint_names_are_postgresqls() {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let check = ConstraintKind::Check { expression: "true".to_owned() };
    let unique = ConstraintKind::Unique { columns: vec![] };
    let key = ConstraintKind::PrimaryKey { columns: vec![] };
    assert_eq!(constraint_name::choose("t", &columns(&["a"]), &key, &[]), "t_pkey");
    assert_eq!(constraint_name::choose("t", &columns(&["a", "b"]), &unique, &[]), "t_a_b_key");
    assert_eq!(constraint_name::choose("t", &columns(&["a"]), &check, &["t_a_check"]), "t_a_check1");
    assert_eq!(constraint_name::choose("t", &columns(&["a", "b"]), &check, &[]), "t_check");
    let long = "x".repeat(63);
    assert_eq!(constraint_name::choose(&long, &columns(&["a"]), &key, &[]), format!("{}_pkey", "x".repeat(58)));
}

#[test]
fn system_views_have_numbers_and_descriptions_of_their_own() {
    let mut numbers = std::collections::BTreeSet::new();
    for view in system::views() {
        assert!(view.oid < Oid::FIRST_USER, "{}", view.name);
        assert!(numbers.insert(view.oid), "{} has the number of another view", view.name);
        assert!(!view.description.is_empty() && !view.sql.is_empty(), "{}", view.name);
    }
    assert_eq!(system::views().count(), system::file_count(), "a file lacks its description or a folder");
}

#[test]
fn changes_of_many_threads_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    let catalog = Catalog::open(&file).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let catalog = &catalog;
            scope.spawn(move || {
                for number in 0..10 {
                    make(catalog, table(&format!("t_{thread}_{number}")));
                }
            });
        }
    });
    assert_eq!(catalog.snapshot().relations().count(), 40);
    drop(catalog);
    let catalog = Catalog::open(&file).unwrap();
    assert_eq!(catalog.snapshot().relations().count(), 40);
    assert_eq!(catalog.check().unwrap(), []);
}

#[test]
fn a_change_of_a_table_keeps_what_others_have_changed_meanwhile() {
    let catalog = Catalog::in_memory().unwrap();
    let target = make(&catalog, table("target"));
    let mut source = table("source");
    let key = |columns: &[&str]| ConstraintKind::ForeignKey {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        references: target,
        referenced_columns: vec!["a".into()],
    };
    let RelationKind::Table(definition) = &mut source.kind else { unreachable!() };
    definition.constraints.push(ConstraintDef { oid: Oid::NONE, name: "gone".to_owned(), kind: key(&["a"]) });
    let oid = make(&catalog, source);
    let old = catalog.snapshot().relation_by_oid(oid).unwrap();
    change(&catalog, |draft| draft.rename_relation(oid, "renamed")).unwrap();
    change(&catalog, |draft| draft.comment_on_relation(oid, Some("whole".to_owned()))).unwrap();
    change(&catalog, |draft| draft.comment_on_column(oid, "b", Some("part".to_owned()))).unwrap();
    change(&catalog, |draft| draft.drop_relations(&[target], true)).unwrap();
    let mut new = RelationDef::clone(&old);
    new.columns.push(ColumnDef::new(3, "c", PgType::Int4));
    new.columns[0].comment = Some("mine".to_owned());
    change(&catalog, |draft| draft.change_relation(&old, new)).unwrap();
    let now = catalog.snapshot().relation_by_oid(oid).unwrap();
    assert_eq!((now.name.as_str(), now.comment.as_deref()), ("renamed", Some("whole")));
    let comments: Vec<_> = now.columns.iter().map(|column| column.comment.as_deref()).collect();
    assert_eq!(comments, [Some("mine"), Some("part"), None]);
    assert!(now.table().unwrap().constraints.is_empty(), "the key of a dropped table is back");
    assert_eq!(catalog.check().unwrap(), []);
}

#[test]
fn a_folder_is_that_of_one_table() {
    let catalog = Catalog::in_memory().unwrap();
    let at = |name: &str, location: &str| {
        relation(name, RelationKind::Table(TableDef { location: location.to_owned(), ..TableDef::default() }))
    };
    make(&catalog, at("held", "s3://lake/a/held"));
    for location in ["s3://lake/a/held", "s3://lake/a/held/", "s3://lake/a/held/within", "s3://lake/a"] {
        let error = change(&catalog, |draft| draft.create_relation(at("other", location))).unwrap_err();
        assert_eq!(error.sqlstate(), "42710", "{location}: {error}");
        assert!(error.message().contains("table \"held\""), "{error}");
    }
    make(&catalog, at("beside", "s3://lake/a/held2"));
    let held = find(&catalog.snapshot(), "held").unwrap().oid;
    change(&catalog, |draft| draft.drop_relations(&[held], false)).unwrap();
    make(&catalog, at("again", "s3://lake/a/held"));
}
