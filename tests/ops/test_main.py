"""The command as people meet it: help with an example each, one sentence for a mistake, and no weight to carry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from appliance.config import SETTINGS
from ops.cli.lazy import Group
from ops.cli.tree import fairlead

REPOSITORY = Path(__file__).resolve().parents[2]


def leaves(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command, and every group, with the words that lead to it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield " ".join((*path, name)), found
        if isinstance(found, click.Group):
            yield from leaves(found, *path, name)


COMMANDS = dict(leaves(fairlead))


REVOKE = ("revoke-agent", "--cluster", "x", "--token-file", "/nonexistent", "--bundle-out", "/nonexistent/b")


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(fairlead, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    assert f"Example: fairlead {name}" in said(*name.split(), "--help")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_option_takes_a_secret(name: str) -> None:
    options = [it for it in COMMANDS[name].params if isinstance(it, click.Option)]
    names = {option for parameter in options if not parameter.is_flag for option in parameter.opts}
    names = {it for it in names if not it.endswith(("-file", "-out"))}  # these take a path

    assert not {it for it in names if "secret" in it or "password" in it or it == "--token"}


def test_the_list_of_commands_says_what_they_are_for() -> None:
    text = said("--help")

    assert isinstance(fairlead, Group)
    assert all(f"  {name} " in text for name in fairlead.lazy)


def test_settings_prints_the_whole_table() -> None:
    text = said("settings")

    assert all(setting.key in text for setting in SETTINGS.entries)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("serve", "--config", "/nonexistent.toml"), "The settings file /nonexistent.toml cannot be read"),
        (("machine-token", "--config", "/nonexistent.toml", "--name", "ci"), "cannot be read"),
        (("agent", "--config", "/nonexistent.toml"), "cannot be read"),
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


@pytest.mark.parametrize(
    ("server", "code", "expected"),
    [("http://x", 2, "http://x is no appliance's URL"), ("https://x", 1, "/nonexistent: No such file or directory.")],
)
def test_revoking_an_agent_tries_everything_beforehand(server: str, code: int, expected: str) -> None:
    assert f"fairlead: {expected}" in said(*REVOKE, "--server", server, code=code)


def test_the_version_costs_no_imports() -> None:
    script = (
        "import sys; from ops.cli.tree import fairlead; fairlead(['version'], standalone_mode=False); "
        "heavy = {'trio', 'quart', 'cryptography', 'h2', 'yaml'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.startswith("fairlead ")) == (0, True), done.stderr
