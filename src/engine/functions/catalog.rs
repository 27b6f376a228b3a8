//! Functions over the catalog: visibility, definitions as SQL, comments, sizes, types by number.

use crate::catalog::definition::{ConstraintDef, ConstraintKind, RelationDef};
use crate::catalog::name::{Oid, quote_identifier};
use crate::catalog::pg_type::{RegKind, oid_of};
use crate::catalog::system;
use crate::engine::facts::{rows, shapes};
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::names;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::Value;
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::stable("format_type", &[Overload::with_nulls(&[K::Oid, K::Int4], K::Text, format_type)]),
    Function::stable("pg_typeof", &[Overload::with_nulls(&[K::Any], K::RegType, pg_typeof)]),
    Function::stable("pg_get_userbyid", &[Overload::new(&[K::Oid], K::Name, role_name)]),
    Function::stable("pg_table_is_visible", &[Overload::new(&[K::Oid], K::Bool, relation_is_visible)]),
    Function::stable("pg_type_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_function_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_operator_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_opclass_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_opfamily_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_collation_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_conversion_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_statistics_obj_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_ts_config_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_ts_dict_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_ts_parser_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable("pg_ts_template_is_visible", &[Overload::new(&[K::Oid], K::Bool, always)]),
    Function::stable(
        "pg_get_expr",
        &[
            Overload::new(&[K::Text, K::Oid], K::Text, |a| Ok(Value::text(a.text(0)?))),
            Overload::new(&[K::Text, K::Oid, K::Bool], K::Text, |a| Ok(Value::text(a.text(0)?))),
        ],
    ),
    Function::stable(
        "pg_get_constraintdef",
        &[
            Overload::new(&[K::Oid], K::Text, constraint_definition),
            Overload::new(&[K::Oid, K::Bool], K::Text, constraint_definition),
        ],
    ),
    Function::stable(
        "pg_get_indexdef",
        &[
            Overload::new(&[K::Oid], K::Text, index_definition),
            Overload::new(&[K::Oid, K::Int4, K::Bool], K::Text, index_definition),
        ],
    ),
    Function::stable(
        "pg_get_viewdef",
        &[
            Overload::new(&[K::Oid], K::Text, view_definition),
            Overload::new(&[K::Oid, K::Bool], K::Text, view_definition),
            Overload::new(&[K::Oid, K::Int4], K::Text, view_definition),
            Overload::new(&[K::Text], K::Text, view_definition),
            Overload::new(&[K::Text, K::Bool], K::Text, view_definition),
        ],
    ),
    nothing("pg_get_ruledef"),
    nothing("pg_get_triggerdef"),
    nothing("pg_get_partkeydef"),
    nothing("pg_get_partition_constraintdef"),
    nothing("pg_get_statisticsobjdef"),
    nothing("pg_get_statisticsobjdef_columns"),
    nothing("pg_get_functiondef"),
    nothing("pg_get_function_sqlbody"),
    nothing("pg_tablespace_location"),
    Function::stable("pg_get_serial_sequence", &[Overload::new(&[K::Text, K::Text], K::Text, |_| Ok(Value::Null))]),
    Function::stable("pg_relation_is_publishable", &[Overload::new(&[K::Oid], K::Bool, |_| Ok(Value::Bool(false)))]),
    Function::stable("pg_get_function_result", &[Overload::new(&[K::Oid], K::Text, function_result)]),
    Function::stable("pg_get_function_arguments", &[Overload::new(&[K::Oid], K::Text, function_arguments)]),
    Function::stable("pg_get_function_identity_arguments", &[Overload::new(&[K::Oid], K::Text, function_arguments)]),
    Function::stable(
        "obj_description",
        &[
            Overload::new(&[K::Oid], K::Text, object_comment),
            Overload::new(&[K::Oid, K::Text], K::Text, object_comment),
        ],
    ),
    Function::stable("shobj_description", &[Overload::new(&[K::Oid, K::Text], K::Text, |_| Ok(Value::Null))]),
    Function::stable("col_description", &[Overload::new(&[K::Oid, K::Int4], K::Text, column_comment)]),
    Function::stable("getdatabaseencoding", &[Overload::new(&[], K::Name, |_| Ok(Value::text("UTF8")))]),
    Function::immutable("pg_encoding_to_char", &[Overload::new(&[K::Int4], K::Name, encoding_name)]),
    Function::immutable("pg_char_to_encoding", &[Overload::new(&[K::Text], K::Int4, encoding_number)]),
    size("pg_total_relation_size"),
    size("pg_table_size"),
    Function::stable(
        "pg_relation_size",
        &[
            Overload::new(&[K::Oid], K::Int8, relation_size),
            Overload::new(&[K::Text], K::Int8, relation_size),
            Overload::new(&[K::Oid, K::Text], K::Int8, relation_size),
        ],
    ),
    Function::stable("pg_indexes_size", &[Overload::new(&[K::Oid], K::Int8, |_| Ok(Value::Int(0)))]),
    Function::stable(
        "pg_database_size",
        &[Overload::new(&[K::Oid], K::Int8, database_size), Overload::new(&[K::Text], K::Int8, database_size)],
    ),
    Function::stable("pg_tablespace_size", &[Overload::new(&[K::Oid], K::Int8, database_size)]),
    Function::immutable(
        "pg_size_pretty",
        &[Overload::new(&[K::Int8], K::Text, size_pretty), Overload::new(&[K::Numeric], K::Text, size_pretty)],
    ),
    registered("to_regclass", K::RegClass),
    registered("to_regtype", K::RegType),
    registered("to_regproc", K::RegProc),
    registered("to_regnamespace", K::RegNamespace),
];

