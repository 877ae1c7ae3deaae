"""A line on the terminal for what takes longer than a second, gone when it is over.

What always holds: standard output is not touched, and where standard error is no terminal nothing is said, so that a
log holds no half lines; of several that run inside each other only the outermost speaks.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ops.cli.output import clean, times

QUIET_SECONDS = 1.0  # what takes no longer says nothing
EVERY_SECONDS = 1.0

_speaking = threading.Lock()


@contextmanager
def patience(what: str) -> Iterator[None]:
    """While this lasts, say what is waited for."""
    if not sys.stderr.isatty() or not _speaking.acquire(blocking=False):
        yield
        return
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(clean.plain(what), over), daemon=True)
    # A signal that this thread took would reach the main one although that holds it back (`ops.cli.renewal`).
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    teller.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield
    finally:
        over.set()
        teller.join()
        _speaking.release()


def _tell(what: str, over: threading.Event) -> None:
    began, widest = time.monotonic(), 0
    wait = QUIET_SECONDS
    while not over.wait(wait):
        line = f"{what}, {times.span(time.monotonic() - began)}"
        widest = max(widest, clean.columns(line))
        sys.stderr.write(f"\r{line}")
        sys.stderr.flush()
        wait = EVERY_SECONDS
    if widest:
        sys.stderr.write("\r" + " " * widest + "\r")
        sys.stderr.flush()
