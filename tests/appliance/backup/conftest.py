"""An appliance to back up, and places to restore it into, on either engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.appliance.backup.places import Place, make_guesses_cheap
from tests.support.postgres import PostgresServer

MakePlace = Callable[[str], Place]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_guesses_cheap(monkeypatch)


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakePlace]:
    """Give it the engine's name."""
    made: list[Place] = []

    def make(engine: str) -> Place:
        directory = tmp_path / f"place-{len(made)}"
        directory.mkdir()
        server: PostgresServer | None = None
        if engine == "postgres":
            server = request.getfixturevalue("postgres_server")
        made.append(Place(directory, server, server.fresh() if server is not None else ""))
        return made[-1]

    yield make
    for place in made:
        if place.server is not None:
            place.server.drop(place.name)
