"""What one exchange leaves in the audit ledger: `opened`, `closed` or `denied`, and a count for discovery.

A `Story` collects what is known while the exchange runs, so that its record is complete however it ends, a
cancellation included. Never a body, a token or a query value other than exec's command.
"""

from __future__ import annotations

from appliance.core.credentials import Credential
from appliance.core.decision import Denial, Permit
from appliance.core.events import AuditEvent, EventType
from appliance.core.problems import Problem
from appliance.front.caller import Caller
from appliance.front.intake import Asked
from appliance.front.parts import FrontParts
from appliance.front.replies import proxy_status
from wire.kube import Ask, log_target


class Story:
    """One exchange, as far as it has come."""

    __slots__ = (
        "ask",
        "asked",
        "began",
        "caller",
        "code",
        "correlation_id",
        "counted",
        "credential",
        "permit",
        "reserved",
        "status",
        "target",
        "tunnel_session",
    )

    def __init__(self, asked: Asked, caller: Caller, target: bytes, correlation_id: bytes, began: int) -> None:
        self.asked = asked
        self.caller = caller
        self.target = target
        self.correlation_id = caller.client.correlation_id = correlation_id
        self.began = began
        self.credential: Credential | None = None
        self.ask: Ask | None = None
        self.permit: Permit | None = None
        self.reserved = False  # a slot of the ledger is held
        self.counted = False  # allowed discovery: counted when it ends, not recorded
        self.status = 0  # as answered; 0: not yet
        self.code = ""  # of the problem, when it was ours
        self.tunnel_session = ""  # that carried it last

    def opened(self) -> AuditEvent:
        """Say what is about to be carried out."""
        return self._event(EventType.PROXY_OPENED, self.began)

    def closed(self, now: int) -> AuditEvent:
        """Say what became of it."""
        return self._event(EventType.PROXY_CLOSED, now)

    def denied(self, refusal: Problem, denial: Denial | None) -> AuditEvent:
        """Say what was refused, and to whom as far as that is proven."""
        credential = self.credential
        ask = self.ask
        return AuditEvent(
            self.began,
            EventType.PROXY_DENIED,
            actor_id=credential.person_id if credential else "",
            actor=denial.person_name if denial else "",
            client_address=self.caller.address,
            cluster_id=denial.cluster_id if denial else credential.cluster_id if credential else "",
            cluster=denial.cluster_name if denial else "",
            namespace=ask.namespace if ask else "",
            verb=ask.verb if ask else self.asked.method.decode("ascii", "replace").lower(),
            api_group=ask.group if ask else "",
            resource=ask.resource if ask else "",
            name=ask.name if ask else "",
            subresource=ask.subresource if ask else "",
            path="" if ask and ask.is_resource else log_target(self.target.partition(b"?")[0]),
            status=refusal.status,
            code=refusal.code.value,
            correlation_id=self.correlation_id.decode(),
            credential_id=credential.id if credential else "",
            rule=denial.rule if denial else "",
            kubectl_session=self._session(),
            command=ask.argv if ask else (),
        )

    def _event(self, kind: EventType, now: int) -> AuditEvent:
        permit = self.permit
        assert permit is not None, "only what was allowed is opened and closed"
        ask = permit.ask
        caller = self.caller
        ended = kind is not EventType.PROXY_OPENED
        return AuditEvent(
            now,
            kind,
            permit.person_id,
            permit.person_name,
            caller.address,
            permit.cluster_id,
            permit.cluster_name,
            ask.namespace,
            ask.verb,
            ask.group,
            ask.resource,
            ask.name,
            ask.subresource,
            "" if ask.is_resource else ask.path,
            self.status,
            self.code,
            caller.received if ended else 0,
            caller.sent if ended else 0,
            now - self.began if ended else 0,
            self.correlation_id.decode(),
            permit.credential_id,
            permit.binding_ids,
            permit.groups,
            permit.rule,
            self._session(),
            ask.argv,
            "",
            0,
            (),
            self.tunnel_session,
        )

    def _session(self) -> str:
        session = self.asked.block.session
        return session.decode() if session else ""


def close(parts: FrontParts, story: Story) -> None:
    """Keep the `closed` record, or count an allowed discovery. Never waits: it also runs while being cancelled."""
    if story.permit is None:
        return
    permit = story.permit
    lost = story.caller.client.lost
    if lost is not None and not story.code:  # ended from outside, or cancelled before an answer: its end gives this one
        story.code = lost.code.value
        story.status = story.status or proxy_status(lost, story.target)
    if story.reserved:
        story.reserved = False
        parts.ledger.close(story.closed(parts.clock()))
    elif story.counted:
        parts.ledger.count(permit.person_id, permit.person_name, permit.cluster_id, permit.cluster_name)
