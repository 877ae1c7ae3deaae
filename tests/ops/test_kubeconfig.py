"""Kubeconfigs: what an agent can use is read exactly, everything else is refused by name."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.demo.kubeconfig import (
    ClientCertificate,
    KubeconfigError,
    Plugin,
    Token,
    TokenFile,
    Upstream,
    read,
    render,
)

CA = b"-----BEGIN CERTIFICATE-----\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def config(tmp_path: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Path:
    reach = {"server": "https://[2001:db8::1]:6443", "certificate-authority-data": b64(CA), **(cluster or {})}
    path = tmp_path / "config"
    document = {
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {k: v for k, v in reach.items() if v is not None}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}, {"name": "lost", "context": {}}],
        "current-context": "one",
    }
    path.write_text(yaml.safe_dump(document))
    return path


def refusal(tmp_path: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> str:
    with pytest.raises(KubeconfigError) as caught:
        read(config(tmp_path, cluster, user))
    return str(caught.value)


def test_the_current_context_with_inline_data(tmp_path: Path) -> None:
    user = {"client-certificate-data": b64(b"cert"), "client-key-data": b64(b"key")}

    assert read(config(tmp_path, user=user)) == Upstream(
        "one", "https://[2001:db8::1]:6443", CA, ClientCertificate(b"cert", b"key")
    )


def test_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"ca")
    (tmp_path / "tls.crt").write_bytes(b"cert")
    (tmp_path / "tls.key").write_bytes(b"key")
    cluster = {"certificate-authority-data": None, "certificate-authority": "ca.pem"}
    user = {"client-certificate": "tls.crt", "client-key": str(tmp_path / "tls.key")}

    upstream = read(config(tmp_path, cluster, user))

    assert (upstream.ca, upstream.credential) == (b"ca", ClientCertificate(b"cert", b"key"))


def test_a_certificate_under_another_name(tmp_path: Path) -> None:
    assert read(config(tmp_path, {"tls-server-name": "kubernetes"})).server_name == "kubernetes"
    assert read(config(tmp_path)).server_name is None


def test_tokens_and_token_files(tmp_path: Path) -> None:
    assert read(config(tmp_path, user={"token": "t"})).credential == Token("t")
    assert read(config(tmp_path, user={"tokenFile": "tok"})).credential == TokenFile(tmp_path / "tok")


def test_a_plugin_is_read_with_all_it_is_given(tmp_path: Path) -> None:
    exec_ = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./bin/login",
        "args": ["get", "token"],
        "env": [{"name": "PROFILE", "value": "dev"}],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
        "installHint": "brew install login",
    }

    plugin = read(config(tmp_path, user={"exec": exec_})).credential

    assert isinstance(plugin, Plugin)
    assert Path(plugin.command) == tmp_path / "bin/login"
    assert (plugin.arguments, plugin.environment) == (("get", "token"), (("PROFILE", "dev"),))
    assert plugin.cluster_info == {
        "server": "https://[2001:db8::1]:6443", "certificate-authority-data": b64(CA),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cluster", "user", "expected"),
    [
        ({"insecure-skip-tls-verify": True}, None, "skip TLS verification"),
        ({"proxy-url": "http://p"}, None, "proxy-url"),
        ({"server": "http://a.example.com"}, None, "https URL"),
        ({"server": "https://a.example.com:x"}, None, "https URL"),
        ({"server": "https://a.example.com/k8s/c1"}, None, "has a path"),
        ({"certificate-authority-data": "%"}, None, "not base64"),
        ({"certificate-authority-data": None, "certificate-authority": "none.pem"}, None, "cannot be read"),
        (None, {"username": "a", "password": "b"}, "username"),
        (None, {"auth-provider": {"name": "gcp"}}, "auth-provider"),
        (None, {"token": "t", "as": "root"}, "impersonates"),
        (None, {"client-certificate-data": b64(b"c")}, "only one of"),
        (None, {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}, "v1alpha1"),
        (
            None,
            {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "interactiveMode": "Always"}},
            "terminal",
        ),
        (None, {"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, "no command"),
        (None, {"extensions": []}, "no certificate, token"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    tmp_path: Path, cluster: dict[str, Any] | None, user: dict[str, Any] | None, expected: str
) -> None:
    assert expected in refusal(tmp_path, cluster, user)


def test_contexts_that_lead_nowhere(tmp_path: Path) -> None:
    path = config(tmp_path)

    with pytest.raises(KubeconfigError, match="no context called 'two'"):
        read(path, "two")
    with pytest.raises(KubeconfigError, match="no cluster called None"):
        read(path, "lost")
    path.write_text("- 1")
    with pytest.raises(KubeconfigError, match="not a kubeconfig"):
        read(path)
    path.write_text("a: [")
    with pytest.raises(KubeconfigError, match="not YAML"):
        read(path)


def test_what_we_write_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(
        render(server="https://127.0.0.1:8443", token="jwt", cluster="demo", person="demo@example.com", ca_pem="PEM")
    )

    assert read(path) == Upstream("fairlead-demo", "https://127.0.0.1:8443", b"PEM", Token("jwt"))


def test_no_ca_is_embedded_when_the_world_knows_the_signer() -> None:
    assert b"certificate-authority" not in render(
        server="https://f.example.com", token="jwt", cluster="demo", person="a", ca_pem=None
    )
