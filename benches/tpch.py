"""TPC-H beside DuckDB: the answers of a running Headwater compared with DuckDB's, and DuckDB's CPU seconds.

    tpch.py PORT SOURCE QUERIES ROUNDS

DuckDB reads the generator's Parquet files, as views and as tables of its own. Values are compared exactly. Where DuckDB
answers with a float (averages and quotients of decimals) and we with a decimal, they are equal to the last digit that both have."""

import decimal
import math
import pathlib
import resource
import sys
import time

import duckdb
import psycopg

TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"]


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def same(ours, theirs):
    if isinstance(ours, decimal.Decimal) and isinstance(theirs, float):
        last_digit = decimal.Decimal(1).scaleb(ours.as_tuple().exponent)
        # Some operations of floats lie behind theirs: each may cost its last bit.
        return abs(ours - decimal.Decimal(theirs)) < max(last_digit, decimal.Decimal(4 * math.ulp(theirs)))
    return ours == theirs


def compare(number, ours, theirs):
    if len(ours) != len(theirs):
        return f"query {number}: {len(ours)} rows, DuckDB has {len(theirs)}"
    for at, (one, other) in enumerate(zip(ours, theirs)):
        if len(one) != len(other) or not all(same(*pair) for pair in zip(one, other)):
            return f"query {number}, row {at + 1}: {one}, DuckDB has {other}"
    return None


def duck(source, as_tables):
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    for table in TABLES:
        kind = "TABLE" if as_tables else "VIEW"
        connection.execute(f"CREATE {kind} {table} AS SELECT * FROM read_parquet('{source}/{table}.parquet')")
    return connection


def timed(connection, query, rounds):
    best_cpu = best_wall = float("inf")
    for _ in range(rounds):
        before, started = cpu(), time.monotonic()
        connection.execute(query).fetchall()
        best_cpu = min(best_cpu, cpu() - before)
        best_wall = min(best_wall, time.monotonic() - started)
    return best_cpu, best_wall


def main():
    port, source, queries, rounds = sys.argv[1:]
    files, tables = duck(source, False), duck(source, True)
    ours = psycopg.connect(f"host=127.0.0.1 port={port} user=headwater dbname=headwater", autocommit=True)
    differences, sums = [], {"Parquet": [0, 0], "own storage": [0, 0]}
    for number in range(1, 23):
        query = pathlib.Path(queries, f"q{number:02}.sql").read_text().strip().rstrip(";")
        # % is text here, so the query takes no parameters.
        answer = ours.execute(query.encode()).fetchall()
        difference = compare(number, answer, files.execute(query).fetchall())
        if difference:
            differences.append(difference)
        for name, connection in (("Parquet", files), ("own storage", tables)):
            for at, value in enumerate(timed(connection, query, int(rounds))):
                sums[name][at] += value
    print(f"answers equal to DuckDB {duckdb.__version__}'s: {22 - len(differences)} of 22")
    for name, (cpu_seconds, wall) in sums.items():
        print(f"DuckDB {duckdb.__version__}, {name}: CPU {cpu_seconds:.2f} s, wall {wall:.2f} s")
    print("\n".join(differences))
    sys.exit(bool(differences))


main()
