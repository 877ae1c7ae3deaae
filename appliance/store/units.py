"""The units of work that change the configuration, one function each.

Every one of them announces its change in the feed before it touches a row: `UPDATE feed` is the lock that puts all
configuration writes in one order. Where something may not be, a unit raises `ProblemError` and nothing was written.
Rules about names and rights are core's; here only what the database alone can know is decided (taken names, spent
tokens, roles in use). Units take whole entities and identifiers made by the caller; `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from appliance.core import access
from appliance.core.access import AccessRequest
from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.credentials import Credential, CredentialKind
from appliance.core.machines import MachineToken
from appliance.core.people import Machine, Person, email_key, person_name_fault
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.roles import Binding, Role, Subject, SubjectKind
from appliance.core.snapshot import Entity
from appliance.core.webhooks import became
from appliance.store import outbox, rows, statements
from appliance.store.unit import Rows, Unit, run


def change(entity: Entity, identity: str, now: int) -> Unit[None]:
    """Announces that an entity is about to be different. First in every unit, once for each entity."""
    ((head,),) = yield run(statements.FEED_ADVANCE)
    yield run(statements.CHANGE_ADD, head, str(entity), identity, now)


def taken(code: Code, name: str, holding: Rows) -> ProblemError:
    """What is told to whoever wants a name that another has: whose it is, too."""
    return ProblemError(problem(code, meta=tuple(("existing_id", str(row[0])) for row in holding[:1]), name=name))


def add_cluster(cluster: Cluster, now: int) -> Unit[None]:
    yield from change(Entity.CLUSTER, cluster.id, now)
    if not (yield run(statements.CLUSTER_ADD, *rows.cluster_values(cluster))):
        raise taken(Code.DUPLICATE_CLUSTER_NAME, cluster.name, (yield run(statements.CLUSTER_NAMED, cluster.name, "")))


def set_cluster(cluster_id: str, edit: Callable[[Cluster], Cluster], now: int) -> Unit[Cluster]:
    """Replaces name, labels, generation and not_before with what `edit` makes of the row as it is now."""
    yield from change(Entity.CLUSTER, cluster_id, now)
    found = yield run(statements.CLUSTER, cluster_id)
    if not found:
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=cluster_id))
    edited = edit(rows.cluster(found[0]))
    if holding := (yield run(statements.CLUSTER_NAMED, edited.name, cluster_id)):
        raise taken(Code.DUPLICATE_CLUSTER_NAME, edited.name, holding)
    yield run(statements.CLUSTER_SET, cluster_id, *rows.cluster_values(edited)[1:5])
    return edited


def raise_generation(cluster_id: str, now: int) -> Unit[Cluster]:
    """Revokes every agent certificate of the cluster; live sessions end when the snapshot shows it."""
    return set_cluster(cluster_id, lambda it: replace(it, generation=it.generation + 1), now)


def remove_cluster(cluster_id: str, now: int) -> Unit[None]:
    """With its bindings, request policies, agent certificates and bootstrap tokens. Revocations stay.

    Requests for access to it are answered: no.
    """
    yield from change(Entity.CLUSTER, cluster_id, now)
    if not (yield run(statements.CLUSTER_REMOVE, cluster_id)):
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=cluster_id))
    for (request_id,) in (yield run(statements.ACCESS_REQUESTS_OF_CLUSTER, cluster_id, now)):
        yield from close_request(request_id, "the cluster was removed", now)
    for (policy_id,) in (yield run(statements.POLICIES_OF_CLUSTER, cluster_id)):
        yield from change(Entity.REQUEST_POLICY, policy_id, now)
        yield run(statements.POLICY_REMOVE, policy_id)
    for (binding_id,) in (yield run(statements.BINDINGS_OF_CLUSTER, cluster_id)):
        yield from remove_binding(binding_id, now)
    for (serial,) in (yield run(statements.CERTIFICATES_OF_CLUSTER, cluster_id)):
        yield from change(Entity.AGENT_CERTIFICATE, serial, now)
        yield run(statements.CERTIFICATE_REMOVE, serial)
    yield run(statements.BOOTSTRAP_TOKENS_REMOVE, cluster_id)


def add_person(person: Person, now: int) -> Unit[None]:
    """Whoever names people has looked at the name; that it is no machine's is asked here, where all of them come by."""
    fault = person_name_fault(person.name)
    if fault is not None:
        raise ProblemError(problem(Code.RESERVED_IDENTITY, detail=fault))
    yield from change(Entity.PERSON, person.id, now)
    if not (yield run(statements.PERSON_ADD, *rows.person_values(person))):
        like = yield run(statements.PERSON_LIKE, person.name, person.issuer, person.subject)
        raise taken(Code.DUPLICATE_USER_NAME, person.name, like)


