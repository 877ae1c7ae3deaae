"""The agent's settings: a TOML file, `FAIRLEAD_AGENT_*` over it, and the defaults of a pod in a cluster.

`SETTINGS` is the only list. What always holds: an unknown key, a value of the wrong form or a combination that makes
no sense stops the start with one sentence that names the key. There is no setting that weakens TLS or the guard's own
rules; the guard's lists only name exceptions and further bounds. Secrets are files, never settings.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.proxied import Proxy, read_proxy
from daemon import values
from daemon.settings import ConfigError, Setting, Settings, refuse_weak_mode
from daemon.values import Address

MAX_LIST: Final = 256

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# What Kubernetes adds to every container for a Service whose name begins with `fairlead-agent`.
_SERVICE_VARIABLE: Final = re.compile(
    r"FAIRLEAD_AGENT([A-Z0-9_]*)_(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_(TCP|UDP)(_.+)?)?)$"
)
_SECRET: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Upstream:
    """The API server, and what the agent shows it: a token file, or a client certificate."""

    host: str
    port: int
    ca_file: Path
    token_file: Path | None
    certificate_file: Path | None
    key_file: Path | None
    server_name: str

    @property
    def authority(self) -> bytes:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host.encode() if self.port == 443 else f"{host}:{self.port}".encode()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this cluster's owner lets the appliance do. Empty lists are no exceptions, and no further bounds."""

    system_users: frozenset[bytes] = frozenset()
    system_groups: frozenset[bytes] = frozenset()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    namespaces: frozenset[str] = frozenset()
    read_only: bool = False
    no_exec: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked. `identity_secret`: namespace and name of the Secret that replicas share."""

    bundle: Path
    data_dir: Path
    upstream: Upstream
    bounds: Bounds
    health: Address
    drain_seconds: int
    connections: int = 1
    identity_secret: tuple[str, str] | None = None
    proxy: Proxy | None = None


def _list(each: Callable[[str], bool], what: str) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        items = value.split(",") if isinstance(value, str) else value  # the environment has commas
        if not isinstance(items, list) or len(items) > MAX_LIST:
            raise ValueError(f"a list of at most {MAX_LIST} {what}")
        for item in items:
            if not isinstance(item, str) or not each(item):
                raise ValueError(f"a list of {what}")
        return tuple(items)

    return read


def _system_name(name: str) -> bool:
    return name.startswith("system:") and name.isprintable()


def _bound(name: str) -> bool:
    return bool(name) and name.isprintable() and "*" not in name[:-1]


def _secret(value: Any) -> tuple[str, str]:
    namespace, slash, name = values.text(value).partition("/")
    if not slash or not _NAMESPACE.fullmatch(namespace) or not _SECRET.fullmatch(name):
        raise ValueError('a namespace and a name, such as "fairlead/agent-identity"')
    return namespace, name


def _proxy_url(value: Any) -> str:
    url = values.text(value)
    if "@" in url:
        raise ValueError("a URL without credentials: they go into proxy.credentials_file")
    read_proxy(url)
    return url


def _url(value: Any) -> tuple[str, int]:
    host, port = values.https_url("https://10.0.0.1:6443")(value)
    return host, 443 if port is None else port


_TABLE: Final[tuple[Setting, ...]] = (
    Setting(
        "bundle", values.path, Path("/etc/fairlead/bundle/bundle.json"), "The bootstrap bundle; needed until enrolled."
    ),
    Setting(
        "data_dir",
        values.path,
        Path("/var/lib/fairlead-agent"),
        "Where the agent's key and certificate are kept (0700).",
    ),
    Setting(
        "identity_secret",
        _secret,
        None,
        "Namespace/name of a Secret in which replicas share one key and certificate; data_dir then holds a copy of it.",
    ),
    Setting("connections", values.whole(1, 4), 1, "Tunnel sessions that this agent keeps open at once."),
    Setting(
        "proxy.url",
        _proxy_url,
        None,
        "HTTP proxy for the way to the appliance, http:// or https://. Default: HTTPS_PROXY.",
    ),
    Setting("proxy.credentials_file", values.path, None, "File with the proxy's user:password (mode 0600)."),
    Setting("proxy.ca", values.path, None, "CA file (PEM) of an https:// proxy. Default: the system's."),
    Setting(
        "proxy.beside",
        _list(lambda name: bool(name) and name.isprintable(), "names, addresses or networks"),
        None,
        "Appliances that are reached without the proxy. Default: NO_PROXY.",
    ),
    Setting("upstream_url", _url, None, "The API server. Default: the cluster this pod runs in."),
    Setting(
        "upstream_ca", values.path, None, "CA file (PEM) of the API server. Default: the service account's ca.crt."
    ),
    Setting(
        "upstream_token_file",
        values.path,
        None,
        "File with the bearer token for the API server, read again when it changes. Default: the service account's.",
    ),
    Setting(
        "upstream_client_certificate", values.path, None, "Client certificate (PEM) for the API server, not a token."
    ),
    Setting("upstream_client_key", values.path, None, "Private key (PEM) of upstream_client_certificate."),
    Setting(
        "upstream_server_name",
        values.text,
        None,
        "Name in the API server's certificate, if not the host of upstream_url.",
    ),
    Setting(
        "guard.system_users",
        _list(_system_name, "names that begin with system:"),
        (),
        "Users beginning with `system:` as whom the appliance may act. All others are refused.",
    ),
    Setting(
        "guard.system_groups",
        _list(_system_name, "names that begin with system:"),
        (),
        "Groups beginning with `system:` that the appliance may send. All others are refused.",
    ),
    Setting(
        "guard.users",
        _list(_bound, "names, of which only the end may be a `*`"),
        (),
        "Only as these users the appliance may act (`dev-*`: all that begin so). Empty: as all but Kubernetes' own.",
    ),
    Setting(
        "guard.groups",
        _list(_bound, "names, of which only the end may be a `*`"),
        (),
        "Only these groups the appliance may send (`dev-*`: all that begin so). Empty: all but Kubernetes' own.",
    ),
    Setting(
        "guard.namespaces",
        _list(lambda name: bool(_NAMESPACE.fullmatch(name)), "namespace names"),
        (),
        "Only requests in these namespaces (and discovery) pass. Empty: all namespaces.",
    ),
    Setting("guard.read_only", values.switch, False, "Only get, list and watch (and discovery) pass."),
    Setting(
        "guard.no_exec", values.switch, False, "exec, attach, port-forward, proxy and ephemeral containers are refused."
    ),
    Setting(
        "health_listen",
        values.address,
        Address("127.0.0.1", 9091),
        "Plain HTTP: /livez, /readyz and /metrics. It asks for no credential; beyond loopback (a pod's probes and "
        "Prometheus need that) let a NetworkPolicy say who may come.",
    ),
    Setting("drain_seconds", values.whole(0, 600), 20, "How long a stopping agent lets open requests finish."),
)
SETTINGS: Final = Settings("the agent", "FAIRLEAD_AGENT_", _SERVICE_VARIABLE, _TABLE)


def load(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read the file (if any) and the environment, and check everything that can be checked without starting."""
    found = SETTINGS.load(path, environment)
    return Config(
        bundle=found["bundle"],
        data_dir=found["data_dir"],
        upstream=_upstream(found, environment),
        bounds=Bounds(
            frozenset(name.encode() for name in found["guard.system_users"]),
            frozenset(name.encode() for name in found["guard.system_groups"]),
            found["guard.users"],
            found["guard.groups"],
            frozenset(found["guard.namespaces"]),
            found["guard.read_only"],
            found["guard.no_exec"],
        ),
        health=found["health_listen"],
        drain_seconds=found["drain_seconds"],
        connections=found["connections"],
        identity_secret=found["identity_secret"],
        proxy=_proxy(found, environment),
    )


