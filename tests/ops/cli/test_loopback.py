"""What the loopback address believes: an answer to what this very command asked, and nothing else."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from ops.cli.loopback import Brought, read

ISSUER, STATE = "https://fairlead.example.com", "the-state-of-this-command"
GOOD = {"code": "flo_1", "state": STATE, "iss": ISSUER}


def target(**changes: str) -> str:
    return f"/callback?{urlencode({name: value for name, value in (GOOD | changes).items() if value})}"


def test_an_answer_is_taken() -> None:
    assert read(target(), ISSUER, STATE) == Brought("flo_1", "")
    assert read(target(code="", error="access_denied"), ISSUER, STATE) == Brought("", "access_denied")


@pytest.mark.parametrize(
    "wrong",
    [
        target(state="of-another"),
        target(state=""),
        target(state=STATE + "é"),
        target(iss="https://other.example.com"),
        target(iss=""),
        target(code=""),
        target() + "&code=flo_2",
        target().replace("/callback", "/"),
        "/favicon.ico",
    ],
)
def test_anything_else_changes_nothing(wrong: str) -> None:
    assert read(wrong, ISSUER, STATE) is None
