"""What the admin API answers, as types: the document's schemas are made of these, and tests hold answers to them.

A member that is not always there is NotRequired; one that may be null says so. Nothing else is in an answer.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from appliance.core.access import RequestState
from appliance.core.credentials import CredentialKind
from appliance.core.review import Finding
from appliance.core.roles import Permission, ScopeKind, SubjectKind
from appliance.core.webhooks import DeliveryState, Notice
from appliance.store.issuing import CredentialState

Moment = Annotated[str, ("format", "date-time")]
ETag = Annotated[str, ("description", "for If-Match")]


class Subject(TypedDict):
    kind: SubjectKind
    id: str
    issuer: NotRequired[str]


class Scope(TypedDict):
    """Only the members of its kind."""

    kind: ScopeKind
    cluster_id: NotRequired[str]
    labels: NotRequired[dict[str, str]]
    namespaces: NotRequired[list[str]]


class Rule(TypedDict):
    """A Kubernetes PolicyRule."""

    verbs: list[str]
    apiGroups: NotRequired[list[str]]
    resources: NotRequired[list[str]]
    resourceNames: NotRequired[list[str]]
    nonResourceURLs: NotRequired[list[str]]


class ApiServer(TypedDict):
    """Whether the cluster's API server answers its agents; null: not known."""

    answers: bool | None
    since: Moment | None
    reason: str


class Agent(TypedDict):
    """One session of an agent."""

    session: str
    name: str
    address: str
    since: Moment
    leaving: bool
    round_trip_ms: float | None
    in_flight: int
    certificate_expires_at: Moment | None
    certificate_days_left: int | None
    version: str
    kubernetes_version: str
    api_server_fault: str | None
    clock_skew_seconds: float | None
    guard: str
    guard_refused: int


class BareCluster(TypedDict):
    id: str
    name: str
    labels: dict[str, str]
    etag: ETag
    created_at: Moment
    state: str
    since: Moment | None
    reason: str
    registered: bool
    connected: bool
    connected_since: Moment | None
    api_server: ApiServer
    sessions: int


class Cluster(BareCluster):
    agents: list[Agent]


class ReachableCluster(BareCluster):
    """A cluster as those see it who may use it. `namespaces`: only in these; null: in all."""

    namespaces: list[str] | None


class Authority(TypedDict):
    """What signs agents' certificates. `behind`: the clusters that a change would cut off if it was finished now."""

    ca: str
    changing: bool
    since: Moment | None
    behind: list[str]


class NewBundle(TypedDict):
    """What an agent starts from, shown this once."""

    bundle: dict[str, Any]
    bundle_expires_at: Moment


class RegisteredCluster(Cluster, NewBundle):
    pass


class Person(TypedDict):
    id: str
    issuer: str
    subject: str
    name: str
    email: str
    groups: list[str]
    enabled: bool
    created_at: Moment
    etag: ETag


class Machine(TypedDict):
    id: str
    name: str
    user: str
    created_at: Moment
    created_by: str


class NewMachine(Machine):
    """The token is shown this once."""

    token: NotRequired[str]
    token_id: NotRequired[str]
    expires_at: NotRequired[Moment]


class MachineToken(TypedDict):
    id: str
    machine_id: str
    label: str
    expires_at: Moment
    created_at: Moment
    created_by: str
    used_at: Moment | None
    rule_id: NotRequired[str]
    subject: NotRequired[str]


class NewMachineToken(MachineToken):
    """The token is shown this once."""

    token: str


class Condition(TypedDict):
    claim: str
    values: list[str]


class TrustRule(TypedDict):
    id: str
    machine_id: str
    issuer: str
    audience: str
    conditions: list[Condition]
    jwks: dict[str, Any] | None
    single_use: bool
    session_seconds: int
    created_at: Moment
    created_by: str


class Role(TypedDict):
    id: str
    name: str
    description: str
    groups: list[str]
    rules: list[Rule]
    permissions: list[Permission]
    created_at: Moment
    etag: ETag


class Binding(TypedDict):
    id: str
    subject: Subject
    role_id: str
    scope: Scope
    until: Moment | None
    created_at: Moment
    request_id: NotRequired[str]


class RequestPolicy(TypedDict):
    id: str
    role_id: str
    scope: Scope
    askers: list[Subject]
    approvers: list[Subject]
    approvals: int
    max_seconds: int
    reason_required: bool
    created_at: Moment
    etag: ETag


