"""The appliance's settings: what they are, where they come from, and when they are refused.

A TOML file gives the settings; an environment variable (`users.listen` is `FAIRLEAD_USERS_LISTEN`) overrides one of
them. `SETTINGS` is the only list: reading, checking and the printed reference all follow it. What always holds: an
unknown key, a missing required one, a value of the wrong form or a file that others can read or change stops the
start with one sentence that names the key. There is no setting that weakens a check, and no secret is a setting:
secrets are files, and only their paths stand here.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.core.buckets import MAX_OPEN_EXCHANGES, REQUEST_BURST, REQUESTS_PER_SECOND
from appliance.core.networks import NOBODY, Networks
from appliance.core.paces import CALLER_BURST, CALLER_PER_SECOND
from daemon import values
from daemon.settings import ConfigError, Setting, Settings, refuse_weak_mode
from daemon.values import Address

OPEN_TO_OTHERS = (
    stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
)  # of a secret's file; its group may read, as Kubernetes has it

# Names that share our prefix and are not settings: the agent's, the command's and the tests' own, and the variables
# Kubernetes adds to every container for a Service called `fairlead` or `fairlead-agents`.
_FOREIGN_VARIABLES = re.compile(
    r"FAIRLEAD_(AGENT_|CLI_|TEST_|KUBECTL_)|FAIRLEAD(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_(TCP|UDP)(_.+)?)?)$"
)


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
    certificate_seconds: int


@dataclass(frozen=True, slots=True)
class Health:
    listen: Address


@dataclass(frozen=True, slots=True)
class Dialling:
    allow: Networks
    ca: Path | None


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
    api_per_second: int
    api_burst: int
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
class Login:
    reread_seconds: int


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked."""

    public_url: str
    data_dir: Path
    users: Users
    agents: Agents
    health: Health
    dialling: Dialling
    login: Login
    store: Store
    limits: Limits
    audit: Audit
    log: Log


def _url(value: Any) -> str:
    host, port = values.https_url("https://fairlead.example.com")(value)
    bracketed = f"[{host}]" if ":" in host else host
    return f"https://{bracketed}" if port is None else f"https://{bracketed}:{port}"


def _networks(value: Any) -> Networks:
    if isinstance(value, str):  # from the environment
        value = [text for text in re.split(r"[\s,]+", value) if text]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError('a list of networks, such as ["192.0.2.0/24", "2001:db8::/32"]')
    try:
        return Networks.parse(value)
    except ValueError as error:
        raise ValueError(f'a list of networks, such as ["192.0.2.0/24", "2001:db8::/32"]; {error}') from None


