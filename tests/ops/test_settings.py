"""The settings files of the demo's children: accepted by those who read them, and private."""

from __future__ import annotations

import socket
import stat
import tomllib
from pathlib import Path

from agent.config import load as load_agent
from appliance.config import load
from ops.demo import ports
from ops.demo.kubeconfig import ClientCertificate, Token, TokenFile, Upstream
from ops.demo.ports import Ports
from ops.demo.settings import Home, write_agent, write_appliance


def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / 'a "quoted" name')
    made.make()
    return made


def test_the_appliance_accepts_its_settings(tmp_path: Path) -> None:
    there = home(tmp_path)

    config = load(write_appliance(there, Ports(users=0, agents=5443, health=0)), {})

    assert config.public_url == "https://127.0.0.1:0"
    assert config.agents.listen.port == 5443
    assert config.data_dir == there.appliance
    assert config.log.audit == "all"


def test_the_agent_accepts_its_settings(tmp_path: Path) -> None:
    there = home(tmp_path)

    config = load_agent(write_agent(there, Upstream("c", "https://[::1]:6443", b"CA", Token("t"), "kubernetes")), {})

    assert (config.upstream.host, config.upstream.port, config.upstream.server_name) == ("::1", 6443, "kubernetes")
    assert (config.upstream.token_file, config.upstream.ca_file) == (there.upstream_token, there.upstream / "ca.pem")
    assert (config.bundle, config.data_dir) == (there.bundle, there.agent)


def test_a_client_certificate_becomes_two_private_files(tmp_path: Path) -> None:
    there = home(tmp_path)

    path = write_agent(there, Upstream("c", "https://[::1]:6443", b"CA", ClientCertificate(b"CERT", b"KEY")))

    settings = tomllib.loads(path.read_text())
    assert settings["upstream_url"] == "https://[::1]:6443"
    assert Path(settings["upstream_client_key"]).read_bytes() == b"KEY"
    assert stat.S_IMODE(Path(settings["upstream_client_key"]).stat().st_mode) == 0o600
    assert stat.S_IMODE(there.root.stat().st_mode) == 0o700


def test_a_token_becomes_a_file_and_a_token_file_stays_where_it_is(tmp_path: Path) -> None:
    there = home(tmp_path)

    settings = tomllib.loads(write_agent(there, Upstream("c", "https://a", b"CA", Token("secret"))).read_text())
    assert Path(settings["upstream_token_file"]).read_text() == "secret"

    elsewhere = TokenFile(tmp_path / "token")
    settings = tomllib.loads(write_agent(there, Upstream("c", "https://a", b"CA", elsewhere)).read_text())
    assert settings["upstream_token_file"] == str(tmp_path / "token")


def test_ports_of_the_last_run_are_taken_again_when_they_are_free(tmp_path: Path) -> None:
    last = tmp_path / "ports.json"
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen()
        number = taken.getsockname()[1]
        ports.write(last, Ports(users=number, agents=0, health=0))

        assert ports.choose(last).users == 0
    assert ports.choose(last).users == number
    last.write_text("{}")
    assert ports.read(last) is None
