use super::Pattern;

#[test]
fn stars_stop_at_folders_and_double_stars_do_not() {
    let cases = [
        ("**", "a.csv", true),
        ("**", "a/b/c.csv", true),
        ("*.csv", "a.csv", true),
        ("*.csv", "x/a.csv", false),
        ("**/*.csv", "a.csv", true),
        ("**/*.csv", "x/y/a.csv", true),
        ("**/*.csv", "x/y/acsv", false),
        ("2026-??/*.json", "2026-01/a.json", true),
        ("2026-??/*.json", "2026-1/a.json", false),
        ("a+(b).csv", "a+(b).csv", true),
        ("a+(b).csv", "aab.csv", false),
    ];
    for (pattern, path, expected) in cases {
        assert_eq!(Pattern::new(pattern).unwrap().matches(path), expected, "{pattern} {path}");
    }
}
