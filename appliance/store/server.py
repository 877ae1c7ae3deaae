"""Which PostgreSQL server, as whom, and how its identity is verified: a URL, read strictly.

What always holds: over a network TLS is verified, the server's name included, and no parameter of the URL weakens
that; without TLS only a loopback address or a socket is spoken to. Nothing is taken from the environment or from a
home directory. The URL holds a password: no error and no representation shows more of it than a parameter's name.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT_PORT = 5432
MAX_URL_BYTES = 64 * 1024  # a URL is a line; more is the wrong file
MAX_HOSTS = 8  # of one cluster: whichever of them takes writes is used

_PARAMETERS = frozenset({"host", "sslmode", "sslrootcert", "sslcert", "sslkey"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")


class ServerFault(Exception):
    """The URL cannot be used; the text is a phrase that holds no secret."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect. `hosts` are names, addresses or one socket directory; `tls` is None only for those of us."""

    hosts: tuple[tuple[str, int], ...]
    database: str
    user: str
    password: str = field(repr=False)
    tls: ssl.SSLContext | None = field(repr=False, compare=False)
    file: Path | None = None  # read again for each new connection, so that a new password is taken up
    connections: int = 8

    def current_password(self) -> str:
        """The password as the file has it now; ours, while the file cannot be read or is being replaced."""
        if self.file is None:
            return self.password
        try:
            return parse(_text(self.file)).password
        except ServerFault:
            return self.password


def read(file: Path, connections: int = 8) -> Server:
    """The server whose URL stands in the file.

    Raises:
        ServerFault: the file or the URL in it cannot be used.

    """
    found = parse(_text(file))
    return Server(found.hosts, found.database, found.user, found.password, found.tls, file, connections)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_URL_BYTES + 1)
    except OSError as error:
        raise ServerFault(f"cannot be read: {error.strerror}") from None
    if len(raw) > MAX_URL_BYTES:
        raise ServerFault("is too long for a URL")
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        raise ServerFault("is not text") from None


def parse(url: str) -> Server:
    """The server a URL names. ServerFault says what is wrong without repeating it."""
    if any(c.isspace() or not c.isprintable() for c in url):
        raise ServerFault("holds more than one URL, or one with spaces")
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    except ValueError:
        raise ServerFault("is not a URL") from None
    if parts.scheme not in {"postgresql", "postgres"} or parts.fragment:
        raise ServerFault("is not a URL of the form postgresql://USER:PASSWORD@HOST/DATABASE")
    parameters = dict(query)
    for name in parameters:
        if name not in _PARAMETERS:
            raise ServerFault(f"has the parameter {name if name.isidentifier() else '?'}, which is not supported")
    if len(parameters) != len(query):
        raise ServerFault("has a parameter twice")
    login, at, where = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    database = unquote(parts.path.removeprefix("/"))
    if not at or not user or not database or "\0" in unquote(url):
        raise ServerFault("names no user or no database: postgresql://USER:PASSWORD@HOST/DATABASE")
    hosts = _hosts(where, parameters.get("host"))
    return Server(hosts, database, unquote(user), unquote(password), _tls(hosts, parameters))


def _hosts(where: str, directory: str | None) -> tuple[tuple[str, int], ...]:
    if directory is not None:
        if where or not directory.startswith("/"):
            raise ServerFault("has a host parameter that is not the directory of a socket, or another host beside it")
        return ((directory, DEFAULT_PORT),)
    found = []
    for one in where.split(","):
        match = _HOST.fullmatch(unquote(one))
        if match is None or int(match[2] or 1) not in range(1, 65536):
            raise ServerFault("has no usable host")
        found.append((match[1].strip("[]"), int(match[2] or DEFAULT_PORT)))
    if len(found) > MAX_HOSTS:
        raise ServerFault(f"names more than {MAX_HOSTS} hosts")
    return tuple(found)


def _tls(hosts: tuple[tuple[str, int], ...], parameters: Mapping[str, str]) -> ssl.SSLContext | None:
    mode = parameters.get("sslmode")
    files = {name: value for name, value in parameters.items() if name in {"sslrootcert", "sslcert", "sslkey"}}
    if mode not in {None, "verify-full", "disable"}:
        raise ServerFault("has an sslmode that does not verify the server: only verify-full does")
    ours = [is_ours(host) for host, _ in hosts]
    if mode == "disable" and not all(ours):
        raise ServerFault("turns TLS off towards another machine: remove sslmode=disable")
    if any(host.startswith("/") for host, _ in hosts) and (mode == "verify-full" or files):
        raise ServerFault("asks for TLS over a socket, where there is none")
    if mode == "disable" and files:
        raise ServerFault("names files for TLS and turns it off")
    if mode == "disable" or (mode is None and not files and all(ours)):
        return None
    return _context(files)


def _context(files: Mapping[str, str]) -> ssl.SSLContext:
    if ("sslcert" in files) != ("sslkey" in files):
        raise ServerFault("has one of sslcert and sslkey, which belong together")
    if any(not value.startswith("/") for value in files.values()):
        raise ServerFault("names a file for TLS by a relative path")
    name = "sslrootcert"
    try:
        context = ssl.create_default_context(cafile=files.get("sslrootcert"))
        if "sslcert" in files:
            name = "sslcert or sslkey"
            context.load_cert_chain(files["sslcert"], files["sslkey"], password=_no_password)
    except (ssl.SSLError, ValueError):
        raise ServerFault(f"names a file as {name} that is not a certificate or key (PEM) we can open") from None
    except OSError as error:
        raise ServerFault(f"names a file as {name} that cannot be used: {error.strerror}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def is_ours(host: str) -> bool:
    """Whether what is said to this host stays on this machine."""
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
