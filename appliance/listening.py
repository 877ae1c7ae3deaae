"""What the appliance listens on, and under which URLs that is known. A port 0 in a URL stands for the bound one."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import trio

from appliance.config import Config
from daemon.values import Address

BACKLOG: Final = 4096  # a thousand agents reconnecting at once must not be refused by the kernel


class StartError(Exception):
    """The appliance cannot start; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What is listened on, and under which URLs that is known."""

    users: list[trio.SocketListener]
    agents: list[trio.SocketListener]
    health: list[trio.SocketListener]
    public_url: str
    agents_url: str

    def ports(self) -> dict[str, int]:
        return {name: _port(getattr(self, name)) for name in ("users", "agents", "health")}


async def bind(config: Config, opened: AsyncExitStack) -> Bound:
    users = await _listen("users.listen", config.users.listen, opened)
    agents = await _listen("agents.listen", config.agents.listen, opened)
    health = await _listen("health.listen", config.health.listen, opened)
    public_url = _with_port(config.public_url, _port(users))
    host = urlsplit(public_url).hostname or ""
    bracketed = f"[{host}]" if ":" in host else host
    agents_url = _with_port(config.agents.url or f"https://{bracketed}:0", _port(agents))
    return Bound(users, agents, health, public_url, agents_url)


async def _listen(key: str, address: Address, opened: AsyncExitStack) -> list[trio.SocketListener]:
    try:
        listeners = await trio.open_tcp_listeners(address.port, host=address.host, backlog=BACKLOG)
    except OSError as error:
        raise StartError(f"{key}: cannot listen on {address}: {error.strerror or error}.") from None
    for listener in listeners:
        opened.push_async_callback(listener.aclose)
    return listeners


def _port(listeners: list[trio.SocketListener]) -> int:
    return int(listeners[0].socket.getsockname()[1])


def _with_port(url: str, port: int) -> str:
    """Port 0 in a URL stands for the bound one."""
    return url.removesuffix(":0") + f":{port}" if urlsplit(url).port == 0 else url


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""
