"""Kubeconfig files: read how to reach somebody's own cluster, write how to reach one through Fairlead.

Reading takes what an agent can use without weakening anything: a server with verified TLS and a client certificate,
a token, a token file or a credential plugin. Whatever else a kubeconfig can say is refused with a sentence, never
skipped: a setting that was ignored would connect to another place, or as somebody else, than its author meant.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

MAX_KUBECONFIG_BYTES = 4 * 1024 * 1024  # some hold hundreds of clusters; more is the wrong file


class KubeconfigError(Exception):
    """This kubeconfig cannot be used; the text is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Token:
    token: str


@dataclass(frozen=True, slots=True)
class TokenFile:
    path: Path


@dataclass(frozen=True, slots=True)
class Plugin:
    """A credential plugin (client.authentication.k8s.io), to be run as kubectl would."""

    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    api_version: str
    cluster_info: Mapping[str, Any] | None
    install_hint: str


Credential = ClientCertificate | Token | TokenFile | Plugin


@dataclass(frozen=True, slots=True)
class Upstream:
    """One API server: where it is, what signs its certificate, how to sign in, and the certificate's name if it
    is not the server's host.
    """

    context: str
    server: str
    ca: bytes
    credential: Credential
    server_name: str | None = None


def read(path: Path, context: str | None = None) -> Upstream:
    """The cluster and credential of a context (the current one when none is named)."""
    tree = _load(path)
    name = context or tree.get("current-context")
    if not name or not isinstance(name, str):
        raise KubeconfigError(f"{path} has no current context: name one with --context.")
    chosen = _named(tree, "contexts", "context", name, path)
    cluster = _named(tree, "clusters", "cluster", chosen.get("cluster"), path)
    user = _named(tree, "users", "user", chosen.get("user"), path)
    base = path.resolve().parent
    server = _server(cluster, path)
    ca = _ca(cluster, base)
    credential = _credential(user, cluster, server, ca, base)
    return Upstream(name, server, ca, credential, str(cluster.get("tls-server-name") or "") or None)


def render(*, server: str, token: str, cluster: str, person: str, ca_pem: str | None) -> bytes:
    """A kubeconfig for one cluster behind an appliance; `ca_pem` only when the appliance's own CA signs for it."""
    reach: dict[str, Any] = {"server": server}
    if ca_pem is not None:
        reach["certificate-authority-data"] = base64.b64encode(ca_pem.encode()).decode()
    context = f"fairlead-{cluster}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": reach}],
        "users": [{"name": person, "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": person}}],
        "current-context": context,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def _load(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_KUBECONFIG_BYTES + 1)
    except OSError as error:
        raise KubeconfigError(f"The kubeconfig {path} cannot be read: {error.strerror}.") from None
    if len(raw) > MAX_KUBECONFIG_BYTES:
        raise KubeconfigError(f"The kubeconfig {path} is larger than {MAX_KUBECONFIG_BYTES // 2**20} MiB.")
    try:
        tree = yaml.safe_load(raw)
    except yaml.YAMLError:
        raise KubeconfigError(f"The kubeconfig {path} is not YAML.") from None
    if not isinstance(tree, dict) or tree.get("kind", "Config") != "Config":
        raise KubeconfigError(f"{path} is not a kubeconfig.")
    return tree


def _named(tree: Mapping[str, Any], section: str, inner: str, name: Any, path: Path) -> Mapping[str, Any]:
    for entry in tree.get(section) or ():
        if isinstance(entry, dict) and entry.get("name") == name:
            value = entry.get(inner)
            return value if isinstance(value, dict) else {}
    raise KubeconfigError(f"{path} has no {inner} called {name!r}.")


