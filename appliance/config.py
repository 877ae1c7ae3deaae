"""The appliance's settings: what they are, where they come from, and when they are refused.

A TOML file gives the settings; an environment variable (`users.listen` is `FAIRLEAD_USERS_LISTEN`) overrides one of
them. `SETTINGS` is the only list: reading, checking and the printed reference all follow it. What always holds: an
unknown key, a missing required one, a value of the wrong form or a file that others can read or change stops the
start with one sentence that names the key. There is no setting that weakens a check, and no secret is a setting:
secrets are files, and only their paths stand here.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from appliance.core.buckets import MAX_OPEN_EXCHANGES, REQUEST_BURST, REQUESTS_PER_SECOND
from appliance.core.networks import NOBODY, Networks

MAX_CONFIG_BYTES = 256 * 1024  # a settings file is a page of text; more is the wrong file
ENVIRONMENT_PREFIX = "FAIRLEAD_"
OPEN_TO_OTHERS = (
    stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
)  # of a secret's file; its group may read, as Kubernetes has it

# Names that share our prefix and are not settings: the agent's and the tests' own, and the variables Kubernetes adds
# to every container for a Service called `fairlead` or `fairlead-agents`.
_FOREIGN_VARIABLES = re.compile(
    r"FAIRLEAD_(AGENT_|TEST_|KUBECTL_)|FAIRLEAD(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_(TCP|UDP)(_.+)?)?)$"
)


class ConfigError(Exception):
    """The settings do not allow a start; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. No host means every interface; port 0 lets the system choose (tests and the demo)."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Users:
    listen: Address
    certificate: Path | None
    key: Path | None
    lane: str
    proxy_protocol_from: Networks
    trusted_proxies: Networks


@dataclass(frozen=True, slots=True)
class Agents:
    listen: Address
    url: str | None
    proxy_protocol_from: Networks


@dataclass(frozen=True, slots=True)
class Health:
    listen: Address


@dataclass(frozen=True, slots=True)
class Store:
    url_file: Path | None
    master_key: Path | None
    connections: int
    migrate_on_start: bool


@dataclass(frozen=True, slots=True)
class Limits:
    connections: int
    requests_per_second: int
    request_burst: int
    open_exchanges: int
    drain_seconds: int


@dataclass(frozen=True, slots=True)
class Log:
    level: str
    format: str
    audit: str


