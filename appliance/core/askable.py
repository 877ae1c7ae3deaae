"""What someone may ask for on a cluster, and the command that asks for it: whoever is refused is told their next step.

Pure. A policy that names them is all they need; it is told to nobody else. What the command names is exact: the role
would allow the very request that was refused, where it was refused, and a word that a shell would read is quoted.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from appliance.core.access import RequestPolicy, names
from appliance.core.clusters import Cluster
from appliance.core.people import Person
from appliance.core.roles import Binding, Holding, Role, Subject, SubjectKind
from appliance.core.snapshot import Snapshot
from wire.kube import Ask, is_discovery, is_self_review


class Askable(NamedTuple):
    """A role that may be asked for, under the policy that says so."""

    policy: RequestPolicy
    role: Role

    def would_allow(self, ask: Ask) -> bool:
        """Whether the grant would let this request through. A first look around needs any grant at all."""
        if is_discovery(ask) or is_self_review(ask):
            return True
        grant = Binding("", Subject(SubjectKind.PERSON, "-"), self.role.id, self.policy.scope)
        return Holding(grant, self.role).allows(ask)


def askable(snapshot: Snapshot, person: Person, cluster: Cluster | None = None) -> Iterator[Askable]:
    """What the policies let this person ask for (on this cluster), the least asked of others first, then by name."""
    kind = SubjectKind.PERSON if person.id in snapshot.people else SubjectKind.MACHINE
    subject = Subject(kind, person.id)
    found = [
        Askable(policy, role)
        for policy in snapshot.policies.values()
        if (cluster is None or policy.scope.covers(cluster))
        and (role := snapshot.roles.get(policy.role_id)) is not None
        and names(policy.askers, subject, person)
    ]
    found.sort(key=lambda it: (it.policy.approvals, it.role.name, it.policy.id))
    yield from found


def command_for(snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask) -> str | None:
    """What to type to ask for what would allow this; None: there is nothing they may ask for."""
    if person.id not in snapshot.people:  # a machine does not type
        return None
    found = next((it for it in askable(snapshot, person, cluster) if it.would_allow(ask)), None)
    if found is None:
        return None
    words = ["fairlead", "access", "request", "--cluster", cluster.name, "--role", found.role.name]
    if found.policy.reason_required:
        words += ["--reason", "WHY"]
    return shlex.join(words)
