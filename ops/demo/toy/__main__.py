"""`python -m ops.demo.toy --listen 127.0.0.1:0 --dir DIR`: a toy cluster by itself, until interrupted."""

from __future__ import annotations

import argparse
import contextlib
import signal
from pathlib import Path

import trio

from ops.demo.toy.server import serve


async def _until_told(listen: str, directory: Path) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve, listen, directory)
            print(url, flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                return


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ops.demo.toy", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", help="address and port; port 0 takes a free one")
    parser.add_argument("--dir", required=True, type=Path, help="where ca.pem, token and url are written")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(_until_told, arguments.listen, arguments.dir)


if __name__ == "__main__":
    main()