const fn nothing(name: &'static str) -> Function {
    const NONE: &[Overload] = &[
        Overload::new(&[K::Oid], K::Text, |_| Ok(Value::Null)),
        Overload::new(&[K::Oid, K::Bool], K::Text, |_| Ok(Value::Null)),
    ];
    Function::stable(name, NONE)
}

const fn size(name: &'static str) -> Function {
    const BY_NAME_OR_OID: &[Overload] =
        &[Overload::new(&[K::Oid], K::Int8, relation_size), Overload::new(&[K::Text], K::Int8, relation_size)];
    Function::stable(name, BY_NAME_OR_OID)
}

const fn registered(name: &'static str, kind: K) -> Function {
    const CLASS: &[Overload] = &[Overload::new(&[K::Text], K::RegClass, |a| to_reg(a, RegKind::Class))];
    const TYPE: &[Overload] = &[Overload::new(&[K::Text], K::RegType, |a| to_reg(a, RegKind::Type))];
    const PROC: &[Overload] = &[Overload::new(&[K::Text], K::RegProc, |a| to_reg(a, RegKind::Proc))];
    const NAMESPACE: &[Overload] = &[Overload::new(&[K::Text], K::RegNamespace, |a| to_reg(a, RegKind::Namespace))];
    let overloads = match kind {
        K::RegClass => CLASS,
        K::RegType => TYPE,
        K::RegProc => PROC,
        _ => NAMESPACE,
    };
    Function::stable(name, overloads)
}

fn always(_: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Bool(true))
}

