"""What a route of the admin API is, and the rule that none exists without a permission.

A route is a value: method, path, permissions, the form of its body, and the function that answers. What always holds:
`checked` refuses a table in which a route declares neither a permission nor another proof, so the appliance does not
start with an open door; the edge (`app`) asks for every declared permission before the answering function runs, and
that function cannot be reached any other way. It asks for them everywhere, unless the route says that it looks at the
scope of what it touches (`scoped`). Answering functions parse nothing and render nothing: they get a `Call` and return
an `Answer`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from appliance.api.bodies import Field
from appliance.core.clusters import Cluster
from appliance.core.machines import MachineToken
from appliance.core.problems import Code
from appliance.core.rights import Principal, Rights
from appliance.core.roles import Permission, Scope, ScopeKind
from appliance.core.sessions import Login, Session
from appliance.core.versions import Condition, Guarded

if TYPE_CHECKING:
    from appliance.api.parts import Parts

PREFIX = "/fairlead/v1"

T = TypeVar("T")


class Proof(Enum):
    """What stands for a permission. What a body shows, the answering function checks."""

    SIGNED_IN = "a person's own session: the function answers about that person and nobody else"
    MACHINE = "a machine's own token: the function answers about that machine and nobody else"
    SHOWN_IN_BODY = "the body holds the very token that the call is about, and nothing else can be done with it"


class UndeclaredRouteError(Exception):
    """A route has no permission: our own mistake, and a reason not to start."""


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated, permitted and well-formed call. Where another proof stands for it, `caller` is nobody."""

    parts: Parts
    caller: Principal
    rights: Rights
    needs: tuple[Permission, ...]  # what the route declared
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]
    correlation_id: str
    client_address: str
    now: int
    held: tuple[Session, Login] | None = None  # of a person who signed in
    token: MachineToken | None = None  # that a machine showed
    condition: Condition | None = None  # of a PATCH: what it is meant for

    def guarded(self, etag: Callable[[T], str], edit: Callable[[T], T]) -> Guarded[T]:
        """The edit, if what is there is what the caller has read."""
        assert self.condition is not None  # the edge has seen to it
        return Guarded(self.condition, etag, edit)

    def within(self, scope: Scope) -> bool:
        """Whether the caller holds what the route needs in a scope that contains this one."""
        cluster = self.parts.snapshot().clusters.get(scope.cluster_id)
        return all(self.rights.within(permission, scope, cluster) for permission in self.needs)

    def on(self, cluster: Cluster) -> bool:
        """Whether the caller holds what the route needs for the whole of this cluster."""
        return self.within(Scope(ScopeKind.CLUSTER, cluster.id))


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON body; None: no body."""

    status: int
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is below PREFIX, with `<name>` for a parameter. All of `permissions` are needed, or else `proof`.

    `scoped`: in some scope; the function answers only about what lies in it, and treats the rest as not there.
    """

    method: str
    path: str
    permissions: tuple[Permission, ...]
    answer: Callable[[Call], Awaitable[Answer]]
    body: tuple[Field, ...] | None = None
    query: tuple[Field, ...] = ()
    scoped: bool = False
    proof: Proof | None = None
    gives: Any = None  # the type of the answer, or of what a list holds; None: it has no body
    status: int = 200
    refuses: tuple[Code, ...] = ()  # beside what every route refuses

    @property
    def pages(self) -> bool:
        """Whether it answers page by page."""
        return any(it.name == "cursor" for it in self.query)

    @property
    def conditional(self) -> bool:
        """Whether it changes what somebody may have read, and so takes If-Match."""
        return self.method == "PATCH"


def checked(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The same routes, if each declares one way in and none stands twice."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        name = f"{route.method} {PREFIX}/{route.path}"
        declared = bool(route.permissions) and all(isinstance(it, Permission) for it in route.permissions)
        if declared == isinstance(route.proof, Proof) or (route.proof is not None and route.permissions):
            raise UndeclaredRouteError(f"The route {name} declares no permission, or more than one way in.")
        if (route.method, route.path) in seen:
            raise UndeclaredRouteError(f"The route {name} stands twice.")
        if route.body is not None and route.method not in {"POST", "PUT", "PATCH"}:
            raise UndeclaredRouteError(f"The route {name} takes a body that its method does not have.")
        seen.add((route.method, route.path))
    return tuple(routes)
