"""Log lines: one structured line an event, to standard error.

JSON where a program reads it, columns where a person does. What always holds: a line carries no secret, because
callers pass identifiers and sentences and never tokens, keys or bodies, and a last filter blanks anything whose name
or form says otherwise; a line is one line, whatever a peer put into it. Logs tell operators what the process does;
they are not the audit trail, of which `audit_lines` shows a copy.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, TextIO

import structlog

from appliance.core.events import NAMES, AuditEvent, warnings

MAX_VALUE_CHARS = 2048  # a peer's text may be long; a log line need not be

_SECRET_NAMES = re.compile(r"token|secret|password|authorization|cookie|private_key|bundle", re.IGNORECASE)
# A JWT, a bearer header or a PEM key, wherever it stands in a text.
_SECRET_FORMS = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}(\.[\w-]*)?|bearer\s+\S{12,}|flm_[\w-]{16,}|-----BEGIN[^-]*PRIVATE KEY-----", re.IGNORECASE
)
_BLANK = "[removed]"
_LINE_NAMES = {"time": "time_us", "duration": "duration_us"}  # units last, as everywhere a number leaves the process


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Set the process's logging. `form` is json, console, or auto (console on a terminal)."""
    out = stream if stream is not None else sys.stderr
    people = form == "console" or (form == "auto" and out.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=out.isatty())
        if people
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
        if not people
        else structlog.processors.format_exc_info,
        without_secrets,
    ]
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    # Libraries, and those of our packages that must not know structlog, use the standard logging module.
    gate = logging.StreamHandler(out)
    foreign = [structlog.stdlib.ExtraAdder(), *shared]
    gate.setFormatter(structlog.stdlib.ProcessorFormatter(processor=last, foreign_pre_chain=foreign))
    root = logging.getLogger()
    root.handlers[:] = [gate]
    root.setLevel(max(threshold, logging.INFO))
    for noisy in ("hypercorn", "quart", "asyncio"):
        logging.getLogger(noisy).setLevel(max(threshold, logging.WARNING))


def without_secrets(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last filter before rendering: blank what looks like a secret, cut what is too long."""
    for key, value in line.items():
        if isinstance(value, str):
            clean = _SECRET_FORMS.sub(_BLANK, value)
            line[key] = clean if len(clean) <= MAX_VALUE_CHARS else clean[:MAX_VALUE_CHARS] + "..."
        if _SECRET_NAMES.search(key) and not key.endswith("_id"):
            line[key] = _BLANK
    return line


def audit_lines(events: Sequence[AuditEvent], *, refused_only: bool) -> None:
    """Show audit events as log lines. A copy for people: the ledger, not these lines, is the record."""
    for event in warnings(events) if refused_only else events:
        _audit_line(event)


def _audit_line(event: AuditEvent) -> None:
    fields: dict[str, Any] = {
        _LINE_NAMES.get(name, name): value for name, value in zip(event._fields, event, strict=True) if value
    }
    fields["type"] = NAMES[event.type]
    fields["code_of_event"] = event.type.value
    if event.details:
        fields["details"] = dict(event.details)
    log = structlog.get_logger()
    (log.warning if event.warning else log.info)(fields.pop("type"), kind="audit", **fields)
