"""Where the command keeps what it remembers, and how it is kept: one directory, private, one writer at a time.

    config.json                              servers (profiles), and which one is in use; nothing secret
    sessions/PROFILE/ACCOUNT.json            who is signed in: tokens, unless the keyring has the refresh token
    credentials/PROFILE/ACCOUNT/CLUSTER.json the kubeconfig credential that the plugin gives out until it expires
    lock                                     held by whoever writes

What always holds: the directory is of mode 0700 and its files of mode 0600; a reader sees an old file or a new one,
never a part; no name from outside can lead out of the directory. The credential plugin imports this module for each
kubectl, so it is made of builtins and `os`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOME_VARIABLE = "FAIRLEAD_CLI_HOME"
MACHINE = "@machine"  # the profile of a token file: none that somebody named can be called so
LOCK_SECONDS = 60.0  # a renewal that asks a provider, behind another one
LOCK_POLL_SECONDS = 0.02  # flock has no deadline of its own
MAX_NAME_CHARS = 180  # with what is appended, below the 255 bytes of a file system
MAX_SHOWN_CHARS = 100  # of a longer one
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.@")


def home() -> str:
    """The directory, made or not."""
    given = os.environ.get(HOME_VARIABLE)
    if given:
        return os.path.abspath(given)  # noqa: PTH100 -- pathlib costs the plugin a third of its time
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")  # noqa: PTH111, PTH118 -- as above
    return f"{base}/fairlead"


def within(*names: str) -> str:
    """A path in the directory. Each name becomes one element, whatever it holds."""
    return "/".join((home(), *(element(name) for name in names)))


def inside(path: str) -> str:
    """The other way: what `within` gave, from the directory on."""
    return path[len(home()) + 1 :]


def element(name: str) -> str:
    """The name as an element of a path: never two names the same, also where a file system does not tell case."""
    escaped = "".join(c if c in _PLAIN else "".join(f"%{byte:02x}" for byte in c.encode()) for c in name)
    if escaped.startswith("."):
        escaped = "%2e" + escaped[1:]
    if len(escaped) <= MAX_NAME_CHARS:
        return escaped
    from hashlib import sha256

    return f"{escaped[:MAX_SHOWN_CHARS]}%{sha256(name.encode()).hexdigest()}"


def read(path: str) -> dict[str, object] | None:
    """A file of ours; None: there is none, or it is not what we wrote."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- as above
            document = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def prepare(path: str) -> None:
    """Every directory on the way to a file of ours, from `home` on for us alone."""
    if not os.path.isdir(home()):  # noqa: PTH112 -- as above
        os.makedirs(home(), 0o700, exist_ok=True)  # noqa: PTH103 -- as above
    at = home()
    for name in inside(path).split("/")[:-1]:
        at += f"/{name}"
        if not os.path.isdir(at):  # noqa: PTH112 -- as above
            with suppress(FileExistsError):  # another one of us was quicker
                os.mkdir(at, 0o700)  # noqa: PTH102 -- as above


def write(path: str, document: object) -> None:
    """Replace a file, as a whole; the caller holds the lock."""
    from pathlib import Path

    from ops.demo.files import write_private

    target = Path(path)
    prepare(path)
    write_private(target, json.dumps(document, indent=1).encode())


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Nobody else in this block, in any process; a `Fault` if somebody else stays in it. `name`: a path in home."""
    import threading
    import time

    from ops.cli.faults import Fault

    waiting = threading.Event()
    until = time.monotonic() + LOCK_SECONDS
    while True:
        with alone(name) as got:
            if got:
                yield
                return
        if time.monotonic() > until:
            raise Fault(f"Another fairlead has held {name}.lock for {LOCK_SECONDS:.0f} s.", next_step="end it")
        waiting.wait(LOCK_POLL_SECONDS)


@contextmanager
def alone(name: str) -> Iterator[bool]:
    """Whether the block is for us alone; if not, somebody else is in it now."""
    import fcntl

    path = f"{home()}/{name}.lock"
    prepare(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            got = True
        except BlockingIOError:
            got = False
        yield got
    finally:
        os.close(descriptor)  # which also unlocks