/// The number of an object that may not exist: NULL then.
fn to_reg(arguments: &Arguments<'_>, kind: RegKind) -> Result<Value<'static>> {
    Ok(names::reg_oid(arguments.text(0)?, kind, arguments.session).map_or(Value::Null, |oid| Value::Int(oid.into())))
}

fn format_type(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    if arguments.is_null(0) {
        return Ok(Value::Null);
    }
    let modifier = if arguments.is_null(1) { None } else { i32::try_from(arguments.integer(1)?).ok() };
    let oid = arguments.oid(0)?;
    let unknown = || if oid == 0 { "-".to_owned() } else { "???".to_owned() };
    Ok(Value::text(names::type_name(oid, modifier).unwrap_or_else(unknown)))
}

fn pg_typeof(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let null_literal = arguments.fields[0].data_type().is_null();
    Ok(Value::Int(if null_literal { 705 } else { oid_of(&arguments.pg_type(0)).into() }))
}

fn role_name(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let oid = arguments.oid(0)?;
    Ok(Value::text(match arguments.session.catalog.role_by_oid(Oid(oid)) {
        Some(role) => role.name.clone(),
        None => format!("unknown (OID={oid})"),
    }))
}

fn relation_is_visible(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let oid = arguments.oid(0)?;
    let session = arguments.session;
    let on_path = |schema: &str| schema == "pg_catalog" || session.search_path.iter().any(|listed| listed == schema);
    if let Some(shape) = shapes::by_oid(oid) {
        return Ok(Value::Bool(on_path(shape.schema)));
    }
    if let Some(view) = system::views().find(|view| view.oid.0 == oid) {
        return Ok(Value::Bool(on_path(view.schema)));
    }
    if let Some(relation) = session.catalog.relation_by_oid(Oid(oid)) {
        return Ok(Value::Bool(session.catalog.is_visible(&relation, &session.search_path)));
    }
    Ok(match constraint_of(arguments, oid) {
        Some((relation, _)) => Value::Bool(session.catalog.is_visible(&relation, &session.search_path)),
        None => Value::Null,
    })
}

/// The constraint of that number and its table. The index behind a primary key shares the constraint's number.
fn constraint_of(arguments: &Arguments<'_>, oid: u32) -> Option<(std::sync::Arc<RelationDef>, ConstraintDef)> {
    arguments.session.catalog.relations().find_map(|relation| {
        let constraint = relation.table()?.constraints.iter().find(|constraint| constraint.oid.0 == oid)?;
        Some((std::sync::Arc::clone(relation), constraint.clone()))
    })
}

fn quoted_list(columns: &[String]) -> String {
    columns.iter().map(|column| quote_identifier(column)).collect::<Vec<_>>().join(", ")
}

/// The last argument asks for the form without what only a reader of dumps needs.
fn is_pretty(arguments: &Arguments<'_>) -> bool {
    matches!(arguments.values.last(), Some(Value::Bool(true)))
}

fn constraint_definition(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let Some((_, constraint)) = constraint_of(arguments, arguments.oid(0)?) else { return Ok(Value::Null) };
    Ok(Value::text(match &constraint.kind {
        ConstraintKind::Check { expression } if is_pretty(arguments) => format!("CHECK ({expression})"),
        ConstraintKind::Check { expression } => format!("CHECK (({expression}))"),
        ConstraintKind::PrimaryKey { columns } => format!("PRIMARY KEY ({})", quoted_list(columns)),
        ConstraintKind::Unique { columns } => format!("UNIQUE ({})", quoted_list(columns)),
        ConstraintKind::ForeignKey { columns, references, referenced_columns } => {
            let target =
                names::relation_name(references.0, arguments.session).unwrap_or_else(|| references.to_string());
            format!("FOREIGN KEY ({}) REFERENCES {target}({})", quoted_list(columns), quoted_list(referenced_columns))
        }
    }))
}

fn index_definition(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let Some((relation, constraint)) = constraint_of(arguments, arguments.oid(0)?) else { return Ok(Value::Null) };
    if arguments.len() > 1 && arguments.integer(1)? > 0 {
        let at = usize::try_from(arguments.integer(1)? - 1).unwrap_or(usize::MAX);
        return Ok(Value::text(
            constraint.columns().get(at).map(|column| quote_identifier(column)).unwrap_or_default(),
        ));
    }
    let shortest = || names::relation_name(relation.oid.0, arguments.session);
    let table = if is_pretty(arguments) { shortest() } else { None };
    let table = table.unwrap_or_else(|| arguments.session.catalog.name_of(&relation).quoted());
    let index = quote_identifier(&constraint.name);
    Ok(Value::text(format!(
        "CREATE UNIQUE INDEX {index} ON {table} USING btree ({})",
        quoted_list(constraint.columns())
    )))
}

fn view_definition(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let oid = match &arguments.values[0] {
        Value::Text(name) => names::reg_oid(name, RegKind::Class, arguments.session)?,
        _ => arguments.oid(0)?,
    };
    if let Some(view) = system::views().find(|view| view.oid.0 == oid) {
        return Ok(Value::text(format!(" {};", view.sql)));
    }
    let relation = arguments.session.catalog.relation_by_oid(Oid(oid));
    let query =
        relation.as_ref().and_then(|relation| relation.view()).map(|view| view.query.trim().trim_end_matches(';'));
    Ok(Value::optional_text(query.map(|query| format!(" {query};"))))
}

fn function_result(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::optional_text(rows::function_by_oid(arguments.oid(0)?).map(|function| function.result_name())))
}

