"""Request/reply calls beside the tunnel: enrol and renew. One call on one fresh TLS connection, then it is closed.

Bodies are msgpack maps with text keys and text or whole numbers as values: small, typed, and nothing to interpret.
What always holds: a body is bounded, of one depth, and exactly one value; anything else is refused. The client sends
nothing before TLS has verified the server, because there is no stream before that. Deadlines belong to the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgpack
import trio

from wire.carrier import MAX_CALL_BYTES, AnswerReceived, Carrier, CarrierEnded, CarrierError
from wire.transport import ByteStream

ENROL_PATH: Final = b"/fairlead/v1/enrol"
RENEW_PATH: Final = b"/fairlead/v1/renew"

MAX_KEYS: Final = 16  # the widest body, an agent's note, has seven

Body = Mapping[str, str | int]

_READ_BYTES: Final = 64 * 1024


class CallError(Exception):
    """No answer that can be read came back; the sentence says why. Whether the call had an effect is not known."""


class MalformedBodyError(ValueError):
    """Bytes that are not the body of a call."""


async def call(stream: ByteStream, authority: bytes, path: bytes, body: Body) -> tuple[int, dict[str, str | int]]:
    """Make one call and return its status and body.

    Raises:
        CallError: the server hung up, broke HTTP/2 or answered with something else than a body.

    """
    carrier = Carrier(client=True)
    carrier.request(path, authority, encode(body))
    try:
        while True:
            out = carrier.take()
            if out:
                await stream.write(out)
            data = await stream.read(_READ_BYTES)
            if not data:
                raise CallError("the server closed the connection without an answer")
            for event in carrier.receive(data):
                if isinstance(event, AnswerReceived):
                    return event.status, decode(event.body)
                if isinstance(event, CarrierEnded):
                    raise CallError(event.reason)
    except CarrierError as error:
        raise CallError(f"the server broke HTTP/2: {error}") from error
    except MalformedBodyError as error:
        raise CallError(f"the server's answer cannot be read: {error}") from error
    except trio.BrokenResourceError as error:
        raise CallError(f"the connection broke: {error}") from error


def trust_mark(ca_pem: str) -> str:
    """Return how a set of CAs is named in a NOTE: the SHA-256 of its PEM."""
    return hashlib.sha256(ca_pem.encode()).hexdigest()


def encode(body: Body) -> bytes:
    """Return a body's bytes."""
    packed: bytes = msgpack.packb(dict(body), use_bin_type=True)
    if len(packed) > MAX_CALL_BYTES:
        raise ValueError("a call's body is too long")
    return packed


def decode(data: bytes) -> dict[str, str | int]:
    """Read a body; no bytes at all are an empty one (a refusal by HTTP alone).

    Raises:
        MalformedBodyError: too long, not one map of text to text or whole numbers.

    """
    if not data:
        return {}
    if len(data) > MAX_CALL_BYTES:
        raise MalformedBodyError("too long")
    try:
        value = msgpack.unpackb(
            data, raw=False, strict_map_key=True, max_map_len=MAX_KEYS, max_array_len=0, max_ext_len=0, max_bin_len=0
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise MalformedBodyError("not msgpack of the agreed form") from error
    if type(value) is not dict:
        raise MalformedBodyError("not a map")
    for key, element in value.items():
        if type(key) is not str or type(element) not in {str, int}:
            raise MalformedBodyError("a map of text to text or whole numbers was expected")
    return value


def text(body: Body, key: str, longest: int) -> str:
    """Return a required text of a body.

    Raises:
        MalformedBodyError: it is missing, empty, too long or not text.

    """
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise MalformedBodyError(f"{key} is missing or too long")
    return value
