"""A container to run commands in, and a set of them to serve connections from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.demo.toy.streams import Containers
from ops.demo.toy.streams.container import Container
from tests.ops.streams.rig_local import POD


@pytest.fixture
def containers() -> Iterator[Containers]:
    everything = Containers()
    yield everything
    everything.close()


@pytest.fixture
def container(containers: Containers) -> Container:
    return containers.enter(POD, "main")
