"""What the demo's terminal shows of its children: audit lines for people, and whatever warns.

The children write JSON lines. A line that is no JSON is shown as it came, since it may be the reason of a failure.
"""

from __future__ import annotations

import json
import time
from typing import Any

SHOWN_LEVELS = {"warning", "error", "critical"}
LASTING = {"exec", "attach", "portforward", "proxy"}  # their beginning is worth a line: the end may be hours away
MAX_TEXT_CHARS = 160  # two lines of a terminal


def line_for_people(child: str, line: str, *, audit: bool = True) -> str | None:
    """The line as a person wants it, or None for what only a program needs. `audit`: whether to show audit events."""
    try:
        fields = json.loads(line)
    except ValueError:
        return f"  [{child}] {line}"
    if not isinstance(fields, dict):
        return None
    if fields.get("kind") == "audit":
        return audit_line(fields) if audit or fields.get("level") in SHOWN_LEVELS else None
    if fields.get("level") not in SHOWN_LEVELS:
        return None
    more = " ".join(f"{k}={v}" for k, v in fields.items() if k not in {"event", "level", "timestamp", "kind"})
    return _printable(f"  [{child}] {fields.get('level')}: {fields.get('event')} {more}".rstrip())


def audit_line(fields: dict[str, Any]) -> str | None:
    """One audit event: when, who, what, and how it ended."""
    event = str(fields.get("event", ""))
    if event == "proxy.opened" and fields.get("subresource") not in LASTING:
        return None  # what changes something is over in a moment, and its end is shown
    when = time.strftime("%H:%M:%S", time.localtime(int(fields.get("time_us", 0)) / 1_000_000))
    who = fields.get("actor") or fields.get("cluster") or "-"
    what = _asked(fields) if event.startswith("proxy.") else _done(event, fields)
    return _printable(f"  {when}  {who:<18} {what}  {_ended(event, fields)}".rstrip())


def _asked(fields: dict[str, Any]) -> str:
    """A request in kubectl's words: `get pods web -n default`."""
    if fields.get("counted"):
        return f"looked around (discovery, {fields['counted']} requests)"
    verb = fields.get("verb", "")
    if not fields.get("resource"):
        return f"{verb} {fields.get('path', '')}"
    what = str(fields["resource"])
    if fields.get("subresource"):
        what += f"/{fields['subresource']}"
    if fields.get("name"):
        what += f" {fields['name']}"
    where = f" -n {fields['namespace']}" if fields.get("namespace") else ""
    command = f": {' '.join(fields['command'])}" if fields.get("command") else ""
    return f"{verb} {what}{where}{command}"


def _done(event: str, fields: dict[str, Any]) -> str:
    details = fields.get("details")
    shown = ", ".join(f"{k} {v}" for k, v in details.items()) if isinstance(details, dict) else ""
    return f"{event}{': ' + shown if shown else ''}"


def _ended(event: str, fields: dict[str, Any]) -> str:
    if event == "proxy.access_denied":
        return f"-> refused, {fields.get('code') or fields.get('rule') or fields.get('status')}"
    if event == "proxy.opened":
        return "-> started"
    parts = []
    if fields.get("status"):
        parts.append(str(fields["status"]))
    if fields.get("code"):
        parts.append(str(fields["code"]))
    if fields.get("duration_us"):
        parts.append(f"{int(fields['duration_us']) / 1000:.0f} ms")
    return "-> " + ", ".join(parts) if parts else ""


def _printable(text: str) -> str:
    """One line, bounded, without control characters: a peer must not be able to write to the terminal."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= MAX_TEXT_CHARS else clean[: MAX_TEXT_CHARS - 3] + "..."
