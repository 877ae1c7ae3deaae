"""The programs of a container, by name. Each is a coroutine of ours; there are no others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ops.demo.toy.streams import file_commands as files
from ops.demo.toy.streams import text_commands as text
from ops.demo.toy.streams.archive import tar
from ops.demo.toy.streams.process import Command, Process, run_process
from ops.demo.toy.streams.shell import sh as shell


async def _sh(process: Process) -> int:
    return await shell(process, COMMANDS)


async def _env(process: Process) -> int:
    """`env [NAME=VALUE...] [command...]`: shows the environment, or runs a command in a changed one."""
    environment = dict(process.environment)
    words = list(process.arguments)
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    if words:
        return await run_process(process.with_argv(tuple(words), environment), COMMANDS)
    await process.write("".join(f"{name}={value}\n" for name, value in environment.items()))
    return 0


COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "[": files.test,
        "cat": text.cat,
        "date": files.date,
        "echo": text.echo,
        "env": _env,
        "false": files.false,
        "head": text.head,
        "hostname": files.hostname,
        "id": files.identity,
        "ls": files.ls,
        "mkdir": files.mkdir,
        "printf": text.printf,
        "ps": files.ps,
        "pwd": files.pwd,
        "rm": files.rm,
        "seq": text.seq,
        "sh": _sh,
        "sha256sum": text.sha256sum,
        "sleep": files.sleep,
        "stty": files.stty,
        "tail": text.tail,
        "tar": tar,
        "test": files.test,
        "touch": files.touch,
        "true": files.true,
        "tty": files.tty,
        "wc": text.wc,
        "whoami": files.whoami,
        "yes": text.yes,
    }
)
