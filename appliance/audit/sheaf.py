"""A batch of events gathered for its way to the book: what the requests of one client share is there once. Pure.

Most fields of a client's events are the same each time: who asks for what, and by which right. Gathered, a batch is a
fifth as long, and those fields are looked at once for a batch instead of once for an event. What always holds: an
event becomes the same record whether it is gathered or rendered alone (records.py). Not compiled: slices of tuples,
which are most of the work, are slower then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appliance.audit.records import MAX_BODY_CHARS, Entry, column, head_text, join, render, run_text, tail_text
from appliance.core.events import AuditEvent

Run = tuple[Any, ...]
"""Consecutive fields of events, as in AuditEvent: actor_id to path (HEAD of them), or credential_id to the end."""
Row = tuple[Any, ...]
"""time, type, status, code, bytes_in, bytes_out, duration, correlation_id; and which runs come between and after."""

HEAD = 12


def gather(events: Sequence[AuditEvent]) -> tuple[list[Run], list[Row]]:
    numbers: dict[Run, int] = {}
    rows: list[Row] = []
    for event in events:
        head = numbers.setdefault(event[2:14], len(numbers))
        tail = numbers.setdefault(event[20:], len(numbers))
        rows.append((*event[:2], *event[14:20], head, tail))
    return list(numbers), rows


def entries(runs: Sequence[Run], rows: Sequence[Row]) -> list[Entry]:
    """What is kept of each event. Raises IndexError for what `gather` does not give."""
    texts = [head_text(run) if len(run) == HEAD else tail_text(run) for run in runs]
    looked_up = [(column(run[0]), column(run[3])) if len(run) == HEAD else ("", "") for run in runs]
    kept: list[Entry] = []
    for row in rows:
        head, tail = row[8], row[9]
        body = join(run_text(0, row[:2]), texts[head], run_text(14, row[2:8]), texts[tail])
        if len(body) > MAX_BODY_CHARS:
            body = render(AuditEvent(*row[:2], *runs[head], *row[2:8], *runs[tail]))
        actor_id, cluster_id = looked_up[head]
        kept.append((row[0], str(row[1]), actor_id, cluster_id, column(row[7]), body))
    return kept
