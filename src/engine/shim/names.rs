//! The names PostgreSQL gives to items without an alias (`FigureColname` of its parser).

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArguments, Ident, Query, Select, SelectItem, SetExpr,
    TrimWhereField,
};

use crate::catalog::pg_type::{PgType, RegKind};
use crate::engine::shim::outputs::folded;
use crate::engine::shim::types;

/// The name of an expression that suggests none.
pub(super) const UNKNOWN: &str = "?column?";

/// Gives every unnamed item that is not a plain column its PostgreSQL name as an alias.
pub(super) fn name_items(select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        {
            let alias = Ident::with_quote('"', figure(expr));
            let expr = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
}

/// The name of an item.
pub(super) fn figure(expr: &Expr) -> String {
    suggest(expr).map_or_else(|| UNKNOWN.to_owned(), |(name, _)| name)
}

/// A name that an outer cast or CASE may replace.
const WEAK: bool = false;
/// A name that stays.
const STRONG: bool = true;

fn strong(name: &str) -> Option<(String, bool)> {
    Some((name.to_owned(), STRONG))
}

/// The suggested name and how strong the suggestion is.
fn suggest(expr: &Expr) -> Option<(String, bool)> {
    match expr {
        Expr::Identifier(ident) => Some((folded(ident), STRONG)),
        Expr::CompoundIdentifier(idents) => idents.last().map(|ident| (folded(ident), STRONG)),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(ident)) => Some((folded(ident), STRONG)),
                _ => None,
            });
            field.or_else(|| suggest(root))
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => suggest(inner),
        Expr::Cast { expr, data_type, .. } => match suggest(expr) {
            found @ Some((_, STRONG)) => found,
            _ => Some((type_name(&types::pg_type(data_type)), WEAK)),
        },
        Expr::TypedString(typed) => Some((type_name(&types::pg_type(&typed.data_type)), WEAK)),
        Expr::Interval(_) => Some(("interval".to_owned(), WEAK)),
        Expr::Case { else_result, .. } => match else_result.as_ref().and_then(|result| suggest(result)) {
            found @ Some((_, STRONG)) => found,
            _ => Some(("case".to_owned(), WEAK)),
        },
        Expr::Function(function) => function_name(function),
        Expr::Exists { .. } => strong("exists"),
        Expr::Subquery(query) => of_query(query),
        Expr::Array(_) => strong("array"),
        Expr::Tuple(_) | Expr::Struct { .. } => strong("row"),
        Expr::BinaryOp { op: BinaryOperator::Overlaps, .. } => strong("overlaps"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring { shorthand, .. } => strong(if *shorthand { "substr" } else { "substring" }),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        _ => None,
    }
}

fn function_name(function: &Function) -> Option<(String, bool)> {
    if let FunctionArguments::Subquery(_) = &function.args {
        return strong("array");
    }
    called(function).map(|name| (name, STRONG))
}

/// The name of the function that is called, without its schema.
pub(super) fn called(function: &Function) -> Option<String> {
    function.name.0.last()?.as_ident().map(folded)
}

/// A scalar subquery is named by its only item.
fn of_query(query: &Query) -> Option<(String, bool)> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.projection.first()? {
        SelectItem::UnnamedExpr(expr) => suggest(expr),
        SelectItem::ExprWithAlias { alias, .. } if alias.value == UNKNOWN => None,
        SelectItem::ExprWithAlias { alias, .. } => Some((folded(alias), STRONG)),
        _ => None,
    }
}

/// The name of a type in `pg_type`; of an array, that of its element.
fn type_name(pg_type: &Option<PgType>) -> String {
    let Some(pg_type) = pg_type else { return "text".to_owned() };
    match pg_type {
        PgType::Bool => "bool",
        PgType::Int2 => "int2",
        PgType::Int4 => "int4",
        PgType::Int8 => "int8",
        PgType::Float4 => "float4",
        PgType::Float8 => "float8",
        PgType::Numeric(_) => "numeric",
        PgType::Varchar(_) => "varchar",
        PgType::Char(_) => "bpchar",
        PgType::Name => "name",
        PgType::InternalChar => "char",
        PgType::Bytea => "bytea",
        PgType::Date => "date",
        PgType::Time => "time",
        PgType::Timestamp => "timestamp",
        PgType::Timestamptz => "timestamptz",
        PgType::Interval => "interval",
        PgType::Uuid => "uuid",
        PgType::Json => "json",
        PgType::Jsonb => "jsonb",
        PgType::Oid => "oid",
        PgType::Reg(RegKind::Class) => "regclass",
        PgType::Reg(RegKind::Type) => "regtype",
        PgType::Reg(RegKind::Proc) => "regproc",
        PgType::Reg(RegKind::Namespace) => "regnamespace",
        PgType::Array(element) => return type_name(&Some(element.as_ref().clone())),
        PgType::Text | PgType::Record | PgType::Unknown | PgType::Void => "text",
    }
    .to_owned()
}
