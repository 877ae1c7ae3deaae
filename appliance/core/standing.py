"""What someone holds on one cluster, indexed so that a thousand bindings cost a request no more than one.

A standing follows from (person, cluster) in one state of people, clusters, roles and bindings, and lives in the
snapshot's `memory` until one of those changes. It remembers, for each kind of request seen, which bindings allow it.
Two requests are of one kind when nothing that any scope or rule here looks at differs between them. What always
holds: the answer is the one that walking all bindings would give, at whatever `now`; what is remembered is bounded,
and forgotten when a binding begins or ceases to be live.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter

from appliance.core.clusters import Cluster
from appliance.core.people import Person, name_fault
from appliance.core.roles import Binding, Role, ScopeKind, reads_only_its_namespace
from appliance.core.snapshot import Snapshot
from wire.heads import Identity
from wire.kube import Ask

MAX_REMEMBERED_STANDINGS = 16_384  # (person, cluster) pairs in one state; about 2 KB each
MAX_REMEMBERED_KINDS = 256  # of requests in one standing; kubectl and a dashboard together ask some 60
MAX_REMEMBERED_GROUNDS = 64  # different sets of bindings that answer
MAX_REMEMBERED_IDENTITIES = 64  # credentials in use at once on the same grounds
MAX_NAMED_BINDINGS = 8  # in an audit record's rule; the ids of all stand beside it
EXTRA_CREDENTIAL = b"fairlead.dev/credential"  # becomes an Impersonate-Extra; Kubernetes lower-cases such keys

_BEFORE_ALL, _AFTER_ALL = -(1 << 63), 1 << 63  # microseconds no clock shows


@dataclass(frozen=True, slots=True)
class Holding:
    """One binding of a person on a cluster with its role."""

    binding: Binding
    role: Role
    confined: bool  # to namespaces
    plain: bool  # allows everything: neither confined nor ruled

    def allows(self, ask: Ask) -> bool:
        """Whether this binding allows the request, were it live."""
        if self.plain:
            return True
        if self.confined:
            if not self.binding.scope.contains(ask):
                return False
            if not self.role.rules and not reads_only_its_namespace(ask):
                return False
        return self.role.allows(ask)


def holding(binding: Binding, role: Role) -> Holding:
    confined = binding.scope.kind is ScopeKind.NAMESPACES
    return Holding(binding, role, confined, plain=not confined and not role.rules)


@dataclass(slots=True)
class Grounds:
    """The bindings that allow a request, and what follows from them."""

    holdings: tuple[Holding, ...]
    binding_ids: tuple[str, ...]
    groups: tuple[str, ...]
    rule: str
    until: int | None  # when the first of the bindings ends by the clock
    _identities: dict[str, Identity] = field(default_factory=dict)

    @classmethod
    def of(cls, holdings: tuple[Holding, ...]) -> Grounds:
        ends = [it.binding.until for it in holdings if it.binding.until is not None]
        named = ", ".join(f"{it.role.name} by {it.binding.id}" for it in holdings[:MAX_NAMED_BINDINGS])
        more = len(holdings) - MAX_NAMED_BINDINGS
        return cls(
            holdings,
            tuple([it.binding.id for it in holdings]),
            tuple(sorted({group for it in holdings for group in it.role.groups})),
            f"{named} and {more} more" if more > 0 else named,
            min(ends) if ends else None,
        )

    def identity(self, credential_id: str, person: Person) -> Identity:
        """As whom such a request is sent."""
        known = self._identities.get(credential_id)
        if known is not None:
            return known
        groups = tuple([group.encode() for group in self.groups])
        extra = ((EXTRA_CREDENTIAL, credential_id.encode()),)
        made = Identity(person.name.encode(), person.id.encode(), groups, extra)
        if len(self._identities) >= MAX_REMEMBERED_IDENTITIES:
            self._identities.clear()
        self._identities[credential_id] = made
        return made


class Standing:
    """What a person holds on a cluster. Everything but the clock is settled when it is made."""

    def __init__(self, person: Person, holdings: Iterable[Holding]) -> None:
        self.holdings = tuple(holdings)
        self.by_id = {it.binding.id: it for it in self.holdings}
        self.fault = identity_fault(person, self.holdings)  # why the name or a group cannot be sent
        rules = [rule for it in self.holdings for rule in it.role.rules]
        self._namespaces = frozenset(name for it in self.holdings for name in it.binding.scope.namespaces)
        self._names = frozenset(name for rule in rules for name in rule.resource_names)
        self._urls = any(rule.non_resource_urls for rule in rules)
        self._begins, self._ends = _AFTER_ALL, _AFTER_ALL  # the time in which `_live` is right: none yet
        self._live: tuple[Holding, ...] = ()
        self._open: list[tuple[int, Holding]] = []  # of `_live`, with its place there: those not confined
        self._within: dict[str, list[tuple[int, Holding]]] = {}  # by namespace: those confined to it
        self._kinds: dict[Hashable, Grounds | None] = {}
        self._known: dict[tuple[str, ...], Grounds] = {}

    def live(self, now: int) -> tuple[Holding, ...]:
        """The holdings that have not ended."""
        if not self._begins <= now < self._ends:
            self._move(now)
        return self._live

    def everything(self, now: int) -> Grounds | None:
        """All of them as grounds, for what anyone with a live binding may ask; None without one."""
        return self._remembered(None, None, now)

    def grounds(self, ask: Ask, now: int) -> Grounds | None:
        """What allows the request; None: nothing."""
        if ask.is_resource:
            namespace = ask.namespace if ask.namespace in self._namespaces else ""
            name = ask.name if ask.name in self._names else ""
            return self._remembered((ask.verb, ask.group, ask.resource, ask.subresource, namespace, name), ask, now)
        return self._remembered((ask.verb, ask.path if self._urls else ""), ask, now)

    def _remembered(self, kind: Hashable, ask: Ask | None, now: int) -> Grounds | None:
        if not self._begins <= now < self._ends:
            self._move(now)
        try:
            return self._kinds[kind]
        except KeyError:
            pass
        found = self._live if ask is None else self._allowing(ask)
        if len(self._kinds) >= MAX_REMEMBERED_KINDS:
            self._kinds.clear()
        self._kinds[kind] = grounds = self._shared(found)
        return grounds

    def _allowing(self, ask: Ask) -> tuple[Holding, ...]:
        """In the order of `_live`. Of those confined to namespaces only the request's own are looked at."""
        near = self._within.get(ask.namespace, []) if ask.is_resource else []
        candidates = sorted(self._open + near, key=itemgetter(0)) if near else self._open
        return tuple([it for _, it in candidates if it.allows(ask)])

    def _shared(self, found: tuple[Holding, ...]) -> Grounds | None:
        """One object for the same bindings, however many kinds of request they allow."""
        if not found:
            return None
        key = tuple([it.binding.id for it in found])
        grounds = self._known.get(key)
        if grounds is None:
            if len(self._known) >= MAX_REMEMBERED_GROUNDS:
                self._known.clear()
            grounds = self._known[key] = Grounds.of(found)
        return grounds

    def _move(self, now: int) -> None:
        """Works out what is live at `now`, and from when until when that is so."""
        ends = [it.binding.until for it in self.holdings if it.binding.until is not None]
        self._begins = max((end for end in ends if end <= now), default=_BEFORE_ALL)
        self._ends = min((end for end in ends if now < end), default=_AFTER_ALL)
        self._live = tuple([it for it in self.holdings if it.binding.live(now)])
        self._open = [(place, it) for place, it in enumerate(self._live) if not it.confined]
        self._within = {}
        for place, it in enumerate(self._live):
            for namespace in dict.fromkeys(it.binding.scope.namespaces):
                self._within.setdefault(namespace, []).append((place, it))
        self._kinds.clear()
        self._known.clear()


def standing_of(snapshot: Snapshot, person: Person, cluster: Cluster) -> Standing:
    """What the person holds on the cluster, worked out once."""
    key = (person.id, cluster.id)
    known: Standing | None = snapshot.memory.get(key)
    if known is not None:
        return known
    bindings = snapshot.bindings_for(person.id, cluster.id)
    found = [holding(binding, role) for binding in bindings if (role := snapshot.roles.get(binding.role_id))]
    standing = Standing(person, found)
    if len(snapshot.memory) >= MAX_REMEMBERED_STANDINGS:
        snapshot.memory.clear()
    snapshot.memory[key] = standing
    return standing


def identity_fault(person: Person, holdings: Iterable[Holding]) -> str | None:
    """The same check as when names are given, so that no row, however it came to be, sends a reserved name."""
    fault = name_fault(person.name)
    if fault is not None:
        return f"the user name: {fault}"
    for group in sorted({group for held in holdings for group in held.role.groups}):
        fault = name_fault(group)
        if fault is not None:
            return f"the group {group}: {fault}"
    return None
