"""What is in a backup, as text: a head, then one section for each table, then an end. One JSON value a line.

    {"fairlead": "backup", "software": …, "made_at": …, "schema": [checksums], "key_id": …, "master_key": … or null}
    {"table": "clusters", "columns": [...]}
    [row]
    ...
    {"rows": 3, "sha256": …}
    {"sections": 17}

What always holds: it is written and read front to back in pieces, so a large table costs no more memory than a small
one; a section ends with the count and the checksum of its rows; a reader takes the sections it expects, in order, and
nothing else. It says nothing of the engine it came from: values are texts, whole numbers and null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from appliance.backup.faults import BackupDamaged, BackupError
from appliance.store.unit import Row

MAX_LINE_BYTES = 64 * 1024 * 1024  # a row; the largest of ours, a sheaf of audit records, has some MB

Told = Callable[[str, int], None]
"""Told what is being worked on and how many rows of it are done."""


@dataclass(frozen=True, slots=True)
class Head:
    """`schema`: the checksums of the migrations, in order. `key_id`: of the key that the secrets are sealed under, or
    empty. `master_key`: that key (base64); None: it was left out.
    """

    software: str
    made_at: int
    schema: tuple[str, ...]
    key_id: str
    master_key: str | None


class ContentWriter:
    """`head`, then `section` for each table, then `finish`."""

    def __init__(self, write: Callable[[bytes], None], told: Told) -> None:
        self._write = write
        self._told = told
        self._sections = 0

    def head(self, head: Head) -> None:
        self._write(_line({"fairlead": "backup", **asdict(head)}))

    def section(self, name: str, columns: Sequence[str]) -> Section:
        self._sections += 1
        self._write(_line({"table": name, "columns": list(columns)}))
        return Section(name, self._write, self._told)

    def finish(self) -> None:
        self._write(_line({"sections": self._sections}))


class Section:
    """One table being written: `add` its rows, then `finish`."""

    def __init__(self, name: str, write: Callable[[bytes], None], told: Told) -> None:
        self._name = name
        self._write = write
        self._told = told
        self._rows = 0
        self._digest = sha256()

    def add(self, rows: Iterable[Sequence[object]]) -> None:
        try:
            text = b"".join(_line(list(row)) for row in rows)
        except (TypeError, UnicodeEncodeError):
            raise BackupError(f"A row of {self._name} holds what no appliance writes. Run: fairlead verify") from None
        self._digest.update(text)
        self._rows += text.count(b"\n")
        self._write(text)
        self._told(self._name, self._rows)

    def finish(self) -> int:
        self._write(_line({"rows": self._rows, "sha256": self._digest.hexdigest()}))
        return self._rows


class ContentReader:
    """Reads what a ContentWriter wrote. BackupDamaged: it is not that."""

    def __init__(self, pieces: Iterable[bytes], told: Told) -> None:
        self._lines = _lines(pieces)
        self._told = told
        self._sections = 0
        self.head = self._head()

    def rows(self, name: str, columns: Sequence[str]) -> Iterator[Row]:
        """The rows of the next section, which must be this one; it must be read to its end."""
        if self._directive() != {"table": name, "columns": list(columns)}:
            raise BackupDamaged(f"The backup does not go on with {name}.")
        self._sections += 1
        digest = sha256()
        for count, line in enumerate(self._lines):
            if not line.startswith(b"["):
                if _parsed(line) != {"rows": count, "sha256": digest.hexdigest()}:
                    raise BackupDamaged(f"The backup does not hold all of {name}.")
                self._told(name, count)
                return
            digest.update(line)
            yield tuple(_parsed(line))
            if count % 1000 == 0:
                self._told(name, count)
        raise BackupDamaged(f"The backup ends within {name}.")

    def finish(self) -> None:
        """There is nothing more, and all of it was there."""
        if self._directive() != {"sections": self._sections} or next(self._lines, None) is not None:
            raise BackupDamaged("The backup does not end as it should.")

    def _head(self) -> Head:
        found = self._directive()
        try:
            if found.pop("fairlead") != "backup":
                raise ValueError
            head = Head(**{**found, "schema": tuple(found["schema"])})
            if type(head.made_at) is not int or not all(type(it) is str for it in (*head.schema, head.software)):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise BackupDamaged("The backup does not begin as it should.") from None
        return head

    def _directive(self) -> dict[str, Any]:
        found = _parsed(next(self._lines, b""))
        if not isinstance(found, dict):
            raise BackupDamaged("The backup is not in order.")
        return found


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise BackupDamaged("The backup holds a line that is no JSON.") from None


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Each line with its end."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(rest) > MAX_LINE_BYTES:
            raise BackupDamaged("The backup holds a line that is longer than any.")
    if rest:
        raise BackupDamaged("The backup ends within a line.")
