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
    for row in (yield run(statements.MACHINES)):
        machine = rows.machine(row)
        if machine.expires_at is None or machine.expires_at > now:
            yield from units.change(Entity.MACHINE, machine.id, now)
            yield run(statements.MACHINE_END, machine.id, now)
            ended.append(machine.name)
    for text in GIVEN_OUT:
        yield run(text, FOREVER)
    return Voided(len(clusters), tuple(ended))