class Approval(TypedDict):
    by: Subject
    name: str
    at: Moment


class AccessRequest(TypedDict):
    id: str
    state: RequestState
    policy_id: str
    subject: Subject
    asked_by: Subject
    role_id: str
    scope: Scope
    ttl_seconds: int
    reason: str
    approvals: list[Approval]
    note: str
    closed_by: str
    binding_id: str
    until: Moment | None
    expires_at: Moment
    created_at: Moment
    reviewers: list[str]


class Named(TypedDict):
    id: str
    name: str


class Askable(TypedDict):
    """A role that may be asked for."""

    policy_id: str
    role_id: str
    role: str
    description: str
    scope: Scope
    clusters: list[Named]
    approvals: int
    max_seconds: int
    reason_required: bool


class Ask(TypedDict):
    """A request to a cluster, as it is decided on."""

    verb: str
    path: NotRequired[str]
    group: NotRequired[str]
    resource: NotRequired[str]
    subresource: NotRequired[str]
    namespace: NotRequired[str]
    name: NotRequired[str]


class Considered(Binding):
    role: str
    allows: bool
    verdict: str


class Reviewed(Binding):
    """`used_at` is right to an hour; null: not since it was made."""

    role: str
    holder: str
    used_at: Moment | None
    findings: list[Finding]


class Explanation(TypedDict):
    allowed: bool
    reason: str
    person: str
    cluster: str
    request: Ask
    groups: list[str]
    bindings: list[Considered]


class Able(Binding):
    role: str
    people: list[Named]
    truncated: Annotated[bool, ("description", "whether it reaches more people than are named here")]


class WhoCan(TypedDict):
    cluster: str
    request: Ask
    items: list[Able]
    next: str | None


class Credential(TypedDict):
    id: str
    person_id: str
    person: str | None
    cluster_id: str
    cluster: str | None
    kind: CredentialKind
    issued_at: Moment
    issued_by: str
    expires_at: Moment
    state: CredentialState
    revoked_at: Moment | None
    reason: str


class NewCredential(TypedDict):
    """The token is shown this once. `ca`: what signs the appliance's certificate, if its own authority does."""

    id: str
    token: str
    kind: CredentialKind
    issued_at: Moment
    expires_at: Moment
    server: str
    ca: str | None


class RefusedOfPerson(TypedDict):
    person_id: str
    refused_until: Moment


class RefusedOfCluster(TypedDict):
    cluster_id: str
    refused_until: Moment


class Revoked(TypedDict):
    id: str
    state: str
    expires_at: Moment


AuditRecord = Annotated[dict[str, Any], ("description", "one record; its members are those of its type of event")]


class Webhook(TypedDict):
    id: str
    url: Annotated[str, ("description", "scheme and host, with /… for what follows")]
    events: list[Notice]
    description: str
    created_at: Moment
    created_by: str


class WebhookStanding(Webhook):
    waiting: int
    given_up: int


class NewWebhook(Webhook):
    """The secret is shown this once."""

    secret: str


class WebhookMessage(TypedDict):
    id: str
    type: Notice
    state: DeliveryState
    tries: int
    status: int | None
    error: str
    created_at: Moment
    next_try_at: Moment | None
    done_at: Moment | None


class WebhookTest(TypedDict):
    id: str
    delivered: bool
    status: int | None
    error: str


class RequiredClaim(TypedDict):
    claim: list[str]
    values: list[str]


class Claims(TypedDict):
    name: list[str]
    name_prefix: str
    email: list[str]
    email_verified: list[str]
    groups: list[str]
    groups_prefix: str
    required: list[RequiredClaim]
    userinfo: bool


class Provider(TypedDict):
    id: str
    slug: str
    title: str
    issuer: str
    client_id: str
    confidential: bool
    scopes: list[str]
    parameters: dict[str, str]
    claims: Claims
    enabled: bool
    redirect_uri: str
    etag: ETag


class Session(TypedDict):
    id: str
    person_id: str
    person: str | None
    client: str
    label: str
    address: str
    created_at: Moment
    used_at: Moment | None
    provider_id: str | None
    provider_asked_at: Moment | None
    ends_at: Moment


class Me(Person):
    permissions: list[Permission]
    clusters: list[str]
    session: Session
