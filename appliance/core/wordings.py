"""Sentences of codes that say one thing to a program and several to people; beside the catalogue, and as closed.

A caller who may not is FORBIDDEN, whatever it is: at a cluster the catalogue's own sentence says why, at the admin API
one of these. Each says what to do next. Pure.
"""

from __future__ import annotations

from enum import Enum

from appliance.core.problems import Code, Problem, filled


class Wording(Enum):
    """Which code, and what is said instead of its sentence."""

    NO_PERMISSION = (
        Code.FORBIDDEN,
        "You may not call {call}, which needs {needs}, with this token. Ask an administrator for a role that holds it.",
    )
    NO_PERMISSION_THERE = (
        Code.FORBIDDEN,
        "This needs {needs} in a scope that contains what you name. Ask an administrator for it.",
    )
    NOT_SIGNED_IN = (
        Code.FORBIDDEN,
        "This is about whoever signed in, and a machine has not. Sign in, and ask as yourself.",
    )
    NOT_A_MACHINE = (
        Code.FORBIDDEN,
        "This is about the machine that asks, and you are not one. Ask with the machine's own token.",
    )
    NO_CERTIFICATE = (
        Code.AUTHENTICATION_REQUIRED,
        "No agent certificate was shown. Enrol with a bootstrap bundle.",
    )
    CERTIFICATE_REFUSED = (
        Code.CREDENTIAL_REVOKED,
        "The agent's certificate is refused: {fault}. Make a new bundle for the cluster and install it.",
    )
    TOO_MANY_CERTIFICATES = (
        Code.RATE_LIMITED,
        "This cluster's agents hold {limit} certificates already: one of them renews in a loop. Its log says why.",
    )


def worded(wording: Wording, **words: object) -> Problem:
    """The problem in these words; a missing one is our bug and raises KeyError."""
    code, sentence = wording.value
    return Problem(code, filled(sentence, words))