_TABLE: tuple[Setting, ...] = (
    Setting(
        "public_url",
        _url,
        None,
        "What people and their kubectl connect to; stands in every kubeconfig. Port 0 means the bound port.",
        example="https://fairlead.example.com",
    ),
    Setting(
        "data_dir",
        values.path,
        Path("/var/lib/fairlead"),
        "Where the databases and the master key live. Made with mode 0700; refused if others can enter it.",
    ),
    Setting(
        "users.listen", values.address, Address(None, 8443), "Where kubectl, browsers and the API connect to (TLS)."
    ),
    Setting(
        "users.certificate",
        values.path,
        None,
        "Certificate chain (PEM) for users.listen, read again when it changes. Without it our own CA signs one.",
    ),
    Setting("users.key", values.path, None, "Private key (PEM) of users.certificate; not readable by others."),
    Setting(
        "users.lane",
        values.choice("express", "hypercorn"),
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
    Setting("agents.listen", values.address, Address(None, 5443), "Where agents connect to (mutual TLS, our CA)."),
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
        "agents.certificate_seconds",
        values.whole(10, 90 * 86_400),
        30 * 86_400,
        "How long an agent's certificate is good. Agents renew after a third; who was away for longer needs a bundle.",
    ),
    Setting(
        "health.listen",
        values.address,
        Address("127.0.0.1", 9090),
        "Plain HTTP: /livez, /readyz and /metrics. It asks for no credential and names no person; beyond loopback (for "
        "a pod's probes and Prometheus) let a NetworkPolicy or a firewall say who may come.",
    ),
    Setting(
        "login.reread_seconds",
        values.whole(1, 1800),
        1800,
        "How often an identity provider is asked again who someone is, in the seconds that pass without their using "
        "their session. Whoever could not be asked about for an hour is signed out.",
    ),
    Setting(
        "dialling.allow",
        _networks,
        NOBODY,
        "Networks that are not public, or ports that are not 443, which the appliance may dial: identity providers and "
        "token issuers of your own. Everything else but the public internet is refused, whatever name leads to it.",
    ),
    Setting(
        "dialling.ca",
        values.path,
        None,
        "Certificate authorities (PEM) believed beside the system's when the appliance dials.",
    ),
    Setting(
        "store.url_file",
        values.path,
        None,
        "File with the URL of a PostgreSQL database, postgresql://USER:PASSWORD@HOST/DATABASE; not readable by others. "
        "TLS is verified (sslrootcert= names another CA) but for a loopback address or a socket (?host=/DIRECTORY). "
        "A direct connection, not a pooler. Without it the configuration lies in an SQLite file in data_dir.",
    ),
    Setting(
        "store.master_key",
        values.path,
        None,
        "File with the key that seals secrets in the database; not readable by others. Required with store.url_file, "
        "and the same for every appliance of that database. Default: master.key in data_dir, made at the first start.",
    ),
    Setting(
        "store.connections",
        values.whole(2, 100),
        8,
        "Most connections to PostgreSQL at once; one more listens for changes.",
    ),
    Setting(
        "store.migrate_on_start",
        values.switch,
        None,
        "Whether a start brings a database that is behind up to date; if not, it refuses and names `fairlead migrate`. "
        "An empty database is always filled. Default: true with SQLite; false with PostgreSQL, where others may run.",
    ),
    Setting(
        "limits.connections",
        values.whole(16, 100_000),
        10_000,
        "Most user connections at once; more wait in the listen queue. One open watch is one connection.",
    ),
    Setting(
        "limits.requests_per_second",
        values.whole(1, 1_000_000),
        REQUESTS_PER_SECOND,
        "Requests one person may start on one cluster each second, in the long run; beyond it is 429.",
    ),
    Setting(
        "limits.request_burst",
        values.whole(1, 1_000_000),
        REQUEST_BURST,
        "Requests one person may start on one cluster at once, after a pause; kubectl's discovery comes in bursts.",
    ),
    Setting(
        "limits.open_exchanges",
        values.whole(1, 2048),
        MAX_OPEN_EXCHANGES,
        "Requests one person may have open on one cluster, watches and shells included.",
    ),
    Setting(
        "limits.api_per_second",
        values.whole(1, 100_000),
        CALLER_PER_SECOND,
        "Calls of the admin API by one person or machine each second, in the long run; an address has four times that.",
    ),
    Setting(
        "limits.api_burst",
        values.whole(1, 100_000),
        CALLER_BURST,
        "Calls of the admin API by one person or machine at once, after a pause; one address has four times that.",
    ),
    Setting(
        "limits.drain_seconds",
        values.whole(0, 600),
        20,
        "How long a stopping appliance lets running requests finish before it ends them.",
    ),
    Setting(
        "audit.retention_days",
        values.whole(0, 36_500),
        400,
        "How long audit records are kept at least; older ones are removed, which is itself recorded. 0 keeps all.",
    ),
    Setting(
        "log.level", values.choice("debug", "info", "warning", "error"), "info", "The least important line to write."
    ),
    Setting(
        "log.format",
        values.choice("auto", "json", "console"),
        "auto",
        "json, console (for people), or auto: console on a terminal, json elsewhere.",
    ),
    Setting(
        "log.audit",
        values.choice("refused", "all"),
        "refused",
        "Which audit events also become log lines (kind=audit): refused ones, or all.",
    ),
)


SETTINGS = Settings("fairlead", "FAIRLEAD_", _FOREIGN_VARIABLES, _TABLE)


def load(path: Path | None, environment: Mapping[str, str], *, restoring: bool = False) -> Config:
    """Read the file (if any) and the environment, and check everything that can be checked without starting.

    `restoring`: the master key may be missing, because the backup holds it.
    """
    return _checked(_build(SETTINGS.load(path, environment)), restoring=restoring)


def reference() -> str:
    """The settings as text for people, from the same table that reads them."""
    return SETTINGS.reference()


def _build(found: dict[str, Any]) -> Config:
    if found["store.migrate_on_start"] is None:
        found["store.migrate_on_start"] = found["store.url_file"] is None

    def section(name: str) -> dict[str, Any]:
        return {key.partition(".")[2]: value for key, value in found.items() if key.startswith(name + ".")}

    return Config(
        public_url=found["public_url"],
        data_dir=found["data_dir"],
        users=Users(**section("users")),
        agents=Agents(**section("agents")),
        health=Health(**section("health")),
        dialling=Dialling(**section("dialling")),
        login=Login(**section("login")),
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
