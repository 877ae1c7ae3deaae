"""The first caller's token: shown once, kept as a hash, recorded, and good for everything the API offers."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from appliance.api import callers
from appliance.api.callers import Caller
from appliance.audit.ledger import Ledger
from appliance.audit.reader import Reader
from appliance.config import Config, load
from appliance.core.events import EventType
from appliance.core.roles import Permission
from appliance.keys import open_keys
from appliance.layout import Layout
from appliance.machine_token import MachineTokenError, mint, record_new
from appliance.store.clock import utc_micros
from appliance.store.store import Store

pytestmark = pytest.mark.real_clock  # store and ledger have threads


def config(tmp_path: Path) -> Config:
    path = tmp_path / "f.toml"
    path.write_text(f'public_url = "https://f.example.com"\ndata_dir = "{tmp_path / "data"}"\n')
    path.chmod(0o600)
    return load(path, {})


def recorded(layout: Layout) -> list[EventType]:
    with Reader(layout.audit) as reader:
        return [kept.event.type for kept in reversed(list(reader.export())) if kept.event is not None]


async def test_the_token_may_do_everything_until_it_expires(tmp_path: Path) -> None:
    settings = config(tmp_path)
    token = await mint(settings, "ci", 3600)
    layout = Layout(settings.data_dir)

    store = await Store.open(layout.store)
    now = utc_micros()
    caller = callers.machine(token, store.snapshot, now)
    late = callers.machine(token, store.snapshot, now + 3_601_000_000)
    await store.aclose()

    assert isinstance(caller, Caller)
    assert caller.principal.name == "ci"
    assert all(caller.rights.everywhere(permission) for permission in Permission)
    assert not isinstance(late, Caller)
    assert recorded(layout) == [EventType.MACHINE_CREATED]
    for file in layout.root.iterdir():
        assert token.encode() not in file.read_bytes()


async def test_names_are_checked_and_taken_once(tmp_path: Path) -> None:
    settings = config(tmp_path)
    await mint(settings, "ci", 60)

    with pytest.raises(MachineTokenError, match="A machine of the name ci exists"):
        await mint(settings, "ci", 60)
    with pytest.raises(MachineTokenError, match="begins with system:"):
        await mint(settings, "system:ci", 60)
    assert recorded(Layout(settings.data_dir)) == [EventType.MACHINE_CREATED]


async def test_a_running_appliance_records_what_it_sees(tmp_path: Path) -> None:
    settings = config(tmp_path)
    layout = Layout(settings.data_dir)
    layout.make()
    with layout.claimed():
        store = await Store.open(layout.store, master_key=layout.master_key)
        ledger = Ledger(layout.audit, (await open_keys(store, utc_micros)).audit, utc_micros)
        await ledger.start()
        store.on_change.append(record_new(store, ledger, utc_micros))

        token = await mint(settings, "ci", 60)
        with trio.fail_after(10):
            while EventType.MACHINE_CREATED not in recorded(layout):
                await store.poll()
                await trio.sleep(0.01)
        await ledger.aclose()
        await store.aclose()

    assert token.startswith("flm_")
    assert recorded(layout).count(EventType.MACHINE_CREATED) == 1
