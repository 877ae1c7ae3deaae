"""What there is of each kind of thing, shown in any of the five forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ops.cli.output import clean, documents
from ops.cli.output.tables import Column, Item, Sheet, facts, table

Told = Callable[[Item], Mapping[str, Any]]


class Form(StrEnum):
    """How an answer is wanted."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"  # what other commands take for it, one a line

    @property
    def for_people(self) -> bool:
        return self in {Form.TABLE, Form.WIDE}


@dataclass(frozen=True, slots=True)
class Kind:
    """`named` is the field whose value other commands take for one of these."""

    one: str
    many: str
    columns: tuple[Column, ...]
    named: str = "name"

    def names(self, items: Sequence[Item]) -> str:
        return "".join(f"{clean.plain(it.get(self.named))}\n" for it in items)

    def shown(self, items: Sequence[Item], form: Form, sheet: Sheet, told: Told | None = None) -> str:
        """Several; a table of none is the empty text. `told`: more fields, for tables only (names instead of ids)."""
        match form:
            case Form.JSON:
                return documents.as_json({"items": list(items)})
            case Form.YAML:
                return documents.as_yaml({"items": list(items)})
            case Form.NAME:
                return self.names(items)
        chosen = [it for it in self.columns if form is Form.WIDE or not it.wide]
        full = [_joined(it, told) for it in items]
        return "".join(f"{line}\n" for line in table(chosen, full, sheet)) if items else ""

    def whole(self, item: Item, form: Form, sheet: Sheet, told: Told | None = None) -> str:
        """One, with all that is known of it."""
        match form:
            case Form.JSON:
                return documents.as_json(dict(item))
            case Form.YAML:
                return documents.as_yaml(dict(item))
            case Form.NAME:
                return self.names([item])
        return "".join(f"{line}\n" for line in facts(self.columns, _joined(item, told), sheet))


def _joined(item: Item, told: Told | None) -> Item:
    return {**item, **told(item)} if told is not None else item
