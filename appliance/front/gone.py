"""Noticing clients that went away, or that are too slow, without a task per request.

One task listens on a private epoll in which each connection is registered once, for its FIN alone and edge-triggered:
requests that come and go wake nobody. One sweep a second compares deadlines, and asks of connections whose request
takes longer two things that the kernel does not announce:

* a close_notify without FIN. Such a connection is armed for input, so that the alert wakes the listener;
* a peer that died in silence while our bytes wait for its acknowledgement. TCP_USER_TIMEOUT would do that too, but it
  also kills readers that merely paused.

Where there is no epoll the sweep itself looks at every open request. A client that leaves is told to its `Client`
(`hang_up`, `peek`, `end`); what that means is decided there.
"""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress
from typing import Final

import trio

from appliance.front.client import Client, Ending

SWEEP_SECONDS: Final = 1.0
"""How late a deadline may be noticed. Seconds are what our deadlines are measured in."""

SILENCE_SECONDS: Final = 20.0
"""Unacknowledged bytes and no acknowledgement of any for this long: the peer's host or network is gone."""

SILENCE_SWEEPS: Final = 5
"""The kernel is asked about every fifth sweep: one system call for each request that is open that long."""

SHARE: Final = 256
"""Connections looked at before other tasks get the loop: about a millisecond."""

_EDGE: Final = getattr(select, "EPOLLET", 0) | getattr(select, "EPOLLRDHUP", 0)
_INPUT: Final = getattr(select, "EPOLLIN", 0)
_HANG_UP: Final = getattr(select, "EPOLLRDHUP", 0) | getattr(select, "EPOLLHUP", 0) | getattr(select, "EPOLLERR", 0)
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_INFO: Final = struct.Struct("=8x13I")  # linux/tcp.h: 8 bytes, then u32s: unacked is the 5th, last_ack_recv the 13th


class Watcher:
    """Every connection of one front."""

    def __init__(self) -> None:
        self._clients: dict[int, Client] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None

    def __len__(self) -> int:
        return len(self._clients)

    def clients(self) -> list[Client]:
        """Return every connection there is."""
        return list(self._clients.values())

    def add(self, client: Client) -> None:
        """Watch a connection from now on."""
        number = client.file_number
        self._clients[number] = client
        if self._epoll is not None:
            self._epoll.register(number, _EDGE)

    def remove(self, client: Client) -> None:
        """Stop watching. Called before or after the socket was closed: its number may belong to a newer connection."""
        number = client.file_number
        client.on_rest = None
        if self._clients.get(number) is client:
            del self._clients[number]
            if self._epoll is not None:
                with suppress(OSError):  # closed already: the kernel has forgotten it
                    self._epoll.unregister(number)

    async def watch(self) -> None:
        """Watch until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._epoll is not None:
                nursery.start_soon(self._listen, self._epoll)
            await self._sweep_forever()

    def close(self) -> None:
        """Release the epoll, once no connection is left."""
        if self._epoll is not None:
            self._epoll.close()

    async def _listen(self, epoll: select.epoll) -> None:
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            for number, events in epoll.poll(0, SHARE):
                client = self._clients.get(number)
                if client is None:
                    continue
                if events & _HANG_UP:
                    client.hang_up()
                elif events & _INPUT:
                    client.peek()

    async def _sweep_forever(self) -> None:
        count = 0
        while True:
            await trio.sleep(SWEEP_SECONDS)
            count += 1
            for position, client in enumerate(self.clients()):
                if position % SHARE == SHARE - 1:
                    await trio.lowlevel.checkpoint()
                if self._clients.get(client.file_number) is client:
                    self._look(client, trio.current_time(), ask_kernel=count % SILENCE_SWEEPS == 0)

    def _look(self, client: Client, now: float, *, ask_kernel: bool) -> None:
        client.date_rest(now)
        if client.deadline <= now:
            client.end(Ending.IDLE if client.resting else Ending.SLOW)
        elif client.serving:
            if self._epoll is None:
                client.peek()
            elif not client.upgraded:
                self._arm(client)
            if ask_kernel and died_in_silence(client):
                client.end(Ending.GONE)

    def _arm(self, client: Client) -> None:
        """Have what `client` sends wake the listener until its request has ended: the next ones wake nobody."""
        if client.on_rest is None:
            client.on_rest = self._disarm
            self._modify(client, _EDGE | _INPUT)

    def _disarm(self, client: Client) -> None:
        client.on_rest = None
        self._modify(client, _EDGE)

    def _modify(self, client: Client, events: int) -> None:
        if self._epoll is not None and self._clients.get(client.file_number) is client:
            with suppress(OSError):  # its task has closed it and is on its way out
                self._epoll.modify(client.file_number, events)


def died_in_silence(client: Client) -> bool:
    """Tell whether bytes of ours have waited too long for an acknowledgement."""
    if _TCP_INFO is None:
        return False
    try:
        info = client.stream.socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO.size)
    except OSError:
        return False
    if len(info) < _INFO.size:
        return False
    fields = _INFO.unpack(info)
    unacked, last_ack_milliseconds = fields[4], fields[12]
    return bool(unacked > 0 and last_ack_milliseconds > SILENCE_SECONDS * 1000)
