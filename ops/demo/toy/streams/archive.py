"""tar as kubectl cp uses it: an archive streams in or out, whatever its size.

What always holds: memory does not grow with the archive; the tarfile module works in a thread of a limiter of its own
and is fed through bounded pipes; what is extracted passes tarfile's "data" filter and ours, which lets only regular
files and directories through, so no link can lead a later entry out of the directory.
"""

from __future__ import annotations

import functools
import io
import os
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import trio

from ops.demo.toy.streams.container import MAX_FILE_BYTES
from ops.demo.toy.streams.files import open_sink, open_source
from ops.demo.toy.streams.pipes import Reader, Sink
from ops.demo.toy.streams.process import Process, UsageError

#: One hop between thread and loop; a hop costs some 50 us, so this moves gigabytes a second.
BLOCK_BYTES: Final = 256 * 1024
_IGNORED: Final = frozenset(
    {"--no-same-permissions", "--no-same-owner", "--no-overwrite-dir", "--overwrite", "--warning=no-unknown-keyword"}
)


@dataclass(slots=True)
class _Order:
    """What one command line asks for."""

    mode: str = ""
    archive: str = "-"
    directory: str = "."
    keep_times: bool = True
    verbose: bool = False
    members: tuple[str, ...] = ()


async def tar(process: Process) -> int:
    """`tar c|x|t [f FILE] [C DIRECTORY] [m] [members...]`, with or without the leading dash."""
    order = _understand(process.arguments)
    threads = process.threads
    if order.mode == "c":
        sink, closable = (process.stdout, None) if order.archive == "-" else open_sink(process, order.archive)
        try:
            work = functools.partial(_create, process, order, cast("IO[bytes]", _ThreadWriter(sink)))
            return await trio.to_thread.run_sync(work, limiter=threads)
        finally:
            if closable is not None:
                closable.close()
    source = open_source(process, order.archive)
    try:
        reader = process.stdin if order.archive == "-" else Reader(source)
        work = functools.partial(_extract, process, order, cast("IO[bytes]", _ThreadReader(reader)))
        status = await trio.to_thread.run_sync(work, limiter=threads)
        while await reader.read():  # the padding after the end of the archive
            pass
        return status
    finally:
        source.close()


class _Complaints:
    """Lines on standard error, written from the thread as they come up; any of them makes the exit code 2."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.exit_code = 0

    def add(self, sentence: str) -> None:
        self.exit_code = 2
        trio.from_thread.run(self._process.complain, sentence)


def _create(process: Process, order: _Order, out: IO[bytes]) -> int:
    complaints = _Complaints(process)
    base = process.container.locate(order.directory, process.directory)
    inside = process.container.shown(base)
    with tarfile.open(mode="w|", fileobj=out, bufsize=BLOCK_BYTES) as archive:
        _copy_in_blocks(archive)
        for member in order.members:
            try:
                host = process.container.locate(member, inside)
                if not host.exists():
                    complaints.add(f"{member}: Cannot stat: No such file or directory")
                    continue
                archive.add(host, arcname=member, filter=_as_root)
            except OSError as error:
                complaints.add(f"{member}: {error.strerror}")
    return complaints.exit_code


def _copy_in_blocks(archive: tarfile.TarFile) -> None:
    """Move file contents in our blocks instead of 16 KiB ones; the types of the library do not list the attribute."""
    vars(archive)["copybufsize"] = BLOCK_BYTES


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _extract(process: Process, order: _Order, source: IO[bytes]) -> int:
    complaints = _Complaints(process)
    target = process.container.locate(order.directory, process.directory)
    if not target.is_dir():
        complaints.add(f"{order.directory}: Cannot open: No such file or directory")
        return complaints.exit_code
    try:
        with tarfile.open(mode="r|", fileobj=source, bufsize=BLOCK_BYTES) as archive:
            _copy_in_blocks(archive)
            for entry in archive:
                vars(archive)["members"] = []  # the module would remember every entry; a stream needs none
                if not _wanted(entry.name, order.members):
                    continue
                if order.mode == "x":
                    for complaint in _place(archive, entry, target, keep_times=order.keep_times):
                        complaints.add(complaint)
                if order.mode == "t" or order.verbose:
                    trio.from_thread.run(process.write, f"{entry.name}\n")
    except tarfile.TarError as error:
        complaints.add(f"This does not look like a tar archive ({error})")
    return complaints.exit_code


def _place(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path, *, keep_times: bool) -> Iterator[str]:
    """Write one entry below `target`; yields what is wrong with it."""
    if not (entry.isreg() or entry.isdir()):
        yield f"{entry.name}: only files and directories can be kept here"
        return
    if entry.size > MAX_FILE_BYTES:
        yield f"{entry.name}: File too large"
        return
    try:
        safe = tarfile.data_filter(entry, os.fspath(target))
        if not keep_times:
            safe = safe.replace(mtime=cast("int", None), deep=False)
        archive.extract(safe, target, filter="fully_trusted")
    except tarfile.FilterError as error:
        yield f"{entry.name}: refused: {type(error).__name__}"
    except OSError as error:
        yield f"{entry.name}: {error.strerror}"


def _wanted(name: str, members: tuple[str, ...]) -> bool:
    return not members or any(name == one or name.startswith(f"{one.rstrip('/')}/") for one in members)


def _understand(arguments: tuple[str, ...]) -> _Order:
    order = _Order()
    words = [word for word in arguments if word not in _IGNORED]
    if words and not words[0].startswith("-"):
        words[0] = f"-{words[0]}"
    members: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            members += words
            break
        if not word.startswith("-") or word == "-":
            members.append(word)
            continue
        if word.startswith("--"):
            raise UsageError(f"unknown option {word}")
        for letter in word[1:]:
            _letter(order, letter, words)
    if not order.mode:
        raise UsageError("one of c, x and t is needed")
    if order.mode == "c" and not members:
        raise UsageError("cowardly refusing to create an empty archive")
    order.members = tuple(members)
    return order


def _letter(order: _Order, letter: str, words: list[str]) -> None:
    match letter:
        case "c" | "x" | "t":
            order.mode = letter
        case "f" | "C":
            if not words:
                raise UsageError(f"option -{letter} needs an argument")
            if letter == "f":
                order.archive = words.pop(0)
            else:
                order.directory = posixpath.join(order.directory, words.pop(0))
        case "m":
            order.keep_times = False
        case "v":
            order.verbose = True
        case "p" | "o":
            pass
        case _:
            raise UsageError(f"unknown option -{letter}")


class _ThreadWriter(io.RawIOBase):
    """A sink of the loop as a file of the thread."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: Any) -> int:
        trio.from_thread.run(self._sink.send_all, bytes(data))
        return len(data)


class _ThreadReader(io.RawIOBase):
    """A reader of the loop as a file of the thread; a read waits for all it asks for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def read(self, size: int = -1) -> bytes:
        return trio.from_thread.run(self._reader.read_full, BLOCK_BYTES if size < 0 else size)
