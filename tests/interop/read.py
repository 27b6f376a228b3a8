"""Reads a Delta table with deltalake and with DuckDB, and prints what each of them sees: one line a reader."""

import json
import pathlib
import sys

import deltalake
import duckdb
import duckdb_extension_delta

QUERY = "SELECT count(*), sum(id), min(name), max(day)::varchar, sum(price)::varchar, count(note) FROM {}"


def summary(connection, relation):
    row = connection.sql(QUERY.format(relation)).fetchone()
    return [None if value is None else str(value) for value in row]


def main(location):
    # The extension comes with a package; DuckDB must not look for it in the network.
    extension = next(pathlib.Path(duckdb_extension_delta.__path__[0]).rglob("*.duckdb_extension"))
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.load_extension(str(extension))
    table = deltalake.DeltaTable(location).to_pyarrow_table()
    connection.register("rows", table)
    print(json.dumps({"reader": "deltalake", "sees": summary(connection, "rows")}))
    print(json.dumps({"reader": "duckdb", "sees": summary(connection, f"delta_scan('file://{location}')")}))


main(sys.argv[1])
