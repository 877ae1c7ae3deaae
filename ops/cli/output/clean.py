"""Text from elsewhere on its way to a terminal: what could move the cursor, change its colours or reorder a line is
shown as an escape.

Names, labels, reasons and user agents are written by others. What always holds: nothing that this module let through
holds a character that Unicode calls a control, a format (the bidirectional ones included) or a separator but the
space; JSON stays the same JSON.
"""

from __future__ import annotations

import unicodedata
from typing import Any


def plain(value: Any) -> str:
    """One line of printable text; None is the empty one."""
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(it if it.isprintable() else _escaped(it) for it in text)


def paragraph(text: str) -> str:
    """The same, where lines are wanted: line feeds stay."""
    return "\n".join(plain(line) for line in text.split("\n"))


def json_text(text: str) -> str:
    """JSON with its unprintable characters as JSON escapes; they stand in strings only, but for line feeds."""
    if all(it == "\n" or it.isprintable() for it in text):
        return text
    return "".join(it if it == "\n" or it.isprintable() else _json_escape(it) for it in text)


def columns(text: str) -> int:
    """How many columns of a terminal printable text takes (Unicode Standard Annex #11)."""
    if text.isascii():
        return len(text)
    return sum(_columns(it) for it in text)


def cut(text: str, most: int) -> str:
    """Text that takes at most so many columns; what was cut away is said with an ellipsis."""
    if columns(text) <= most:
        return text
    kept, used = [], 0
    for it in text:
        used += _columns(it)
        if used > most - 1:
            break
        kept.append(it)
    return "".join(kept) + "…"


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _escaped(character: str) -> str:
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    code = ord(character)
    return known or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
