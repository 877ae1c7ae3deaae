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

from appliance.core.clusters import Cluster
from appliance.core.people import Person, name_fault
from appliance.core.roles import Holding, reads_only_its_namespace
from appliance.core.rulebook import Rulebook, ones
from appliance.core.snapshot import Snapshot
from wire.heads import Identity
from wire.kube import Ask

# A standing in use takes some 25 KB (60 kinds of request, a few grounds) and at most 300 KB: all of them 100 MB, or
# 1.2 GB if thousands of people each varied their requests on purpose.
MAX_REMEMBERED_STANDINGS = 4_096  # (person, cluster) pairs in one state
MAX_REMEMBERED_KINDS = 128  # of requests in one standing; kubectl and a dashboard together ask some 60
MAX_REMEMBERED_GROUNDS = 64  # different sets of bindings that answer
MAX_REMEMBERED_IDENTITIES = 8  # credentials in use at once on the same grounds
MAX_REMEMBERED_PATH = 512  # characters; a kind holds parts of its path, and a request's may have 64 KiB
MAX_NAMED_BINDINGS = 8  # in an audit record's rule; the ids stand beside it, as many as fit
EXTRA_CREDENTIAL = b"fairlead.dev/credential"  # becomes an Impersonate-Extra; Kubernetes lower-cases such keys

_BEFORE_ALL, _AFTER_ALL = -(1 << 63), 1 << 63  # microseconds no clock shows


@dataclass(slots=True)
class Grounds:
    """The bindings that allow a request, and what follows from them."""

    holdings: tuple[Holding, ...]
    binding_ids: tuple[str, ...]
    groups: tuple[str, ...]
    rule: str
    until: int | None  # when the first of the bindings ends by the clock
    _sent: tuple[bytes, ...]  # the groups, as every identity has them
    _identities: dict[str, Identity] = field(default_factory=dict)

    @classmethod
    def of(cls, holdings: tuple[Holding, ...]) -> Grounds:
        ends = [it.binding.until for it in holdings if it.binding.until is not None]
        named = ", ".join(f"{it.role.name} by {it.binding.id}" for it in holdings[:MAX_NAMED_BINDINGS])
        more = len(holdings) - MAX_NAMED_BINDINGS
        groups = tuple(sorted({group for it in holdings for group in it.role.groups}))
        return cls(
            holdings,
            tuple([it.binding.id for it in holdings]),
            groups,
            f"{named} and {more} more" if more > 0 else named,
            min(ends) if ends else None,
            tuple([group.encode() for group in groups]),
        )

    def identity(self, credential_id: str, person: Person) -> Identity:
        """As whom such a request is sent."""
        known = self._identities.get(credential_id)
        if known is not None:
            return known
        extra = ((EXTRA_CREDENTIAL, credential_id.encode()),)
        made = Identity(person.name.encode(), person.id.encode(), self._sent, extra)
        if len(self._identities) >= MAX_REMEMBERED_IDENTITIES:
            self._identities.clear()
        self._identities[credential_id] = made
        return made


