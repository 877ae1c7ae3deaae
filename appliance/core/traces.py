"""W3C Trace Context, as far as we take part: the caller's trace goes on in our answers and records.

Pure. A header that is not to the letter of the recommendation (https://www.w3.org/TR/trace-context/) is as good as
none; one of a later version is read as far as version 00 goes, as its §3.2.4 asks.
"""

from __future__ import annotations

import re
from typing import Final

_PARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def trace_id(traceparent: bytes | None) -> bytes | None:
    """The trace's id (32 hexadecimal digits) in a `traceparent` header; None without a usable one."""
    found = _PARENT.fullmatch(traceparent) if traceparent else None
    if found is None or ((traceparent or b"").startswith(b"00") and found[2] is not None):
        return None
    return found[1]


def traceresponse(trace: bytes) -> bytes:
    """What an answer carries: the trace, and the span that we were in it. Nothing of ours was sampled."""
    return b"00-%b-%b-00" % (trace, trace[16:])
