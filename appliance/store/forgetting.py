"""What the store removes when it is of no use any more."""

from __future__ import annotations

from appliance.core import access, webhooks
from appliance.core.access import RequestState
from appliance.core.credentials import KEPT_SECONDS, SECOND
from appliance.core.snapshot import Entity
from appliance.store import outbox_statements, statements, units
from appliance.store.unit import Unit, run

SESSIONS_KEPT_SECONDS = 30 * 86400  # longer than any login, and as long as someone may ask where it went
MAX_FORGOTTEN = 500  # bindings or requests in one sweep; the next one takes the rest


def forget_expired(now: int, changes_before: int) -> Unit[None]:
    """Removes what the clock has already made void, and old history of the feed.

    Revocations and certificates the snapshot forgets by itself. Bindings stay as long as the feed's history, so that
    `explain` can say "it has ended"; closed requests stay for a season.
    """
    yield run(statements.FEED_LOCK)
    kept = now - KEPT_SECONDS * SECOND
    yield run(statements.BOOTSTRAP_TOKENS_FORGET, now)
    yield run(statements.MACHINE_TOKENS_FORGET, kept)
    yield run(statements.EXCHANGED_FORGET, now)
    yield run(statements.CERTIFICATES_FORGET, now)
    for text in (
        statements.CREDENTIALS_FORGET,
        statements.REVOCATIONS_FORGET,
        statements.ISSUES_FORGET,
        statements.SIGN_INS_FORGET,
        statements.AUTHORIZATIONS_FORGET,
        statements.DEVICES_FORGET,
        statements.SETUP_CODES_FORGET,
        statements.SESSION_TOKENS_FORGET,
    ):
        yield run(text, kept)
    for text in (statements.SESSIONS_FORGET, statements.LOGINS_FORGET):
        yield run(text, now - SESSIONS_KEPT_SECONDS * SECOND)
    yield run(outbox_statements.DELIVERIES_FORGET, now - webhooks.KEPT_SECONDS * SECOND)
    yield run(statements.CHANGES_FORGET, changes_before)
    for (binding_id,) in (yield run(statements.BINDINGS_ENDED, changes_before, MAX_FORGOTTEN)):
        yield from units.remove_binding(binding_id, now)
    kept_after = now - access.KEPT_SECONDS * access.SECOND
    open_states = (str(RequestState.PENDING), str(RequestState.APPROVED))
    for (request_id,) in (yield run(statements.ACCESS_REQUESTS_CLOSED, kept_after, *open_states, MAX_FORGOTTEN)):
        yield from units.change(Entity.ACCESS_REQUEST, request_id, now)
        yield run(statements.ACCESS_REQUEST_REMOVE, request_id)
