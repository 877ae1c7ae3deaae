"""What somebody who may write to the database can do to the records of an audit ledger, said in SQL.

The ledger keeps records in sheaves; here they are taken apart into a table `records` (chain, number, body, hash), the
a statement is run on it, and what that leaves is bound again, a sheaf for each record. A forger who knows how the
ledger is kept would do the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from appliance.audit.records import parse
from appliance.audit.sheaf import Line, Sheaf, as_bound, lines
from appliance.audit.statements import SHEAF_ADD

TABLE = "CREATE TABLE records (chain, number, body, hash, UNIQUE (chain, number))"
RUNS = "\x1f"  # between the three runs of a record, in its `body`


Run = Callable[..., list[tuple[Any, ...]]]


def tamper(run: Run, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """One statement about `records`; `run` runs one, `$1` standing for the first value, on the ledger as it is kept."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(TABLE)
        for chain, content in run("SELECT chain, content FROM sheaves"):
            for line in lines(content):
                row = chain, line.number, RUNS.join((line.head, line.own, line.tail)), line.hash
                connection.execute("INSERT INTO records VALUES (?, ?, ?, ?)", row)
        result = connection.execute(sql.replace("$", "?"), values).fetchall()
        left = connection.execute("SELECT chain, number, body, hash FROM records ORDER BY chain, number").fetchall()
    if not sql.startswith("SELECT"):
        run("DELETE FROM sheaves")
        for chain, number, body, found in left:
            run(SHEAF_ADD, *_alone(chain, _line(number, body, found)))
    return result


def tamper_file(path: Path, sql: str) -> None:
    """The same, on a ledger in a file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:

        def run(sql: str, *values: object) -> list[tuple[Any, ...]]:
            return connection.execute(sql.replace("$", "?"), values).fetchall()

        tamper(run, sql)


def sealed(body: str) -> str:
    """What a forger hashes."""
    return _line(0, body, "").sealed


def _line(number: int, body: str, found: str) -> Line:
    head, own, tail = body.split(RUNS) if body.count(RUNS) == 2 else ("", body, "")
    return Line(number, found, head, own, tail)


def _alone(chain: int, line: Line) -> Sheaf:
    try:
        time = parse(line.body).time
    except ValueError:
        time = 0
    return Sheaf(chain, line.number, line.number, time, time, as_bound([line]))