def set_person(person_id: str, edit: Callable[[Person], Person], now: int) -> Unit[Person]:
    """Replaces e-mail, groups, enabled and not_before; issuer, subject and name are for life."""
    yield from change(Entity.PERSON, person_id, now)
    found = yield run(statements.PERSON, person_id)
    if not found:
        raise ProblemError(problem(Code.USER_NOT_FOUND))
    edited = edit(rows.person(found[0]))
    values = rows.person_values(edited)
    yield run(statements.PERSON_SET, person_id, *values[4:8])
    return edited


def remove_person(person_id: str, now: int) -> Unit[None]:
    """With their bindings and what was asked for them. Their credentials are refused for good: an id is given once."""
    yield from change(Entity.PERSON, person_id, now)
    if not (yield run(statements.PERSON_REMOVE, person_id)):
        raise ProblemError(problem(Code.USER_NOT_FOUND))
    for (request_id,) in (yield run(statements.ACCESS_REQUESTS_OF_SUBJECT, person_id, now)):
        yield from close_request(request_id, "the person was deleted", now)
    for (binding_id,) in (yield run(statements.BINDINGS_OF_SUBJECT, str(SubjectKind.PERSON), person_id)):
        yield from remove_binding(binding_id, now)


def add_machine(machine: Machine, now: int) -> Unit[None]:
    yield from change(Entity.MACHINE, machine.id, now)
    if not (yield run(statements.MACHINE_ADD, *rows.machine_values(machine))):
        raise taken(Code.DUPLICATE_MACHINE_NAME, machine.name, (yield run(statements.MACHINE_NAMED, machine.name)))


def add_machine_token(token: MachineToken, now: int) -> Unit[None]:
    yield from change(Entity.MACHINE_TOKEN, token.id, now)
    if not (yield run(statements.MACHINE, token.machine_id)):
        raise ProblemError(problem(Code.MACHINE_NOT_FOUND))
    yield run(statements.MACHINE_TOKEN_ADD, *rows.machine_token_values(token))


def add_role(role: Role, now: int) -> Unit[None]:
    yield from change(Entity.ROLE, role.id, now)
    if not (yield run(statements.ROLE_ADD, *rows.role_values(role))):
        raise taken(Code.DUPLICATE_ROLE_NAME, role.name, (yield run(statements.ROLE_NAMED, role.name, "")))


def set_role(role_id: str, edit: Callable[[Role], Role], now: int) -> Unit[Role]:
    yield from change(Entity.ROLE, role_id, now)
    found = yield run(statements.ROLE, role_id)
    if not found:
        raise ProblemError(problem(Code.ROLE_NOT_FOUND))
    edited = edit(rows.role(found[0]))
    if holding := (yield run(statements.ROLE_NAMED, edited.name, role_id)):
        raise taken(Code.DUPLICATE_ROLE_NAME, edited.name, holding)
    yield run(statements.ROLE_SET, role_id, *rows.role_values(edited)[1:6])
    return edited


def remove_role(role_id: str, now: int) -> Unit[None]:
    yield from change(Entity.ROLE, role_id, now)
    ((uses,),) = yield run(statements.ROLE_USES, role_id)
    if uses:
        raise ProblemError(problem(Code.ROLE_IN_USE, count=uses))
    if not (yield run(statements.ROLE_REMOVE, role_id)):
        raise ProblemError(problem(Code.ROLE_NOT_FOUND))


