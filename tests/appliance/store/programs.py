"""Processes that write to a store and say what was answered, for tests that kill, fill and race them.

`python -m tests.appliance.store.programs NAME DIRECTORY ...` runs one; `Program` is its other end.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import trio

from appliance.core.people import Person
from appliance.core.snapshot import Entity
from appliance.store import feed, units
from appliance.store.faults import StoreUnavailable
from appliance.store.store import Applied
from appliance.store.unit import Unit
from tests.appliance.store.homes import NOW, Home

ROOM_BYTES = 1024 * 1024  # what a disk that is nearly full still holds


class Program:
    """A running program, its lines and its end."""

    def __init__(self, name: str, home: Home, *arguments: str) -> None:
        command = [sys.executable, "-m", __name__, name, str(home.directory), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def lines_until(self, last: str) -> Iterator[str]:
        while (line := self.line()) != last:
            assert line, "the program ended early"
            yield line

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> list[str]:
        """With -9; returns what it had said and nobody had read."""
        self.process.send_signal(signal.SIGKILL)
        said, _ = self.process.communicate()
        assert self.process.returncode == -signal.SIGKILL
        return said.split("\n")[:-1]

    def end(self) -> str:
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return said


def person(name: str) -> Person:
    return Person(name, "iss", name, name, created_at=NOW)


def pair(number: int) -> Unit[None]:
    for letter in "ab":
        yield from units.add_person(person(f"{letter}{number}"), NOW)


async def pairs(home: Home, most: str) -> None:
    """Writes pairs, one transaction each, and says each number once it was answered."""
    async with home.opened() as store:
        for number in range(int(most)):
            await store.write(pair(number))
            print(number, flush=True)


async def fill(home: Home) -> None:
    """Writes until the disk is full, then gets more room and writes once more."""
    async with home.opened() as store:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, hard))
        number = 0
        try:
            while True:
                await store.write(units.add_person(person(f"p{number}"), NOW))
                print(number, flush=True)
                number += 1
        except StoreUnavailable as error:
            assert "cannot be used" in str(error), error
        await store.poll()  # reading needs no room
        assert len(store.snapshot.people) == number
        print("full", flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await store.write(units.add_person(person("again"), NOW))
        print("again", flush=True)


async def race(home: Home, name: str, seconds: str, seen_file: str) -> None:
    """Writes as fast as it can for a while beside others, and notes the order in which it saw everyone's changes."""
    feed.MAX_CHANGES_AT_ONCE = 1_000_000  # a reload of everything would be right, and show no order
    seen: list[str] = []

    def note(applied: Applied) -> None:
        seen.extend(identity for entity, identity in applied if entity is Entity.PERSON)

    async with home.opened(running=True) as store:
        store.on_change.append(note)
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        written = 0
        with trio.move_on_after(float(seconds)):
            while True:
                with trio.CancelScope(shield=True):
                    await store.write(units.add_person(person(f"{name}-{written}"), NOW))
                    written += 1
                    if written % 10 == 0:  # everyone raises the same number: none of it may be lost
                        await store.write(
                            units.set_cluster("shared", lambda it: replace(it, generation=it.generation + 1), NOW)
                        )
                await trio.lowlevel.checkpoint()
        print(written, flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)  # until all have ended
        await store.poll()
        await trio.Path(seen_file).write_text("\n".join(seen))


def main() -> None:
    name, directory, *arguments = sys.argv[1:]
    programs: dict[str, Callable[..., Awaitable[None]]] = {"pairs": pairs, "fill": fill, "race": race}
    trio.run(programs[name], Home(Path(directory)), *arguments)


if __name__ == "__main__":
    main()
