"""`fairlead toy-cluster`: the toy cluster by itself, until a signal."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import trio

from ops.demo.toy.server import serve


def run(listen: str, directory: Path) -> None:
    """Serve until SIGINT or SIGTERM; `directory` gets ca.pem, token and url."""
    trio.run(_until_told, listen, directory)


async def _until_told(listen: str, directory: Path) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve, listen, directory)
            print(json.dumps({"event": "ready", "level": "info", "url": url}), flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                return
