"""Times and spans as people write and read them. In JSON and YAML times stay RFC 3339, as the API gave them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
YEAR: Final = 365 * DAY

_UNITS: Final = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_SPAN: Final = re.compile(r"(\d{1,9}[smhdw])+", re.ASCII | re.IGNORECASE)
_ISO: Final = re.compile(r"P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?", re.ASCII)  # ISO 8601


def span(seconds: float) -> str:
    """How long, in the one unit that says it best: 95s, 12m, 5h, 40d, 3y. Rounded down, never below zero."""
    whole = max(0, int(seconds))
    if whole < 2 * MINUTE:
        return f"{whole}s"
    for most, unit, word in ((2 * HOUR, MINUTE, "m"), (2 * DAY, HOUR, "h"), (2 * YEAR, DAY, "d")):
        if whole < most:
            return f"{whole // unit}{word}"
    return f"{whole // YEAR}y"


def read_span(text: str) -> int:
    """Seconds of what a person gives for a length of time: 90, 30m, 1h30m, 2d or PT8H. ValueError is a sentence."""
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    if _SPAN.fullmatch(text):
        return sum(int(it[:-1]) * _UNITS[it[-1].lower()] for it in re.findall(r"\d+[a-zA-Z]", text))
    iso = _ISO.fullmatch(text)
    if iso is not None and any(iso.groups()):
        return sum(int(it or 0) * unit for it, unit in zip(iso.groups(), (DAY, HOUR, MINUTE, 1), strict=True))
    raise ValueError(f"{text!r} is not a length of time: write it such as 30m, 8h, 1h30m or 2d.")


def read(text: Any) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None for what is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) and text else None
    except ValueError:
        return None


def written(seconds: float) -> str:
    """The other way, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def moment_or_span(text: str, now: float, *, ahead: bool) -> str:
    """An RFC 3339 time from one, from a day, or from how long from (or before) now it is. ValueError is a sentence."""
    if re.match(r"\d{4}-\d\d-\d\d", text):
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a time: write it such as 2030-01-31T12:00:00Z.") from None
        if found.tzinfo is not None:
            return text.replace(" ", "T")
        return found.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")  # without a zone it is UTC, as all is here
    seconds = read_span(text)
    return written(now + seconds if ahead else now - seconds)
