"""Lists of networks: which addresses an operator has named. Pure.

What always holds: an address is compared as what it is, an IPv4 address that came over an IPv6 socket included; what
is no address is in no network; an empty list holds nobody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Networks:
    """Some networks."""

    all: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Networks:
        """Read CIDR notation; a single address is a network of one.

        Raises:
            ValueError: one is none, or has bits set beyond its prefix.

        """
        return cls(tuple(ipaddress.ip_network(text) for text in texts))

    def __bool__(self) -> bool:
        return bool(self.all)

    def __str__(self) -> str:
        return ", ".join(map(str, self.all))

    def hold(self, address: str) -> bool:
        """Tell whether an address is in one of them."""
        if not self.all:
            return False
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self.all)  # of the other family: never


NOBODY: Final = Networks()
