"""Runs the `fairlead` command as a child that does not outlive its parent.

The parent holds the other end of our standard input and never writes to it. When the parent is gone, however it went,
the pipe ends, and this process asks itself to stop as an operator would.
"""

from __future__ import annotations

import os
import signal
import threading


def hold() -> None:
    """Watch standard input in a thread of its own; its end is SIGTERM."""
    threading.Thread(target=_wait_for_the_end, name="leash", daemon=True).start()


def _wait_for_the_end() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    from ops.cli.main import main

    hold()
    main()
