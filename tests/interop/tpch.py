"""Answers the TPC-H queries with DuckDB over Delta tables: one line a query, its rows as lists of texts in JSON.

tpch.py QUERIES TABLE=FOLDER ...
"""

import json
import pathlib
import sys

import duckdb
import duckdb_extension_delta


def main(queries, *tables):
    # The extension comes with a package; DuckDB must not look for it in the network.
    extension = next(pathlib.Path(duckdb_extension_delta.__path__[0]).rglob("*.duckdb_extension"))
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.load_extension(str(extension))
    for table in tables:
        name, folder = table.split("=", 1)
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM delta_scan('file://{folder}')")
    for query in sorted(pathlib.Path(queries).glob("q*.sql")):
        rows = connection.execute(query.read_text()).fetchall()
        print(json.dumps([[None if value is None else str(value) for value in row] for row in rows]))


main(*sys.argv[1:])
