"""Settings: every source, every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import SETTINGS, load
from daemon.settings import ConfigError

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_pod_needs_no_settings() -> None:
    config = load(None, POD)

    assert (config.upstream.host, config.upstream.port, config.upstream.authority) == ("10.96.0.1", 443, b"10.96.0.1")
    assert str(config.upstream.token_file) == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert str(config.upstream.ca_file) == "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'upstream_url = "https://[::1]:6443"\ndrain_seconds = 5\n[guard]\nnamespaces = ["a"]\nread_only = true\n',
    )

    config = load(path, {"FAIRLEAD_AGENT_DRAIN_SECONDS": "7", "FAIRLEAD_AGENT_GUARD_NAMESPACES": "b,c"})

    assert config.upstream.authority == b"[::1]:6443"
    assert config.drain_seconds == 7
    assert config.bounds.namespaces == {"b", "c"}
    assert config.bounds.read_only


def test_the_proxy_is_the_settings_or_everybodys(tmp_path: Path) -> None:
    everybodys = {"https_proxy": "http://me:pw@proxy.example.com:3128", "NO_PROXY": ".svc, 10.0.0.0/8"}
    found = load(None, {**POD, **everybodys}).proxy
    assert found is not None
    assert (found.host, found.port, found.credentials, found.beside) == (
        "proxy.example.com",
        3128,
        "me:pw",
        (".svc", "10.0.0.0/8"),
    )

    secret = tmp_path / "credentials"
    secret.write_text("agents:secret\n")
    secret.chmod(0o600)
    path = written(
        tmp_path, f'[proxy]\nurl = "https://mine.example.com"\ncredentials_file = "{secret}"\nbeside = ["x"]\n'
    )
    found = load(path, {**POD, **everybodys}).proxy
    assert found is not None
    assert (found.host, found.tls, found.credentials, found.beside) == (
        "mine.example.com",
        True,
        "agents:secret",
        ("x",),
    )
    assert load(None, POD).proxy is None
    with pytest.raises(ConfigError, match="HTTPS_PROXY must be a URL") as caught:
        load(None, {**POD, "HTTPS_PROXY": "me:pw@proxy"})
    assert "pw" not in str(caught.value)
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 0600"):
        load(path, POD)


def test_what_kubernetes_adds_for_a_service_is_no_setting() -> None:
    load(None, {**POD, "FAIRLEAD_AGENT_SERVICE_HOST": "1.2.3.4", "FAIRLEAD_AGENT_PORT_8080_TCP": "tcp://1.2.3.4:8080"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour = 1", "no setting colour"),
        ("[guard]\nverify = false", "no setting guard.verify"),
        ('upstream_url = "http://10.0.0.1"', "https URL"),
        ('upstream_url = "https://u:p@10.0.0.1"', "https URL"),
        ('data_dir = "relative"', "absolute path"),
        ('health_listen = "localhost:9091"', "IP address"),
        ("drain_seconds = -1", "whole number"),
        ("drain_seconds = true", "whole number"),
        ('[guard]\nsystem_users = ["alice"]', "begin with system:"),
        ('[guard]\nnamespaces = ["A/b"]', "namespace names"),
        ('[guard]\nread_only = "maybe"', "true or false"),
        ('upstream_client_certificate = "/c"', "belong together"),
        ('[guard]\nusers = ["a*b"]', "only the end may be"),
        ('identity_secret = "agent"', "a namespace and a name"),
        ("connections = 5", "whole number"),
        ('[proxy]\nurl = "http://me:secret@proxy:3128"', "credentials: they go into"),
        ('[proxy]\nurl = "socks5://proxy"', "a URL such as"),
        ("= 1", "not TOML"),
    ],
)
def test_each_mistake_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load(written(tmp_path, text), POD)


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(ConfigError, match="FAIRLEAD_AGENT_INSECURE"):
        load(None, {**POD, "FAIRLEAD_AGENT_INSECURE": "1"})


def test_outside_a_cluster_the_api_server_must_be_named() -> None:
    with pytest.raises(ConfigError, match="upstream_url"):
        load(None, {})


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    path.chmod(0o666)

    with pytest.raises(ConfigError, match="chmod go-w"):
        load(path, POD)


def test_a_client_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "k"
    key.write_text("x")
    key.chmod(0o644)

    with pytest.raises(ConfigError, match="chmod 0600"):
        load(
            None,
            {**POD, "FAIRLEAD_AGENT_UPSTREAM_CLIENT_CERTIFICATE": "/c", "FAIRLEAD_AGENT_UPSTREAM_CLIENT_KEY": str(key)},
        )


def test_every_setting_says_what_it_means() -> None:
    assert all(setting.meaning.endswith(".") for setting in SETTINGS.entries)
