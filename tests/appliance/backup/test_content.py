"""What is in a backup: what was written is read, and nothing else passes for it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from appliance.backup.content import ContentReader, ContentWriter, Head
from appliance.backup.faults import BackupDamaged, BackupError

HEAD = Head("1.2.3", 1_800_000_000_000_000, ("a", "b"), "k", None)
ROWS = [("a", 1, None), ("b\n[", -(1 << 63), "ö€😀"), ("", 0, '"\\')]


def nothing(_what: str, _rows: int) -> None: ...


def written() -> bytes:
    lines: list[bytes] = []
    writer = ContentWriter(lines.append, nothing)
    writer.head(HEAD)
    for name in ("one", "none"):
        section = writer.section(name, ("x", "y", "z"))
        if name == "one":
            section.add(ROWS[:2])
            section.add(ROWS[2:])
        section.finish()
    writer.finish()
    return b"".join(lines)


def read(text: bytes, size: int = 1 << 20) -> list[object]:
    reader = ContentReader((text[at : at + size] for at in range(0, len(text), size)), nothing)
    assert reader.head == HEAD
    found = [list(reader.rows(name, ("x", "y", "z"))) for name in ("one", "none")]
    reader.finish()
    return list(found)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_rows_come_back_as_they_were_however_they_are_cut(size: int) -> None:
    assert read(written(), size) == [ROWS, []]


def without(number: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: lines[:number] + lines[number + 1 :]


def instead(number: int, value: object) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [*lines[:number], json.dumps(value).encode() + b"\n", *lines[number + 1 :]]


@pytest.mark.parametrize(
    "change",
    [
        *(without(number) for number in range(9)),
        instead(0, {"fairlead": "backup"}),
        instead(0, {"fairlead": "toy"}),
        instead(0, [1]),
        instead(1, {"table": "two", "columns": ["x", "y", "z"]}),
        instead(1, {"table": "one", "columns": ["x", "y"]}),
        instead(2, ["a", 2, None]),
        instead(5, {"rows": 2, "sha256": "0"}),
        instead(8, {"sections": 3}),
        lambda lines: [*lines, b"{}\n"],
        lambda lines: [*lines[:-1], b"{"],
        lambda lines: [lines[0], lines[1], lines[3], lines[2], *lines[4:]],
        lambda _: [],
    ],
)
def test_another_text_is_not_taken(change: Callable[[list[bytes]], list[bytes]]) -> None:
    lines = written().splitlines(keepends=True)
    assert len(lines) == 9
    with pytest.raises(BackupDamaged):
        read(b"".join(change(lines)))


def test_what_is_neither_text_nor_number_is_named() -> None:
    writer = ContentWriter(lambda _: None, nothing)
    with pytest.raises(BackupError, match="A row of one holds what no appliance writes"):
        writer.section("one", ("x",)).add([(b"blob",)])
    with pytest.raises(BackupError, match="A row of one"):
        writer.section("one", ("x",)).add([("\ud800",)])
