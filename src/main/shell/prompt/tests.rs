use super::*;

#[test]
fn a_statement_is_complete_with_its_semicolon() {
    for text in ["SELECT 1;", "SELECT 1;\n", "SELECT ';' ;", "SELECT 1; -- done", "SELECT 'it''s';", "a; b;"] {
        assert!(is_complete(text), "{text}");
    }
    for text in ["", "SELECT 1", "SELECT ';", "SELECT \";", "SELECT 1 -- ;", "SELECT 1; SELECT 2"] {
        assert!(!is_complete(text), "{text}");
    }
}
