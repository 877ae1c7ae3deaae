"""A request head, from bytes to a checked value.

Whatever follows the request line is the same for every request of one client program, down to the byte, so its parsed,
validated and filtered form is kept under its raw bytes (bounded, least recently used goes first). What is kept was
produced by exactly the code that a first request meets; the request line is checked every time. What polls sends the
very same head again and again: that is kept whole, for as long as its program may well come back. Nothing about who the
caller is or what they may do is kept here.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

from appliance.core.traces import trace_id
from wire import http1
from wire.headers import ReservedHeader, find, find_all, request_end_to_end
from wire.heads import Headers
from wire.memory import Memory

MAX_BLOCKS: Final = 1024
MAX_BLOCK_BYTES: Final = 8 * 1024
"""Together 8 MiB of raw heads at worst. A kubectl head with a token is 1.2 KiB."""

MAX_HEADS: Final = 512
MAX_WHOLE_BYTES: Final = 2 * 1024
"""Heads that ask for nothing but an answer, kept whole: 1 MiB of raw heads at worst. Full, it forgets all."""

_LINE: Final = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[\x21\x22\x24-\x7e]*)")
"""The request lines that may meet a cached block; any other goes through the full parser."""

_BEARER: Final = re.compile(rb"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")  # RFC 6750 §2.1
_SESSION: Final = re.compile(rb"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Block:
    """Everything of a head but method and target."""

    http10: bool
    headers: Headers  # as sent
    end_to_end: Headers  # what may cross to a cluster
    reserved: bytes | None  # the name of a header that only Fairlead may write
    content_length: int | None
    chunked: bool
    keep_alive: bool
    upgrade: bytes | None
    expect_continue: bool
    expect_other: bool
    token: bytes | None  # of `Authorization: Bearer`
    other_credentials: bool  # an Authorization that is no single bearer token
    wants_trailers: bool
    session: bytes | None  # Kubectl-Session
    trace_id: bytes | None  # of traceparent

    x_forwarded_for: tuple[bytes, ...]
    forwarded: tuple[bytes, ...]
    plain: bool  # nothing above asks for more than an answer

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)


class Asked(NamedTuple):
    """One request head. `target` is in origin form, as sent."""

    method: bytes
    target: bytes
    block: Block


class Intake:
    """Parses heads and remembers blocks; one per front."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self._heads = Memory(self._parse, MAX_HEADS, _keeps_head)

    def parse(self, head: bytes) -> Asked:
        """Return the request that `head` (CRLFCRLF included) makes.

        Raises:
            http1.BadHead: it is malformed, or ambiguous in a way that lets two readers disagree.

        """
        return self._heads[head]

    def _parse(self, head: bytes) -> Asked:
        cut = head.find(b" HTTP/1.")
        line = _LINE.fullmatch(head, 0, cut) if cut > 0 and len(head) <= http1.MAX_HEAD_BYTES else None
        if line is None:
            request = http1.parse_request(head)
            return Asked(request.method, request.target, _block(request))
        key = head[cut:]
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
            return Asked(line[1], line[2], block)
        request = http1.parse_request(head)
        block = _block(request)
        if len(key) <= MAX_BLOCK_BYTES:
            self._blocks[key] = block
            if len(self._blocks) > MAX_BLOCKS:
                self._blocks.popitem(last=False)
        return Asked(request.method, request.target, block)


def _keeps_head(head: bytes, asked: Asked) -> bool:
    # The words of a command stay nowhere longer than they must; `in` would first take them for a number.
    return asked.block.plain and len(head) <= MAX_WHOLE_BYTES and asked.target.find(b"/exec") < 0


def _block(request: http1.Request) -> Block:
    headers = request.headers
    reserved = None
    try:
        end_to_end = request_end_to_end(headers)
    except ReservedHeader as error:
        end_to_end, reserved = (), error.name
    authorizations = find_all(headers, b"authorization")
    bearer = _BEARER.fullmatch(authorizations[0].strip()) if len(authorizations) == 1 else None
    session = find(headers, b"kubectl-session")
    return Block(
        http10=request.version == 10,
        headers=headers,
        end_to_end=end_to_end,
        reserved=reserved,
        content_length=request.content_length,
        chunked=request.chunked,
        keep_alive=request.keep_alive,
        upgrade=request.upgrade,
        expect_continue=request.expect_continue,
        expect_other=request.expect not in {None, b"100-continue"},
        token=bearer[1] if bearer else None,
        other_credentials=bool(authorizations) and bearer is None,
        wants_trailers=(b"TE", b"trailers") in end_to_end,
        session=session if session is not None and _SESSION.fullmatch(session) else None,
        trace_id=trace_id(find(headers, b"traceparent")),
        x_forwarded_for=(passed_on := tuple(find_all(headers, b"x-forwarded-for"))),
        forwarded=(forwarded := tuple(find_all(headers, b"forwarded"))),
        plain=request.version == 11
        and request.keep_alive
        and request.upgrade is None
        and request.expect is None
        and not request.chunked
        and not request.content_length
        and not passed_on
        and not forwarded,
    )
