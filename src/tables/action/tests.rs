use super::*;

#[test]
fn paths_are_decoded_once_and_encoded_once() {
    let line = r#"{"add":{"path":"p=a%2520b/x%20y.parquet","partitionValues":{"p":"a b"},"size":1,"modificationTime":2,"dataChange":true}}"#;
    let commit = Commit::parse(3, line.as_bytes()).unwrap();
    assert_eq!(commit.adds[0].path, "p=a%20b/x y.parquet");
    let printed = String::from_utf8(commit.print().unwrap()).unwrap();
    assert!(printed.contains("p=a%2520b/x%20y.parquet"), "{printed}");
}

#[test]
fn unknown_actions_are_skipped_and_damage_is_named() {
    let commit =
        Commit::parse(0, b"{\"domainMetadata\":{\"domain\":\"x\"}}\n\n{\"txn\":{\"appId\":\"a\",\"version\":7}}")
            .unwrap();
    assert_eq!(commit.txns[0].version, 7);
    let error = Commit::parse(12, b"{\"add\":{\"pa").unwrap_err();
    assert_eq!(error.sqlstate(), "XX001");
    assert!(error.message().contains("00000000000000000012.json"), "{error}");
}
