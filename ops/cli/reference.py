"""The pages of docs/cli, made from the commands themselves: `python -m ops.cli.reference docs/cli` writes them.

One page for each command, and one that lists them with what they share. What always holds: the same commands make the
same pages, whatever the terminal; a page says nothing that `--help` does not.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from ops.cli import client, keeping, options, places
from ops.cli.faults import Exit
from ops.cli.tree import COMMANDS, fairlead

_EXITS: Mapping[Exit, str] = {
    Exit.DONE: "It is done.",
    Exit.FAILED: "It could not be done, or the answer is no; the sentence on standard error says why.",
    Exit.USAGE: "The command was not given rightly, or could mean several things.",
    Exit.NOT_SIGNED_IN: "Nobody is signed in, or the session has ended.",
    Exit.FORBIDDEN: "Whoever is signed in may not.",
    Exit.NOT_FOUND: "There is no such thing, as far as whoever is signed in may see.",
    Exit.UNREACHABLE: "The appliance, or what it needs, cannot be reached.",
    Exit.CANCELLED: "It was stopped (Ctrl-C).",
}

_VARIABLES: Mapping[str, str] = {
    client.TOKEN_FILE_VARIABLE: "A file with a machine's token, for programs: nobody signs in.",
    client.SERVER_VARIABLE: "The appliance's URL, with a token file.",
    client.CA_VARIABLE: "The CA (PEM) of the appliance, with a token file.",
    "FAIRLEAD_CLI_PROFILE": "The appliance to use, as --profile.",
    "FAIRLEAD_CLI_ACCOUNT": "Who to be there, as --account.",
    places.HOME_VARIABLE: "Where the command keeps what it remembers.",
    keeping.KEYRING_VARIABLE: "`off` keeps refresh tokens in files, not in the system's keyring.",
    "FAIRLEAD_CLI_DEBUG": "Anything shows requests, with secrets masked, as --debug.",
    "NO_COLOR": "Anything means no colours.",
}


def pages() -> dict[str, str]:
    """File names and what is in them."""
    context = click.Context(fairlead, info_name="fairlead")
    found = {"README.md": _index()}
    for name in fairlead.list_commands(context):
        command = fairlead.get_command(context, name)
        assert command is not None
        found[f"{name}.md"] = "\n".join(_page(command, click.Context(command, info_name=name, parent=context))) + "\n"
    return found


def write(directory: Path) -> None:
    """All pages, and no others."""
    directory.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in directory.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (directory / name).write_text(text)


def _index() -> str:
    shared = (*options.everywhere(), options.account_option())
    lines = [
        "# The `fairlead` command",
        "",
        *_prose(fairlead.help or ""),
        "",
        "| command | what for |",
        "|---|---|",
        *(f"| [`fairlead {name}`]({name}.md) | {COMMANDS[name][1]} |" for name in sorted(COMMANDS)),
        "",
        "## What all commands take",
        "",
        *_listed(shared),
        "",
        "Those that print things take `-o table|wide|json|yaml|name`. JSON and YAML have the fields of the admin API;",
        "`name` is what other commands take, one a line. Names are good wherever ids are; one that could mean several",
        "things is refused.",
        "",
        "## Exit codes",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| {int(code)} | {meaning} |" for code, meaning in _EXITS.items()),
        "",
        "`audit verify`, `verify` and `explain` give 1 for a no of their own.",
        "",
        "## Environment",
        "",
        "| variable | meaning |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in _VARIABLES.items()),
    ]
    return "\n".join(lines) + "\n"


def _page(command: click.Command, context: click.Context, depth: int = 1) -> Iterator[str]:
    """A command, then those below it."""
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f"{'#' * min(depth, 3)} `{context.command_path}`", "")
    yield from (f"    {context.command_path} {usage}".rstrip(), "", *_prose(command.help or ""))
    common = {name for option in options.everywhere() for name in option.opts}
    own = [it for it in command.params if isinstance(it, click.Option) and not common & set(it.opts)]
    if own:
        yield from ("", *_listed(own))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield ""
            yield from _page(below, click.Context(below, info_name=name, parent=context), depth + 1)


def _prose(text: str) -> list[str]:
    """The help's paragraphs; its example as code."""
    lines: list[str] = []
    code = False
    for line in inspect.cleandoc(text).split("\n"):
        if line.startswith("Example: "):
            code = True
            lines += ["Example:", "", f"    {line.removeprefix('Example: ')}"]
        elif line != "\b":
            lines.append(f"    {line.removeprefix('         ')}" if code else line)
    return lines


def _listed(given: Sequence[click.Option]) -> Iterator[str]:
    for option in given:
        names = ", ".join([*option.opts, *option.secondary_opts])
        value = "" if option.is_flag else f" {option.metavar or _value(option)}"
        words = [option.help or ""]
        if option.required:
            words.append("Needed.")
        if option.show_default and isinstance(option.default, int | str):
            words.append(f"Default: {option.default}.")
        yield f"- `{names}{value}`: {' '.join(words)}"


def _value(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.type.name.upper()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
