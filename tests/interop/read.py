"""Reads a Delta table with deltalake and with DuckDB, and prints the one row that each of them sees: one line a reader.

read.py FOLDER QUERY [FILE]: {} in the query stands for the table; a Parquet file is read as a third.
"""

import json
import pathlib
import sys

import deltalake
import duckdb
import duckdb_extension_delta


def summary(connection, query, relation):
    row = connection.sql(query.replace("{}", relation)).fetchone()
    return [None if value is None else str(value) for value in row]


def main(location, query, file=None):
    # The extension comes with a package; DuckDB must not look for it in the network.
    extension = next(pathlib.Path(duckdb_extension_delta.__path__[0]).rglob("*.duckdb_extension"))
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.load_extension(str(extension))
    table = deltalake.DeltaTable(location).to_pyarrow_table()
    connection.register("rows", table)
    print(json.dumps({"reader": "deltalake", "sees": summary(connection, query, "rows")}))
    print(json.dumps({"reader": "duckdb", "sees": summary(connection, query, f"delta_scan('file://{location}')")}))
    if file is not None:
        print(json.dumps({"reader": "source", "sees": summary(connection, query, f"read_parquet('{file}')")}))


main(*sys.argv[1:])