def _server(cluster: Mapping[str, Any], path: Path) -> str:
    if cluster.get("insecure-skip-tls-verify"):
        raise KubeconfigError("This cluster asks to skip TLS verification, which the agent never does.")
    if cluster.get("proxy-url"):
        raise KubeconfigError("This cluster is reached with proxy-url, which the agent does not support.")
    server = str(cluster.get("server") or "").rstrip("/")
    try:
        parts = urlsplit(server)
        valid = parts.scheme == "https" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise KubeconfigError(f"{path} gives the server as {server!r}: the agent needs an https URL.")
    if parts.path or parts.query or parts.username:
        raise KubeconfigError(f"The server {server} has a path, which the agent does not support.")
    return server


def _ca(cluster: Mapping[str, Any], base: Path) -> bytes:
    given = _data_or_file(cluster, "certificate-authority", base)
    if given is not None:
        return given
    system = ssl.get_default_verify_paths().cafile
    if system is None or not Path(system).is_file():
        raise KubeconfigError("This cluster names no certificate authority, and this system has no bundle of them.")
    return Path(system).read_bytes()


def _credential(user: Mapping[str, Any], cluster: Mapping[str, Any], server: str, ca: bytes, base: Path) -> Credential:
    for field in ("username", "password", "auth-provider"):
        if user.get(field):
            raise KubeconfigError(f"This user signs in with {field}, which the agent does not support.")
    for field in ("as", "as-groups", "as-uid", "as-user-extra"):
        if user.get(field):
            raise KubeconfigError(f"This user impersonates another ({field}): the agent must act under its own name.")
    if user.get("token"):
        return Token(str(user["token"]))
    if user.get("tokenFile"):
        return TokenFile(base / str(user["tokenFile"]))
    certificate = _data_or_file(user, "client-certificate", base)
    key = _data_or_file(user, "client-key", base)
    if certificate is not None and key is not None:
        return ClientCertificate(certificate, key)
    if certificate is not None or key is not None:
        raise KubeconfigError("This user has only one of client certificate and client key.")
    if isinstance(user.get("exec"), dict):
        return _plugin(user["exec"], cluster, server, ca, base)
    raise KubeconfigError("This user has no certificate, token, token file or credential plugin.")


def _plugin(given: Mapping[str, Any], cluster: Mapping[str, Any], server: str, ca: bytes, base: Path) -> Plugin:
    version = str(given.get("apiVersion") or "")
    if version not in {"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"}:
        raise KubeconfigError(f"The credential plugin speaks {version or 'no version'}: v1 and v1beta1 are supported.")
    if given.get("interactiveMode") == "Always":
        raise KubeconfigError("The credential plugin insists on asking at a terminal, which an agent has not.")
    command = str(given.get("command") or "")
    if not command:
        raise KubeconfigError("The credential plugin has no command.")
    if os.sep in command:  # a path is relative to the file that names it; an absolute one stays
        command = str(base / command)
    info: dict[str, Any] | None = None
    if given.get("provideClusterInfo"):
        info = {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()}
        if cluster.get("tls-server-name"):
            info["tls-server-name"] = str(cluster["tls-server-name"])
        for extension in cluster.get("extensions") or ():
            if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec":
                info["config"] = extension.get("extension")
    pairs = tuple((str(e["name"]), str(e["value"])) for e in given.get("env") or () if isinstance(e, dict))
    arguments = tuple(str(a) for a in given.get("args") or ())
    return Plugin(command, arguments, pairs, version, info, str(given.get("installHint") or ""))


def _data_or_file(section: Mapping[str, Any], key: str, base: Path) -> bytes | None:
    """A field that kubeconfig allows inline (`key-data`, base64, which wins) or as a file (`key`)."""
    inline = section.get(f"{key}-data")
    if inline:
        try:
            return base64.b64decode(str(inline), validate=True)
        except binascii.Error:
            raise KubeconfigError(f"{key}-data is not base64.") from None
    if not section.get(key):
        return None
    path = base / str(section[key])
    try:
        return path.read_bytes()
    except OSError as error:
        raise KubeconfigError(f"{key} {path} cannot be read: {error.strerror}.") from None
