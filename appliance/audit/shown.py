"""A record for people and programs: its fields under their names, empty ones left out, times as RFC 3339.

The API and the export show the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from appliance.audit.reader import Kept
from appliance.core.events import NAMES

_SECOND = 1_000_000


def shown(kept: Kept) -> dict[str, Any]:
    """What is shown of one record."""
    event = kept.event
    if event is None:
        return {"id": kept.id, "damaged": True}
    fields: dict[str, Any] = {name: value for name, value in event._asdict().items() if value}
    fields.pop("time", None)
    found = {"id": kept.id, "time": moment(event.time), "event": NAMES[event.type], **fields}
    found["category"], found["severity"] = event.type.category, "warning" if event.warning else "info"
    if event.details:
        found["details"] = dict(event.details)
    if event.duration:
        found["duration_us"] = found.pop("duration")
    return found


def moment(microseconds: int) -> str:
    whole, rest = divmod(microseconds, _SECOND)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest).isoformat(timespec="microseconds")[:-6] + "Z"
