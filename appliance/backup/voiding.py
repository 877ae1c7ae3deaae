"""What must not come back to life with an old configuration: whatever was given out before the restore.

A backup does not know what was revoked after it. So every kubeconfig credential, machine token and unspent bundle that
was given out before the restore is refused after it, unless the operator says otherwise. Agents' certificates stay: an
agent in its cluster has nobody beside it who could give it a new one. It is all written as changes, like an
administrator's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.core.clusters import Cluster
from appliance.core.snapshot import Entity
from appliance.store import rows, statements, units
from appliance.store.unit import Unit, run

FOREVER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Voided:
    """`clusters`: whose credentials are refused. `machines`: whose tokens are."""

    clusters: int
    machines: tuple[str, ...]


def void_what_was_issued(now: int) -> Unit[Voided]:
    """Refuses everything given out until now."""

    def refusing(cluster: Cluster) -> Cluster:
        return replace(cluster, not_before=max(cluster.not_before, now))

    clusters = yield run(statements.CLUSTERS)
    for row in clusters:
        yield from units.set_cluster(rows.cluster(row).id, refusing, now)
    ended = []
    for row in (yield run(statements.MACHINES)):
        machine = rows.machine(row)
        if machine.expires_at is None or machine.expires_at > now:
            yield from units.change(Entity.MACHINE, machine.id, now)
            yield run(statements.MACHINE_END, machine.id, now)
            ended.append(machine.name)
    yield run(statements.BOOTSTRAP_TOKENS_FORGET, FOREVER)
    return Voided(len(clusters), tuple(ended))
