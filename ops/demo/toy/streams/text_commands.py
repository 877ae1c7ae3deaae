"""Commands that make or pass on text: echo, printf, cat, head, tail, wc, seq, yes, sha256sum.

What always holds: input of any length passes in bounded pieces (tail -n keeps its lines, up to MAX_KEPT_LINES).
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final

from ops.demo.toy.streams.files import FILE_PIECE_BYTES, open_source
from ops.demo.toy.streams.pipes import Reader
from ops.demo.toy.streams.process import Process, UsageError

#: tail -n of more lines than this would keep too much; a line is at most 64 KiB.
MAX_KEPT_LINES: Final = 1000
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "v": "\v", '"': '"'}


async def echo(process: Process) -> int:
    words = list(process.arguments)
    newline, escapes = "\n", False
    while words and re.fullmatch("-[neE]+", words[0]):
        newline = "" if "n" in words[0] else newline
        escapes = escapes or "e" in words[0]
        del words[0]
    text = " ".join(words)
    await process.write((_unescaped(text) if escapes else text) + newline)
    return 0


async def printf(process: Process) -> int:
    if not process.arguments:
        raise UsageError("a format is missing")
    form, *values = process.arguments
    form = _unescaped(form)
    while True:
        takes = 0

        def fill(found: re.Match[str], values: list[str] = values) -> str:
            nonlocal takes
            if found[0] == "%%":
                return "%"
            takes += 1
            value = values.pop(0) if values else ""
            if found[0][-1] == "b":
                return _unescaped(value)
            if found[0][-1] in "dixXo":
                try:
                    return found[0] % int(value or "0", 0)
                except ValueError:
                    raise UsageError(f"{value}: not a number") from None
            return found[0] % value

        await process.write(re.sub(r"%%|%[-0]?\d{0,4}[sbdixXo]", fill, form))
        if not values or not takes:
            return 0


async def cat(process: Process) -> int:
    async def copy(_: str, reader: Reader) -> None:
        while data := await reader.read(FILE_PIECE_BYTES):
            await process.stdout.send_all(data)

    return await _each(process, process.arguments, copy)


async def head(process: Process) -> int:
    unit, count, _, files = _amount(process)

    async def start(_: str, reader: Reader) -> None:
        left = count
        while left > 0:
            data = await (reader.read(min(left, FILE_PIECE_BYTES)) if unit == "c" else reader.read_line())
            if not data:
                return
            left -= len(data) if unit == "c" else data.endswith(b"\n")
            await process.stdout.send_all(data)

    return await _each(process, files, start)


async def tail(process: Process) -> int:
    unit, count, from_start, files = _amount(process)
    if unit == "n" and not from_start and count > MAX_KEPT_LINES:
        raise UsageError(f"at most {MAX_KEPT_LINES} lines")

    async def end(_: str, reader: Reader) -> None:
        if from_start:
            await _skip(reader, unit, count - 1)
            while data := await reader.read(FILE_PIECE_BYTES):
                await process.stdout.send_all(data)
        elif unit == "n":
            kept: deque[bytes] = deque(maxlen=count)
            while line := await reader.read_line():
                kept.append(line)
            await process.stdout.send_all(b"".join(kept))
        else:
            last = b""
            while data := await reader.read(FILE_PIECE_BYTES):
                last = (last + data)[-min(count, FILE_PIECE_BYTES) :] if count else b""
            await process.stdout.send_all(last)

    return await _each(process, files, end)


async def wc(process: Process) -> int:
    wanted = [letter for word in process.arguments if word.startswith("-") for letter in word[1:]] or ["l", "w", "c"]
    if not set(wanted) <= {"l", "w", "c"}:
        raise UsageError("only -l, -w and -c are known")

    async def count(name: str, reader: Reader) -> None:
        counts = {"l": 0, "w": 0, "c": 0}
        inside = False
        while data := await reader.read(FILE_PIECE_BYTES):
            counts["c"] += len(data)
            counts["l"] += data.count(b"\n")
            counts["w"] += len(data.split()) - (inside and not data[:1].isspace())
            inside = not data[-1:].isspace()
        shown = " ".join(str(counts[letter]) for letter in "lwc" if letter in wanted)
        await process.write(f"{shown} {name}".rstrip(" -") + "\n")

    return await _each(process, tuple(word for word in process.arguments if not word.startswith("-")), count)


async def seq(process: Process) -> int:
    try:
        numbers = [int(word) for word in process.arguments]
    except ValueError:
        raise UsageError("whole numbers only") from None
    match numbers:
        case [last]:
            first, step = 1, 1
        case [first, last]:
            step = 1
        case [first, step, last] if step:
            pass
        case _:
            raise UsageError("seq [first [step]] last")
    everything = iter(range(first, last + (1 if step > 0 else -1), step))
    while numbers := list(islice(everything, 4096)):
        await process.write("".join(f"{number}\n" for number in numbers))
    return 0


async def yes(process: Process) -> int:
    """Endless output: how a test sees that a client that stops reading stops the producer."""
    line = (" ".join(process.arguments) or "y").encode("utf-8", "surrogateescape") + b"\n"
    block = line * max(1, 16 * 1024 // len(line))
    while True:
        await process.stdout.send_all(block)


async def sha256sum(process: Process) -> int:
    async def sum_up(name: str, reader: Reader) -> None:
        digest = hashlib.sha256()
        while data := await reader.read(FILE_PIECE_BYTES):
            digest.update(data)
        await process.write(f"{digest.hexdigest()}  {name}\n")

    return await _each(process, process.arguments, sum_up)


async def _each(process: Process, files: tuple[str, ...], work: Callable[[str, Reader], Awaitable[None]]) -> int:
    """Do the work for each named file, or for standard input; 1, and a line for each that cannot be read."""
    status = 0
    for name in files or ("-",):
        try:
            source = open_source(process, name)
            try:
                await work(name, process.stdin if name == "-" else Reader(source))
            finally:
                source.close()
        except OSError as error:
            await process.complain(f"{name}: {error.strerror}")
            status = 1
    return status


def _amount(process: Process) -> tuple[str, int, bool, tuple[str, ...]]:
    """What head and tail are asked for: unit (c or n), how many, whether counted from the start, and the files."""
    unit, number = "n", "10"
    words = list(process.arguments)
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word[1] in "cn":
            unit, number = word[1], word[2:] or (words.pop(0) if words else "")
        else:
            number = word[1:]
    if not number.removeprefix("+").isdecimal():
        raise UsageError(f"invalid number: {number}")
    return unit, int(number.removeprefix("+")), number.startswith("+"), tuple(words)


async def _skip(reader: Reader, unit: str, count: int) -> None:
    while count > 0:
        data = await (reader.read(min(count, FILE_PIECE_BYTES)) if unit == "c" else reader.read_line())
        if not data:
            return
        count -= len(data) if unit == "c" else data.endswith(b"\n")


def _unescaped(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        return chr(int(found[1], 8)) if found[1] else _ESCAPES.get(found[2], found[0])

    return re.sub(r"\\(?:0?([0-7]{1,3})|(.))", character, text, flags=re.DOTALL)