def _proxy(found: dict[str, Any], environment: Mapping[str, str]) -> Proxy | None:
    """The proxy of the settings, or of the variables that every program knows."""

    def variable(name: str) -> str:
        return environment.get(name) or environment.get(name.lower()) or ""

    url, file = found["proxy.url"] or variable("HTTPS_PROXY"), found["proxy.credentials_file"]
    if not url:
        return None
    credentials = ""
    if file is not None:
        refuse_weak_mode(file, stat.S_IRWXO | stat.S_IWGRP, "proxy.credentials_file", "chmod 0600")
        credentials = file.read_text().strip()
        if ":" not in credentials or not credentials.isprintable():
            raise ConfigError(f"proxy.credentials_file {file} must hold user:password.")
    beside = found["proxy.beside"]
    if beside is None:
        beside = tuple(it.strip() for it in variable("NO_PROXY").split(",") if it.strip())
    try:
        return read_proxy(url, credentials, found["proxy.ca"], beside)
    except ValueError as error:
        raise ConfigError(f"HTTPS_PROXY must be {error}.") from None


def _upstream(found: dict[str, Any], environment: Mapping[str, str]) -> Upstream:
    certificate, key = found["upstream_client_certificate"], found["upstream_client_key"]
    token = found["upstream_token_file"]
    if (certificate is None) != (key is None):
        raise ConfigError("upstream_client_certificate and upstream_client_key belong together: set both or neither.")
    if certificate is not None and token is not None:
        raise ConfigError("Set either upstream_token_file or upstream_client_certificate, not both.")
    if key is not None:
        refuse_weak_mode(key, stat.S_IRWXO | stat.S_IWGRP, "upstream_client_key", "chmod 0600")
    host, port = found["upstream_url"] or _in_cluster(environment)
    return Upstream(
        host,
        port,
        found["upstream_ca"] or SERVICE_ACCOUNT / "ca.crt",
        token or (None if certificate is not None else SERVICE_ACCOUNT / "token"),
        certificate,
        key,
        found["upstream_server_name"] or host,
    )


def _in_cluster(environment: Mapping[str, str]) -> tuple[str, int]:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not port.isdigit():
        raise ConfigError(
            'upstream_url is not set and this is not a pod: set it, for example upstream_url = "https://10.0.0.1:6443".'
        )
    return host, int(port)
