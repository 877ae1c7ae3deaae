"""Child processes: heard, ended by id, and never left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from ops.demo import children
from ops.demo.children import Child, ChildEndedError

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.real_clock
async def test_a_child_is_heard_and_ended() -> None:
    heard: list[str] = []
    child = await children.start("version", ["version"], heard.append)
    child.stopping = True  # it ends by itself, and is meant to

    await child.watch()

    assert len(heard) == 1
    assert heard[0].startswith("fairlead ")


@pytest.mark.real_clock
async def test_a_child_that_dies_says_why() -> None:
    child = await children.start("appliance", ["serve", "--config", "/nonexistent.toml"], lambda _line: None)

    with pytest.raises(ChildEndedError, match=r"appliance ended with code 1(.|\n)*cannot be read"):
        await child.watch()


@pytest.mark.real_clock
async def test_a_child_is_asked_to_stop_first() -> None:
    script = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit('asked')); "
        "print('up', flush=True); signal.pause()"
    )
    up = trio.Event()
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        up.set()

    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    child = Child("test", process, hear)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.watch)
        await up.wait()
        await child.stop()

    assert heard == ["up", "asked"]


def test_a_child_does_not_outlive_its_parent() -> None:
    script = "import signal; from ops.demo.leash import hold; hold(); print('up', flush=True); signal.pause()"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"up\n"

    process.stdin.close()  # what the kernel does when the parent is gone

    assert process.wait(30) == -signal.SIGTERM
    process.stdout.close()
