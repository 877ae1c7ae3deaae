"""A simulated process: what a builtin command is given, and how its end becomes an exit code.

What always holds: a command is a coroutine of ours; nothing is executed on the host. An error of the file system
becomes a line on standard error and exit code 1, a reader that left becomes 141 as SIGPIPE does, and anything else a
command raises is our bug and goes up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import trio

from ops.demo.toy.streams.container import Container
from ops.demo.toy.streams.pipes import Reader, Sink
from ops.demo.toy.streams.terminal import Terminal

NOT_FOUND: Final = 127
SIGPIPE_EXIT: Final = 141
INTERRUPTED_EXIT: Final = 130


class UsageError(Exception):
    """The arguments of a command make no sense; the sentence goes to standard error."""


@dataclass(frozen=True, slots=True)
class Process:
    """One command with its surroundings."""

    container: Container
    argv: tuple[str, ...]
    stdin: Reader
    stdout: Sink
    stderr: Sink
    directory: str
    environment: dict[str, str] = field(default_factory=dict)
    terminal: Terminal | None = None
    threads: trio.CapacityLimiter | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        return self.argv[1:]

    def with_argv(self, argv: tuple[str, ...], environment: dict[str, str]) -> Process:
        return replace(self, argv=argv, environment=environment)

    async def write(self, text: str) -> None:
        await self.stdout.send_all(text.encode("utf-8", "surrogateescape"))

    async def complain(self, sentence: str) -> None:
        await self.stderr.send_all(f"{self.argv[0]}: {sentence}\n".encode("utf-8", "surrogateescape"))

    async def complain_of(self, error: OSError) -> None:
        """An error in the words of a Unix tool, with the path as the container sees it."""
        where = f"{self.container.shown(error.filename)}: " if isinstance(error.filename, str) else ""
        await self.complain(f"{where}{error.strerror or type(error).__name__}")


Command = Callable[[Process], Awaitable[int]]


async def run_process(process: Process, commands: Mapping[str, Command]) -> int:
    """Run argv[0] with what `commands` knows; 127 when it knows nothing of that name."""
    word = process.argv[0]
    if not process.container.is_program(word):
        missing = "No such file or directory" if "/" in word else "not found"
        await replace(process, argv=("sh",)).complain(f"{word}: {missing}")
        return NOT_FOUND
    try:
        return await commands[word.rpartition("/")[2]](process)
    except trio.BrokenResourceError:
        return SIGPIPE_EXIT
    except UsageError as error:
        await process.complain(str(error))
        return 2
    except OSError as error:
        await process.complain_of(error)
        return 1
