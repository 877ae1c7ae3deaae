"""How the value of a setting is read: strictly, from TOML's types or an environment variable's text.

Each function gives the value or raises ValueError with a phrase that fits after "must be".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. No host means every interface; port 0 lets the system choose (tests and the demo)."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("a text")
    return value


def path(value: Any) -> Path:
    found = Path(text(value))
    if not found.is_absolute():
        raise ValueError("an absolute path")
    return found


def address(value: Any) -> Address:
    host, colon, port = text(value).rpartition(":")
    if not colon or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise ValueError('an address such as "127.0.0.1:8443", "[::1]:8443" or ":8443"')
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare:
        if int(port) == 0:
            raise ValueError("an IP address with the port when the port is 0")
        return Address(None, int(port))
    try:
        ip = ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError('an IP address with a port, such as "127.0.0.1:8443"') from None
    if (ip.version == 6) != (bare != host):
        raise ValueError("an IPv6 address in brackets, or an IPv4 address without them")
    return Address(bare, int(port))


def https_url(example: str) -> Callable[[Any], tuple[str, int | None]]:
    """The host and the port of an https URL that names nothing else."""
    form = f'an https URL without path, such as "{example}"'

    def read(value: Any) -> tuple[str, int | None]:
        given = text(value)
        try:
            parts = urlsplit(given)
            port = parts.port
        except ValueError:
            raise ValueError(form) from None
        if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"} or "@" in parts.netloc:
            raise ValueError(form)
        if parts.query or parts.fragment or re.search(r"[\s%]", given):
            raise ValueError(form)
        return parts.hostname, port

    return read


def choice(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return str(value)

    return read


def whole(lowest: int, highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,12}", value):  # from the environment
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return value

    return read


def switch(value: Any) -> bool:
    known = {"true": True, "false": False, True: True, False: False}
    if not isinstance(value, str | bool) or value not in known:
        raise ValueError("true or false")
    return known[value]
