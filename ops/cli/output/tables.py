"""Tables for people: a line of titles, a line for each item, as wide as the terminal lets them be.

What always holds: a cell is printable text; where there is no terminal nothing is ever cut, so that scripts which read
tables after all read whole words; titles and their order are stable, and new columns go to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.cli.output import clean, times

Item = Mapping[str, Any]
Shown = Callable[[Any, float], str]  # a value and the time now (seconds since 1970), as text

NONE: Final = "-"
GAP: Final = "  "
LEAST_COLUMNS: Final = 8  # a cell that gives way keeps at least so much
_BOLD: Final = "1"
_RED, _GREEN, _YELLOW, _FAINT = "31", "32", "33", "2"
_TONES: Final = {
    **dict.fromkeys(("connected", "active", "live", "approved", "enabled", "allowed", "yes"), _GREEN),
    **dict.fromkeys(("disconnected", "denied", "disabled", "refused", "no", "warning"), _RED),
    **dict.fromkeys(("pending", "degraded"), _YELLOW),
    **dict.fromkeys(("expired", "revoked"), _FAINT),
}


def words(value: Any, _now: float) -> str:
    """Anything: lists with commas, mappings as key=value, nothing as a dash."""
    match value:
        case None | "":
            return NONE
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ",".join(f"{clean.plain(key)}={clean.plain(it)}" for key, it in value.items()) or NONE
        case list() | tuple():
            return ",".join(clean.plain(it) for it in value) or NONE
        case _:
            return clean.plain(value)


def age(value: Any, now: float) -> str:
    """How long a time is past."""
    at = times.read(value)
    return NONE if at is None else times.span(now - at)


def ahead(value: Any, now: float) -> str:
    """When a time will be, or that it was."""
    at = times.read(value)
    if at is None:
        return NONE
    return f"in {times.span(at - now)}" if at > now else f"{times.span(now - at)} ago"


def length(value: Any, _now: float) -> str:
    """A number of seconds."""
    return times.span(value) if isinstance(value, int | float) else NONE


@dataclass(frozen=True, slots=True)
class Column:
    """`of` is a key of the item, or finds the value. `wide`: in wide tables only; `yields`: gives way first."""

    title: str
    of: str | Callable[[Item], Any]
    shown: Shown = words
    wide: bool = False
    yields: bool = False
    tone: bool = False  # a word for a state, coloured where there are colours

    def cell(self, item: Item, now: float) -> str:
        value = item.get(self.of) if isinstance(self.of, str) else self.of(item)
        return self.shown(value, now)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where a table is shown: its width in columns (None: no terminal), whether in colours, and when."""

    now: float
    width: int | None = None
    colour: bool = False


def table(columns: Sequence[Column], items: Sequence[Item], sheet: Sheet, *, titles: bool = True) -> list[str]:
    """The lines. Without `titles`: a table that goes on."""
    rows = [[column.cell(item, sheet.now) for column in columns] for item in items]
    heads = [column.title for column in columns]
    widths = [max(clean.columns(it) for it in cells) for cells in zip(heads, *rows, strict=True)]
    widths = _fitted(columns, widths, sheet.width)
    lines = [_line(heads, widths, [_BOLD] * len(heads) if sheet.colour else None)] if titles else []
    for row in rows:
        tones = [_TONES.get(it, "") if column.tone else "" for it, column in zip(row, columns, strict=True)]
        lines.append(_line(row, widths, tones if sheet.colour else None))
    return lines


def facts(columns: Sequence[Column], item: Item, sheet: Sheet) -> list[str]:
    """One item, a line for each column; times both ways."""
    titles = [f"{column.title.capitalize()}:" for column in columns]
    most = max(len(it) for it in titles)
    lines = []
    for title, column in zip(titles, columns, strict=True):
        cell = column.cell(item, sheet.now)
        value = item.get(column.of) if isinstance(column.of, str) else column.of(item)
        if column.shown in {age, ahead} and cell != NONE:
            cell = f"{clean.plain(value)} ({cell if column.shown is ahead else cell + ' ago'})"
        tone = _TONES.get(cell, "") if column.tone and sheet.colour else ""
        lines.append(f"{title:<{most}}{GAP}{_toned(cell, tone)}")
    return lines


def _fitted(columns: Sequence[Column], widths: list[int], most: int | None) -> list[int]:
    """Widths that fit: the columns that yield share what is missing, the widest first."""
    if most is None:
        return widths
    found = list(widths)
    over = sum(found) + len(GAP) * (len(found) - 1) - most
    while over > 0:
        at = max((it for it, column in enumerate(columns) if column.yields), key=lambda it: found[it], default=None)
        if at is None or found[at] <= LEAST_COLUMNS:
            break  # it wraps: what does not yield is whole
        found[at] -= 1
        over -= 1
    return found


def _line(cells: Sequence[str], widths: Sequence[int], tones: Sequence[str] | None) -> str:
    shown = []
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = clean.cut(cell, width)
        pad = "" if at == len(cells) - 1 else " " * (width - clean.columns(text))
        shown.append(_toned(text, tones[at] if tones else "") + pad)
    return GAP.join(shown).rstrip()


def _toned(text: str, tone: str) -> str:
    return f"\x1b[{tone}m{text}\x1b[0m" if tone else text
