"""Another writer of a Delta table, through the deltalake package.

write.py FOLDER create | append FROM | widen | delete CONDITION
"""

import sys

import pyarrow
from deltalake import DeltaTable, write_deltalake


def rows(first, **more):
    ids = list(range(first, first + 100))
    columns = {"id": pyarrow.array(ids, pyarrow.int64()), "name": [f"row {n}" for n in ids]}
    return pyarrow.table(columns | more)


def main(folder, action, argument=None):
    match action:
        case "create":
            write_deltalake(folder, rows(0))
        case "append":
            write_deltalake(folder, rows(int(argument)), mode="append")
        case "widen":
            write_deltalake(folder, rows(1000, score=[0.5] * 100), mode="append", schema_mode="merge")
        case "delete":
            DeltaTable(folder).delete(argument)


main(*sys.argv[1:])
