"""Every statement reads alike in SQLite and PostgreSQL, and every one works on the schema."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import pytest

from appliance.audit import statements as audit_statements
from appliance.store import outbox_statements, statements
from appliance.store.schema import migrations
from tests.appliance.store.homes import Home
from tests.rules.sources import sources


def texts(module: ModuleType) -> dict[str, str]:
    return {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


STATEMENTS = texts(statements) | texts(outbox_statements)
AUDIT = texts(audit_statements)
SCHEMA = {f"{it.name}:{place}": text for it in migrations() for place, text in enumerate(it.statements())}

# What only one of the engines knows, or reads differently.
FOREIGN = re.compile(
    r"::|\?|`|\[|:\w|@\w|\bROWID\b|AUTOINCREMENT|\bILIKE\b|\bGLOB\b|\bIFNULL\b|\bDATETIME\b|STRFTIME|"
    r"\bNOW\(|JSON|INSERT OR|REPLACE INTO|PRAGMA|\bTRUE\b|\bFALSE\b|\|\||\bLIKE\b|GROUP_CONCAT|STRING_AGG|\bINTEGER\b|"
    r"\bBLOB\b|\bBYTEA\b|WITHOUT ROWID|UNLOGGED",
    re.IGNORECASE,
)


#: Columns that may hold NULL, wherever they stand; the engines put those at opposite ends.
NULLABLE = {
    column
    for text in SCHEMA.values()
    for column, rest in re.findall(r"^    (\w+) (?:TEXT|BIGINT)(.*)$", text, re.MULTILINE)
    if "NOT NULL" not in rest
}


def orders_of_nullable(text: str) -> list[str]:
    """Each place in an ORDER BY that names such a column."""
    found = re.findall(r"\bORDER BY (.*?)(?= LIMIT\b| FOR\b|\)|$)", text)
    places = [place.strip() for order in found for place in order.split(",")]
    return [place for place in places if place.split()[0].rpartition(".")[2] in NULLABLE]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("SELECT id FROM bindings ORDER BY until_at, id LIMIT $1", ["until_at"]),
        (
            "SELECT id FROM bindings ORDER BY id, bindings.until_at DESC NULLS LAST",
            ["bindings.until_at DESC NULLS LAST"],
        ),
        ("SELECT id FROM bindings ORDER BY id", []),
    ],
)
def test_the_rule_about_nulls_sees_them(text: str, places: list[str]) -> None:
    assert orders_of_nullable(text) == places


@pytest.mark.parametrize("name", [*STATEMENTS, *AUDIT])
def test_a_statement_is_portable(name: str) -> None:
    text = (STATEMENTS | AUDIT)[name]
    without_columns = re.sub(r"\b\w+_json\b", "", text)
    assert not FOREIGN.search(without_columns), FOREIGN.search(without_columns)
    assert ";" not in text
    assert '"' not in text
    numbers = sorted({int(number) for number in re.findall(r"\$(\d+)", text)})
    assert numbers == list(range(1, len(numbers) + 1))
    for place in orders_of_nullable(text):
        assert re.search(r"NULLS (FIRST|LAST)$", place), f"where NULLs stand is written out: {place}"
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


def test_every_statement_fits_the_schema_of_postgresql_with_the_two_types(pg_home: Home) -> None:
    """PostgreSQL says which type it takes each parameter for: text or bigint, or a value of ours would be refused."""
    assert pg_home.server is not None
    prepared = [f"PREPARE {name} AS {text}" for name, text in STATEMENTS.items() if not text.startswith("CREATE")]
    found = pg_home.server.query(
        pg_home.database,
        STATEMENTS["MIGRATIONS_TABLE"],
        *SCHEMA.values(),
        *prepared,
        "SELECT name, parameter_types FROM pg_prepared_statements",
    )
    assert len(found) == len(prepared)
    types = {name: set(kinds.strip("{}").split(",")) - {""} for name, kinds in found}
    assert {name: kinds for name, kinds in types.items() if not kinds <= {"text", "bigint"}} == {}


def test_no_statement_is_put_together_at_run_time() -> None:
    """`run` is given a constant of a module of statements, by name: what is not there is not linted."""
    offences = [
        f"{source.path}:{node.lineno} {ast.unparse(node.args[0])}"
        for source in sources()
        if source.within("appliance") and "store.unit import" in source.text
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run"
        if not re.fullmatch(r"\w*statements\.[A-Z_]+|[a-z]+", ast.unparse(node.args[0]))
    ]
    assert not offences


PAGES = {name: text for name, text in STATEMENTS.items() if re.search(r"_PAGE(_OF)?$|^BINDING_USES$", name)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_along_an_index(name: str) -> None:
    """However many rows there are: none is sorted, and none is looked at that lies before the page."""
    text = re.sub(r"\$(\d+)", r"?\1", PAGES[name])
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in SCHEMA.values():
            connection.execute(statement)
        values = [1] * max(int(number) for number in re.findall(r"\?(\d+)", text))
        steps = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert steps
    assert not [step for step in steps if "TEMP B-TREE" in step or not step.startswith("SEARCH")], steps
    assert re.search(r"\(\(?\w+,?\w*\)?[<>]|AND \(\w+,\w+\)<|\(binding_id=\?\)$", steps[0]), steps


def test_there_are_such_pages() -> None:
    assert {"CREDENTIALS_PAGE", "SESSIONS_PAGE", "SESSIONS_PAGE_OF", "BINDING_USES"} <= set(PAGES)
