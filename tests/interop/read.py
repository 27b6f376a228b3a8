"""Reads a Delta table with deltalake and with DuckDB, and prints what each of them sees: one line a reader."""

import json
import sys

import deltalake
import duckdb
import duckdb_extension_delta


def summary(connection, relation):
    query = f"SELECT count(*), sum(id), min(name), max(day)::varchar, sum(price)::varchar, count(note) FROM {relation}"
    return [None if value is None else str(value) for value in connection.sql(query).fetchone()]


def main(location):
    connection = duckdb.connect()
    folder = duckdb_extension_delta.__path__[0]
    connection.install_extension(find(folder))
    connection.load_extension("delta")
    table = deltalake.DeltaTable(location).to_pyarrow_table()
    print(json.dumps({"reader": "deltalake", "sees": summary(connection, "table")}))
    print(json.dumps({"reader": "duckdb", "sees": summary(connection, f"delta_scan('{location}')")}))


def find(folder):
    import pathlib

    return str(next(pathlib.Path(folder).rglob("*.duckdb_extension*")))


main(sys.argv[1])
