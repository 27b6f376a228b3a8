//! Operators bind as in PostgreSQL. Random trees are printed with the fewest parentheses PostgreSQL needs and with all
//! of them: both must read as the same tree.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::fuzz::Random;
use super::*;

/// A tree with all parentheses, whatever was written.
fn shape(expression: &Expr) -> String {
    match expression {
        Expr::Nested(inner) => shape(inner),
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::PGCustomBinaryOperator(_) => format!("({} @op {})", shape(left), shape(right)),
            op => format!("({} {op} {})", shape(left), shape(right)),
        },
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("(NOT {})", shape(expr)),
        Expr::UnaryOp { op, expr } => format!("({op} {})", shape(expr)),
        Expr::IsDistinctFrom(left, right) => format!("({} DISTINCT {})", shape(left), shape(right)),
        Expr::IsNotDistinctFrom(left, right) => format!("({} NOT DISTINCT {})", shape(left), shape(right)),
        Expr::IsNull(inner) => format!("({} NULL)", shape(inner)),
        Expr::IsNotNull(inner) => format!("({} NOT NULL)", shape(inner)),
        Expr::IsTrue(inner) => format!("({} TRUE)", shape(inner)),
        Expr::Like { expr, pattern, .. } => format!("({} LIKE {})", shape(expr), shape(pattern)),
        Expr::Between { expr, low, high, .. } => format!("({} BETWEEN {} {})", shape(expr), shape(low), shape(high)),
        Expr::InList { expr, list, .. } => {
            format!("({} IN {})", shape(expr), list.iter().map(shape).collect::<String>())
        }
        Expr::Cast { expr, data_type, .. } => format!("({} :: {data_type})", shape(expr)),
        other => other.to_string(),
    }
}