@dataclass(frozen=True, slots=True)
class Audit:
    retention_days: int


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked."""

    public_url: str
    data_dir: Path
    users: Users
    agents: Agents
    health: Health
    store: Store
    limits: Limits
    audit: Audit
    log: Log


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its key, how a value is read (ValueError: a phrase after "must be"), its default, its meaning."""

    key: str
    read: Callable[[Any], Any]
    default: Any
    meaning: str
    required: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that overrides it."""
        return ENVIRONMENT_PREFIX + self.key.replace(".", "_").upper()


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("a text")
    return value


def _path(value: Any) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise ValueError("an absolute path")
    return path


def _address(value: Any) -> Address:
    host, colon, port = _text(value).rpartition(":")
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


def _loopback(value: Any) -> Address:
    address = _address(value)
    if address.host is None or not ipaddress.ip_address(address.host).is_loopback:
        raise ValueError("a loopback address: this listener has no TLS and asks for no credential")
    return address


def _url(value: Any) -> str:
    form = 'an https URL without path, such as "https://fairlead.example.com"'
    text = _text(value)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(form) from None
    if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"} or "@" in parts.netloc:
        raise ValueError(form)
    if parts.query or parts.fragment or any(c.isspace() for c in text):
        raise ValueError(form)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}" if port is None else f"https://{host}:{port}"


def _choice(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return str(value)

    return read


def _switch(value: Any) -> bool:
    if value in {True, "true"}:
        return True
    if value in {False, "false"}:
        return False
    raise ValueError("true or false")


def _whole(lowest: int, highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,12}", value):  # from the environment
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return value

    return read


def _networks(value: Any) -> Networks:
    if isinstance(value, str):  # from the environment
        value = [text for text in re.split(r"[\s,]+", value) if text]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError('a list of networks, such as ["192.0.2.0/24", "2001:db8::/32"]')
    try:
        return Networks.parse(value)
    except ValueError as error:
        raise ValueError(f'a list of networks, such as ["192.0.2.0/24", "2001:db8::/32"]; {error}') from None


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "public_url",
        _url,
        None,
        "What people and their kubectl connect to; stands in every kubeconfig. Port 0 means the bound port.",
        required=True,
    ),
    Setting(
        "data_dir",
        _path,
        Path("/var/lib/fairlead"),
        "Where the databases and the master key live. Made with mode 0700; refused if others can enter it.",
    ),
    Setting("users.listen", _address, Address(None, 8443), "Where kubectl, browsers and the API connect to (TLS)."),
    Setting(
        "users.certificate",
        _path,
        None,
        "Certificate chain (PEM) for users.listen, read again when it changes. Without it our own CA signs one.",
    ),
    Setting("users.key", _path, None, "Private key (PEM) of users.certificate; not readable by others."),
    Setting(
        "users.lane",
        _choice("express", "hypercorn"),
        "express",
        "Which code path serves /api/proxy: express, or hypercorn (the same rules, slower, for comparison).",
    ),
    Setting(
        "users.proxy_protocol_from",
        _networks,
        NOBODY,
        "Load balancers whose connections must begin with a PROXY v2 header, which names the client's address.",
    ),
    Setting(
        "users.trusted_proxies",
        _networks,
        NOBODY,
        "Proxies whose X-Forwarded-For or Forwarded is believed for the client's address; from others it is dropped.",
    ),
    Setting("agents.listen", _address, Address(None, 5443), "Where agents connect to (mutual TLS, our CA)."),
    Setting(
        "agents.url",
        _url,
        None,
        "What agents dial; stands in every bundle. Default: the host of public_url, the port of agents.listen.",
    ),
    Setting(
        "agents.proxy_protocol_from",
        _networks,
        NOBODY,
        "The same for agents.listen. The load balancers must pass TLS on as it is: agents show certificates.",
    ),
    Setting(
        "health.listen",
        _loopback,
        Address("127.0.0.1", 9090),
        "Plain HTTP on loopback: /livez and /readyz.",
    ),
    Setting(
        "store.url_file",
        _path,
        None,
        "File with the URL of a PostgreSQL database, postgresql://USER:PASSWORD@HOST/DATABASE; not readable by others. "
        "TLS is verified (sslrootcert= names another CA) but for a loopback address or a socket (?host=/DIRECTORY). "
        "A direct connection, not a pooler. Without it the configuration lies in an SQLite file in data_dir.",
    ),
    Setting(
        "store.master_key",
        _path,
        None,
        "File with the key that seals secrets in the database; not readable by others. Required with store.url_file, "
        "and the same for every appliance of that database. Default: master.key in data_dir, made at the first start.",
    ),
    Setting(
        "store.connections",
        _whole(2, 100),
        8,
        "Most connections to PostgreSQL at once; one more listens for changes.",
    ),
    Setting(
        "store.migrate_on_start",
        _switch,
        None,
        "Whether a start brings a database that is behind up to date; if not, it refuses and names `fairlead migrate`. "
        "An empty database is always filled. Default: true with SQLite; false with PostgreSQL, where others may run.",
    ),
    Setting(
        "limits.connections",
        _whole(16, 100_000),
        10_000,
        "Most user connections at once; more wait in the listen queue. One open watch is one connection.",
    ),
    Setting(
        "limits.requests_per_second",
        _whole(1, 1_000_000),
        REQUESTS_PER_SECOND,
        "Requests one person may start on one cluster each second, in the long run; beyond it is 429.",
    ),
    Setting(
        "limits.request_burst",
        _whole(1, 1_000_000),
        REQUEST_BURST,
        "Requests one person may start on one cluster at once, after a pause; kubectl's discovery comes in bursts.",
    ),
    Setting(
        "limits.open_exchanges",
        _whole(1, 2048),
        MAX_OPEN_EXCHANGES,
        "Requests one person may have open on one cluster, watches and shells included.",
    ),
    Setting(
        "limits.drain_seconds",
        _whole(0, 600),
        20,
        "How long a stopping appliance lets running requests finish before it ends them.",
    ),
    Setting(
        "audit.retention_days",
        _whole(0, 36_500),
        400,
        "How long audit records are kept at least; older ones are removed, which is itself recorded. 0 keeps all.",
    ),
    Setting("log.level", _choice("debug", "info", "warning", "error"), "info", "The least important line to write."),
    Setting(
        "log.format",
        _choice("auto", "json", "console"),
        "auto",
        "json, console (for people), or auto: console on a terminal, json elsewhere.",
    ),
    Setting(
        "log.audit",
        _choice("refused", "all"),
        "refused",
        "Which audit events also become log lines (kind=audit): refused ones, or all.",
    ),
)


def load(path: Path | None, environment: Mapping[str, str], *, restoring: bool = False) -> Config:
    """Read the file (if any) and the environment, and check everything that can be checked without starting.

    `restoring`: the master key may be missing, because the backup holds it.
    """
    given = _from_file(path) if path is not None else {}
    given.update(_from_environment(environment))
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        if setting.key not in given:
            if setting.required:
                raise ConfigError(
                    f"{setting.key} is not set: put it into the settings file or into {setting.variable}, for example "
                    f'{setting.key} = "https://fairlead.example.com".'
                )
            values[setting.key] = setting.default
            continue
        raw, origin = given[setting.key]
        try:
            values[setting.key] = setting.read(raw)
        except ValueError as error:
            raise ConfigError(f"{origin}: {setting.key} must be {error}.") from None
    return _checked(_build(values), restoring=restoring)


def reference() -> str:
    """The settings as text for people, from the same table that reads them."""
    lines = []
    for setting in SETTINGS:
        default = "required" if setting.required else f"default {setting.default}" if setting.default else "optional"
        lines.append(f"{setting.key}  ({setting.variable}; {default})\n    {setting.meaning}")
    return "\n".join(lines)


def _from_file(path: Path) -> dict[str, tuple[Any, str]]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"The settings file {path} can be changed by others: run `chmod go-w {path}`.")
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(f"The settings file {path} is larger than {MAX_CONFIG_BYTES // 1024} KiB.")
    try:
        tree = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {path} is not TOML: {error}.") from None
    known = {setting.key for setting in SETTINGS}
    tables = {key.partition(".")[0] for key in known if "." in key}
    found: dict[str, tuple[Any, str]] = {}
    for name, value in tree.items():
        leaves = {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        if isinstance(value, dict) and name not in tables:
            raise ConfigError(f"{path}: there is no section [{name}].")
        for key, leaf in leaves.items():
            if key not in known:
                raise ConfigError(f"{path}: there is no setting {key}.")
            found[key] = (leaf, str(path))
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    by_variable = {setting.variable: setting.key for setting in SETTINGS}
    found: dict[str, tuple[Any, str]] = {}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if name in by_variable:
            found[by_variable[name]] = (value, name)
        elif not _FOREIGN_VARIABLES.match(name):
            raise ConfigError(f"The environment variable {name} is not a setting of fairlead.")
    return found


def _build(values: dict[str, Any]) -> Config:
    if values["store.migrate_on_start"] is None:
        values["store.migrate_on_start"] = values["store.url_file"] is None

    def section(name: str) -> dict[str, Any]:
        return {key.partition(".")[2]: value for key, value in values.items() if key.startswith(name + ".")}

    return Config(
        public_url=values["public_url"],
        data_dir=values["data_dir"],
        users=Users(**section("users")),
        agents=Agents(**section("agents")),
        health=Health(**section("health")),
        store=Store(**section("store")),
        limits=Limits(**section("limits")),
        audit=Audit(**section("audit")),
        log=Log(**section("log")),
    )


def _checked(config: Config, *, restoring: bool) -> Config:
    """What spans several settings, and the modes of the files they name."""
    if (config.users.certificate is None) != (config.users.key is None):
        missing = "users.key" if config.users.key is None else "users.certificate"
        raise ConfigError(f"users.certificate and users.key belong together, and {missing} is not set.")
    if config.users.key is not None:
        refuse_weak_mode(config.users.key, OPEN_TO_OTHERS, "users.key", "chmod 0600")
    if config.store.url_file is not None:
        if config.store.master_key is None:
            raise ConfigError(
                "store.master_key is not set: with PostgreSQL the key that seals its secrets is a file of yours; make "
                "it once with `openssl rand -base64 32` and give the same one to every appliance of that database."
            )
        refuse_weak_mode(config.store.url_file, OPEN_TO_OTHERS, "store.url_file", "chmod 0600")
    if config.store.master_key is not None and not (restoring and not config.store.master_key.exists()):
        refuse_weak_mode(config.store.master_key, OPEN_TO_OTHERS, "store.master_key", "chmod 0600")
    if config.data_dir.exists():
        if not config.data_dir.is_dir():
            raise ConfigError(f"data_dir {config.data_dir} is not a directory.")
        refuse_weak_mode(config.data_dir, stat.S_IRWXG | stat.S_IRWXO, "data_dir", "chmod 0700")
    return config


def refuse_weak_mode(path: Path, forbidden: int, key: str, remedy: str) -> None:
    """Stop the start when a file or directory is open to more than its owner needs."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{key} {path} cannot be read: {error.strerror}.") from None
    if mode & forbidden:
        raise ConfigError(f"{key} {path} has mode {stat.S_IMODE(mode):04o}, open to others: run `{remedy} {path}`.")
