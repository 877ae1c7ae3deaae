"""Pod logs: lines that follow from the time, so that every reader of a pod sees the same ones.

Line n of a container is written n periods after the pod started. A pod whose name starts with `chatty` writes a
thousand lines a second, others one. Nothing is kept; only the newest lines are offered, as after log rotation.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import trio

from ops.demo.toy import clock
from ops.demo.toy.exchange import Exchange
from ops.demo.toy.resources import PODS
from ops.demo.toy.statuses import ApiError, Object, bad_request
from ops.demo.toy.storage import Storage

CHATTY_LINES_PER_SECOND = 1000
LINES_KEPT = 50_000
"""About 5 MB, half of what a kubelet keeps before it rotates."""

CHATTY_BATCH_SECONDS = 0.02
"""A chatty pod's lines are sent this often, some at a time, as a busy container's are."""

_WORDS = ("accepted a connection", "served a page", "wrote a record", "checked its neighbours", "counted the boats")


async def serve(exchange: Exchange, storage: Storage, pod: Object) -> None:
    """Answer GET pods/{name}/log."""
    name = _container(exchange, pod)
    metadata = pod["metadata"]
    if exchange.flag("previous"):
        raise bad_request(f'previous terminated container "{name}" in pod "{metadata["name"]}" not found')
    if not pod["status"].get("podIP"):
        message = f'container "{name}" in pod "{metadata["name"]}" is waiting to start: ContainerCreating'
        raise bad_request(message)
    log = _Log(pod, name, timestamps=exchange.flag("timestamps"))
    first = _first_line(exchange, log)
    limit = exchange.number("limitBytes")
    if not exchange.flag("follow"):
        body = b"".join(log.lines(first, log.written()))
        await exchange.answer(200, body if limit is None else body[:limit], "text/plain")
        return
    async with exchange.until_client_leaves():
        await exchange.start(200, "text/plain")
        await _follow(exchange, storage, log, first, metadata)
        await exchange.finish()


async def _follow(exchange: Exchange, storage: Storage, log: _Log, first: int, metadata: Object) -> None:
    """Send what is written until the pod is gone."""
    pause = CHATTY_BATCH_SECONDS if log.period < 1 else 0.1
    batch = 5000  # lines; bounds what is built at once for a late reader
    while True:
        written = log.written()
        while first < written:
            last = min(written, first + batch)
            await exchange.send(b"".join(log.lines(first, last)))
            first = last
        pod = storage.find(PODS, metadata["namespace"], metadata["name"])
        if pod is None or pod["metadata"]["uid"] != metadata["uid"]:
            return
        await trio.sleep(pause)


def _container(exchange: Exchange, pod: Object) -> str:
    spec = pod["spec"]
    names = [one["name"] for one in spec["containers"]]
    wanted, name = exchange.parameter("container"), pod["metadata"]["name"]
    if not wanted:
        if len(names) > 1:
            choices = " ".join(names)
            raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{choices}]")
        return str(names[0])
    others = [one["name"] for key in ("initContainers", "ephemeralContainers") for one in spec.get(key) or []]
    if wanted not in names + others:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted


def _first_line(exchange: Exchange, log: _Log) -> int:
    written = log.written()
    tail, seconds, moment = (
        exchange.number("tailLines"),
        exchange.number("sinceSeconds"),
        exchange.parameter("sinceTime"),
    )
    first = max(0, written - LINES_KEPT)
    if tail is not None:
        first = max(first, written - tail)
    if seconds is not None:
        first = max(first, log.line_at(clock.now() - dt.timedelta(seconds=seconds)))
    if moment:
        try:
            since = dt.datetime.fromisoformat(moment)
        except ValueError as bad:
            raise ApiError(400, "BadRequest", f"sinceTime is not a time: {moment}") from bad
        first = max(first, log.line_at(since))
    return first


class _Log:
    """All lines of one container, past and to come."""

    def __init__(self, pod: Object, container: str, *, timestamps: bool) -> None:
        self.period = 1 / CHATTY_LINES_PER_SECOND if pod["metadata"]["name"].startswith("chatty") else 1.0
        self._start = clock.parse(pod["status"]["startTime"])
        self._container = container
        self._timestamps = timestamps

    def written(self) -> int:
        return max(0, self.line_at(clock.now()))

    def line_at(self, moment: dt.datetime) -> int:
        """The number of the first line written after `moment`."""
        return int((moment - self._start).total_seconds() / self.period) + 1

    def lines(self, first: int, last: int) -> Iterator[bytes]:
        for number in range(first, last):
            text = f"line {number}: {self._container} {_WORDS[number % len(_WORDS)]}\n"
            if self._timestamps:
                moment = self._start + dt.timedelta(seconds=number * self.period)
                text = f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z {text}"
            yield text.encode()
