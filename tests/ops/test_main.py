"""The command as people meet it: help with an example each, one sentence for a mistake, and no weight to carry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from appliance.config import SETTINGS
from ops.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]


REVOKE = ("revoke-agent", "--cluster", "x", "--token-file", "/nonexistent", "--bundle-out", "/nonexistent/b")


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    help_text = said(name, "--help")

    assert f"Example: fairlead {name}" in help_text


@pytest.mark.parametrize("name", sorted(main.commands))
def test_no_option_takes_a_secret(name: str) -> None:
    names = {option for parameter in main.commands[name].params for option in parameter.opts}

    assert not {it for it in names if "secret" in it or "password" in it or it == "--token"}
    assert all(isinstance(parameter, click.Option) for parameter in main.commands[name].params)


def test_settings_prints_the_whole_table() -> None:
    text = said("settings")

    assert all(setting.key in text for setting in SETTINGS.entries)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("serve", "--config", "/nonexistent.toml"), "The settings file /nonexistent.toml cannot be read"),
        (("machine-token", "--config", "/nonexistent.toml", "--name", "ci"), "cannot be read"),
        (("agent", "--config", "/nonexistent.toml"), "cannot be read"),
        ((*REVOKE, "--server", "http://x"), "--server must be an https URL"),
        ((*REVOKE, "--server", "https://x"), "/nonexistent cannot be read"),
        (("demo", "--context", "x"), "--context names a context of --kubeconfig"),
        (("demo", "--group", "system:masters"), "groups that begin with system: are Kubernetes' own"),
        (("demo", "--kubeconfig", "/nonexistent"), "The kubeconfig /nonexistent cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], expected: str) -> None:
    text = said(*arguments, code=1)

    assert text.splitlines()[-1].startswith("fairlead: ")
    assert expected in text
    assert "Traceback" not in text


def test_the_version_costs_no_imports() -> None:
    script = (
        "import sys; from ops.cli.main import main; main(['version'], standalone_mode=False); "
        "heavy = {'trio', 'quart', 'cryptography', 'h2', 'yaml'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.startswith("fairlead ")) == (0, True), done.stderr
