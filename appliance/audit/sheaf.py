"""A batch of events rendered together: what the requests of one client share is looked at once for the batch. Pure.

Most fields of a client's events are the same each time: who asks for what, and by which right. What always holds: an
event becomes the same record whether it is rendered in a batch or alone (records.py). Not compiled: slices of tuples,
which are most of the work here, would be slower.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.audit.records import MAX_BODY_CHARS, Entry, column, head_text, join, render, run_text, tail_text
from appliance.core.events import AuditEvent


def entries(events: Sequence[AuditEvent]) -> list[Entry]:
    """What is kept of each event."""
    heads: dict[tuple[object, ...], tuple[str, str, str]] = {}
    tails: dict[tuple[object, ...], str] = {}
    kept: list[Entry] = []
    for event in events:
        head = heads.get(run := event[2:14])
        if head is None:
            head = heads[run] = head_text(run), column(event.actor_id), column(event.cluster_id)
        tail = tails.get(last := event[20:])
        if tail is None:
            tail = tails[last] = tail_text(last)
        text, actor_id, cluster_id = head
        body = join(run_text(0, event[:2]), text, run_text(14, event[14:20]), tail)
        if len(body) > MAX_BODY_CHARS:
            body = render(event)
        kept.append((event.time, str(event.type), actor_id, cluster_id, column(event.correlation_id), body))
    return kept
