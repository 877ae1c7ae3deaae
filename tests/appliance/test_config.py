"""Settings: what is read, what overrides what, and the sentence each mistake ends in."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import SETTINGS, Config, load, reference
from appliance.core.networks import NOBODY, Networks
from daemon.settings import ConfigError
from daemon.values import Address

MINIMAL = 'public_url = "https://fairlead.example.com"\n'


def write(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "fairlead.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def settings(tmp_path: Path, text: str = "", env: dict[str, str] | None = None) -> Config:
    return load(write(tmp_path, MINIMAL + f'data_dir = "{tmp_path / "data"}"\n' + text), env or {})


def refusal(tmp_path: Path, text: str = "", env: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text, env)
    sentence = str(caught.value)
    assert sentence.endswith((".", "`."))
    assert "\n" not in sentence
    return sentence


def test_one_line_is_enough(tmp_path: Path) -> None:
    config = settings(tmp_path)

    assert config.public_url == "https://fairlead.example.com"
    assert config.users.listen == Address(None, 8443)
    assert config.agents.listen == Address(None, 5443)
    assert config.health.listen == Address("127.0.0.1", 9090)
    assert config.users.lane == "express"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    config = settings(tmp_path, '[log]\nlevel = "error"\n', {"FAIRLEAD_LOG_LEVEL": "debug", "PATH": "/bin"})

    assert config.log.level == "debug"


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    config = load(None, {"FAIRLEAD_PUBLIC_URL": "https://a.example.com:9443", "FAIRLEAD_LIMITS_CONNECTIONS": "50"})

    assert config.public_url == "https://a.example.com:9443"
    assert config.limits.connections == 50


def test_lists_of_networks(tmp_path: Path) -> None:
    text = '[users]\nproxy_protocol_from = ["192.0.2.0/24", "2001:db8::/32"]\n'
    config = settings(tmp_path, text, {"FAIRLEAD_USERS_TRUSTED_PROXIES": "10.0.0.1, 10.1.0.0/16"})

    assert str(config.users.proxy_protocol_from) == "192.0.2.0/24, 2001:db8::/32"
    assert config.users.trusted_proxies == Networks.parse(["10.0.0.1", "10.1.0.0/16"])
    assert config.agents.proxy_protocol_from == NOBODY


@pytest.mark.parametrize("value", ['"everyone"', "[1]", "true", '["192.0.2.1/24"]', '["example.com"]'])
def test_what_is_no_list_of_networks_stops_the_start(tmp_path: Path, value: str) -> None:
    said = refusal(tmp_path, f"[users]\ntrusted_proxies = {value}\n")

    assert "users.trusted_proxies must be a list of networks" in said


def test_public_url_is_required() -> None:
    with pytest.raises(ConfigError, match=r"^public_url is not set: .*FAIRLEAD_PUBLIC_URL"):
        load(None, {})


@pytest.mark.parametrize(
    "variable",
    [
        "FAIRLEAD_SERVICE_HOST",
        "FAIRLEAD_SERVICE_PORT_USERS",
        "FAIRLEAD_PORT_8443_TCP_ADDR",
        "FAIRLEAD_PORT",
        "FAIRLEAD_AGENTS_SERVICE_PORT",
        "FAIRLEAD_AGENTS_PORT_5443_TCP",
        "FAIRLEAD_AGENT_BUNDLE",
    ],
)
def test_variables_kubernetes_adds_for_a_service_are_not_ours(tmp_path: Path, variable: str) -> None:
    settings(tmp_path, env={variable: "tcp://10.0.0.1:8443"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[users]\nlistn = 1\n", "there is no setting users.listn"),
        ("[user]\nlisten = 1\n", "there is no section [user]"),
        ("colour = 1\n", "there is no setting colour"),
        ("users = 3\n", "there is no setting users"),
        ('[users]\nlisten = "localhost:8443"\n', "users.listen must be an IP address with a port"),
        ('[users]\nlisten = "::1:8443"\n', "users.listen must be an IPv6 address in brackets"),
        ('[users]\nlisten = ":0"\n', "users.listen must be an IP address with the port when the port is 0"),
        ('[users]\nlisten = "127.0.0.1:99999"\n', "users.listen must be an address"),
        ("[users]\nlisten = 8443\n", "users.listen must be a text"),
        ('[users]\nlane = "fast"\n', "users.lane must be one of express, hypercorn"),
        ('[users]\ncertificate = "tls.crt"\n', "users.certificate must be an absolute path"),
        ('[users]\ncertificate = "/tls.crt"\n', "users.key is not set"),
        ("[limits]\nconnections = true\n", "limits.connections must be a whole number"),
        ("[limits]\nconnections = 1\n", "limits.connections must be a whole number from 16"),
        ("[limits\n", "is not TOML"),
    ],
)
def test_each_mistake_is_one_sentence_naming_the_key(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refusal(tmp_path, text)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example.com",
        "https://",
        "https://a.example.com/path",
        "https://u@a.example.com",
        "https://a:b",
        "a",
        "",
    ],
)
def test_a_public_url_is_https_and_bare(url: str) -> None:
    with pytest.raises(ConfigError, match="public_url must be"):
        load(None, {"FAIRLEAD_PUBLIC_URL": url})


def test_an_unknown_variable_is_refused(tmp_path: Path) -> None:
    assert "FAIRLEAD_LOG_LEVLE is not a setting" in refusal(tmp_path, env={"FAIRLEAD_LOG_LEVLE": "info"})


def test_a_file_others_can_change_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL, mode=0o622)

    with pytest.raises(ConfigError, match="can be changed by others: run `chmod go-w"):
        load(path, {})


def test_a_data_directory_others_can_enter_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o750)

    assert "has mode 0750, open to others: run `chmod 0700" in refusal(tmp_path)


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "tls.key"
    key.write_text("")
    key.chmod(0o644)
    text = f'[users]\ncertificate = "{tmp_path}/tls.crt"\nkey = "{key}"\n'

    assert "users.key" in refusal(tmp_path, text)


def secret(tmp_path: Path, name: str, mode: int = 0o600) -> Path:
    path = tmp_path / name
    path.write_text("")
    path.chmod(mode)
    return path


def test_without_a_url_the_store_is_a_file_of_ours(tmp_path: Path) -> None:
    store = settings(tmp_path).store

    assert (store.url_file, store.master_key, store.connections) == (None, None, 8)


def test_postgresql_needs_a_master_key(tmp_path: Path) -> None:
    url = f'[store]\nurl_file = "{secret(tmp_path, "url")}"\n'

    assert "store.master_key is not set: with PostgreSQL" in refusal(tmp_path, url)
    key = secret(tmp_path, "key", 0o440)  # as Kubernetes mounts one for a group
    assert settings(tmp_path, url + f'master_key = "{key}"\n').store.master_key == key


@pytest.mark.parametrize("name", ["url_file", "master_key"])
def test_a_secret_of_the_store_is_there_and_not_for_others(tmp_path: Path, name: str) -> None:
    paths = {other: secret(tmp_path, other) for other in ("url_file", "master_key")}
    text = "[store]\n" + "".join(f'{key} = "{path}"\n' for key, path in paths.items())

    paths[name].chmod(0o644)
    assert f"store.{name} {paths[name]} has mode 0644, open to others" in refusal(tmp_path, text)
    paths[name].unlink()
    assert f"store.{name} {paths[name]} cannot be read: No such file" in refusal(tmp_path, text)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load(tmp_path / "none.toml", {})


def test_the_reference_names_every_setting() -> None:
    text = reference()

    for setting in SETTINGS.entries:
        assert setting.key in text
        assert SETTINGS.variable(setting.key) in text
        assert setting.meaning in text
