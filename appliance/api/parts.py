"""What the admin API is given: the seams to store, registry and ledger, as types. Nothing here does anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from appliance.api.readings import Readings
from appliance.core.audit_query import AuditQuery
from appliance.core.buckets import FailedLogins
from appliance.core.credentials import Credential
from appliance.core.events import AuditEvent
from appliance.core.liveness import ClusterState
from appliance.core.outages import Outages
from appliance.core.paces import Paces
from appliance.core.paging import Orders
from appliance.core.problems import Code, Problem
from appliance.core.snapshot import Snapshot
from appliance.core.uses import BindingUses
from appliance.core.webhooks import Delivery, Outcome, Webhook
from appliance.store.unit import Unit

T = TypeVar("T")


class Write(Protocol):
    """Do a unit of work in one transaction; returns once the local snapshot shows it."""

    async def __call__(self, unit: Unit[T], /) -> T: ...


class Read(Protocol):
    """Do a unit of work that only reads: for what the snapshot does not hold."""

    async def __call__(self, unit: Unit[T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bootstrap bundle as the agent reads it, and the digest under which the store knows its token."""

    document: Mapping[str, Any]
    token_sha256: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the API needs. `clock` gives microseconds UTC; `ca_pem` only when our own CA signs for users;
    `make_authority` gives a new one as it is sealed, `trusted` the certificates of those in force,
    `trust_settled` waits until a change of them is taken up here.

    `seal` gives key id and box of a secret, for one row; `send_notice` tells a webhook, whose secret is in that box;
    `record` raises when a record cannot be kept now; `prove` says what a kubeconfig token says, if we issued it;
    `help_url` is what a problem's code is appended to; `faults` are the exceptions of store and ledger, with what a
    caller is told; `key_set_fault` says why a text is no set of public keys; `failures` counts those who fail to prove
    who they are, `paces` everybody's calls; `hsts`: browsers may be told to come by TLS only, because others believe
    the certificate.
    """

    snapshot: Callable[[], Snapshot]
    write: Write
    read: Read
    catch_up: Callable[[], Awaitable[None]]  # with what other appliances have written
    states: Callable[[], Mapping[str, ClusterState]]
    record: Callable[[AuditEvent], Awaitable[None]]
    search_audit: Callable[[AuditQuery], Awaitable[Mapping[str, Any]]]
    audit_record: Callable[[int, int], Awaitable[Mapping[str, Any] | None]]
    make_bundle: Callable[[str, int], Bundle]
    make_authority: Callable[[int], bytes]
    trusted: Callable[[], str]
    trust_settled: Callable[[], Awaitable[None]]
    sign: Callable[[Credential], str]
    seal: Callable[[str, bytes], tuple[str, str]]
    send_notice: Callable[[Webhook, Delivery, str, str], Awaitable[Outcome]]
    prove: Callable[[bytes, int], Credential | Problem]
    clock: Callable[[], int]
    public_url: str
    help_url: str
    ca_pem: Callable[[], str | None]
    faults: Mapping[type[Exception], Code]
    key_set_fault: Callable[[str], str | None]
    failures: FailedLogins = field(default_factory=FailedLogins)
    readings: Readings = field(default_factory=Readings)
    orders: Orders = field(default_factory=Orders)
    outages: Outages = field(default_factory=Outages)
    uses: BindingUses = field(default_factory=BindingUses)
    paces: Paces = field(default_factory=Paces)
    hsts: bool = False
