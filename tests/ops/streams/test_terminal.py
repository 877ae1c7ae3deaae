"""A shell at a terminal: echo, the prompt, Ctrl-C, Ctrl-D, backspace, and the size."""

from __future__ import annotations

import trio
import trio.testing

from ops.demo.toy.streams.commands import COMMANDS
from ops.demo.toy.streams.container import Container
from ops.demo.toy.streams.pipes import Pipe, Reader
from ops.demo.toy.streams.process import Process, run_process
from ops.demo.toy.streams.terminal import Terminal
from tests.ops.streams.rig_local import Collected


async def typed(container: Container, *keys: bytes, argv: tuple[str, ...] = ("sh",)) -> tuple[int | None, str]:
    """What a person sees who types these, each once the program has gone quiet; and the exit code, if it ended."""
    keyboard, screen = Pipe(), Collected()
    terminal = Terminal(keyboard, screen)
    terminal.resize(30, 100)
    process = Process(container, argv, Reader(terminal), terminal, terminal, "/", dict(container.environment), terminal)
    code = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)

        async def program() -> None:
            nonlocal code
            with trio.CancelScope() as terminal.foreground:
                code = await run_process(process, COMMANDS)

        nursery.start_soon(program)
        for some in keys:
            await trio.testing.wait_all_tasks_blocked()
            keyboard.put(some)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return code, screen.data.decode()


async def test_a_conversation(container: Container) -> None:
    code, seen = await typed(container, b"echo hi\r", b"stty size\r", b"cd /tmp\r", b"exit 3\r")
    assert seen == "/ # echo hi\r\nhi\r\n/ # stty size\r\n30 100\r\n/ # cd /tmp\r\n/tmp # exit 3\r\n"
    assert code == 3


async def test_ctrl_c_ends_the_command_and_not_the_shell(container: Container) -> None:
    code, seen = await typed(container, b"sleep 1000\r", b"\x03", b"echo $?\r")
    assert seen == "/ # sleep 1000\r\n^C\r\n/ # echo $?\r\n130\r\n/ # "
    assert code is None


async def test_ctrl_c_at_the_prompt_drops_the_line(container: Container) -> None:
    _, seen = await typed(container, b"garbage", b"\x03", b"echo ok\r")
    assert seen == "/ # garbage^C\r\n/ # echo ok\r\nok\r\n/ # "


async def test_ctrl_d_ends_the_input_of_a_command_and_then_the_shell(container: Container) -> None:
    code, seen = await typed(container, b"cat\r", b"abc\r", b"\x04", b"\x04")
    assert seen == "/ # cat\r\nabc\r\nabc\r\n/ # "
    assert code == 0


async def test_backspace_and_ctrl_u_edit_the_line(container: Container) -> None:
    _, seen = await typed(container, b"echo ab\x7fc\r", b"junk\x15echo d\r")
    assert "\r\nac\r\n" in seen
    assert "\r\nd\r\n" in seen


async def test_an_unfinished_line_is_continued(container: Container) -> None:
    _, seen = await typed(container, b"echo 'a\r", b"b'\r")
    assert seen.endswith("> b'\r\na\r\nb\r\n/ # ")


async def test_ctrl_c_ends_a_program_that_is_not_a_shell(container: Container) -> None:
    code, seen = await typed(container, b"\x03", argv=("sleep", "1000"))
    assert code is None
    assert seen == "^C\r\n"
