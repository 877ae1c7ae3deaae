"""How the front says no: one `Problem`, rendered so that every kubectl shows its sentence.

kubectl shows a text/plain error on discovery and other non-resource paths, and there only with 403 or 502 (other codes
get a sentence of its own); everywhere else it shows the message of a `Status`. 401 and 429 keep their code wherever
they occur, because clients act on it. Programs read `X-Fairlead-Error-Code` instead of any of that.

Nothing is decided here, and no sentence is written here: core.problems has them all.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from appliance.core.problems import Problem
from appliance.core.safe_headers import SAFE_HEADERS
from appliance.core.traces import traceresponse
from wire.heads import Headers
from wire.kube import shows_text, status_body, status_reason

HELP_PREFIX: Final = b"/help/errors/"
"""Where `Link: rel=help` points: our own pages, so that they match the running version."""

MAX_TEXT_BYTES: Final = 2048
"""What kubectl reads of a text error."""

_TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")
_JSON: Final = (b"Content-Type", b"application/json")
_SAFE: Final = tuple([(name.encode(), value.encode()) for name, value in SAFE_HEADERS])


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer of our own."""

    status: int
    headers: Headers
    body: bytes


MAX_IDS: Final = 256
"""Correlation ids made at once: asking the kernel for each costs more than the rest of it."""
_ids: list[bytes] = []


def correlation(trace_id: bytes | None = None) -> bytes:
    """Return the id that joins an answer, its audit records and log lines: the caller's trace id if it has one."""
    if trace_id:
        return trace_id
    if not _ids:
        digits = secrets.token_hex(16 * MAX_IDS).encode()
        _ids.extend([digits[start : start + 32] for start in range(0, len(digits), 32)])
    return _ids.pop()


def proxy_reply(problem: Problem, target: bytes, correlation_id: bytes, public_url: str) -> Reply:
    """Refuse a request to a cluster. `target` is what follows the cluster in its path."""
    status = proxy_status(problem, target)
    if shows_text(target):
        return _text(problem, status, correlation_id, public_url)
    details = {"retryAfterSeconds": problem.retry_after} if problem.retry_after else None
    body = status_body(status, status_reason(status), problem.message, details)
    return Reply(status, _headers(_JSON, problem, len(body), correlation_id, public_url), body)


def proxy_status(problem: Problem, target: bytes) -> int:
    """Return the status that such a refusal has."""
    status = problem.status
    if shows_text(target) and status not in {401, 429}:
        return 403 if status < 500 else 502
    return status


def plain_reply(problem: Problem, correlation_id: bytes, public_url: str) -> Reply:
    """Refuse what is no request to a cluster, or no request at all."""
    return _text(problem, problem.status, correlation_id, public_url)


def trace_headers(correlation_id: bytes) -> Headers:
    """Return the headers under which a caller can ask about a request (W3C Trace Context, traceresponse)."""
    return (
        (b"X-Correlation-Id", correlation_id),
        (b"traceresponse", traceresponse(correlation_id)),
    )


def _text(problem: Problem, status: int, correlation_id: bytes, public_url: str) -> Reply:
    body = (problem.message + "\n").encode()[:MAX_TEXT_BYTES]
    return Reply(status, _headers(_TEXT, problem, len(body), correlation_id, public_url), body)


def _headers(
    content_type: tuple[bytes, bytes], problem: Problem, length: int, correlation_id: bytes, public_url: str
) -> Headers:
    lines: list[tuple[bytes, bytes]] = [
        content_type,
        (b"Content-Length", b"%d" % length),
        *_SAFE,
        (b"X-Fairlead-Error-Code", problem.code.value.encode()),
    ]
    lines += [(f"X-Fairlead-Error-Meta-{name}".encode(), _line(value)) for name, value in problem.meta]
    lines.append((b"Link", b'<%b%b%b>; rel="help"' % (public_url.encode(), HELP_PREFIX, problem.code.value.encode())))
    if problem.status == 401:
        lines.append((b"WWW-Authenticate", b'Bearer realm="fairlead"'))
    if problem.status == 429:
        # An integer of at least 1: clients retry at once on 0 and not at all on anything else.
        lines.append((b"Retry-After", b"%d" % max(1, problem.retry_after or 1)))
    return (*lines, *trace_headers(correlation_id))


def _line(value: str) -> bytes:
    return value.encode("ascii", "replace")
