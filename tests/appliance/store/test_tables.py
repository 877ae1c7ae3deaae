"""The tables of the schema: found by applying it, ordered as references allow, with statements both engines read."""

from __future__ import annotations

import re

import pytest

from appliance.store.schema import Migration, migrations
from appliance.store.tables import Table, tables_after
from tests.appliance.store.homes import Home
from tests.appliance.store.test_statements import FOREIGN

TABLES = tables_after(migrations())


def schema(text: str) -> list[Migration]:
    return [Migration(1, "0001_x", text)]


def test_every_table_and_column_is_found() -> None:
    made = {name for it in migrations() for name in re.findall(r"CREATE TABLE (\w+)", it.text)}
    renamed = {name for it in migrations() for name in re.findall(r"ALTER TABLE (\w+) RENAME TO", it.text)}
    assert {table.name for table in TABLES} == made - renamed
    machines = next(table for table in TABLES if table.name == "machines")
    assert machines.columns[-1] == "not_before"  # added by a later migration
    assert machines.key == "id"
    assert set(machines.kinds) == {str, int}
    assert tables_after(migrations()[:1]) != TABLES


def test_what_is_referred_to_comes_first() -> None:
    names = [table.name for table in TABLES]
    assert names.index("roles") < names.index("bindings")
    assert names.index("roles") < names.index("request_policies")
    text = "CREATE TABLE a (id TEXT PRIMARY KEY, b TEXT REFERENCES b (id)); CREATE TABLE b (id TEXT PRIMARY KEY);"
    assert [table.name for table in tables_after(schema(text))] == ["b", "a"]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (id TEXT NOT NULL)",
        "CREATE TABLE a (x TEXT, y TEXT, PRIMARY KEY (x, y))",
        "CREATE TABLE a (i TEXT PRIMARY KEY REFERENCES b (i)); CREATE TABLE b (i TEXT PRIMARY KEY REFERENCES a (i))",
    ],
)
def test_a_schema_that_no_backup_could_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|ring"):
        tables_after(schema(text))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_statements_are_portable(table: Table) -> None:
    for text in (table.first_page, table.next_page, table.add(1), table.add(3), table.clear):
        assert not FOREIGN.search(re.sub(r"\b\w+_json\b", "", text))
        numbers = sorted({int(number) for number in re.findall(r"\$(\d+)", text)})
        assert numbers == list(range(1, len(numbers) + 1))


def test_they_fit_the_schema_of_postgresql(pg_home: Home) -> None:
    assert pg_home.server is not None
    texts = [text for table in TABLES for text in (table.first_page, table.next_page, table.add(2), table.clear)]
    prepared = [f"PREPARE s{number} AS {text}" for number, text in enumerate(texts)]
    made = [text for it in migrations() for text in it.statements()]
    count = "SELECT count(*) FROM pg_prepared_statements"
    assert pg_home.server.query(pg_home.database, *made, *prepared, count) == [(str(len(texts)),)]
