"""Disks that fill while people work: the appliance's own, and those of its PostgreSQL. See outage.py."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from ops.demo.files import write_private
from ops.demo.settings import Home
from tests.journeys.outage import is_whole, refused_and_back
from tests.journeys.stack import STOP_SECONDS, Part, running_stack
from tests.support import postgres
from tests.support.disk import small_disk
from tests.support.postgres import PostgresServer, cluster_on_disk

DISK_MEBIBYTES = 32


def test_the_disk_of_an_appliance_with_sqlite(tmp_path: Path, unique: str) -> None:
    home = Home(tmp_path / "home")
    home.make()
    with small_disk(home.appliance, DISK_MEBIBYTES) as disk, running_stack(tmp_path) as stack:
        refused_and_back(stack, unique, disk.fill, disk.make_room)

        disk.fill()
        stack.appliance.kill()
        disk.make_room()
        stack.start_appliance()
        stack.until_it_works()
        is_whole(stack)

        stack.appliance.stop()
        disk.fill()
        hopeless = Part("serve", "--config", str(home.root / "fairlead.toml"))
        assert hopeless.process.wait(STOP_SECONDS) == 1
        hopeless.stop()
        (sentence,) = hopeless.said
        assert "disk is full" in sentence


@pytest.mark.parametrize("what", ["data", "wal"])
def test_the_disk_of_a_postgresql(tmp_path: Path, what: Literal["data", "wal"], unique: str) -> None:
    """Without room for data it refuses; without room for its log it dies, and is started again when there is some."""
    with cluster_on_disk(what) as (server, disk), running_stack(tmp_path, settings=settings(tmp_path, server)) as stack:

        def mend() -> None:
            disk.make_room()
            server.supervise()

        def broken() -> None:
            disk.fill()
            if what == "wal":
                use_up(server)

        refused_and_back(stack, unique, broken, mend)


def use_up(server: PostgresServer) -> None:
    """Its log takes room a segment at a time: it needs the next one now, however slowly the work goes on."""
    with pytest.raises(subprocess.CalledProcessError):
        for _ in range(postgres.DISK_MEBIBYTES):  # each has one
            server.query("postgres", "SELECT pg_logical_emit_message(true, '', '')", "SELECT pg_switch_wal()")


def settings(directory: Path, server: PostgresServer) -> str:
    url, key = directory / "url", directory / "key"
    write_private(url, server.url(server.fresh()).encode())
    write_private(key, base64.b64encode(os.urandom(32)))
    return f'[store]\nurl_file = "{url}"\nmaster_key = "{key}"\n'
