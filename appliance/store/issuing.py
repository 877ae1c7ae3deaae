"""Units of work about kubeconfig credentials: issue one, list them, refuse many at once.

What always holds: a credential whose issue was committed before a refusal of its person or cluster is refused by it,
and one issued afterwards is not, within the same microsecond and whatever the clocks of two appliances say. Both lock
the same rows of `issues` first, and each moves its own time past what the other has left. Revocations of single
credentials are in `units`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from appliance.core.clusters import Cluster
from appliance.core.credentials import SECOND, Credential, CredentialKind
from appliance.core.paging import Key
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.snapshot import Entity
from appliance.store import rows, statements, units
from appliance.store.unit import Row, Unit, run

FIRST = (1 << 62, "")  # before which everything was issued


class CredentialState(StrEnum):
    """What a credential is now. Once it has expired, nothing else about it matters."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"  # by itself, or with everything of its person or cluster


@dataclass(frozen=True, slots=True)
class Wanted:
    """A credential to be issued."""

    id: str
    person_id: str
    cluster_id: str
    kind: CredentialKind
    seconds: int
    issued_by: str
    session_id: str = ""  # the person's own, which it ends with


@dataclass(frozen=True, slots=True)
class Listed:
    """A credential as the list shows it. `revoked_at` and `reason` are of its own revocation, if there is one."""

    credential: Credential
    kind: CredentialKind
    issued_by: str
    state: CredentialState
    revoked_at: int | None
    reason: str


def issue(wanted: Wanted, now: int) -> Unit[Credential]:
    """Keeps a new credential, younger than every refusal that holds for it."""
    latest = yield from _hold(wanted.person_id, wanted.cluster_id)
    if wanted.session_id:
        yield from _lasting(wanted.session_id)
    person = yield from _holder(wanted.person_id)
    if not person.enabled:
        raise ProblemError(problem(Code.PERSON_DISABLED))
    cluster = yield from _cluster(wanted.cluster_id)
    issued_at = max(now, person.not_before + 1, cluster.not_before + 1)
    expires_at = (issued_at // SECOND + wanted.seconds) * SECOND
    made = Credential(wanted.id, person.id, cluster.id, issued_at, expires_at)
    yield from units.add_credential(made, wanted.issued_by, wanted.kind, wanted.session_id)
    for holder in latest:
        yield run(statements.ISSUES_NOTE, holder, issued_at)
    return made


def refuse_person(person_id: str, now: int, *, disable: bool = False) -> Unit[Person]:
    """Refuses every credential the person has got so far; with `disable`, the person as well."""
    yield from units.change(Entity.PERSON, person_id, now)
    latest = yield from _hold(person_id)
    person = yield from _person(person_id)
    not_before = max(now, person.not_before, *latest.values())
    refused = replace(person, not_before=not_before, enabled=person.enabled and not disable)
    yield run(statements.PERSON_SET, person_id, *rows.person_values(refused)[4:8])
    return refused


def refuse_cluster(cluster_id: str, now: int) -> Unit[Cluster]:
    """Refuses every credential anyone has got for the cluster so far. Its agents are not touched."""
    yield from units.change(Entity.CLUSTER, cluster_id, now)
    latest = yield from _hold(cluster_id)
    cluster = yield from _cluster(cluster_id)
    refused = replace(cluster, not_before=max(now, cluster.not_before, *latest.values()))
    yield run(statements.CLUSTER_SET, cluster_id, *rows.cluster_values(refused)[1:5])
    return refused


def revoke_shown(shown: Credential, reason: str, now: int) -> Unit[bool]:
    """Refuses the credential a token was shown of, whether its row is known or not; False: it was revoked before."""
    yield from units.change(Entity.REVOCATION, shown.id, now)
    known = yield run(statements.REVOCATION, shown.id)
    yield run(statements.REVOCATION_ADD, shown.id, shown.expires_at, now, reason)
    return not known


def page(
    person_id: str,
    cluster_ids: Collection[str] | None,
    state: CredentialState | None,
    beyond: Key | None,
    limit: int,
    now: int,
) -> Unit[Sequence[Listed]]:
    """The credentials that fit, the latest first, from the one issued at `beyond` on.

    An empty `person_id` fits all, and so does None for the clusters; where there are none, nothing fits.
    """
    clusters = "" if cluster_ids is None else f",{','.join(cluster_ids)},"
    wanted = "" if state is None else str(state)
    found = yield run(statements.CREDENTIALS_PAGE, person_id, clusters, *(beyond or FIRST), now, wanted, limit)
    # The statement finds an id within the text of all of them; which one it is exactly, is asked here.
    return [_listed(row) for row in found if cluster_ids is None or row[2] in cluster_ids]


def _hold(*holders: str) -> Unit[dict[str, int]]:
    """Locks what issuing and refusing share, in the order given; says when a credential was last issued to each."""
    latest = {}
    for holder in holders:
        ((at,),) = yield run(statements.ISSUES_HOLD, holder)
        latest[holder] = int(at)
    return latest


def _lasting(session_id: str) -> Unit[None]:
    """The session has not ended; whoever ends it waits until this unit is over, and sees its credential."""
    yield from _hold(session_id)
    found = yield run(statements.SESSION, session_id)
    session = rows.session(found[0]) if found else None
    if session is None or session.ended_at is not None:
        raise ProblemError(problem(Code.SESSION_ENDED, why=session.ended_why if session is not None else "it is gone"))


def refuse_machine(machine_id: str, now: int) -> Unit[None]:
    """Refuses every credential the machine has got so far."""
    yield from units.change(Entity.MACHINE, machine_id, now)
    latest = yield from _hold(machine_id)
    machine = rows.machine((yield run(statements.MACHINE, machine_id))[0])
    yield run(statements.MACHINE_REFUSE, machine_id, max(now, machine.not_before, *latest.values()))


def _holder(holder_id: str) -> Unit[Person]:
    """A person, or a machine as a holder of credentials."""
    machines = yield run(statements.MACHINE, holder_id)
    if machines:
        return rows.machine(machines[0]).holder()
    return (yield from _person(holder_id))


def _person(person_id: str) -> Unit[Person]:
    found = yield run(statements.PERSON, person_id)
    if not found:
        raise ProblemError(problem(Code.USER_NOT_FOUND))
    return rows.person(found[0])


def _cluster(cluster_id: str) -> Unit[Cluster]:
    found = yield run(statements.CLUSTER, cluster_id)
    if not found:
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=cluster_id))
    return rows.cluster(found[0])


def _listed(row: Row) -> Listed:
    issued_by, kind, revoked_at, reason, state = row[5:]
    credential = rows.credential(row[:5])
    return Listed(credential, CredentialKind(kind), issued_by, CredentialState(state), revoked_at, reason or "")
