"""What the command says when it cannot do what it was asked, and the exit code it then has.

A `Fault` is raised anywhere below a command; `barrier` stands around every command and is the one place that prints
one. What always holds: one sentence on standard error, then the catalogue's code and the correlation id if the
appliance gave them, then what to do next; never a traceback, unless --debug asks for it. The exit codes are for scripts
and do not change.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn


class Exit(IntEnum):
    """What a script learns."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_SIGNED_IN = 3
    FORBIDDEN = 4
    NOT_FOUND = 5
    UNREACHABLE = 6
    CANCELLED = 130  # 128 + SIGINT, as a shell has it


SIGN_IN = "fairlead login"

_BY_STATUS: Mapping[int, Exit] = {
    401: Exit.NOT_SIGNED_IN,
    403: Exit.FORBIDDEN,
    404: Exit.NOT_FOUND,
    502: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}


class Fault(Exception):
    """Why a command ends. The text is one sentence; `next_step` a command or a phrase; `code` is the catalogue's."""

    def __init__(
        self,
        sentence: str,
        exit_code: Exit = Exit.FAILED,
        *,
        next_step: str = "",
        code: str = "",
        correlation_id: str = "",
    ) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code
        self.next_step = next_step
        self.code = code
        self.correlation_id = correlation_id


def refused(status: int, document: Any, correlation_id: str = "") -> Fault:
    """The fault that an answer of the appliance means: problem+json, or an OAuth error (RFC 6749 §5.2)."""
    told = document if isinstance(document, dict) else {}
    sentence = told.get("detail") or told.get("error_description") or f"The appliance answered with status {status}."
    code = str(told.get("code") or "")
    exit_code = _BY_STATUS.get(status, Exit.FAILED)
    if code in {"INVALID_GRANT", "GRANT_REPLAYED", "SESSION_ENDED"}:
        exit_code = Exit.NOT_SIGNED_IN
    if code in {"VALIDATION_ERROR", "INVALID_DURATION"}:
        exit_code = Exit.USAGE
    if code == "ROUTE_NOT_FOUND":  # not what was named is missing, but the route: an older appliance
        exit_code = Exit.FAILED
    return Fault(
        plain(str(sentence)),
        exit_code,
        next_step=SIGN_IN if exit_code is Exit.NOT_SIGNED_IN else "",
        code=code,
        correlation_id=str(told.get("correlation_id") or correlation_id),
    )


def plain(text: str) -> str:
    """One line without control characters: what a peer says must not be able to move the cursor."""
    return "".join(c if c.isprintable() else " " for c in text)


def told(fault: Fault) -> str:
    """The lines that a person sees."""
    lines = [f"fairlead: {fault}"]
    asked = [it for it in (fault.code, f"correlation id {fault.correlation_id}" if fault.correlation_id else "") if it]
    if asked:
        lines.append(f"  {', '.join(asked)}")
    if fault.next_step:
        lines.append(f"  Next: {fault.next_step}")
    return "\n".join(map(plain, lines))


def of_system(error: OSError) -> Fault:
    """A file or the system that does not do what is needed."""
    if error.errno == errno.ENOSPC:
        return Fault("The disk is full.")
    where = error.filename if isinstance(error.filename, str) else None
    return Fault(f"{where or 'The system'}: {error.strerror or error}.")


def debugging() -> bool:
    """Whether everything is to be told. Known before any option is read, so that no mistake comes too early for it."""
    return "--debug" in sys.argv[1:] or bool(os.environ.get("FAIRLEAD_CLI_DEBUG"))


@contextmanager
def barrier() -> Iterator[None]:
    """Whatever ends a command ends the process here, with a sentence and an exit code."""
    try:
        yield
    except Fault as fault:
        _end(told(fault), fault.exit_code)
    except (KeyboardInterrupt, EOFError):
        _end("fairlead: Stopped.", Exit.CANCELLED)
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(Exit.FAILED) from None
    except OSError as error:
        _end(told(of_system(error)), Exit.FAILED)
    except Exception as error:
        if debugging():
            raise
        what = plain(f"{type(error).__name__}: {error}")[:300]
        _end(f"fairlead: Something went wrong in this program ({what}).\n  Next: try again with --debug", Exit.FAILED)


def _end(text: str, exit_code: int) -> NoReturn:
    sys.stderr.write(text + "\n")
    raise SystemExit(int(exit_code)) from None
