"""The state of one exchange, as a table.

An exchange is two directions, the request's and the answer's, and each is in one of three states. Rule 1: whatever
changes a state stands in this file. Rule 2: this file does not know which end we are. What is not in the table is a
protocol error; there is no default row.

    request:            FLOWING --END--> ENDED          (an OPEN without a body starts ENDED)
    answer:  AWAITING --HEAD--> FLOWING --END--> ENDED
    RESET takes either direction from anywhere to ENDED.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where one direction stands."""

    __hash__ = object.__hash__  # members are singletons; hashing their names would cost more than the table

    AWAITING = auto()  # nothing may flow before the answer's head
    FLOWING = auto()
    ENDED = auto()


class Step(Enum):
    """What a frame does to the direction it travels in."""

    __hash__ = object.__hash__

    HEAD = auto()
    DATA = auto()
    END = auto()
    RESET = auto()


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.AWAITING, Step.HEAD): State.FLOWING,
    (State.FLOWING, Step.DATA): State.FLOWING,
    (State.FLOWING, Step.END): State.ENDED,
    (State.AWAITING, Step.RESET): State.ENDED,
    (State.FLOWING, Step.RESET): State.ENDED,
    (State.ENDED, Step.RESET): State.ENDED,
}
"""CREDIT and STOP change nothing here: the one is an account, the other a wish that the sender grants with END."""


class WrongStep(Exception):
    """A frame came, or was about to be sent, that the state of its direction does not allow."""


def after(state: State, step: Step) -> State:
    """Return the state that follows.

    Raises:
        WrongStep: the table has no such row.

    """
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise WrongStep(f"{step.name} while {state.name}") from None
