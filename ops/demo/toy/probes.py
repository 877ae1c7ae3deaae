"""What only tests ask for, under /toy: bodies of any size and speed, a sink, an echo, and the registry of requests.

GET  /toy/bytes?size=N[&chunked=1][&cut=M][&rate=BYTES_PER_SECOND]   `pattern(N)`, in constant memory
POST /toy/sink                                                       {"bytes", "sha256"} of the body
GET  /toy/slow?seconds=N                                             the head comes N seconds late
ANY  /toy/headers                                                    head, trailers and size of the body as they came
GET  /toy/requests[?after=NUMBER]                                    open and recent requests (`requests.Record`)
POST /toy/forget-history                                             watches from older versions get 410
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import h11
import trio

from ops.demo.toy.exchange import ClientGone, Exchange
from ops.demo.toy.requests import Requests
from ops.demo.toy.statuses import bad_request, method_not_allowed, no_such_path
from ops.demo.toy.storage import Storage

_PERIOD = 65521  # a prime, so that a piece lost or doubled on any buffer boundary shows
PATTERN = b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(_PERIOD // 32 + 1))[:_PERIOD]
"""Repeated without end, this is what /toy/bytes sends."""

PIECE_BYTES = 64 * 1024
RATED_PIECE_BYTES = 4096


def pieces(size: int, piece: int = PIECE_BYTES) -> Iterator[bytes]:
    """The body of /toy/bytes?size=N, in pieces."""
    doubled = PATTERN + PATTERN + PATTERN
    sent = 0
    while sent < size:
        take, at = min(piece, size - sent), sent % _PERIOD
        yield doubled[at : at + take]
        sent += take


def pattern_sha256(size: int) -> str:
    """What the body of /toy/bytes?size=N hashes to."""
    digest = hashlib.sha256()
    for piece in pieces(size):
        digest.update(piece)
    return digest.hexdigest()


async def serve(exchange: Exchange, requests: Requests, storage: Storage) -> None:
    """Answer a request for /toy/…"""
    match exchange.path:
        case "/toy/bytes":
            await _bytes(exchange)
        case "/toy/sink":
            await _sink(exchange)
        case "/toy/slow":
            await _slow(exchange)
        case "/toy/headers":
            await _headers(exchange)
        case "/toy/requests":
            await exchange.answer_json(200, requests.shown(exchange.number("after") or 0))
        case "/toy/forget-history":
            if exchange.method != "POST":
                raise method_not_allowed()
            storage.forget_history()
            await exchange.answer_json(200, {"version": storage.version})
        case _:
            raise no_such_path()


async def _slow(exchange: Exchange) -> None:
    seconds = exchange.number("seconds")
    if seconds is None:
        raise bad_request("seconds is required")
    async with exchange.until_client_leaves():
        await trio.sleep(seconds)
    await exchange.answer_json(200, {"slept": seconds})


async def _headers(exchange: Exchange) -> None:
    size = 0
    while isinstance(event := await exchange.connection.next_event(), h11.Data):
        size += len(event.data)
    if not isinstance(event, h11.EndOfMessage):
        raise ClientGone
    trailers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in event.headers.raw_items()]
    await exchange.answer_json(200, {**exchange.record.shown(), "bodyBytes": size, "trailers": trailers})


async def _bytes(exchange: Exchange) -> None:
    size = exchange.number("size")
    if size is None:
        raise bad_request("size is required")
    cut, rate = exchange.number("cut"), exchange.number("rate")
    chunked = exchange.flag("chunked")
    async with exchange.until_client_leaves():
        await exchange.start(200, "application/octet-stream", None if chunked else size)
        sent = 0
        for piece in pieces(size, RATED_PIECE_BYTES if rate else PIECE_BYTES):
            if cut is not None and sent + len(piece) > cut:
                await exchange.send(piece[: cut - sent])
                await exchange.connection.cut()
                raise ClientGone
            await exchange.send(piece)
            sent += len(piece)
            if rate:
                await trio.sleep(len(piece) / rate)
        await exchange.finish()


async def _sink(exchange: Exchange) -> None:
    digest, size = hashlib.sha256(), 0
    async for piece in exchange.body_pieces():
        digest.update(piece)
        size += len(piece)
    await exchange.answer_json(200, {"bytes": size, "sha256": digest.hexdigest()})
