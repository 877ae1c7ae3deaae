"""sh: runs what the grammar knows, from -c, from a file, from standard input, or at a prompt.

What always holds: a pipeline's stages run side by side over bounded pipes, each in a copy of the shell's state; a
command of one stage changes the shell itself (cd, export). At a prompt Ctrl-C ends the line that runs, not the shell.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

import trio

from ops.demo.toy.streams.files import open_sink, open_source
from ops.demo.toy.streams.grammar import ShellSyntaxError, Simple, Step, UnfinishedError, Word, parse
from ops.demo.toy.streams.pipes import Pipe, Reader, Sink
from ops.demo.toy.streams.process import INTERRUPTED_EXIT, SIGPIPE_EXIT, Command, Process, UsageError, run_process

_PROMPT, _CONTINUED = b"# ", b"> "
_SYNTAX_EXIT = 2
#: Commands that change the shell; as a stage of a pipeline they change only their own copy.
_BUILTINS = frozenset({"cd", "exit", "export", "unset", ":", "set"})


class _ExitError(Exception):
    """`exit N` was run; ends this shell and no other."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Shell:
    """The state of one shell: variables, directory, last exit code."""

    def __init__(self, process: Process, commands: Mapping[str, Command], positional: tuple[str, ...]) -> None:
        self._process = process
        self._commands = commands
        self._positional = positional
        self._variables = dict(process.environment)
        self._exported = set(process.environment)
        self._directory = process.directory
        self._status = 0

    async def run_text(self, text: str) -> int:
        """A whole script; returns what the shell exits with."""
        try:
            await self._run(parse(text))
        except ShellSyntaxError as error:
            await self._process.complain(str(error))
            return _SYNTAX_EXIT
        except _ExitError as leaving:
            return leaving.code
        return self._status

    async def converse(self) -> int:
        """Line by line from standard input, with a prompt on a terminal."""
        terminal = self._process.terminal
        pending = ""
        while True:
            with trio.CancelScope() as scope:
                if terminal is not None:
                    terminal.foreground = scope
                    await self._process.stdout.send_all(_CONTINUED if pending else self._prompt())
                line = (await self._process.stdin.read_line()).decode("utf-8", "surrogateescape")
                if not line:
                    break
                pending += line
                try:
                    steps = parse(pending)
                except UnfinishedError:
                    continue
                except ShellSyntaxError as error:
                    await self._process.complain(str(error))
                    self._status, pending = _SYNTAX_EXIT, ""
                    if terminal is None:
                        return _SYNTAX_EXIT
                    continue
                pending = ""
                try:
                    await self._run(steps)
                except _ExitError as leaving:
                    return leaving.code
            if scope.cancelled_caught:
                pending = ""
                self._status = INTERRUPTED_EXIT
        return self._status

    def _prompt(self) -> bytes:
        return self._directory.encode("utf-8", "surrogateescape") + b" " + _PROMPT

    async def _run(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if (step.joined_by == "&&" and self._status != 0) or (step.joined_by == "||" and self._status == 0):
                continue
            status = await self._run_step(step)
            self._status = int(not status) if step.negated else status

    async def _run_step(self, step: Step) -> int:
        process = self._process
        if len(step.commands) == 1:
            return await self._run_simple(step.commands[0], process.stdin, process.stdout)
        pipes = [Pipe() for _ in step.commands[1:]]
        statuses = [0] * len(step.commands)

        async def stage(number: int, command: Simple) -> None:
            before = pipes[number - 1] if number else None
            after = pipes[number] if number < len(pipes) else None
            copy = self._copy()
            try:
                statuses[number] = await copy._run_simple(  # noqa: SLF001 -- a Shell as well
                    command, Reader(before) if before else process.stdin, after or process.stdout
                )
            except _ExitError as leaving:
                statuses[number] = leaving.code
            except trio.BrokenResourceError:  # not even an error message can be written any more
                statuses[number] = SIGPIPE_EXIT
            finally:
                if before is not None:
                    before.abandon()
                if after is not None:
                    after.end()

        async with trio.open_nursery() as nursery:
            for number, command in enumerate(step.commands):
                nursery.start_soon(stage, number, command)
        return statuses[-1]

    async def _run_simple(self, command: Simple, stdin: Reader, stdout: Sink) -> int:
        argv = tuple(text for word in command.words for text in self._expand(word))
        set_here = {name: self._join(word) for name, word in command.assignments}
        environment = {name: value for name, value in self._variables.items() if name in self._exported}
        process = replace(
            self._process,
            argv=argv or ("sh",),
            stdin=stdin,
            stdout=stdout,
            directory=self._directory,
            environment=environment | set_here,
        )
        with ExitStack() as files:
            try:
                process = self._redirected(process, command, files)
            except OSError as error:
                await replace(self._process, argv=("sh",)).complain_of(error)
                return 1
            if not argv:
                self._variables |= set_here
                return 0
            if argv[0] in _BUILTINS:
                return await self._run_builtin(process)
            return await run_process(process, self._commands)

    def _redirected(self, process: Process, command: Simple, files: ExitStack) -> Process:
        for redirect in command.redirects:
            target = self._join(redirect.target)
            if redirect.kind == "<":
                source = open_source(process, target)
                files.callback(source.close)
                process = replace(process, stdin=Reader(source))
                continue
            if redirect.kind == ">&":
                sink = process.stdout if target == "1" else process.stderr
            else:
                sink, closable = open_sink(process, target, append=redirect.kind == ">>")
                if closable is not None:
                    files.callback(closable.close)
            process = replace(process, stderr=sink) if redirect.descriptor == 2 else replace(process, stdout=sink)
        return process

    async def _run_builtin(self, process: Process) -> int:
        name, arguments = process.argv[0], process.arguments
        match name:
            case "exit":
                if arguments and not arguments[0].isdecimal():
                    await process.complain(f"Illegal number: {arguments[0]}")
                    raise _ExitError(_SYNTAX_EXIT)
                raise _ExitError(int(arguments[0]) % 256 if arguments else self._status)
            case "cd":
                return await self._change_directory(process)
            case "export":
                for argument in arguments:
                    variable, equals, value = argument.partition("=")
                    if equals:
                        self._variables[variable] = value
                    self._exported.add(variable)
            case "unset":
                for variable in arguments:
                    self._variables.pop(variable, None)
            case "set" if arguments:
                await process.complain("options are not known to this shell")
                return _SYNTAX_EXIT
        return 0

    async def _change_directory(self, process: Process) -> int:
        wanted = process.arguments[0] if process.arguments else self._variables.get("HOME", "/")
        try:
            is_directory = process.container.locate(wanted, self._directory).is_dir()
        except OSError:
            is_directory = False
        if not is_directory:
            await process.complain(f"can't cd to {wanted}")
            return 1
        self._directory = "/" + posixpath.normpath(posixpath.join(self._directory, wanted)).lstrip("/")
        return 0

    def _copy(self) -> Shell:
        copy = Shell(self._process, self._commands, self._positional)
        copy._variables, copy._exported = dict(self._variables), set(self._exported)
        copy._directory, copy._status = self._directory, self._status
        return copy

    def _expand(self, word: Word) -> list[str]:
        """The arguments a word becomes: unquoted variables are split at blanks and may vanish."""
        fields: list[str] = []
        current: str | None = None
        for part in word:
            value = self._value(part.text) if part.variable else part.text
            if part.quoted or not part.variable:
                current = (current or "") + value if value or part.quoted or current is not None else current
                continue
            pieces = value.split()
            if value[:1].isspace() and current is not None:
                fields.append(current)
                current = None
            for number, piece in enumerate(pieces):
                if number and current is not None:
                    fields.append(current)
                    current = None
                current = (current or "") + piece
            if pieces and value[-1:].isspace() and current is not None:
                fields.append(current)
                current = None
        if current is not None:
            fields.append(current)
        return fields

    def _join(self, word: Word) -> str:
        return "".join(self._value(part.text) if part.variable else part.text for part in word)

    def _value(self, name: str) -> str:
        match name:
            case "?":
                return str(self._status)
            case "$":
                return "1"
            case "#":
                return str(len(self._positional) - 1)
            case "@" | "*":
                return " ".join(self._positional[1:])
        if name.isdecimal():
            return self._positional[int(name)] if int(name) < len(self._positional) else ""
        return self._variables.get(name, "")


async def sh(process: Process, commands: Mapping[str, Command]) -> int:
    """`sh -c SCRIPT [name arguments...]`, `sh FILE [arguments...]` or `sh`."""
    arguments = list(process.arguments)
    while arguments and arguments[0] in {"-i", "-l", "-il", "-li"}:
        del arguments[0]
    if arguments and arguments[0] in {"-c", "-lc", "-ic"}:
        if len(arguments) < 2:
            raise UsageError("-c requires an argument")
        return await Shell(process, commands, tuple(arguments[2:]) or ("sh",)).run_text(arguments[1])
    if arguments and arguments[0].startswith("-"):
        raise UsageError(f"unknown option {arguments[0]}")
    if arguments:
        source = open_source(process, arguments[0])
        try:
            script = (await Reader(source).read_full(256 * 1024)).decode("utf-8", "surrogateescape")
        finally:
            source.close()
        return await Shell(process, commands, tuple(arguments)).run_text(script)
    outer = process.terminal.foreground if process.terminal else None
    try:
        return await Shell(process, commands, ("sh",)).converse()
    finally:
        if process.terminal is not None:
            process.terminal.foreground = outer
