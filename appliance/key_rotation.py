"""A new key for kubeconfig credentials, made on the appliance's own host while the appliance is stopped.

Keys are read at the start only, so a rotation while it runs would change nothing until a restart: it is refused
instead, and then nobody believes that a leaked key is out of use when it is not. What always holds: the record of the
rotation is kept before the key exists; no key is ever removed from the store, only believed no longer. Where several
appliances share a database, all of them are stopped for it: one that still runs would not know the new key. One that
PostgreSQL could not know of, because it was cut off from it, ends when it comes back (`keys.KeyWatch`).
"""

from __future__ import annotations

from collections.abc import Callable

from appliance import database
from appliance.audit.shelf import Place
from appliance.audit_place import audit_place
from appliance.config import Config
from appliance.core.credentials import key_id
from appliance.core.events import AuditEvent, EventType
from appliance.host_record import record, told_as
from appliance.keys import CREDENTIAL_KEY, open_keys, signing_key, signing_key_names
from appliance.layout import InUseError, Layout
from appliance.store.clock import utc_micros
from appliance.store.faults import StoreInUse
from appliance.store.store import Store


class KeyRotationError(Exception):
    """No key was made; the text is one sentence."""


async def rotate(config: Config, clock: Callable[[], int] = utc_micros) -> str:
    """Make the key that the next start signs with; its id."""
    layout = Layout(config.data_dir)
    layout.make()
    with told_as(KeyRotationError):
        try:
            with layout.claimed():
                async with database.opened(config, migrate=False, clock=clock) as store, store.alone():
                    return await _rotate(audit_place(config), store, clock())
        except InUseError as error:
            raise KeyRotationError(f"{str(error).rstrip('.')}: stop it, rotate, and start it again.") from None
        except StoreInUse:
            raise KeyRotationError(
                "Appliances are running on this database: stop all of them, rotate, and start them again."
            ) from None


async def _rotate(place: Place, store: Store, now: int) -> str:
    keys = await open_keys(store, lambda: now)
    number = len(await signing_key_names(store)) + 1
    name = f"{CREDENTIAL_KEY}/{number}"
    details = (("key", name), ("replaces", key_id(keys.credentials.public_key())))

    await record(place, store, AuditEvent(now, EventType.KEY_ROTATED, actor="host", details=details))
    return key_id((await signing_key(store, name)).public_key())