class Standing:
    """What a person holds on a cluster. Everything but the clock is settled when it is made.

    Holdings, and lines of the rulebook, are bits: a set of them is one integer. A request is allowed by the holdings
    whose place (the whole cluster, or its namespace) it is asked in, and whose role has a line that allows it.
    """

    def __init__(self, person: Person, holdings: Iterable[Holding]) -> None:
        self.holdings = tuple(holdings)
        self.fault = identity_fault(person, self.holdings)  # why the name or a group cannot be sent
        roles = {it.role.id: it.role for it in self.holdings}
        self._rules = Rulebook(roles.values())
        self._holders = [0] * len(roles)  # by role, as the rulebook counts them: its holdings
        self._places: dict[str, _Place] = {"": _Place()}  # by namespace those confined to it; "": those that are not
        self._confined_lines = 0  # lines of roles held in namespaces
        numbers = {role_id: number for number, role_id in enumerate(roles)}
        for number, it in enumerate(self.holdings):
            role = numbers[it.role.id]
            lines = self._rules.lines[role]
            self._holders[role] |= 1 << number
            for namespace in it.binding.scope.namespaces or ("",):
                place = self._places.get(namespace)
                if place is None:
                    place = self._places[namespace] = _Place()
                place.holdings |= 1 << number
                place.lines |= lines
            if it.confined:
                self._confined_lines |= lines
        self._begins, self._ends = _AFTER_ALL, _AFTER_ALL  # the time in which `_alive` is right: none yet
        self._alive = 0
        self._kinds: dict[Hashable, Grounds | None] = {}
        self._known: dict[int, Grounds] = {}  # by holdings
        self._elsewhere: dict[tuple[int, str], tuple[str, ...]] = {}  # by lines and namespace
        self._by_id: dict[str, Holding] = {}

    def held(self, binding_id: str) -> Holding | None:
        """One of the holdings. Streams ask, once in a while; requests never do."""
        if not self._by_id:
            self._by_id = {it.binding.id: it for it in self.holdings}
        return self._by_id.get(binding_id)

    def empty(self, now: int) -> bool:
        """Whether nothing is held, or everything has ended."""
        self._settle(now)
        return self._alive == 0

    def everything(self, now: int) -> Grounds | None:
        """All live holdings as grounds, for what anyone with a live binding may ask; None without one."""
        self._settle(now)
        return self._shared(self._alive)

    def grounds(self, ask: Ask, now: int) -> Grounds | None:
        """What allows the request; None: nothing."""
        self._settle(now)
        kind = self._kind(ask)
        try:
            return self._kinds[kind]
        except KeyError:
            pass
        grounds = self._shared(self._allowing(ask))
        if len(ask.path) <= MAX_REMEMBERED_PATH:
            if len(self._kinds) >= MAX_REMEMBERED_KINDS:
                self._kinds.clear()
            self._kinds[kind] = grounds
        return grounds

    def elsewhere(self, ask: Ask, now: int) -> tuple[str, ...]:
        """The namespaces, sorted, of the holdings that would allow this there: to tell someone who was refused."""
        self._settle(now)
        lines = self._rules.allowing(ask) & self._confined_lines
        if not ask.is_resource or not lines:
            return ()
        # A holding of this very namespace that did not allow it does not allow it: it asks for the namespace itself.
        here = "" if reads_only_its_namespace(ask) or ask.namespace not in self._places else ask.namespace
        known = self._elsewhere.get((lines, here))
        if known is None:
            found = self._holding(lines) & self._alive
            if here:
                found &= ~self._places[here].holdings
            known = tuple(
                sorted({it for number in ones(found) for it in self.holdings[number].binding.scope.namespaces})
            )
            if len(self._elsewhere) >= MAX_REMEMBERED_GROUNDS:
                self._elsewhere.clear()
            self._elsewhere[lines, here] = known
        return known

    def _kind(self, ask: Ask) -> Hashable:
        """What of the request makes a difference here."""
        if not ask.is_resource:
            return (ask.verb, ask.path if self._rules.reads_paths else "")
        namespace = ask.namespace if ask.namespace in self._places else ""
        name = ask.name if ask.name in self._rules.names else ""
        return (ask.verb, ask.group, ask.resource, ask.subresource, namespace, name)

    def _allowing(self, ask: Ask) -> int:
        """The live holdings that allow the request."""
        lines = self._rules.allowing(ask)
        everywhere = self._places[""]
        found = everywhere.holdings & self._holding(everywhere.lines & lines)
        near = self._places.get(ask.namespace) if ask.namespace else None
        if near is not None:
            if not reads_only_its_namespace(ask):
                lines &= ~self._rules.free
            found |= near.holdings & self._holding(near.lines & lines)
        return found & self._alive

    def _holding(self, lines: int) -> int:
        """The holdings of the roles these lines are of."""
        found = 0
        for line in ones(lines):
            found |= self._holders[self._rules.owners[line]]
        return found

    def _shared(self, found: int) -> Grounds | None:
        """One object for the same bindings, however many kinds of request they allow."""
        if found == 0:
            return None
        grounds = self._known.get(found)
        if grounds is None:
            if len(self._known) >= MAX_REMEMBERED_GROUNDS:
                self._known.clear()
                self._kinds.clear()  # they would keep the forgotten ones
            grounds = self._known[found] = Grounds.of(tuple([self.holdings[number] for number in ones(found)]))
        return grounds

    def _settle(self, now: int) -> None:
        """Works out what is live at `now`, and from when until when that is so, unless it is known."""
        if self._begins <= now < self._ends:
            return
        self._begins, self._ends = _BEFORE_ALL, _AFTER_ALL
        self._alive = (1 << len(self.holdings)) - 1
        for number, it in enumerate(self.holdings):
            until = it.binding.until
            if until is None:
                continue
            if now < until:
                self._ends = min(self._ends, until)
            else:
                self._begins = max(self._begins, until)
                self._alive ^= 1 << number
        self._kinds.clear()
        self._known.clear()
        self._elsewhere.clear()


class _Place:
    """Where a request may be asked: the holdings that reach it, and the lines of their roles."""

    def __init__(self) -> None:
        self.holdings = 0
        self.lines = 0


def standing_of(snapshot: Snapshot, person: Person, cluster: Cluster) -> Standing:
    """What the person holds on the cluster, worked out once."""
    key = (person.id, cluster.id)
    known: Standing | None = snapshot.memory.get(key)
    if known is not None:
        return known
    bindings = snapshot.bindings_for(person.id, cluster.id)
    found = [Holding(binding, role) for binding in bindings if (role := snapshot.roles.get(binding.role_id))]
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
