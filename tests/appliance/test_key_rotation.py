"""Signing keys: the newest signs, the one before it is believed, and no older one."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.core.credentials import SECOND, Credential, TokenVerifier, key_id, mint
from appliance.core.events import EventType
from appliance.core.problems import Problem
from appliance.key_rotation import KeyRotationError, rotate
from appliance.keys import Keys, open_keys
from appliance.layout import Layout
from appliance.store.clock import utc_micros
from appliance.store.store import Store
from tests.appliance.test_machine_token import config, recorded

pytestmark = pytest.mark.real_clock  # store and ledger have threads

NOW = 1_800_000_000_000_000
CREDENTIAL = Credential("cred_1", "person_1", "cluster_1", NOW, NOW + 3600 * SECOND)


async def started(layout: Layout) -> Keys:
    """The keys as an appliance that starts now has them."""
    store = await Store.open(layout.store, master_key=layout.master_key)
    try:
        return await open_keys(store, utc_micros)
    finally:
        await store.aclose()


def believed(keys: Keys, token: str) -> bool:
    return not isinstance(TokenVerifier(keys.believed).verify(token.encode(), NOW), Problem)


async def test_tokens_of_the_key_before_are_believed_and_older_ones_are_not(tmp_path: Path) -> None:
    settings = config(tmp_path)
    layout = Layout(settings.data_dir)
    layout.make()
    tokens = []
    for round_number in range(12):  # past one digit
        keys = await started(layout)
        tokens.append(mint(CREDENTIAL, keys.credentials))
        good = [believed(keys, token) for token in tokens]
        assert good == [number >= round_number - 1 for number in range(round_number + 1)]
        made = await rotate(settings)
        assert made == key_id((await started(layout)).credentials.public_key())
    assert recorded(layout) == [EventType.KEY_ROTATED] * 12


async def test_a_running_appliance_is_not_rotated_under(tmp_path: Path) -> None:
    settings = config(tmp_path)
    layout = Layout(settings.data_dir)
    layout.make()
    with layout.claimed(), pytest.raises(KeyRotationError, match="stop it, rotate, and start it again"):
        await rotate(settings)
