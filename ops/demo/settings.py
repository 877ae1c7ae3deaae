"""The settings files the demo writes for its children, and where everything of one demo lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ops.demo.files import write_private
from ops.demo.kubeconfig import ClientCertificate, Plugin, Token, TokenFile, Upstream
from ops.demo.ports import LOOPBACK, Ports

DRAIN_SECONDS = 2  # the demo ends when its user says so; a watch need not hold it up


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one demo; everything in it is private to its user."""

    root: Path

    @property
    def appliance(self) -> Path:
        return self.root / "appliance"

    @property
    def agent(self) -> Path:
        return self.root / "agent"

    @property
    def toy(self) -> Path:
        return self.root / "toy"

    @property
    def upstream(self) -> Path:
        return self.root / "upstream"

    @property
    def bundle(self) -> Path:
        return self.root / "bundle.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def bound_ports(self) -> Path:
        """Where the appliance says which ports it has bound; gone when it stops."""
        return self.appliance / "ports.json"

    @property
    def last_ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def upstream_token(self) -> Path:
        return self.upstream / "token"

    def make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for directory in (self.appliance, self.agent, self.toy, self.upstream):
            directory.mkdir(mode=0o700, exist_ok=True)


def write_appliance(home: Home, ports: Ports) -> Path:
    """The appliance's settings."""
    text = (
        f'public_url = "https://{LOOPBACK}:{ports.users}"\n'
        f"data_dir = {_quoted(home.appliance)}\n"
        f'[users]\nlisten = "{LOOPBACK}:{ports.users}"\n'
        f'[agents]\nlisten = "{LOOPBACK}:{ports.agents}"\n'
        f'[health]\nlisten = "{LOOPBACK}:{ports.health}"\n'
        f"[limits]\ndrain_seconds = {DRAIN_SECONDS}\n"
        '[log]\nformat = "json"\naudit = "all"\n'
    )
    path = home.root / "fairlead.toml"
    write_private(path, text.encode())
    return path


def write_agent(home: Home, upstream: Upstream) -> Path:
    """The agent's settings, and the files with what it needs to sign in to the API server."""
    ca = home.upstream / "ca.pem"
    write_private(ca, upstream.ca)
    lines: dict[str, object] = {
        "bundle": home.bundle,
        "data_dir": home.agent,
        "upstream_url": upstream.server,
        "upstream_ca": ca,
        "health_listen": f"{LOOPBACK}:0",
    }
    if upstream.server_name is not None:
        lines["upstream_server_name"] = upstream.server_name
    match upstream.credential:
        case ClientCertificate(certificate, key):
            lines["upstream_client_certificate"] = home.upstream / "client.crt"
            lines["upstream_client_key"] = home.upstream / "client.key"
            write_private(home.upstream / "client.crt", certificate)
            write_private(home.upstream / "client.key", key)
        case Token(token):
            write_private(home.upstream_token, token.encode())
            lines["upstream_token_file"] = home.upstream_token
        case TokenFile(path):
            lines["upstream_token_file"] = path
        case Plugin():  # `plugin.keep_fresh` writes the file
            lines["upstream_token_file"] = home.upstream_token
    path = home.root / "agent.toml"
    write_private(path, "".join(f"{key} = {_quoted(value)}\n" for key, value in lines.items()).encode())
    return path


def _quoted(value: object) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(str(value), ensure_ascii=False)