fn function_arguments(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::optional_text(rows::function_by_oid(arguments.oid(0)?).map(|function| function.argument_names())))
}

fn object_comment(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let oid = Oid(arguments.oid(0)?);
    let class = if arguments.len() > 1 { arguments.text(1)? } else { "pg_class" };
    let catalog = &arguments.session.catalog;
    let comment = match class {
        "pg_class" => match catalog.relation_by_oid(oid) {
            Some(relation) => relation.comment.clone(),
            None => system::views().find(|view| view.oid == oid).map(|view| view.description.to_owned()),
        },
        "pg_namespace" => catalog.schema_by_oid(oid).and_then(|schema| schema.comment.clone()),
        _ => None,
    };
    Ok(Value::optional_text(comment))
}

fn column_comment(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let Some(relation) = arguments.session.catalog.relation_by_oid(Oid(arguments.oid(0)?)) else {
        return Ok(Value::Null);
    };
    let number = arguments.integer(1)?;
    let column = relation.columns.iter().find(|column| i64::from(column.number) == number);
    Ok(Value::optional_text(column.and_then(|column| column.comment.clone())))
}

fn encoding_name(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::text(match arguments.integer(0)? {
        0 => "SQL_ASCII",
        6 => "UTF8",
        8 => "LATIN1",
        _ => "",
    }))
}

fn encoding_number(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    Ok(Value::Int(match arguments.text(0)?.to_ascii_uppercase().replace(['-', '_'], "").as_str() {
        "SQLASCII" => 0,
        "UTF8" | "UNICODE" => 6,
        "LATIN1" => 8,
        _ => -1,
    }))
}

fn relation_size(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let oid = match &arguments.values[0] {
        Value::Text(name) => names::reg_oid(name, RegKind::Class, arguments.session)?,
        _ => arguments.oid(0)?,
    };
    let bytes = (arguments.session.size_of)(Oid(oid)).unwrap_or(0);
    Ok(Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX)))
}

fn database_size(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    if let Value::Text(name) = &arguments.values[0]
        && *name != arguments.session.database
    {
        return Err(Error::new(ErrorKind::InvalidCatalogName, format!("database \"{name}\" does not exist")));
    }
    let all = arguments.session.catalog.relations().filter_map(|relation| (arguments.session.size_of)(relation.oid));
    Ok(Value::Int(i64::try_from(all.sum::<u64>()).unwrap_or(i64::MAX)))
}

/// `8192 bytes`, `8 kB`, `12 MB`: the next unit from 10 of it on, as PostgreSQL does.
fn size_pretty(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let bytes = match &arguments.values[0] {
        Value::Decimal(digits, scale) => {
            i64::try_from(digits / 10i128.pow(u32::from(scale.unsigned_abs()))).unwrap_or(i64::MAX)
        }
        _ => arguments.integer(0)?,
    };
    if bytes.unsigned_abs() < 10 * 1024 {
        return Ok(Value::text(format!("{bytes} bytes")));
    }
    // Half units, so that the last step rounds.
    let mut halves = bytes / 512;
    for unit in ["kB", "MB", "GB", "TB"] {
        if halves.unsigned_abs() < 20 * 1024 - 1 {
            return Ok(Value::text(format!("{} {unit}", (halves + halves.signum()) / 2)));
        }
        halves /= 1024;
    }
    Ok(Value::text(format!("{} PB", (halves + halves.signum()) / 2)))
}
