"""The units through which a caller of the admin API refuses credentials, and people, each checked in its transaction.

Like those of `granting` they take the feed's lock first and read what the caller holds now; then they refuse as
`issuing` does, to the microsecond. What always holds: a credential, or a cluster, that lies in no scope of the caller's
looks like one that is not there; the last one who may escalate roles everywhere is neither disabled nor removed.
Issuing is not here: to issue a credential for somebody else is to give, and one's own leaves the feed alone.
"""

from __future__ import annotations

from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission, Scope, ScopeKind, Subject
from appliance.store import issuing, sessions, units
from appliance.store.granting import caller_rights, cluster_of, keeping_an_administrator, need, need_within
from appliance.store.unit import Unit


def disable_person(by: Subject, person_id: str, now: int) -> Unit[Person]:
    """With every credential the person has got so far, for good."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.PEOPLE_WRITE)
    return (yield from keeping_an_administrator(issuing.refuse_person(person_id, now, disable=True), now))


def remove_person(by: Subject, person_id: str, now: int) -> Unit[None]:
    caller = yield from caller_rights(by, now)
    need(caller, Permission.PEOPLE_WRITE)
    yield from keeping_an_administrator(units.remove_person(person_id, now), now)


def refuse_person(by: Subject, person_id: str, now: int) -> Unit[Person]:
    """A person lies in no cluster, and so it needs the permission everywhere."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.CREDENTIALS_REVOKE)
    return (yield from issuing.refuse_person(person_id, now))


def refuse_cluster(by: Subject, cluster_id: str, now: int) -> Unit[Cluster]:
    caller = yield from caller_rights(by, now)
    yield from need_within(caller, Permission.CREDENTIALS_REVOKE, Scope(ScopeKind.CLUSTER, cluster_id))
    return (yield from issuing.refuse_cluster(cluster_id, now))


def end_session(by: Subject, session_id: str, why: str, now: int) -> Unit[bool]:
    caller = yield from caller_rights(by, now)
    need(caller, Permission.PEOPLE_WRITE)
    return (yield from sessions.end(session_id, why, now))


def revoke_credential(by: Subject, credential_id: str, reason: str, now: int) -> Unit[Credential]:
    """Also one whose cluster is gone, by whoever holds the permission everywhere."""
    caller = yield from caller_rights(by, now)
    found = yield from units.credential(credential_id)
    if found is None:
        raise ProblemError(problem(Code.CREDENTIAL_NOT_FOUND))
    here = Scope(ScopeKind.CLUSTER, found.cluster_id)
    cluster = yield from cluster_of(here)
    if not caller.within(Permission.CREDENTIALS_REVOKE, here, cluster):
        raise ProblemError(problem(Code.CREDENTIAL_NOT_FOUND))
    return (yield from units.revoke_credential(credential_id, reason, now))
