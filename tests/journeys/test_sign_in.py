"""People sign in: in a real browser, at a provider nobody here wrote, and use what they get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.journeys.gatehouse import Gatehouse, running_gatehouse

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    with running_gatehouse(tmp_path_factory.mktemp("gatehouse")) as made:
        yield made


def test_a_command_gets_a_session_and_a_credential(house: Gatehouse) -> None:
    subject = house.person("developers")
    tokens = house.command(subject)
    status, me = house.raw("GET", "/fairlead/v1/me", tokens["access_token"])
    assert (status, me["name"], me["groups"]) == (200, f"{subject}@example.com", ["developers"])
