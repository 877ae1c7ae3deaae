"""What may be asked of the audit trail: filters read from text, or refused with the name of the one at fault.

Every filter is exact, and all of them must fit. What always holds: a filter nobody knows, a code that does not exist
and a time that is none are refused, since a misspelt filter that is ignored shows records as if they were all there
are. Pure: which records fit is decided here, how they are found is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import floor
from typing import Final, NamedTuple

from appliance.core.events import CATEGORIES, NAMES, AuditEvent, EventType
from appliance.core.paging import DEFAULT_LIMIT

MAX_VALUE_CHARS: Final = 256
FOREVER: Final = (1 << 63) - 1

#: Filters that are a field of the record under its own name.
FIELDS: Final = (
    "actor",
    "actor_id",
    "client_address",
    "cluster",
    "cluster_id",
    "namespace",
    "verb",
    "api_group",
    "resource",
    "name",
    "subresource",
    "status",
    "code",
    "correlation_id",
    "credential_id",
    "rule",
    "kubectl_session",
    "tunnel_session",
)
FILTERS: Final = frozenset({*FIELDS, "type", "category", "severity", "object", "since", "until"})

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_BY_NAME: Final = {name: kind for kind, name in NAMES.items()}
_SEVERITIES: Final = {"info": False, "warning": True}


class QueryFault(ValueError):
    """A filter is refused; the text is a sentence."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


class Position(NamedTuple):
    """Where a record stands in the order in which records are shown: by time, then by chain and number."""

    time: int
    chain: int
    number: int


TOP: Final = Position(FOREVER, FOREVER, FOREVER)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Newest first. `types`: one of these (None: any). `object`: the id of what the record is about, whatever kind."""

    types: frozenset[EventType] | None = None
    fields: tuple[tuple[str, str], ...] = ()
    object: str = ""
    since: int = 0  # microseconds UTC, inclusive
    until: int = FOREVER
    limit: int = DEFAULT_LIMIT
    after: Position = TOP
    clusters: frozenset[str] | None = None  # by id: nothing else is there for whoever asks; None: everything is

    def fits(self, event: AuditEvent) -> bool:
        """Whether a record is one of those asked for; times are left to whoever looks for it."""
        if self.types is not None and event.type not in self.types:
            return False
        if self.clusters is not None and event.cluster_id not in self.clusters:
            return False
        if any(str(getattr(event, name)) != value for name, value in self.fields):
            return False
        return not self.object or self.object in {
            event.actor_id,
            event.cluster_id,
            event.credential_id,
            *event.binding_ids,
            *(value for _, value in event.details),
        }


def read_query(given: Mapping[str, str]) -> AuditQuery:
    """The query that these filters make."""
    for name, value in given.items():
        if name not in FILTERS:
            raise QueryFault(name, f"There is no filter {name}; the filters are: {', '.join(sorted(FILTERS))}.")
        if not value or len(value) > MAX_VALUE_CHARS or not value.isprintable():
            raise QueryFault(name, f"{name} must be 1 to {MAX_VALUE_CHARS} characters without control characters.")
    status = given.get("status", "200")
    if not re.fullmatch(r"[1-5]\d\d", status, re.ASCII):
        raise QueryFault("status", "status must be an HTTP status such as 403.")
    since = read_moment("since", given["since"]) if "since" in given else 0
    until = read_moment("until", given["until"]) if "until" in given else FOREVER
    if since > until:
        raise QueryFault("since", "since must not be later than until.")
    return AuditQuery(
        _types(given),
        tuple((name, given[name]) for name in FIELDS if name in given),
        given.get("object", ""),
        since,
        until,
    )


def read_moment(name: str, value: str) -> int:
    """An RFC 3339 time as microseconds UTC."""
    if _RFC_3339.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
            return floor(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
        except (ValueError, OverflowError):
            pass
    raise QueryFault(name, f'{name} must be a time such as "2030-01-31T12:00:00Z".')


def _types(given: Mapping[str, str]) -> frozenset[EventType] | None:
    kinds = set(EventType)
    if "type" in given:
        kind = _BY_NAME.get(given["type"]) or next((it for it in EventType if it == given["type"]), None)
        if kind is None:
            raise QueryFault("type", "type must be the code or the name of an event, such as CPR001I or proxy.request.")
        kinds &= {kind}
    if "category" in given:
        if given["category"] not in CATEGORIES.values():
            raise QueryFault("category", f"category must be one of {', '.join(sorted(set(CATEGORIES.values())))}.")
        kinds = {kind for kind in kinds if kind.category == given["category"]}
    if "severity" in given:
        if given["severity"] not in _SEVERITIES:
            raise QueryFault("severity", f"severity must be one of {', '.join(_SEVERITIES)}.")
        kinds = {kind for kind in kinds if kind.warning is _SEVERITIES[given["severity"]]}
    return frozenset(kinds) if {"type", "category", "severity"} & given.keys() else None
