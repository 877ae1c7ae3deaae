"""A container to run commands in, a set of them to serve connections from, and a whole cluster for kubectl."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.demo.toy.streams import Containers
from ops.demo.toy.streams.container import Container
from tests.ops.streams.rig import Toy, running_toy
from tests.ops.streams.rig_local import POD


@pytest.fixture
def containers() -> Iterator[Containers]:
    everything = Containers()
    yield everything
    everything.close()


@pytest.fixture
def container(containers: Containers) -> Container:
    return containers.enter(POD, "main")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    with running_toy(tmp_path_factory.mktemp("toy")) as toy:
        yield toy
