"""What somebody who may write to the database can do to the records of an audit ledger, said in SQL.

The ledger keeps records in sheaves; here they are taken apart into a table `records` (chain, number, body, hash), the
statements are run on it, and what they leave is bound again, a sheaf for each record. A forger who knows how the ledger
is kept would do the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from appliance.audit.records import parse
from appliance.audit.sheaf import Line, Sheaf, as_bound, lines

TABLE = "CREATE TABLE records (chain, number, body, hash, UNIQUE (chain, number))"
RUNS = "\x1f"  # between the three runs of a record, in its `body`


def tampered(
    sheaves: Iterable[Sheaf], statements: Sequence[tuple[str, Sequence[object]]]
) -> tuple[list[tuple[Any, ...]], list[Sheaf]]:
    """What the last statement gave, and the sheaves as they are after all of them."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(TABLE)
        for sheaf in sheaves:
            for line in lines(sheaf.content):
                row = sheaf.chain, line.number, RUNS.join((line.head, line.own, line.tail)), line.hash
                connection.execute("INSERT INTO records VALUES (?, ?, ?, ?)", row)
        result: list[tuple[Any, ...]] = []
        for sql, values in statements:
            result = connection.execute(sql.replace("$", "?"), values).fetchall()
        left = connection.execute("SELECT chain, number, body, hash FROM records ORDER BY chain, number").fetchall()
    return result, [_alone(chain, _line(number, body, found)) for chain, number, body, found in left]


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
