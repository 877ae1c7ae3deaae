"""Setup codes, made on the appliance's own host by whoever may read its data directory.

The first administrator spends one in the browser, and so does whoever must get in while no identity provider works.
What always holds: a code is printed once and kept as its SHA-256 only; it is good once, for an hour; that it was used
is in the audit trail (`login.setting_up`). That one was made is there as well, unless the appliance runs and the ledger
is its own: then its use is what is on record.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance import database
from appliance.config import Config
from appliance.core.events import AuditEvent, EventType
from appliance.core.sessions import SECOND, SETUP_CODE_SECONDS
from appliance.host_record import record_unless_running, told_as
from appliance.layout import Layout
from appliance.store import flows, ids
from appliance.store.clock import utc_micros

PREFIX = "fls"


class SetupCodeError(Exception):
    """No code was made; the text is one sentence."""


async def make(config: Config, clock: Callable[[], int] = utc_micros) -> str:
    """Make a code and return it."""
    Layout(config.data_dir).make()
    now, code = clock(), ids.new_token(PREFIX)
    with told_as(SetupCodeError):
        async with database.opened(config, migrate=False, clock=clock) as store:
            await record_unless_running(config, store, AuditEvent(now, EventType.SETUP_CODE_MADE, actor="host"))
            await store.write(flows.add_setup_code(ids.token_hash(code), now, now + SETUP_CODE_SECONDS * SECOND))
    return code
