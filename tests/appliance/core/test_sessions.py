"""How long what signing in gives is good, and the codes that people type."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.core.people import Person
from appliance.core.sessions import (
    IDLE_SECONDS,
    LOGIN_SECONDS,
    READ_SECONDS,
    SECOND,
    ClientKind,
    Login,
    Session,
    shown,
    user_code,
)

NOW = 1_800_000_000_000_000
ANN = Person("person_1", "https://id.example.com", "1", "ann")
LOGIN = Login("login_1", "person_1", "provider_1", NOW, NOW, NOW + LOGIN_SECONDS * SECOND)
BY_CODE = replace(LOGIN, provider_id="")
SESSION = Session("session_1", "login_1", "person_1", ClientKind.COMMAND, "", "192.0.2.1", NOW, NOW)


@pytest.mark.parametrize(
    ("login", "person", "seconds", "fault"),
    [
        (LOGIN, ANN, READ_SECONDS - 1, None),
        (LOGIN, ANN, READ_SECONDS, "could not be asked"),
        (BY_CODE, ANN, READ_SECONDS, None),
        (replace(BY_CODE, ends_at=NOW + SECOND), ANN, 1, "has lasted its time"),
        (LOGIN, None, 0, "was deleted"),
        (LOGIN, replace(ANN, enabled=False), 0, "is disabled"),
        (LOGIN, replace(ANN, not_before=NOW), 0, "ended all sessions"),
        (LOGIN, replace(ANN, not_before=NOW - 1), 0, None),
        (replace(LOGIN, ended_at=NOW, ended_why="signed out"), ANN, 0, "signed out"),
        (BY_CODE, ANN, IDLE_SECONDS, "was not used"),
    ],
)
def test_why_a_session_is_over(login: Login, person: Person | None, seconds: int, fault: str | None) -> None:
    found = SESSION.fault(login, person, NOW + seconds * SECOND)
    assert (found is None) if fault is None else (fault in (found or "")), found


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("BCDF-GHJK", "BCDFGHJK"),
        (" bcdf ghjk ", "BCDFGHJK"),
        ("BCDFGHJ", None),
        ("BCDFGHJKL", None),
        ("BCDFGHJA", None),
        ("BCDFGHJ\u212a", None),  # the sign for kelvin, a K to some
        ("", None),
    ],
)
def test_what_is_typed_for_a_code(typed: str, code: str | None) -> None:
    assert user_code(typed) == code
    assert code is None or user_code(shown(code)) == code
