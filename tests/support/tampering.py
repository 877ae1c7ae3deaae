"""What somebody who may write to the database can do to the records of an audit ledger, said in SQL.

The ledger keeps records in sheaves; here they are taken apart into a table `records` (chain, number, body, hash), the
statements are run on it, and what they leave is bound again, a sheaf for each record. A forger who knows how the ledger
is kept would do the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from appliance.audit.sheaf import Sheaf, lines

TABLE = "CREATE TABLE records (chain, number, body, hash, UNIQUE (chain, number))"


def tampered(
    sheaves: Iterable[Sheaf], statements: Sequence[tuple[str, Sequence[object]]]
) -> tuple[list[tuple[Any, ...]], list[Sheaf]]:
    """What the last statement gave, and the sheaves as they are after all of them."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(TABLE)
        for sheaf in sheaves:
            rows = [(sheaf.chain, line.number, line.body, line.hash) for line in lines(sheaf.content)]
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
        result: list[tuple[Any, ...]] = []
        for sql, values in statements:
            result = connection.execute(sql.replace("$", "?"), values).fetchall()
        left = connection.execute("SELECT chain, number, body, hash FROM records ORDER BY chain, number").fetchall()
    return result, [_alone(*row) for row in left]


def _alone(chain: int, number: int, body: str, found: str) -> Sheaf:
    try:
        time = int(json.loads(body).get("time", 0))
    except (ValueError, AttributeError):
        time = 0
    return Sheaf(chain, number, number, time, time, f"{number} {found} {body}")
