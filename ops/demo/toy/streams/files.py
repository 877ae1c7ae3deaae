"""Files of a container as sources and sinks; disk work is done in threads, in bounded pieces."""

from __future__ import annotations

import errno
import os
import posixpath
from typing import BinaryIO, Final, Protocol

import trio

from ops.demo.toy.streams.container import MAX_FILE_BYTES
from ops.demo.toy.streams.pipes import NoOutput, Reader, Sink, Source
from ops.demo.toy.streams.process import Process

#: One read or write of a file: large enough that the hop to a thread is lost in it.
FILE_PIECE_BYTES: Final = 256 * 1024


class Closable(Protocol):
    def close(self) -> None: ...


class FileSource:
    """A file being read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        size = FILE_PIECE_BYTES if max_bytes is None else min(max_bytes, FILE_PIECE_BYTES)
        return await trio.to_thread.run_sync(self._file.read, size)

    def close(self) -> None:
        self._file.close()


class FileSink:
    """A file being written, up to MAX_FILE_BYTES."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    async def send_all(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        await trio.to_thread.run_sync(self._file.write, data)

    def close(self) -> None:
        self._file.close()


class Zeros:
    """/dev/zero: no end."""

    _PIECE = bytes(64 * 1024)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._PIECE if max_bytes is None else self._PIECE[:max_bytes]

    def close(self) -> None:
        """Nothing is open."""


class _Inherited:
    """A standard stream under the name of a file: closing the file leaves it open."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._reader.read(max_bytes or FILE_PIECE_BYTES)

    def close(self) -> None:
        """It belongs to the process."""


class _Empty(_Inherited):
    def __init__(self) -> None:
        """/dev/null for reading."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 -- the shape of a Source
        await trio.lowlevel.checkpoint()
        return b""


class ClosableSource(Source, Closable, Protocol):
    """A source that was opened and must be closed."""


def open_source(process: Process, path: str) -> ClosableSource:
    """A file of the container, a device, or standard input under "-"."""
    where = posixpath.normpath(posixpath.join(process.directory, path)) if path != "-" else "/dev/stdin"
    match where:
        case "/dev/null":
            return _Empty()
        case "/dev/zero":
            return Zeros()
        case "/dev/stdin":
            return _Inherited(process.stdin)
    return FileSource(process.container.open_to_read(path, process.directory))


def open_sink(process: Process, path: str, *, append: bool = False) -> tuple[Sink, Closable | None]:
    """A file or a device to write to, and what to close afterwards."""
    match posixpath.normpath(posixpath.join(process.directory, path)):
        case "/dev/null":
            return NoOutput(), None
        case "/dev/stdout":
            return process.stdout, None
        case "/dev/stderr":
            return process.stderr, None
    sink = FileSink(process.container.open_to_write(path, process.directory, append=append))
    return sink, sink
