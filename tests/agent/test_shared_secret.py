"""Replicas that share one identity in a Secret: one token, one key, and whoever is slower takes what is there."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from agent import config
from agent.api_server import ApiServer
from agent.custody import CustodyError
from agent.enrolment import Enrolment
from agent.identity import DataDirectory
from agent.shared_secret import SharedSecret
from agent.upstream import Upstream
from appliance.core.events import EventType
from ops.demo.toy.server import serve
from tests.appliance.tunnel.rig import Harbour, harbour
from tests.ops.toy.conftest import ToyCluster
from tests.ops.toy.http_client import connected

pytestmark = pytest.mark.real_clock

SECRETS = "/api/v1/namespaces/fairlead/secrets"
NAME = "fairlead-agent-identity"


@dataclass
class World:
    """An appliance, a toy cluster, and replicas of one agent between them."""

    here: Harbour
    toy: ToyCluster
    api_server: ApiServer
    bundle: Path
    root: Path

    def replica(self, name: str) -> tuple[DataDirectory, Enrolment]:
        directory = DataDirectory(self.root / name)
        directory.prepare()
        custody = SharedSecret(self.api_server, directory, "fairlead", NAME)
        return directory, Enrolment(directory, self.bundle, custody)

    async def secret(self) -> dict[str, bytes]:
        secret = await self.as_admin("GET", f"{SECRETS}/{NAME}")
        return {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}

    async def make_secret(self) -> None:
        await self.as_admin("POST", SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}})

    async def as_admin(self, method: str, path: str, body: Any = None) -> Any:
        async with connected(self.toy) as client:
            answer = await client.ask(method, path, body)
        assert answer.status < 300, answer.body
        return answer.json()


@asynccontextmanager
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "appliance").mkdir()
    async with harbour(tmp_path / "appliance") as here, trio.open_nursery() as nursery:
        toy = ToyCluster(tmp_path / "toy", await nursery.start(serve, "127.0.0.1:0", tmp_path / "toy"))
        files = toy.directory / "ca.pem", toy.directory / "token"
        upstream = Upstream(config.Upstream("127.0.0.1", toy.port, *files, None, None, "127.0.0.1"))
        yield World(here, toy, ApiServer(upstream), await here.bundle(), tmp_path)
        nursery.cancel_scope.cancel()


async def test_replicas_that_start_at_once_share_one_key_one_token_and_each_renewal(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.make_secret()
        replicas = [it.replica(f"replica-{number}") for number in range(3)]

        async with trio.open_nursery() as nursery:
            for _, enrolment in replicas:
                nursery.start_soon(enrolment.identity)

        identities = [directory.identity() for directory, _ in replicas]
        assert all(identities)
        assert len({directory.content()["agent.key"] for directory, _ in replicas}) == 1
        assert len({one.certificate_path.read_bytes() for one in identities if one is not None}) == 1
        assert it.here.kinds().count(EventType.AGENT_AUTH_FAILED) == 0, "nobody showed the token with another key"
        assert (await it.secret())["agent.key"] == replicas[0][0].content()["agent.key"]

        first = identities[0]
        assert first is not None
        async with trio.open_nursery() as nursery:
            for _, enrolment in replicas:
                nursery.start_soon(enrolment.renew, first)
        for directory, enrolment in replicas:
            await enrolment.identity()
            assert directory.content() == await it.secret()
        renewed = replicas[0][0].identity()
        assert renewed is not None
        assert renewed.issued > first.issued
        session = await it.here.dial(renewed)
        session.abort()


async def test_a_replica_that_comes_later_needs_no_token(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.make_secret()
        await it.replica("first")[1].identity()
        it.bundle.unlink()
        directory, enrolment = it.replica("late")
        directory.private_key()  # of a start before the Secret was there

        await enrolment.identity()

        assert directory.content() == await it.secret()


async def test_what_cannot_be_shared_is_said_and_what_is_here_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        directory, enrolment = it.replica("lonely")
        with pytest.raises(CustodyError, match="no Secret fairlead/fairlead-agent-identity: make an empty one"):
            await enrolment.identity()
        await it.make_secret()
        kept = await enrolment.identity()
        await it.as_admin("DELETE", f"{SECRETS}/{NAME}")

        assert await enrolment.identity() == kept, "the copy here is used"

        await it.make_secret()
        await enrolment.identity()
        assert await it.secret() == directory.content(), "an emptied Secret is filled again"


async def test_a_secret_that_holds_something_else_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.make_secret()
        secret = await it.as_admin("GET", f"{SECRETS}/{NAME}")
        damaged = {**secret, "data": {"agent.key": base64.b64encode(json.dumps("no key").encode()).decode()}}
        await it.as_admin("PUT", f"{SECRETS}/{NAME}", damaged)

        with pytest.raises(CustodyError, match="holds no identity"):
            await it.replica("new")[1].identity()