def add_binding(binding: Binding, now: int) -> Unit[None]:
    """The role, and whatever person, machine and cluster it names, exist at this moment."""
    yield from change(Entity.BINDING, binding.id, now)
    if not (yield run(statements.ROLE, binding.role_id)):
        raise ProblemError(problem(Code.ROLE_NOT_FOUND))
    if binding.subject.kind is SubjectKind.PERSON and not (yield run(statements.PERSON, binding.subject.id)):
        raise ProblemError(problem(Code.USER_NOT_FOUND))
    if binding.subject.kind is SubjectKind.MACHINE and not (yield run(statements.MACHINE, binding.subject.id)):
        raise ProblemError(problem(Code.MACHINE_NOT_FOUND))
    cluster_id = binding.scope.cluster_id
    if cluster_id and not (yield run(statements.CLUSTER, cluster_id)):
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=cluster_id))
    yield run(statements.BINDING_ADD, *rows.binding_values(binding))


def remove_binding(binding_id: str, now: int) -> Unit[None]:
    """If it was a grant, the request it came from is revoked."""
    yield from change(Entity.BINDING, binding_id, now)
    found = yield run(statements.BINDING, binding_id)
    if not found:
        raise ProblemError(problem(Code.ASSIGNMENT_NOT_FOUND))
    yield run(statements.BINDING_REMOVE, binding_id)
    yield run(statements.BINDING_USE_REMOVE, binding_id)
    request_id = rows.binding(found[0]).request_id
    if request_id:
        yield from close_request(request_id, "its binding was removed", now)


def claim_bindings(person: Person, email: str, now: int) -> Unit[list[Binding]]:
    """Gives the person, for good, what was bound to an e-mail that the issuer says is verified. Call at a sign-in.

    Each is claimed once: whoever proves the same e-mail later gets nothing.
    """
    yield run(statements.FEED_LOCK)
    key = email_key(email)
    if key is None:
        return []
    claimed = []
    for row in (yield run(statements.BINDINGS_NAMING, str(SubjectKind.EMAIL), key, person.issuer)):
        binding = replace(rows.binding(row), subject=Subject(SubjectKind.PERSON, person.id))
        yield from change(Entity.BINDING, binding.id, now)
        yield run(statements.BINDING_SUBJECT_SET, *rows.binding_values(binding)[:4])
        claimed.append(binding)
    return claimed


def close_request(request_id: str, why: str, now: int) -> Unit[None]:
    """Ends a request whose ground has gone: a pending one is denied, a grant revoked. One already closed stays so."""
    found = yield run(statements.ACCESS_REQUEST, request_id)
    if not found:
        return
    request = rows.access_request(found[0])
    closed = access.deny(request, "", why, now)
    if isinstance(closed, Problem):
        closed = access.revoke(request, "", why, now)
    if not isinstance(closed, Problem):
        yield from set_request(closed, now)


def set_request(request: AccessRequest, now: int) -> Unit[None]:
    yield from change(Entity.ACCESS_REQUEST, request.id, now)
    yield run(statements.ACCESS_REQUEST_SET, request.id, *rows.access_request_fate(request))
    yield from outbox.announce(became(request), request, now)


def add_credential(
    credential: Credential, issued_by: str, kind: CredentialKind = CredentialKind.STATIC, session_id: str = ""
) -> Unit[None]:
    """Keeps that a kubeconfig credential was issued; not a change of the configuration."""
    it = credential
    yield run(
        statements.CREDENTIAL_ADD,
        it.id,
        it.person_id,
        it.cluster_id,
        it.issued_at,
        it.expires_at,
        issued_by,
        str(kind),
        session_id,
    )


def credential(credential_id: str) -> Unit[Credential | None]:
    found = yield run(statements.CREDENTIAL, credential_id)
    return rows.credential(found[0]) if found else None


def revoke_credential(credential_id: str, reason: str, now: int) -> Unit[Credential]:
    """Refuses the credential from now on. Revoking twice is no error."""
    yield from change(Entity.REVOCATION, credential_id, now)
    found = yield run(statements.CREDENTIAL, credential_id)
    if not found:
        raise ProblemError(problem(Code.CREDENTIAL_NOT_FOUND))
    revoked = rows.credential(found[0])
    yield run(statements.REVOCATION_ADD, credential_id, revoked.expires_at, now, reason)
    return revoked


