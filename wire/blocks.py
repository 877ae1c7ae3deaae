"""Headers and identities as they travel in a frame: each one block of bytes. Pure but for its bounded memories.

A program's headers, and who is asking, are the same for thousands of requests; as one block they are compared instead
of being taken apart and put together again at both ends. Headers are HTTP/1.1 field lines, each with its CRLF, so that
they leave as they came; an identity is a msgpack array of its own. What is remembered is what the slow way gave for
exactly these bytes. A block that is not what it should be is refused whole (BadBlock).
"""

from __future__ import annotations

from typing import Final

import msgpack

from wire.fields import BadHead, parse_fields, render_fields, split_lines
from wire.heads import Headers, Identity
from wire.memory import Memory

MAX_HEADERS: Final = 256
"""Field lines of one block: the front takes one hundred, answers and trailers may have more."""

MAX_GROUPS: Final = 200
MAX_BLOCK_BYTES: Final = 96 * 1024
"""One block: the front takes 64 KiB of text, an identity of two hundred groups is smaller."""

MAX_REMEMBERED: Final = 256
MAX_REMEMBERED_BYTES: Final = 4 * 1024
"""Per entry. Taken apart a block takes ten times as much: together some ten MiB at worst, whatever a peer sends."""


class BadBlock(ValueError):
    """The bytes are not a block of headers, or not an identity."""


def read_block(block: bytes) -> Headers:
    """Return the headers of a block that `render_fields` wrote. An answer's are not met again: nothing is remembered.

    Raises:
        BadBlock: they are not field lines.

    """
    if not block:
        return ()
    if not block.endswith(b"\r\n"):
        raise BadBlock("headers do not end with a line break")
    try:
        return parse_fields(split_lines(block[:-2]), MAX_HEADERS)[0]
    except BadHead as error:
        raise BadBlock(f"headers are not field lines: {error.sentence}") from error


def _packed(identity: Identity) -> bytes:
    if not identity.user:
        raise BadBlock("an identity without a user: a request without one would act as the agent itself")
    if len(identity.groups) > MAX_GROUPS:
        raise BadBlock("an identity with too many groups")
    return bytes(msgpack.packb(tuple(identity), use_bin_type=True))


def _identity(block: bytes) -> Identity:
    try:
        value = msgpack.unpackb(
            block,
            raw=True,
            use_list=False,
            strict_map_key=True,
            max_str_len=MAX_BLOCK_BYTES,
            max_bin_len=MAX_BLOCK_BYTES,
            max_array_len=MAX_HEADERS,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise BadBlock("an identity that is not msgpack") from error
    if type(value) is not tuple or len(value) < 4 or tuple(map(type, value[:4])) != (bytes, bytes, tuple, tuple):
        raise BadBlock("an identity is an array of user, uid, groups and extra")
    user, uid, groups, extra = value[:4]
    if not user:
        raise BadBlock("an identity without a user")
    if len(groups) > MAX_GROUPS:
        raise BadBlock("an identity with too many groups")
    if any(type(group) is not bytes for group in groups):
        raise BadBlock("groups are byte strings")
    for pair in extra:
        if type(pair) is not tuple or tuple(map(type, pair)) != (bytes, bytes):
            raise BadBlock("an identity's extra are pairs of byte strings")
    return Identity(user, uid, groups, extra)


def _keeps_key(block: bytes, _: object) -> bool:
    return len(block) <= MAX_REMEMBERED_BYTES


def _keeps_value(_: object, block: bytes) -> bool:
    return len(block) <= MAX_REMEMBERED_BYTES


#: A request's headers as a block, and back. UnsafeField, and BadBlock, as the functions they remember.
WRITTEN_HEADERS: Final = Memory(render_fields, MAX_REMEMBERED, _keeps_value)
READ_HEADERS: Final = Memory(read_block, MAX_REMEMBERED, _keeps_key)

#: An identity as a block, and back. BadBlock: it is none, has no user, or more groups than a receiver takes.
WRITTEN_IDENTITIES: Final = Memory(_packed, MAX_REMEMBERED, _keeps_value)
READ_IDENTITIES: Final = Memory(_identity, MAX_REMEMBERED, _keeps_key)
