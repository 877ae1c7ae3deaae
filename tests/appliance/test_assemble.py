"""The appliance as a process: it starts, says so, answers, and ends; or it says in one sentence why not."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 30.0


def settings(tmp_path: Path, **changed: str) -> Path:
    listen = dict.fromkeys(("users", "agents", "health"), '"127.0.0.1:0"') | changed
    text = f'public_url = "https://127.0.0.1:0"\ndata_dir = "{tmp_path / "data"}"\n'
    text += "".join(f"[{name}]\nlisten = {value}\n" for name, value in listen.items())
    path = tmp_path / "fairlead.toml"
    path.write_text(text + "[limits]\ndrain_seconds = 1\n")
    path.chmod(0o600)
    return path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ops.cli.main", *arguments]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")}


@contextmanager
def running(config: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """An appliance that has said it is ready, and what it said."""
    with subprocess.Popen(
        command("serve", "--config", str(config)),
        cwd=REPOSITORY, env=environment(), stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            for line in process.stderr:
                said = json.loads(line)
                if said["event"] == "ready":
                    yield process, said
                    break
        finally:
            process.kill()


def sentence(*arguments: str) -> str:
    done = subprocess.run(
        command(*arguments), cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line


def status(url: str, context: ssl.SSLContext | None = None) -> int:
    try:
        with urllib.request.urlopen(url, context=context, timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_it_starts_answers_and_ends(tmp_path: Path) -> None:
    with running(settings(tmp_path)) as (process, ready):
        data = tmp_path / "data"
        assert json.loads((data / "ports.json").read_text()) == {n: ready[n] for n in ("users", "agents", "health")}
        assert status(f"http://127.0.0.1:{ready['health']}/readyz") == 200
        ours = ssl.create_default_context(cafile=str(data / "ca.pem"))
        assert status(f"{ready['public_url']}/fairlead/v1/clusters", ours) == 401
        assert status(f"{ready['public_url']}/api/proxy/none/api", ours) == 401

        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        said = [json.loads(line)["event"] for line in process.stderr]
        assert process.wait(SECONDS) == 0
        assert (said[0], said[-1]) == ("stopping", "stopped")
        assert not (data / "ports.json").exists()


def test_the_same_data_means_the_same_authority(tmp_path: Path) -> None:
    config = settings(tmp_path)
    authorities = set()
    for _ in range(2):
        with running(config):
            authorities.add((tmp_path / "data" / "ca.pem").read_text())

    assert len(authorities) == 1


def test_two_with_the_same_data_are_one_too_many(tmp_path: Path) -> None:
    config = settings(tmp_path)
    with running(config):
        assert sentence("serve", "--config", str(config)).startswith("fairlead: Another appliance runs with the data")


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = settings(tmp_path, agents=f'"127.0.0.1:{taken.getsockname()[1]}"')

        assert "fairlead: agents.listen: cannot listen on 127.0.0.1:" in sentence("serve", "--config", str(config))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("master.key", "not base64", "master key"),
        ("fairlead.db", "not a database, but long enough to be looked at", "database"),
        ("audit.db", "not a database, but long enough to be looked at", "audit"),
    ],
)
def test_a_damaged_file_is_a_sentence(tmp_path: Path, name: str, content: str, expected: str) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / name).write_text(content)
    (data / name).chmod(0o600)

    said = sentence("serve", "--config", str(settings(tmp_path)))

    assert said.startswith("fairlead: ")
    assert expected in said.lower()


def on_postgres(tmp_path: Path, url: str) -> Path:
    path = settings(tmp_path)
    for name, text in (("url", url), ("key", "A" * 43 + "=")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    with path.open("a") as file:
        file.write(f'[store]\nurl_file = "{tmp_path}/url"\nmaster_key = "{tmp_path}/key"\n')
    return path


@pytest.mark.parametrize("command_line", [("serve",), ("machine-token", "--name", "ci")])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:s3cret@db.example.com/d?sslmode=disable", "turns TLS off towards another machine"),
        ("postgresql://u:s3cret@127.0.0.1:1/d", "the database cannot be reached"),
        ("s3cret", "not a URL of the form"),
    ],
)
def test_a_database_that_cannot_be_used_is_a_sentence_without_a_secret(
    tmp_path: Path, command_line: tuple[str, ...], url: str, expected: str
) -> None:
    said = sentence(*command_line, "--config", str(on_postgres(tmp_path, url)))

    assert expected in said
    assert "s3cret" not in said


def test_sqlite_alone_never_loads_what_postgresql_needs(tmp_path: Path) -> None:
    """It changes asyncio for the whole process, and an installation without the extra does not have it."""
    text = (
        "import sys, trio, appliance.assemble, appliance.machine_token\n"
        "from pathlib import Path\n"
        "from appliance.config import load\n"
        f"config = load(Path({str(settings(tmp_path))!r}), {{}})\n"
        "trio.run(appliance.machine_token.mint, config, 'ci', 60)\n"
        "print(sorted({'asyncpg', 'trio_asyncio'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", text], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
