"""Commands about files and the session: ls, mkdir, rm, touch, pwd, test, env, tty, stty, date, ps and their like.

Small answers, made at once; what reads or writes the contents of files is in text_commands.py.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import trio

from ops.demo.toy.streams.process import Process, UsageError


async def ls(process: Process) -> int:
    options = {letter for word in process.arguments if word.startswith("-") for letter in word[1:]}
    if not options <= {"l", "a", "A", "1", "d", "h"}:
        raise UsageError("only -l, -a, -A, -1, -d and -h are known")
    names = [word for word in process.arguments if not word.startswith("-")] or ["."]
    status = 0
    for name in names:
        host = process.container.locate(name, process.directory)
        if not host.exists():
            await process.complain(f"{name}: {os.strerror(errno.ENOENT)}")
            status = 1
            continue
        if not host.is_dir() or "d" in options:
            await process.write(_entry(host, name, long="l" in options))
            continue
        if len(names) > 1:
            await process.write(f"{name}:\n")
        hidden = options & {"a", "A"}
        for child in sorted(host.iterdir()):
            if hidden or not child.name.startswith("."):
                await process.write(_entry(child, child.name, long="l" in options))
    return status


def _entry(host: Path, name: str, *, long: bool) -> str:
    if not long:
        return f"{name}\n"
    facts = host.stat()
    changed = datetime.fromtimestamp(facts.st_mtime, UTC)
    return f"{stat.filemode(facts.st_mode)} 1 root root {facts.st_size:>10} {changed:%b %d %H:%M} {name}\n"


async def mkdir(process: Process) -> int:
    parents = "-p" in process.arguments
    for name in _names(process, {"-p"}):
        process.container.locate(name, process.directory).mkdir(mode=0o755, parents=parents, exist_ok=parents)
    return 0


async def rm(process: Process) -> int:
    options = {letter for word in process.arguments if word.startswith("-") for letter in word[1:]}
    status = 0
    for name in _names(process, {"-r", "-R", "-f", "-rf", "-fr"}):
        host = process.container.locate(name, process.directory)
        if host == process.container.root:
            await process.complain(f"refusing to remove {name}")
            status = 1
        elif not host.exists():
            if "f" not in options:
                await process.complain(f"{name}: {os.strerror(errno.ENOENT)}")
                status = 1
        elif not host.is_dir():
            host.unlink()
        elif options & {"r", "R"}:
            await trio.to_thread.run_sync(shutil.rmtree, host)
        else:
            await process.complain(f"{name}: {os.strerror(errno.EISDIR)}")
            status = 1
    return status


async def touch(process: Process) -> int:
    for name in _names(process, set()):
        process.container.locate(name, process.directory).touch(mode=0o644)
    return 0


def _names(process: Process, known: set[str]) -> list[str]:
    unknown = [word for word in process.arguments if word.startswith("-") and word not in known]
    names = [word for word in process.arguments if not word.startswith("-")]
    if unknown or not names:
        raise UsageError(f"unknown option {unknown[0]}" if unknown else "missing operand")
    return names


async def test(process: Process) -> int:
    """`test EXPRESSION` or `[ EXPRESSION ]`: 0 when it is true."""
    words = list(process.arguments)
    if process.argv[0].endswith("[") and (not words or words.pop() != "]"):
        raise UsageError("missing ]")
    return 0 if _true(process, words) else 1


def _true(process: Process, words: list[str]) -> bool:
    match words:
        case []:
            return False
        case ["!", *rest]:
            return not _true(process, rest)
        case [word]:
            return bool(word)
        case ["-n", word]:
            return bool(word)
        case ["-z", word]:
            return not word
        case ["-t", descriptor]:
            return process.terminal is not None and descriptor in {"0", "1", "2"}
        case ["-e" | "-f" | "-d" | "-s" | "-r" | "-w" | "-x" as kind, name]:
            host = process.container.locate(name, process.directory)
            truths = {"-f": host.is_file(), "-d": host.is_dir(), "-s": host.exists() and host.stat().st_size > 0}
            return truths.get(kind, host.exists())
        case [left, "=" | "==", right]:
            return left == right
        case [left, "!=", right]:
            return left != right
        case [left, "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" as operator, right]:
            return _compare(left, operator, right)
    raise UsageError(f"{' '.join(words)}: unknown expression")


def _compare(left: str, operator: str, right: str) -> bool:
    try:
        difference = int(left) - int(right)
    except ValueError:
        raise UsageError("integer expression expected") from None
    truths = {
        "-eq": difference == 0,
        "-ne": difference != 0,
        "-lt": difference < 0,
        "-le": difference <= 0,
        "-gt": difference > 0,
        "-ge": difference >= 0,
    }
    return truths[operator]


async def pwd(process: Process) -> int:
    await process.write(f"{process.directory}\n")
    return 0


async def true(process: Process) -> int:  # noqa: ARG001 -- the shape of a command
    return 0


async def false(process: Process) -> int:  # noqa: ARG001 -- the shape of a command
    return 1


async def sleep(process: Process) -> int:
    scale = {"s": 1, "m": 60, "h": 3600}
    try:
        (word,) = process.arguments
        seconds = float(word.rstrip("smh")) * scale.get(word[-1:], 1)
        if not 0 <= seconds < math.inf:
            raise ValueError
    except ValueError:
        raise UsageError("one number of seconds is needed") from None
    await trio.sleep(seconds)
    return 0


async def date(process: Process) -> int:
    form = next((word[1:] for word in process.arguments if word.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    await process.write(datetime.now(UTC).strftime(form) + "\n")
    return 0


async def hostname(process: Process) -> int:
    await process.write(f"{process.container.hostname}\n")
    return 0


async def whoami(process: Process) -> int:
    await process.write("root\n")
    return 0


async def identity(process: Process) -> int:
    answers = {(): "uid=0(root) gid=0(root) groups=0(root)", ("-u",): "0", ("-g",): "0", ("-un",): "root"}
    if process.arguments not in answers:
        raise UsageError("only -u, -g and -un are known")
    await process.write(f"{answers[process.arguments]}\n")
    return 0


async def ps(process: Process) -> int:
    await process.write("PID   USER     COMMAND\n    1 root     line-printer\n    7 root     ps\n")
    return 0


async def tty(process: Process) -> int:
    await process.write("/dev/pts/0\n" if process.terminal else "not a tty\n")
    return 0 if process.terminal else 1


async def stty(process: Process) -> int:
    if process.terminal is None:
        await process.complain("standard input is not a terminal")
        return 1
    if process.arguments != ("size",):
        raise UsageError("only `stty size` is known")
    await process.write(f"{process.terminal.rows} {process.terminal.columns}\n")
    return 0
