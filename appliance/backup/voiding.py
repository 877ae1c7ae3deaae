"""What must not come back to life with an old configuration: whatever was given out before the restore.

A backup does not know what was revoked after it. So every kubeconfig credential, machine token, session, setup code and
unspent bundle that was given out before the restore is refused after it. The keys stay: tokens of a key that nobody
knows any more count as guesses, and would lock out the address they come from. Agents' certificates stay: an agent in
its cluster has nobody beside it who could give it a new one. What others follow is written as changes, like an
administrator's.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.core.snapshot import Entity
from appliance.store import issuing, rows, statements, units
from appliance.store.unit import Unit, run

FOREVER = (1 << 63) - 1

#: What was given out and is known only by its digest: it is forgotten.
GIVEN_OUT = (
    statements.BOOTSTRAP_TOKENS_FORGET,
    statements.SIGN_INS_FORGET,
    statements.AUTHORIZATIONS_FORGET,
    statements.DEVICES_FORGET,
    statements.SETUP_CODES_FORGET,
    statements.SESSION_TOKENS_FORGET,
    statements.SESSIONS_FORGET,
    statements.LOGINS_FORGET,
)


@dataclass(frozen=True, slots=True)
class Voided:
    """`clusters`: whose credentials are refused. `machines`: whose tokens are."""

    clusters: int
    machines: tuple[str, ...]


def void_what_was_issued(now: int) -> Unit[Voided]:
    """Refuses everything given out until now."""
    clusters = yield run(statements.CLUSTERS)
    for row in clusters:
        yield from issuing.refuse_cluster(rows.cluster(row).id, now)
    ended = []
    names = {it.id: it.name for it in map(rows.machine, (yield run(statements.MACHINES)))}
    for token in map(rows.machine_token, (yield run(statements.MACHINE_TOKENS))):
        if token.live(now):
            yield from units.change(Entity.MACHINE_TOKEN, token.id, now)
            yield run(statements.MACHINE_TOKEN_END, token.id, now)
            ended.append(names.get(token.machine_id, token.machine_id))
    for text in GIVEN_OUT:
        yield run(text, FOREVER)
    return Voided(len(clusters), tuple(dict.fromkeys(ended)))
