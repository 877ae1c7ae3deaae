"""exec and attach: which container, what runs in it, and how its end is told.

What always holds: a client that leaves ends what it ran; Ctrl-C on a terminal ends what is in the foreground.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from ops.demo.toy.streams.channels import Channels, Outcome, SpdyChannels, Wanted, WebSocketChannels
from ops.demo.toy.streams.commands import COMMANDS
from ops.demo.toy.streams.container import Container, ContainerSet
from ops.demo.toy.streams.handshake import RefusalError
from ops.demo.toy.streams.pipes import Reader
from ops.demo.toy.streams.process import INTERRUPTED_EXIT, SIGPIPE_EXIT, Process, run_process
from ops.demo.toy.streams.terminal import Terminal
from ops.demo.toy.upgrade_seam import UpgradeRequest

#: A client sends its terminal's size at once; without it a program starts with 24 by 80.
_FIRST_SIZE_SECONDS: Final = 1.0
#: The main process of every container prints a line this often.
_LINE_SECONDS: Final = 1.0

_Job = Callable[[Process], Awaitable[int]]


async def serve_session(
    request: UpgradeRequest, transport: trio.abc.Stream, containers: ContainerSet, *, websocket: bool
) -> None:
    """One exec or attach, from the answer 101 to the end."""
    container = containers.enter(request.pod, _container_name(request))
    wanted = _wanted(request)
    argv = tuple(request.query.get("command", ()))
    if request.subresource == "exec" and not argv:
        raise RefusalError(400, "you must specify at least one command for the container")
    channels: Channels = (WebSocketChannels if websocket else SpdyChannels)(transport, request, wanted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channels.run)
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when, channels.gone, scope)
            outcome = await _session(request, channels, container, argv, containers.threads, tty=wanted.tty)
            if outcome is not None:
                await channels.finish(outcome)
        nursery.cancel_scope.cancel()


async def _cancel_when(gone: trio.Event, scope: trio.CancelScope) -> None:
    await gone.wait()
    scope.cancel()


async def _session(
    request: UpgradeRequest,
    channels: Channels,
    container: Container,
    argv: tuple[str, ...],
    threads: trio.CapacityLimiter,
    *,
    tty: bool,
) -> Outcome | None:
    """Run it; None when the client never finished opening its channels."""
    try:
        await channels.open()
    except (trio.BrokenResourceError, trio.TooSlowError):
        return None
    job: _Job = _print_lines
    if request.subresource == "attach":
        argv = container.main_program()
    if argv:
        if not container.is_program(argv[0]):
            return _cannot_start(argv[0])
        job = _run_command
    terminal = Terminal(channels.stdin, channels.stdout) if tty else None
    process = Process(
        container=container,
        argv=argv or ("line-printer",),
        stdin=Reader(terminal or channels.stdin),
        stdout=terminal or channels.stdout,
        stderr=terminal or channels.stderr,
        directory=container.working_directory,
        environment=container.environment | ({"TERM": "xterm"} if tty else {}),
        terminal=terminal,
        threads=threads,
    )
    code = SIGPIPE_EXIT
    try:
        code = await (_on_terminal(job, process, terminal, channels) if terminal else job(process))
    except* trio.BrokenResourceError:
        pass  # the client closed a channel that was being written
    return Outcome(code)


async def _on_terminal(job: _Job, process: Process, terminal: Terminal, channels: Channels) -> int:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)
        nursery.start_soon(_follow_size, terminal, channels)
        with trio.move_on_after(_FIRST_SIZE_SECONDS):
            await terminal.sized.wait()
        code = INTERRUPTED_EXIT
        with trio.CancelScope() as terminal.foreground:
            code = await job(process)
        nursery.cancel_scope.cancel()
    return code


async def _follow_size(terminal: Terminal, channels: Channels) -> None:
    while (size := await channels.next_size()) is not None:
        terminal.resize(*size)


async def _run_command(process: Process) -> int:
    return await run_process(process, COMMANDS)


async def _print_lines(process: Process) -> int:
    """The main process: a line every second, and what is typed comes back. The end of a terminal's input ends it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_echo_input, process, nursery.cancel_scope)
        while not nursery.cancel_scope.cancel_called:
            process.container.lines_printed += 1
            await process.write(f"{process.container.pod_name} line {process.container.lines_printed}\n")
            await trio.sleep(_LINE_SECONDS)
    return 0


async def _echo_input(process: Process, scope: trio.CancelScope) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        while data := await process.stdin.read():
            await process.stdout.send_all(data)
    if process.terminal is not None:
        scope.cancel()


def _cannot_start(word: str) -> Outcome:
    reason = "no such file or directory" if "/" in word else "executable file not found in $PATH"
    return Outcome(
        error="error executing command in container: failed to exec in container: "
        f'unable to start container process: exec: "{word}": {reason}: unknown'
    )


def _wanted(request: UpgradeRequest) -> Wanted:
    flags = {name: request.query.get(name, [""])[0] in {"true", "1"} for name in ("stdin", "stdout", "stderr", "tty")}
    if flags["tty"]:
        flags["stderr"] = False  # a terminal has one screen
    if not (flags["stdin"] or flags["stdout"] or flags["stderr"]):
        raise RefusalError(400, "you must specify at least 1 of stdin, stdout, stderr")
    return Wanted(**flags)


def _container_name(request: UpgradeRequest) -> str:
    """The container asked for, or the only one; a pod that does not run has none to enter."""
    pod: dict[str, Any] = request.pod
    phase = (pod.get("status") or {}).get("phase", "Running")
    if phase != "Running":
        raise RefusalError(400, f"pod {request.name} is not running: its phase is {phase}")
    names = [str(one["name"]) for one in pod.get("spec", {}).get("containers") or ()]
    extra = [str(one["name"]) for one in pod.get("spec", {}).get("ephemeralContainers") or ()]
    asked = request.query.get("container", [""])[0]
    if asked and asked not in (*names, *extra):
        raise RefusalError(400, f"container {asked} is not valid for pod {request.name}")
    if not asked and len(names) > 1:
        raise RefusalError(
            400, f"a container name must be specified for pod {request.name}, choose one of: [{' '.join(names)}]"
        )
    return asked or (names[0] if names else "main")
