"""The agent's settings: a TOML file, `FAIRLEAD_AGENT_*` over it, and the defaults of a pod in a cluster.

`SETTINGS` is the only list. What always holds: an unknown key, a value of the wrong form or a combination that makes
no sense stops the start with one sentence that names the key. There is no setting that weakens TLS or the guard's own
rules; the guard's lists only name exceptions and further bounds. Secrets are files, never settings.
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
from typing import Any, Final
from urllib.parse import urlsplit

ENVIRONMENT_PREFIX: Final = "FAIRLEAD_AGENT_"
MAX_CONFIG_BYTES: Final = 256 * 1024  # a settings file is a page of text; more is the wrong file
MAX_LIST: Final = 256

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# What Kubernetes adds to every container for a Service whose name begins with `fairlead-agent`.
_SERVICE_VARIABLE: Final = re.compile(
    r"FAIRLEAD_AGENT([A-Z0-9_]*)_(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_(TCP|UDP)(_.+)?)?)$"
)
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class ConfigError(Exception):
    """The settings do not allow a start; the text is one sentence for the operator."""


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
    namespaces: frozenset[str] = frozenset()
    read_only: bool = False
    no_exec: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked."""

    bundle: Path
    data_dir: Path
    upstream: Upstream
    bounds: Bounds
    health_host: str
    health_port: int
    drain_seconds: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its key, how a value is read (ValueError: a phrase after "must be"), its default, its meaning."""

    key: str
    read: Callable[[Any], Any]
    default: Any
    meaning: str

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


def _url(value: Any) -> tuple[str, int]:
    form = 'an https URL without path, such as "https://10.0.0.1:6443"'
    try:
        parts = urlsplit(_text(value))
        port = parts.port
    except ValueError:
        raise ValueError(form) from None
    if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"} or "@" in parts.netloc:
        raise ValueError(form)
    if parts.query or parts.fragment or re.search(r"[\s%]", parts.netloc):
        raise ValueError(form)
    return parts.hostname, port if port is not None else 443


def _loopback(value: Any) -> tuple[str, int]:
    host, colon, port = _text(value).rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError('a loopback address, such as "127.0.0.1:9091"') from None
    if not colon or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535 or not address.is_loopback:
        raise ValueError("a loopback address with a port: this listener has no TLS and asks for no credential")
    return bare, int(port)


def _whole(lowest: int, highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):  # from the environment
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return value

    return read


def _switch(value: Any) -> bool:
    known = {"true": True, "false": False, True: True, False: False}
    if not isinstance(value, str | bool) or value not in known:
        raise ValueError("true or false")
    return known[value]


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


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("bundle", _path, Path("/etc/fairlead/bundle/bundle.json"), "The bootstrap bundle; needed until enrolled."),
    Setting(
        "data_dir", _path, Path("/var/lib/fairlead-agent"), "Where the agent's key and certificate are kept (0700)."
    ),
    Setting("upstream_url", _url, None, "The API server. Default: the cluster this pod runs in."),
    Setting("upstream_ca", _path, None, "CA file (PEM) of the API server. Default: the service account's ca.crt."),
    Setting(
        "upstream_token_file",
        _path,
        None,
        "File with the bearer token for the API server, read again when it changes. Default: the service account's.",
    ),
    Setting("upstream_client_certificate", _path, None, "Client certificate (PEM) for the API server, not a token."),
    Setting("upstream_client_key", _path, None, "Private key (PEM) of upstream_client_certificate."),
    Setting(
        "upstream_server_name", _text, None, "Name in the API server's certificate, if not the host of upstream_url."
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
        "guard.namespaces",
        _list(lambda name: bool(_NAMESPACE.fullmatch(name)), "namespace names"),
        (),
        "Only requests in these namespaces (and discovery) pass. Empty: all namespaces.",
    ),
    Setting("guard.read_only", _switch, False, "Only get, list and watch (and discovery) pass."),
    Setting("guard.no_exec", _switch, False, "exec, attach, port-forward, proxy and ephemeral containers are refused."),
    Setting("health_listen", _loopback, ("127.0.0.1", 9091), "Plain HTTP on loopback: /livez and /readyz."),
    Setting("drain_seconds", _whole(0, 600), 20, "How long a stopping agent lets open requests finish."),
)


def load(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read the file (if any) and the environment, and check everything that can be checked without starting."""
    given = _from_file(path) if path is not None else {}
    given.update(_from_environment(environment))
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        if setting.key not in given:
            values[setting.key] = setting.default
            continue
        raw, origin = given[setting.key]
        try:
            values[setting.key] = setting.read(raw)
        except ValueError as error:
            raise ConfigError(f"{origin}: {setting.key} must be {error}.") from None
    return Config(
        bundle=values["bundle"],
        data_dir=values["data_dir"],
        upstream=_upstream(values, environment),
        bounds=Bounds(
            frozenset(name.encode() for name in values["guard.system_users"]),
            frozenset(name.encode() for name in values["guard.system_groups"]),
            frozenset(values["guard.namespaces"]),
            values["guard.read_only"],
            values["guard.no_exec"],
        ),
        health_host=values["health_listen"][0],
        health_port=values["health_listen"][1],
        drain_seconds=values["drain_seconds"],
    )


def _upstream(values: dict[str, Any], environment: Mapping[str, str]) -> Upstream:
    certificate, key = values["upstream_client_certificate"], values["upstream_client_key"]
    token = values["upstream_token_file"]
    if (certificate is None) != (key is None):
        raise ConfigError("upstream_client_certificate and upstream_client_key belong together: set both or neither.")
    if certificate is not None and token is not None:
        raise ConfigError("Set either upstream_token_file or upstream_client_certificate, not both.")
    if key is not None:
        _refuse_open_key(key)
    host, port = values["upstream_url"] or _in_cluster(environment)
    return Upstream(
        host,
        port,
        values["upstream_ca"] or SERVICE_ACCOUNT / "ca.crt",
        token or (None if certificate is not None else SERVICE_ACCOUNT / "token"),
        certificate,
        key,
        values["upstream_server_name"] or host,
    )


def _in_cluster(environment: Mapping[str, str]) -> tuple[str, int]:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not port.isdigit():
        raise ConfigError(
            'upstream_url is not set and this is not a pod: set it, for example upstream_url = "https://10.0.0.1:6443".'
        )
    return host, int(port)


def _refuse_open_key(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"upstream_client_key {path} cannot be read: {error.strerror}.") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(f"upstream_client_key {path} is open to others: run `chmod 0600 {path}`.")


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
    found: dict[str, tuple[Any, str]] = {}
    for name, value in tree.items():
        leaves = {f"{name}.{key}": leaf for key, leaf in value.items()} if isinstance(value, dict) else {name: value}
        for key, leaf in leaves.items():
            if key not in known:
                raise ConfigError(f"{path}: there is no setting {key}.")
            found[key] = (leaf, str(path))
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    by_variable = {setting.variable: setting.key for setting in SETTINGS}
    found: dict[str, tuple[Any, str]] = {}
    for name, value in environment.items():
        if name in by_variable:
            found[by_variable[name]] = (value, name)
        elif name.startswith(ENVIRONMENT_PREFIX) and not _SERVICE_VARIABLE.match(name):
            raise ConfigError(f"The environment variable {name} is not a setting of the agent.")
    return found
