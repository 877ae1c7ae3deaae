"""A terminal as the kernel keeps one: echo, lines, the two keys that matter, and a size.

What always holds: input is collected into lines of at most MAX_LINE_BYTES; Ctrl-C cancels what runs in the foreground
and nothing else; Ctrl-D on an empty line is the end of input for one read. Cursor keys and history are not known.
"""

from __future__ import annotations

import trio

from ops.demo.toy.streams.pipes import MAX_LINE_BYTES, Pipe, Sink, Source


class Terminal:
    """Between the client's raw keyboard and screen and the processes of one session. A Source and a Sink."""

    def __init__(self, keyboard: Source, screen: Sink) -> None:
        self.rows = 24
        self.columns = 80
        self.sized = trio.Event()
        self.foreground: trio.CancelScope | None = None
        self._keyboard = keyboard
        self._screen = screen
        self._lines = Pipe()
        self._line = bytearray()
        self._pending_ends = 0
        self._waiting = trio.lowlevel.ParkingLot()
        self._hung_up = False

    def resize(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.sized.set()

    async def run(self) -> None:
        """Read the keyboard until it ends; then every read finds the end."""
        try:
            while data := await self._keyboard.receive_some(4096):
                for key in data:
                    await self._press(key)
        except trio.BrokenResourceError:
            pass
        finally:
            self._hung_up = True
            self._lines.end()
            self._waiting.unpark_all()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """One line, or b"" for a Ctrl-D; a later read finds what is typed after it."""
        while not self._lines.ready and not self._pending_ends and not self._hung_up:
            await self._waiting.park()
        if not self._lines.ready and self._pending_ends:
            self._pending_ends -= 1
            await trio.lowlevel.checkpoint()
            return b""
        return await self._lines.receive_some(max_bytes)

    async def send_all(self, data: bytes) -> None:
        """To the screen, with a carriage return before each newline."""
        await self._screen.send_all(data.replace(b"\n", b"\r\n"))

    async def _press(self, key: int) -> None:
        match key:
            case 0x03:  # Ctrl-C
                self._line.clear()
                if self.foreground is not None:
                    self.foreground.cancel()
                await self._screen.send_all(b"^C\r\n")
            case 0x04 if not self._line:  # Ctrl-D, alone
                self._pending_ends += 1
                self._waiting.unpark_all()
            case 0x04:  # Ctrl-D after text: hand it over as it is
                await self._commit(b"")
            case 0x7F | 0x08:  # backspace
                if self._line:
                    del self._line[-1]
                    await self._screen.send_all(b"\b \b")
            case 0x15:  # Ctrl-U
                await self._screen.send_all(b"\b \b" * len(self._line))
                self._line.clear()
            case 0x0D | 0x0A:
                await self._screen.send_all(b"\r\n")
                await self._commit(b"\n")
            case _:
                self._line.append(key)
                await self._screen.send_all(bytes((key,)))
                if len(self._line) >= MAX_LINE_BYTES:
                    await self._commit(b"")

    async def _commit(self, end: bytes) -> None:
        line = bytes(self._line) + end
        self._line.clear()
        if not self._hung_up:
            await self._lines.send_all(line)
        self._waiting.unpark_all()
