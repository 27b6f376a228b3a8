use std::collections::BTreeMap;
use std::fs;

use crate::config::{Config, Origin, SERVER_SETTINGS, SESSION_SETTINGS, Settings, settings_document, unread_variables};
use crate::error::Result;

fn read(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headwater.toml");
    fs::write(&path, file).unwrap();
    let find = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let flags: BTreeMap<_, _> = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::read(Some(&path), find, &flags)
}

fn config(flags: &[(&str, &str)]) -> Result<Config> {
    Config::from_settings(read("", &[], flags)?)
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let file = "connections_max = 7\nmemory_bytes_max = '1GiB'\nfile_locations = ['/a', 's3://b']\npg = 'off'";
    let environment = [("HEADWATER_CONNECTIONS_MAX", "8"), ("HEADWATER_MEMORY_BYTES_MAX", "2GiB")];
    let settings = read(file, &environment, &[("connections_max", "9")]).unwrap();
    let origin = |name: &str| settings.effective().into_iter().find(|line| line.setting.name == name).unwrap().origin;
    assert_eq!(origin("connections_max"), Origin::Flag);
    assert_eq!(origin("memory_bytes_max"), Origin::Environment);
    assert!(matches!(origin("pg"), Origin::File(_)));
    assert_eq!(origin("http"), Origin::Default);

    let config = Config::from_settings(settings).unwrap();
    assert_eq!(config.connections_max, 9);
    assert_eq!(config.memory_bytes_max, 2 << 30);
    assert_eq!(config.file_locations, ["/a", "s3://b"]);
    assert_eq!(config.pg, None);
}

#[test]
fn mistakes_name_the_place_and_the_setting() {
    for (file, flag, expected) in [
        ("memory_max = 1", ("pg", "off"), "unknown setting \"memory_max\""),
        ("pg = '5432'", ("http", "off"), "invalid value for parameter \"pg\""),
        ("pg = {}", ("http", "off"), "must be a text"),
        ("pg =", ("http", "off"), "is not TOML"),
        ("", ("connections_max", "0"), "flag: 0 is outside the valid range"),
        ("", ("memory_bytes_max", "lots"), "flag: invalid value"),
        ("", ("nonsense", "1"), "unknown setting"),
    ] {
        let error = read(file, &[], &[flag]).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn slips_in_names_of_variables_are_told() {
    let told = |name: &str| unread_variables([name.to_owned()].into_iter()).pop();
    for fine in [
        "PATH",
        "HEADWATER_PG",
        "HEADWATER_CONFIG",
        "HEADWATER_FORMAT",
        "HEADWATER_BLESS",
        "HEADWATER_TEST_S3",
        "HEADWATER_SECRET_X",
    ] {
        assert_eq!(told(fine), None);
    }
    assert!(told("HEADWATER_PASWORD").unwrap().ends_with("HEADWATER_PASWORD: did you mean HEADWATER_PASSWORD?"));
    assert!(told("HEADWATER_SERVICE_PORT_5432").unwrap().contains("`headwater config`"));
}

#[test]
fn settings_that_need_each_other_are_checked_together() {
    assert!(config(&[("tls_cert", "a.pem")]).unwrap_err().message().contains("tls_key"));
    assert!(config(&[("data", "s3://bucket/x")]).unwrap_err().message().contains("catalog"));
    assert!(config(&[("catalog_folder", "/x")]).is_err());
    let bucket = config(&[("data", "s3://bucket/x"), ("catalog_folder", "/x"), ("s3_region", "eu")]).unwrap();
    assert_eq!(bucket.tables_url.unwrap().as_str(), "s3://bucket/x/");
    assert_eq!(bucket.store_options.get("region").map(String::as_str), Some("eu"));
}

#[test]
fn secrets_are_not_shown() {
    let settings = read("", &[("HEADWATER_PASSWORD", "swordfish")], &[]).unwrap();
    let config = Config::from_settings(settings).unwrap();
    assert_eq!(config.password.as_deref(), Some("swordfish"));
    assert!(config.settings.effective().iter().all(|line| line.value != "swordfish"));
    assert!(!format!("{config:?}").contains("swordfish"));
}

#[test]
fn every_setting_has_one_name_a_valid_default_and_a_meaning() {
    let mut names: Vec<String> =
        SERVER_SETTINGS.iter().chain(SESSION_SETTINGS).map(|s| s.name.to_lowercase()).collect();
    names.sort();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before, "a name stands twice");
    for setting in SERVER_SETTINGS.iter().chain(SESSION_SETTINGS) {
        assert!(setting.default.is_empty() || setting.canonical(setting.default).is_ok(), "{}", setting.name);
        assert!(setting.help.ends_with('.'), "{}", setting.name);
    }
}

#[test]
fn the_page_of_settings_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
    if std::env::var_os("HEADWATER_BLESS").is_some() {
        fs::write(path, settings_document()).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), settings_document(), "run with HEADWATER_BLESS=1");
}
