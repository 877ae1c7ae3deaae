"""Every statement reads alike in SQLite and PostgreSQL, and every one works on the schema."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import pytest

from appliance.audit import statements as audit_statements
from appliance.store import statements
from appliance.store.schema import migrations


def texts(module: ModuleType) -> dict[str, str]:
    return {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


STATEMENTS = texts(statements)
AUDIT = texts(audit_statements)
SCHEMA = {f"{it.name}:{place}": text for it in migrations() for place, text in enumerate(it.statements())}

# What only one of the engines knows, or reads differently.
FOREIGN = re.compile(
    r"::|\?|`|\[|:\w|@\w|\bROWID\b|AUTOINCREMENT|\bILIKE\b|\bGLOB\b|\bIFNULL\b|\bDATETIME\b|STRFTIME|"
    r"\bNOW\(|JSON|INSERT OR|REPLACE INTO|PRAGMA|\bTRUE\b|\bFALSE\b|\|\||\bLIKE\b|GROUP_CONCAT|STRING_AGG|\bINTEGER\b|"
    r"\bBLOB\b|\bBYTEA\b|WITHOUT ROWID|UNLOGGED",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", [*STATEMENTS, *AUDIT])
def test_a_statement_is_portable(name: str) -> None:
    text = (STATEMENTS | AUDIT)[name]
    without_columns = re.sub(r"\b\w+_json\b", "", text)
    assert not FOREIGN.search(without_columns), FOREIGN.search(without_columns)
    assert ";" not in text
    assert '"' not in text
    numbers = sorted({int(number) for number in re.findall(r"\$(\d+)", text)})
    assert numbers == list(range(1, len(numbers) + 1))
    if re.search(r"\bORDER BY\b.*\b(until_at|expires_at|spent_at) ", text):
        assert re.search(r"NULLS (FIRST|LAST)", text), "where NULLs stand is written out"
    if re.search(r"\bLIMIT\b", text):
        assert "ORDER BY" in text


@pytest.mark.parametrize("name", SCHEMA)
def test_the_schema_knows_two_types(name: str) -> None:
    text = SCHEMA[name]
    assert not FOREIGN.search(re.sub(r"\b\w+_json\b", "", text))
    if text.startswith("CREATE TABLE"):
        columns = re.findall(r"^    (\w+) (\w+)", text, re.MULTILINE)
        assert columns
        assert {kind for column, kind in columns if column != "UNIQUE"} <= {"TEXT", "BIGINT"}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        for text in (*SCHEMA.values(), STATEMENTS["MIGRATIONS_TABLE"], *audit_statements.SCHEMA):
            made.execute(text)
        yield made


@pytest.mark.parametrize("name", [*STATEMENTS, *AUDIT])
def test_a_statement_fits_the_schema(name: str, connection: sqlite3.Connection) -> None:
    text = (STATEMENTS | AUDIT)[name]
    values = dict.fromkeys(re.findall(r"\$(\d+)", text))
    connection.execute(f"EXPLAIN {text}", values)
