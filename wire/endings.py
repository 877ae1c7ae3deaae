"""Why a session is not, or no longer, there for new work; what happened to exchanges is exchange.py's. Pure."""

from __future__ import annotations


class SessionEnded(Exception):
    """The session is over; the sentence says why."""


class SessionDraining(Exception):
    """The peer takes no new exchanges. Nothing was started."""


class SessionFull(Exception):
    """As many exchanges are open as the peer takes. Nothing was started."""


class TunnelRefused(Exception):
    """The appliance refused the tunnel, with an HTTP status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence or f"refused with status {status}")
        self.status = status
        self.sentence = sentence


def first_sentence(group: BaseExceptionGroup[SessionEnded] | None) -> str:
    """Return why a session ended, of what its tasks raised."""
    for error in group.exceptions if group is not None else ():
        if isinstance(error, BaseExceptionGroup):
            return first_sentence(error)
        return str(error)
    return "ended"
