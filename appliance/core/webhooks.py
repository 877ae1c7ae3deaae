"""What is told to others by webhook, how it is signed, and when it is tried again. Pure.

Signed as the Standard Webhooks specification has it (https://www.standardwebhooks.com), which receivers have libraries
for: HMAC-SHA256 under the webhook's own secret over `id.timestamp.body`. What always holds: a message keeps its id and
its body through all tries, so whoever gets it twice can tell; a message never holds a token, a group or a rule, only
who asked for which role where, why, and what became of it.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from appliance.core.access import SECOND, AccessRequest, RequestState
from appliance.core.destinations import destination

MAX_WEBHOOKS: Final = 16  # no more than are dialled at once, so that those that hang hold up only themselves
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- what a secret begins with
SECRET_BYTES: Final = 32
FIRST_RETRY_SECONDS: Final = 5  # a receiver that is being restarted
LONGEST_RETRY_SECONDS: Final = 3600
GIVE_UP_SECONDS: Final = 24 * 3600  # a receiver that was down overnight still hears of it; later it is no news
KEPT_SECONDS: Final = 7 * 24 * 3600  # a message that is done, to look at
_AUTHORITY: Final = re.compile("https://[^/?]+")
CUT: Final = "/…"  # stands for path and query of a URL
GONE: Final = 410  # the receiver wants no more of it


class Notice(StrEnum):
    """What happened, as a message's `type` says it."""

    CREATED = "access_request.created"
    SECONDED = "access_request.seconded"
    APPROVED = "access_request.approved"
    DENIED = "access_request.denied"
    REVOKED = "access_request.revoked"
    EXPIRED = "access_request.expired"
    TEST = "webhook.test"


SUBSCRIBABLE: Final = tuple(it for it in Notice if it is not Notice.TEST)

_BECAME: Final = {
    RequestState.PENDING: Notice.SECONDED,
    RequestState.APPROVED: Notice.APPROVED,
    RequestState.DENIED: Notice.DENIED,
    RequestState.REVOKED: Notice.REVOKED,
    RequestState.EXPIRED: Notice.EXPIRED,
}


class DeliveryState(StrEnum):
    """How far a message has come."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Someone who wants to be told. `shown`: where (`shown_url`). No `notices`: of everything."""

    id: str
    shown: str
    notices: tuple[Notice, ...] = ()
    description: str = ""
    created_at: int = 0
    created_by: str = ""

    @property
    def secret_name(self) -> str:
        """The row in which its secret and its URL are sealed (`target`)."""
        return f"webhook:{self.id}"

    @property
    def host(self) -> str:
        return destination(self.shown.removesuffix(CUT)).host

    def wants(self, notice: Notice) -> bool:
        return notice is Notice.TEST or not self.notices or notice in self.notices


@dataclass(frozen=True, slots=True)
class Target:
    """What only a try needs: the whole URL, and the secret that signs."""

    url: str
    secret: bytes

    def text(self) -> bytes:
        """To be sealed."""
        return self.secret + self.url.encode()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one webhook; its `body` goes when it is done.

    `error`: in our words, why the last try failed; `status`: what was answered then.
    """

    id: str
    webhook_id: str
    notice: Notice
    body: str
    created_at: int
    tries: int = 0
    next_at: int = 0
    state: DeliveryState = DeliveryState.WAITING
    status: int | None = None
    error: str = ""
    done_at: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one try gave. `status` None: no answer."""

    status: int | None
    error: str = ""

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Names:
    """Of what a request is about, at the time of the message; empty when it is gone."""

    requester: str
    requester_email: str
    role: str
    cluster: str


def shown_url(url: str) -> str:
    """Scheme, host and port. What follows may be all that a chat service asks of whoever posts there."""
    where = _AUTHORITY.match(url)
    known = where[0] if where else ""
    return known + (CUT if url[len(known) :].strip("/?") else "")


def target(text: bytes, shown: str) -> Target:
    """From what was sealed. Of a webhook made before the URL was sealed, all of it is `shown`."""
    return Target(text[SECRET_BYTES:].decode() or shown, text[:SECRET_BYTES])


def became(request: AccessRequest) -> Notice:
    """What to tell when a request has changed into this."""
    return _BECAME[request.decided]


def message(notice: Notice, request: AccessRequest, names: Names, at: int) -> str:
    """The body, as it is signed and sent."""
    scope: dict[str, object] = {"kind": str(request.scope.kind)}
    if request.scope.cluster_id:
        scope["cluster_id"] = request.scope.cluster_id
    if request.scope.labels:
        scope["labels"] = dict(request.scope.labels)
    if request.scope.namespaces:
        scope["namespaces"] = list(request.scope.namespaces)
    data = {
        "id": request.id,
        "state": str(request.decided),
        "requester": {"id": request.subject.id, "name": names.requester, "email": names.requester_email},
        "role": {"id": request.role_id, "name": names.role},
        "cluster": {"id": request.scope.cluster_id, "name": names.cluster},
        "scope": scope,
        "seconds": request.seconds,
        "reason": request.reason,
        "reviewers": list(request.reviewers),
        "approvals": [{"name": yes.name, "at": _utc(yes.at)} for yes in request.approvals],
        "note": request.note,
        "closed_by": request.closed_by,
        "until": None if request.until is None else _utc(request.until),
        "expires_at": _utc(request.expires_at),
    }
    return enveloped(notice, data, at)


def enveloped(notice: Notice, data: dict[str, object], at: int) -> str:
    return json.dumps({"type": str(notice), "timestamp": _utc(at), "data": data})


def shown_secret(secret: bytes) -> str:
    """The secret as its receiver is given it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signature(secret: bytes, delivery_id: str, seconds: int, body: bytes) -> str:
    """The header `webhook-signature` of a message sent at this time (Unix seconds)."""
    signed = f"{delivery_id}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, sha256).digest()).decode()


def next_try(delivery: Delivery, outcome: Outcome, now: int, chance: float) -> int | None:
    """When to try again, None: no more. `chance`, from 0 to 1, spreads those who wait for the same receiver."""
    if outcome.status == GONE:
        return None
    wait = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS << min(delivery.tries - 1, 16))
    again = now + int(wait * (0.5 + chance / 2) * SECOND)
    return again if again < delivery.created_at + GIVE_UP_SECONDS * SECOND else None


def _utc(micros: int) -> str:
    return datetime.fromtimestamp(micros // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
