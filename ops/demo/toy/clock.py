"""Times as Kubernetes writes them."""

from __future__ import annotations

import datetime as dt

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def text(moment: dt.datetime) -> str:
    return moment.strftime(_FORM)


def now_text() -> str:
    return text(now())


def parse(stamp: str) -> dt.datetime:
    return dt.datetime.strptime(stamp, _FORM).replace(tzinfo=dt.UTC)


def age(stamp: str | None) -> str:
    """The time since `stamp` in the short form of a table: 5s, 4m10s, 3h, 2d."""
    if not stamp:
        return "<unknown>"
    seconds = max(0, int((now() - parse(stamp)).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{days}d"
