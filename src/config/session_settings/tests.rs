use crate::config::{Config, SessionSettings, join_values};

fn settings() -> SessionSettings {
    SessionSettings::new(&Config::in_folder("unused"))
}

fn state_of(settings: &mut SessionSettings, name: &str, value: &str) -> String {
    settings.set(name, value).err().map_or("ok", |error| error.sqlstate()).to_owned()
}

#[test]
fn values_are_shown_as_postgresql_shows_them() {
    let mut settings = settings();
    for (name, given, shown) in [
        ("statement_timeout", "30000", "30s"),
        ("statement_timeout", "1500 ms", "1500ms"),
        ("Statement_Timeout", "2min", "2min"),
        ("statement_timeout", "0", "0"),
        ("work_mem", "64MB", "64MB"),
        ("work_mem", "4096", "4MB"),
        ("timezone", "europe/berlin", "Europe/Berlin"),
        ("timezone", "+2", "<+02>-02"),
        ("timezone", "utc", "UTC"),
        ("timezone", "GMT-02:00", "Etc/GMT-2"),
        ("row_security", "f", "off"),
        ("client_min_messages", "WARNING", "warning"),
        ("client_encoding", "utf-8", "UTF8"),
        ("datestyle", "iso", "ISO, MDY"),
        ("application_name", " psql ", " psql "),
        ("my.own", "x", "x"),
    ] {
        settings.set(name, given).expect(name);
        assert_eq!(settings.show(name).unwrap(), shown, "{name} = {given}");
    }
}

#[test]
fn bad_names_and_values_are_refused() {
    let mut settings = settings();
    for (name, value, state) in [
        ("nonsense", "1", "42704"),
        ("a.b c", "1", "42704"),
        ("server_version", "17", "55P02"),
        ("statement_timeout", "soon", "22023"),
        ("statement_timeout", "1 fortnight", "22023"),
        ("statement_timeout", "-1", "22023"),
        ("extra_float_digits", "0", "22023"),
        ("standard_conforming_strings", "off", "22023"),
        ("timezone", "mars/olympus", "22023"),
        ("timezone", "+05:30", "22023"),
        ("client_encoding", "latin1", "22023"),
        ("datestyle", "German", "22023"),
        ("row_security", "perhaps", "22023"),
    ] {
        assert_eq!(state_of(&mut settings, name, value), state, "{name} = {value}");
    }
    assert_eq!(settings.show("nonsense").unwrap_err().sqlstate(), "42704");
    assert_eq!(settings.get("never.set"), None);
}

#[test]
fn transactions_take_their_settings_with_them() {
    let mut settings = settings();
    settings.set("application_name", "before").unwrap();
    settings.begin();
    settings.set("application_name", "inside").unwrap();
    settings.set_local("work_mem", "1MB").unwrap();
    assert_eq!(settings.show("work_mem").unwrap(), "1MB");
    settings.end_transaction(false);
    assert_eq!(settings.show("application_name").unwrap(), "before");
    assert_eq!(settings.show("work_mem").unwrap(), "4MB");

    settings.begin();
    settings.set_local("application_name", "local").unwrap();
    settings.set("application_name", "kept").unwrap();
    settings.end_transaction(true);
    assert_eq!(settings.show("application_name").unwrap(), "kept");
}

#[test]
fn reset_goes_back_to_what_the_client_asked_for() {
    let mut settings = settings();
    settings.set_default("application_name", "psql").unwrap();
    settings.set("application_name", "other").unwrap();
    settings.reset("application_name").unwrap();
    assert_eq!(settings.show("application_name").unwrap(), "psql");
    settings.set("timezone", "Asia/Tokyo").unwrap();
    settings.reset_all();
    assert_eq!(settings.show("timezone").unwrap(), "UTC");
}

#[test]
fn the_search_path_keeps_quoted_names() {
    let mut settings = settings();
    assert_eq!(settings.search_path(), ["public"]);
    let values = ["$user".to_owned(), "Big Name".to_owned(), "a".to_owned()];
    settings.set("search_path", &join_values("search_path", &values)).unwrap();
    assert_eq!(settings.show("search_path").unwrap(), "\"$user\", \"Big Name\", a");
    assert_eq!(settings.search_path(), ["Big Name", "a"]);
    settings.set("search_path", "Plain,other").unwrap();
    assert_eq!(settings.search_path(), ["plain", "other"]);
}

#[test]
fn the_client_is_told_of_changes() {
    let mut settings = settings();
    let revision = settings.revision();
    settings.set("timezone", "Asia/Tokyo").unwrap();
    assert!(settings.revision() > revision);
    let reported = settings.reported();
    assert!(reported.contains(&("TimeZone", "Asia/Tokyo".to_owned())));
    assert!(reported.contains(&("server_version", "16.6".to_owned())));
    assert!(reported.iter().all(|(name, _)| *name != "work_mem"));
}

#[test]
fn clients_are_told_everything_once_then_changes() {
    let mut settings = settings();
    let first = settings.take_reported_changes();
    assert!(first.iter().any(|(name, _)| name == "server_version"), "{first:?}");
    assert!(settings.take_reported_changes().is_empty());
    settings.set("timezone", "asia/tokyo").unwrap();
    settings.set("work_mem", "1MB").unwrap();
    assert_eq!(settings.take_reported_changes(), [("TimeZone".to_owned(), "Asia/Tokyo".to_owned())]);
    settings.begin();
    settings.set_local("timezone", "UTC").unwrap();
    assert_eq!(settings.take_reported_changes(), [("TimeZone".to_owned(), "UTC".to_owned())]);
    settings.end_transaction(true);
    assert_eq!(settings.take_reported_changes(), [("TimeZone".to_owned(), "Asia/Tokyo".to_owned())]);
}

#[test]
fn set_local_outside_a_transaction_changes_nothing() {
    let mut settings = settings();
    settings.set_local("work_mem", "1MB").unwrap();
    assert_eq!(settings.show("work_mem").unwrap(), "4MB");
    assert_eq!(settings.set_local("work_mem", "much").unwrap_err().sqlstate(), "22023");
}

#[test]
fn an_unknown_name_hints_at_the_nearest() {
    let error = settings().set("statement_timeot", "1").unwrap_err();
    assert_eq!(error.hint_text(), Some("Perhaps you meant \"statement_timeout\"."));
}
