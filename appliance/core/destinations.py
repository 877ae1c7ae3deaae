"""Which addresses the appliance may dial because a setting, or a token's issuer, names them. Pure.

Whoever may name a URL could otherwise have the appliance knock on doors that only it can reach: its own listeners, the
private network, a cloud's metadata. What always holds: a URL that could be read in two ways is refused; an address is
judged as what the packet will go to, however it was spelt; what is not plainly public is refused unless a network that
holds it was listed; some addresses are refused even then.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from appliance.core.networks import Networks

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

HTTPS_PORT: Final = 443
MAX_URL_CHARS: Final = 2048  # what every client and server takes

# Neither user name nor fragment, and no character that two readers of URLs take for different things.
_URL: Final = re.compile(
    r"https://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?(?P<query>\?[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*)?"
)
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Some resolvers read such a last label as a number, and the name as an IPv4 address: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

# IANA's special-purpose registries, written out: the standard library's idea of them differs between its versions.
_SPECIAL_4: Final = Networks.parse(
    (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")  # the only block that unicast addresses were given out of
_SPECIAL_6: Final = Networks.parse(
    (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: the packet goes to an IPv4 address written inside
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")  # NAT64 (RFC 6052): the last 32 bits are an IPv4 address

#: No list opens these: nobody's identity provider lives there, and what does gives out a cloud's credentials.
_NEVER: Final = Networks.parse(
    (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/3",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "::/128",
        "fe80::/10",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "ff00::/8",
    )
)


class BadURL(ValueError):
    """The URL is refused; the text fits after "it"."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a URL leads. `literal`: its host is an address and no name; `host` is without brackets then."""

    host: str
    port: int
    target: str
    literal: IPAddress | None

    @property
    def named(self) -> tuple[str, int]:
        """As listeners and settings name it."""
        return self.host, self.port


def destination(url: str) -> Destination:
    """Read a URL that the appliance is to dial.

    Raises:
        BadURL: it is no https URL, or one that could be read in two ways.

    """
    match = _URL.fullmatch(url) if len(url) <= MAX_URL_CHARS else None
    if match is None:
        raise BadURL("is not a plain https URL")
    port = HTTPS_PORT if match["port"] is None else int(match["port"])
    if not 1 <= port <= 65535:
        raise BadURL("names a port that there is not")
    host = match["host"].lower()
    target = (match["target"] or "/") + (match["query"] or "")
    literal = _literal(host)
    host = host if literal is None else str(literal)
    if literal is None and (len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split("."))):
        raise BadURL("names a host that is no DNS name")
    if literal is None and _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise BadURL("writes an address in a way that only some can read")
    return Destination(host, port, target, literal)


def why_not(address: IPAddress, port: int, allowed: Networks) -> str | None:
    """Why this address may not be dialled, as words after "it"; None when it may."""
    packet = _where_it_goes(address)
    if _NEVER.hold(str(packet)) or _NEVER.hold(str(address)):
        return "is link-local, multicast, unspecified or a cloud's own"
    if allowed.hold(str(address)):
        return None
    if not _is_public(packet):
        return "is not public, and no network in dialling.allow holds it"
    if port != HTTPS_PORT:
        return f"is public, where only port {HTTPS_PORT} is dialled unless a network in dialling.allow holds it"
    return None


def _literal(host: str) -> IPAddress | None:
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1])
        return ipaddress.IPv4Address(host)
    except ValueError:
        if host.startswith("["):
            raise BadURL("names an IPv6 address that is none") from None
        return None


def _where_it_goes(address: IPAddress) -> IPAddress:
    """What the kernel, or a translator that is close by, will send to."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not _SPECIAL_4.hold(str(address))
    return address in _GLOBAL_6 and not _SPECIAL_6.hold(str(address))
