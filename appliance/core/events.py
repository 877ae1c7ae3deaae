"""What is recorded: the closed list of audit events and the one record that carries each.

A record is an immutable tuple, cheap enough for the hot path: nothing is rendered when it is made. It never holds a
body, a Secret's value, a query value other than exec's command, or a token. New fields go at the end, with a default,
and an event's code is never given another meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple


class EventType(StrEnum):
    """The codes. The letter at the end is the severity: I for information, W for warning."""

    __hash__ = str.__hash__  # Enum's own is Python, and each record is looked up by its type

    ACCESS_REQUESTED = "CAR001I"
    ACCESS_APPROVED = "CAR002I"
    ACCESS_DENIED = "CAR003W"
    ACCESS_REVOKED = "CAR004I"
    ACCESS_EXPIRED = "CAR005I"
    ACCESS_SECONDED = "CAR006I"  # a yes that was not the last one needed
    POLICY_CREATED = "CAR007I"
    POLICY_UPDATED = "CAR008I"
    POLICY_DELETED = "CAR009I"
    CREDENTIAL_ISSUED = "CCR001I"
    CREDENTIAL_REVOKED = "CCR002I"
    CREDENTIAL_REVOKE_DENIED = "CCR003W"
    CREDENTIAL_ISSUE_FAILED = "CCR004W"
    CLUSTER_REGISTERED = "CCL001I"
    CLUSTER_CONNECTED = "CCL002I"
    CLUSTER_DISCONNECTED = "CCL003W"
    CLUSTER_DELETED = "CCL004I"
    CLUSTER_UPDATED = "CCL005I"
    ROLE_CREATED = "CRL001I"
    ROLE_UPDATED = "CRL002I"
    ROLE_DELETED = "CRL003I"
    ROLE_ASSIGNED = "CUA002I"
    ROLE_UNASSIGNED = "CUA003I"
    PERSON_CREATED = "CUA004I"
    PERSON_DISABLED = "CUA005I"
    PERSON_ENABLED = "CUA006I"
    MACHINE_CREATED = "CUA007I"
    MACHINE_DELETED = "CUA008I"
    API_DENIED = "CUA009W"
    API_CALLED = "CUA010I"
    SIGNED_IN = "CUA011I"
    SIGN_IN_FAILED = "CUA012W"
    SESSION_STARTED = "CUA013I"
    SESSION_ENDED = "CUA014I"
    SESSION_REFUSED = "CUA015W"  # a code or token that buys no session, or no more
    SETUP_CODE_MADE = "CUA016I"
    SETUP_CODE_USED = "CUA017W"
    PERSON_UPDATED = "CUA020I"
    BINDING_CLAIMED = "CUA021I"
    PERSON_DELETED = "CUA022I"
    PROVIDER_CREATED = "CUA030I"
    PROVIDER_UPDATED = "CUA031I"
    PROVIDER_DELETED = "CUA032I"
    MACHINE_TOKEN_CREATED = "CUA040I"  # noqa: S105 -- the name of an event
    MACHINE_TOKEN_DELETED = "CUA041I"  # noqa: S105 -- the name of an event
    TRUST_RULE_CREATED = "CUA042I"
    TRUST_RULE_DELETED = "CUA043I"
    TOKEN_EXCHANGED = "CUA044I"  # noqa: S105 -- the name of an event
    EXCHANGE_REFUSED = "CUA045W"
    SIGN_IN_LIMITED = "CUA046W"  # so many failures that the address or the account is refused for a while
    AGENT_AUTH_FAILED = "CAG001W"
    AGENT_ENROLLED = "CAG002I"
    AGENT_RENEWED = "CAG003I"
    AGENT_REVOKED = "CAG004I"
    AGENT_SESSION_OPENED = "CAG005I"
    AGENT_SESSION_ENDED = "CAG006I"
    PROXY_CLOSED = "CPR001I"
    PROXY_DENIED = "CPR002W"
    PROXY_OPENED = "CPR003I"
    PROXY_DISCOVERY = "CPR004I"
    APPLIANCE_STARTED = "CSY001I"
    APPLIANCE_STOPPED = "CSY002I"
    AUDIT_CUT = "CSY003I"
    KEY_ROTATED = "CSY010I"
    APPLIANCE_RESTORED = "CSY011I"
    AUDIT_READ = "CSY012I"
    WEBHOOK_CREATED = "CWH001I"
    WEBHOOK_DELETED = "CWH002I"
    WEBHOOK_TESTED = "CWH003I"
    NOTICE_GIVEN_UP = "CWH004W"  # a message that no receiver took

    @property
    def category(self) -> str:
        return CATEGORIES[self[:3]]

    @property
    def warning(self) -> bool:
        return self.endswith("W")


CATEGORIES: dict[str, str] = {  # by the first letters of the code
    "CAR": "access_requests",
    "CCR": "credentials",
    "CCL": "clusters",
    "CRL": "roles",
    "CUA": "auth",
    "CAG": "auth",
    "CPR": "proxy",
    "CSY": "system",
    "CWH": "webhooks",
}

NAMES: dict[EventType, str] = {
    EventType.ACCESS_REQUESTED: "access_request.created",
    EventType.ACCESS_APPROVED: "access_request.approved",
    EventType.ACCESS_DENIED: "access_request.denied",
    EventType.ACCESS_REVOKED: "access_request.revoked",
    EventType.ACCESS_EXPIRED: "access_request.expired",
    EventType.ACCESS_SECONDED: "access_request.seconded",
    EventType.POLICY_CREATED: "request_policy.created",
    EventType.POLICY_UPDATED: "request_policy.updated",
    EventType.POLICY_DELETED: "request_policy.deleted",
    EventType.CREDENTIAL_ISSUED: "credential.issued",
    EventType.CREDENTIAL_REVOKED: "credential.revoked",
    EventType.CREDENTIAL_REVOKE_DENIED: "credential.revoke_denied",
    EventType.CREDENTIAL_ISSUE_FAILED: "credential.issue_failed",
    EventType.CLUSTER_REGISTERED: "cluster.registered",
    EventType.CLUSTER_CONNECTED: "cluster.connected",
    EventType.CLUSTER_DISCONNECTED: "cluster.disconnected",
    EventType.CLUSTER_DELETED: "cluster.deleted",
    EventType.CLUSTER_UPDATED: "cluster.updated",
    EventType.ROLE_CREATED: "role.created",
    EventType.ROLE_UPDATED: "role.updated",
    EventType.ROLE_DELETED: "role.deleted",
    EventType.ROLE_ASSIGNED: "user.role_assigned",
    EventType.ROLE_UNASSIGNED: "user.role_unassigned",
    EventType.PERSON_CREATED: "user.created",
    EventType.PERSON_DISABLED: "user.disabled",
    EventType.PERSON_ENABLED: "user.enabled",
    EventType.MACHINE_CREATED: "machine.created",
    EventType.MACHINE_DELETED: "machine.deleted",
    EventType.API_DENIED: "api.access_denied",
    EventType.API_CALLED: "api.called",
    EventType.SIGNED_IN: "user.signed_in",
    EventType.SIGN_IN_FAILED: "user.sign_in_failed",
    EventType.SESSION_STARTED: "session.started",
    EventType.SESSION_ENDED: "session.ended",
    EventType.SESSION_REFUSED: "session.refused",
    EventType.SETUP_CODE_MADE: "setup_code.made",
    EventType.SETUP_CODE_USED: "setup_code.used",
    EventType.PERSON_UPDATED: "user.updated",
    EventType.BINDING_CLAIMED: "user.binding_claimed",
    EventType.PERSON_DELETED: "user.deleted",
    EventType.PROVIDER_CREATED: "provider.created",
    EventType.PROVIDER_UPDATED: "provider.updated",
    EventType.PROVIDER_DELETED: "provider.deleted",
    EventType.MACHINE_TOKEN_CREATED: "machine_token.created",
    EventType.MACHINE_TOKEN_DELETED: "machine_token.deleted",
    EventType.TRUST_RULE_CREATED: "trust_rule.created",
    EventType.TRUST_RULE_DELETED: "trust_rule.deleted",
    EventType.TOKEN_EXCHANGED: "token.exchanged",
    EventType.EXCHANGE_REFUSED: "token.exchange_refused",
    EventType.SIGN_IN_LIMITED: "sign_in.limited",
    EventType.AGENT_AUTH_FAILED: "agent.auth_failed",
    EventType.AGENT_ENROLLED: "agent.enrolled",
    EventType.AGENT_RENEWED: "agent.renewed",
    EventType.AGENT_REVOKED: "agent.revoked",
    EventType.AGENT_SESSION_OPENED: "agent.session_opened",
    EventType.AGENT_SESSION_ENDED: "agent.session_ended",
    EventType.PROXY_CLOSED: "proxy.request",
    EventType.PROXY_DENIED: "proxy.access_denied",
    EventType.PROXY_OPENED: "proxy.opened",
    EventType.PROXY_DISCOVERY: "proxy.discovery",
    EventType.APPLIANCE_STARTED: "appliance.started",
    EventType.APPLIANCE_STOPPED: "appliance.stopped",
    EventType.AUDIT_CUT: "audit.cut",
    EventType.KEY_ROTATED: "key.rotated",
    EventType.APPLIANCE_RESTORED: "appliance.restored",
    EventType.AUDIT_READ: "audit.read",
    EventType.WEBHOOK_CREATED: "webhook.created",
    EventType.WEBHOOK_DELETED: "webhook.deleted",
    EventType.WEBHOOK_TESTED: "webhook.tested",
    EventType.NOTICE_GIVEN_UP: "webhook.given_up",
}


class AuditEvent(NamedTuple):
    """One record. Empty fields are left out where it is kept. Times and durations are microseconds."""

    time: int
    type: EventType
    actor_id: str = ""  # person or machine id
    actor: str = ""  # the name it acted under
    client_address: str = ""
    cluster_id: str = ""
    cluster: str = ""
    namespace: str = ""
    verb: str = ""
    api_group: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    path: str = ""  # of a non-resource request, without its query
    status: int = 0  # as answered to the client; 0: no answer was begun
    code: str = ""  # the problem's code, when it was ours
    bytes_in: int = 0
    bytes_out: int = 0
    duration: int = 0
    correlation_id: str = ""  # joins `opened` and `closed`
    credential_id: str = ""
    binding_ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # as sent
    rule: str = ""  # what decided
    kubectl_session: str = ""
    command: tuple[str, ...] = ()  # exec's argv
    retry_of: str = ""  # correlation id of the denied try this one repeats
    counted: int = 0  # of requests counted in one record
    details: tuple[tuple[str, str], ...] = ()  # of administrative events: what was changed, to what
    tunnel_session: str = ""  # the agent's session that carried the request last; `opened` comes before there is one

    @property
    def warning(self) -> bool:
        return self.type.endswith("W")


WARNINGS: Final = frozenset(it for it in EventType if it.warning)


def warnings(events: Sequence[AuditEvent]) -> list[AuditEvent]:
    """Those that are one."""
    return [event for event in events if event[1] in WARNINGS]