def add_bootstrap_token(token_sha256: str, cluster_id: str, expires_at: int) -> Unit[None]:
    """A token good for one enrolment in the cluster's present generation."""
    found = yield run(statements.CLUSTER, cluster_id)
    if not found:
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=cluster_id))
    generation = rows.cluster(found[0]).generation
    yield run(statements.BOOTSTRAP_TOKEN_ADD, token_sha256, cluster_id, generation, expires_at)


class TokenFault(StrEnum):
    """Why a bootstrap token buys nothing."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    SPENT = "spent"  # by another key: someone else has enrolled with it
    REVOKED = "revoked"  # the cluster's generation was raised since
    CLUSTER_GONE = "cluster gone"


class TokenRefused(Exception):
    """The enrolment did not happen; nothing was written."""

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The certificate a token bought. `again`: it had been issued before, to the same key."""

    cluster_id: str
    pem: str
    again: bool


def enrol(
    token_sha256: str,
    public_key_sha256: str,
    issue: Callable[[Cluster], tuple[AgentCertificate, str]],
    now: int,
) -> Unit[Enrolled]:
    """Spends a bootstrap token for a certificate (PEM), at once or not at all; TokenRefused says why not.

    The same token with the same key before its expiry gets the same certificate again: the first answer may have been
    lost. `issue` signs; it is called inside the transaction and must only compute.
    """
    ((head,),) = yield run(statements.FEED_ADVANCE)
    spent = yield run(statements.BOOTSTRAP_TOKEN_SPEND, token_sha256, now, public_key_sha256)
    found = yield run(statements.BOOTSTRAP_TOKEN, token_sha256)
    if not found:
        raise TokenRefused(TokenFault.UNKNOWN)
    cluster_id, generation, expires_at, spent_by = found[0]
    if expires_at <= now:
        raise TokenRefused(TokenFault.EXPIRED)
    if spent_by != public_key_sha256:
        raise TokenRefused(TokenFault.SPENT)
    clusters = yield run(statements.CLUSTER, cluster_id)
    if not clusters:
        raise TokenRefused(TokenFault.CLUSTER_GONE)
    cluster = rows.cluster(clusters[0])
    if cluster.generation != generation:
        raise TokenRefused(TokenFault.REVOKED)
    if not spent:
        kept = yield run(statements.CERTIFICATE_FOR_KEY, cluster_id, generation, public_key_sha256, now)
        if not kept:
            raise TokenRefused(TokenFault.EXPIRED)
        # Nothing changed, but the number is taken, and the feed has no gaps.
        yield run(statements.CHANGE_ADD, head, str(Entity.AGENT_CERTIFICATE), kept[0][0], now)
        return Enrolled(cluster_id, str(kept[0][1]), again=True)
    certificate, pem = issue(cluster)
    yield run(statements.CHANGE_ADD, head, str(Entity.AGENT_CERTIFICATE), certificate.serial, now)
    yield from _keep_certificate(certificate, public_key_sha256, pem, now)
    return Enrolled(cluster_id, pem, again=False)


def add_certificate(certificate: AgentCertificate, public_key_sha256: str, pem: str, now: int) -> Unit[None]:
    """A renewal: refused unless the cluster still exists in the certificate's generation."""
    yield from change(Entity.AGENT_CERTIFICATE, certificate.serial, now)
    found = yield run(statements.CLUSTER, certificate.cluster_id)
    if not found or rows.cluster(found[0]).generation != certificate.generation:
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=certificate.cluster_id))
    yield from _keep_certificate(certificate, public_key_sha256, pem, now)


def _keep_certificate(it: AgentCertificate, public_key_sha256: str, pem: str, now: int) -> Unit[None]:
    values = (it.serial, it.cluster_id, it.generation, it.not_after, public_key_sha256, pem, now)
    yield run(statements.CERTIFICATE_ADD, *values)