fn read(text: &str) -> String {
    shape(&parse_expression(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

#[test]
fn the_fault_of_is_not_distinct_from_is_mended() {
    for (written, meant) in [
        ("a IS NOT DISTINCT FROM b AND c", "((a NOT DISTINCT b) AND c)"),
        ("a IS DISTINCT FROM b OR c", "((a DISTINCT b) OR c)"),
        ("x AND a IS DISTINCT FROM b AND c", "((x AND (a DISTINCT b)) AND c)"),
        ("a IS NOT DISTINCT FROM b AND c IS NOT DISTINCT FROM d", "((a NOT DISTINCT b) AND (c NOT DISTINCT d))"),
        ("NOT a IS DISTINCT FROM b", "(NOT (a DISTINCT b))"),
        ("a IS DISTINCT FROM b + 1 AND c", "((a DISTINCT (b + 1)) AND c)"),
        ("a IS DISTINCT FROM b = c", "(a DISTINCT (b = c))"),
        ("a = b IS DISTINCT FROM c", "((a = b) DISTINCT c)"),
        ("a + 1 IS DISTINCT FROM b * 2 OR c", "(((a + 1) DISTINCT (b * 2)) OR c)"),
        ("(a IS DISTINCT FROM b) IS DISTINCT FROM c", "((a DISTINCT b) DISTINCT c)"),
        ("a is distinct from null and b", "((a DISTINCT NULL) AND b)"),
        ("a IS DISTINCT FROM (SELECT 1) AND b", "((a DISTINCT (SELECT 1)) AND b)"),
        ("a IS DISTINCT FROM b LIKE c", "(a DISTINCT (b LIKE c))"),
    ] {
        assert_eq!(read(written), meant, "{written}");
    }
    assert_eq!(parse_expression("a IS DISTINCT FROM b IS DISTINCT FROM c").unwrap_err().sqlstate(), "42601");
}

#[test]
fn operators_stand_where_postgresql_puts_them() {
    for (written, meant) in [
        ("-2 ^ 2", "((- 2) ^ 2)"),
        ("- a::int", "(- (a :: INT))"),
        ("a - - b", "(a - (- b))"),
        ("-a * b", "((- a) * b)"),
        ("true = a ~ 'x'", "(true = (a ~ 'x'))"),
        ("a ~ 'x' || 'y'", "((a ~ 'x') || 'y')"),
        ("a || b = c", "((a || b) = c)"),
        ("a + b || c", "((a + b) || c)"),
        ("a OPERATOR(pg_catalog.+) b = c", "((a @op b) = c)"),
        ("a = b OPERATOR(pg_catalog.||) c", "(a = (b @op c))"),
        ("a ISNULL AND b", "((a NULL) AND b)"),
        ("a = b ISNULL", "((a = b) NULL)"),
        ("a NOTNULL OR b", "((a NOT NULL) OR b)"),
        ("NOT a AND b OR c", "(((NOT a) AND b) OR c)"),
        ("a BETWEEN 1 AND 2 AND b", "((a BETWEEN 1 2) AND b)"),
        ("a -> 'x' = b", "((a -> 'x') = b)"),
        ("a = 1 IS TRUE", "((a = 1) TRUE)"),
        ("a < 1 IN (true)", "(a < (1 IN true))"),
    ] {
        assert_eq!(read(written), meant, "{written}");
    }
}

/// Levels of PostgreSQL's table, loosest first.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARE: u8 = 5;
const LIKE: u8 = 6;
const OTHER: u8 = 7;
const PLUS: u8 = 8;
const TIMES: u8 = 9;
const POWER: u8 = 10;
const SIGN: u8 = 11;
const CAST: u8 = 12;
const ATOM: u8 = 13;

/// A random expression: fewest parentheses, all parentheses, level.
fn grow(random: &mut Random, depth: u32) -> (String, String, u8) {
    if depth == 0 || random.below(6) == 0 {
        let atom = ["a", "b", "1", "'x'", "NULL", "f(c)", "t.d"][random.below(7)].to_owned();
        return (atom.clone(), atom, ATOM);
    }
    let part = |random: &mut Random, least: u8| {
        let (few, all, level) = grow(random, depth - 1);
        if level < least { (format!("({few})"), format!("({all})")) } else { (few, format!("({all})")) }
    };
    let infix = |random: &mut Random, operator: &str, level: u8, associates: bool| {
        let (left, left_all) = part(random, if associates { level } else { level + 1 });
        let (right, right_all) = part(random, level + 1);
        (format!("{left} {operator} {right}"), format!("{left_all} {operator} {right_all}"), level)
    };
    match random.below(18) {
        0 => infix(random, "OR", OR, true),
        1 => infix(random, "AND", AND, true),
        2 => {
            let (inner, all) = part(random, NOT);
            (format!("NOT {inner}"), format!("NOT {all}"), NOT)
        }
        3 | 4 => infix(random, "IS DISTINCT FROM", IS, false),
        5 | 6 => infix(random, "IS NOT DISTINCT FROM", IS, false),
        7 => {
            let (inner, all) = part(random, IS + 1);
            let test = ["IS NULL", "IS NOT NULL", "IS TRUE", "ISNULL", "NOTNULL"][random.below(5)];
            (format!("{inner} {test}"), format!("{all} {test}"), IS)
        }
        8 | 9 => {
            let operator = ["=", "<", ">=", "<>"][random.below(4)];
            infix(random, operator, COMPARE, false)
        }
        10 => infix(random, "LIKE", LIKE, false),
        11 => {
            let (value, value_all) = part(random, LIKE + 1);
            let (low, low_all) = part(random, LIKE + 1);
            let (high, high_all) = part(random, LIKE + 1);
            (format!("{value} BETWEEN {low} AND {high}"), format!("{value_all} BETWEEN {low_all} AND {high_all}"), LIKE)
        }
        12 => {
            let operator = ["||", "~", "->", "@>", "OPERATOR(pg_catalog.+)"][random.below(5)];
            infix(random, operator, OTHER, true)
        }
        13 => infix(random, "+", PLUS, true),
        14 => infix(random, "*", TIMES, true),
        15 => infix(random, "^", POWER, true),
        16 => {
            let (inner, all) = part(random, SIGN);
            (format!("- {inner}"), format!("- {all}"), SIGN)
        }
        _ => {
            let (inner, all) = part(random, CAST);
            (format!("{inner}::INT"), format!("{all}::INT"), CAST)
        }
    }
}

#[test]
fn random_trees_read_the_same_with_and_without_parentheses() {
    let mut random = Random(0x5EED_0001);
    for round in 0..4_000 {
        let (few, all, _) = grow(&mut random, 5);
        assert_eq!(read(&few), read(&all), "round {round}: {few}");
        let printed = parse_expression(&few).unwrap().to_string();
        assert_eq!(read(&printed), read(&few), "round {round}: {few}");
    }
}
