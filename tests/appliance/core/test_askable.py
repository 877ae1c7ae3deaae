"""Whoever is refused is told the command that asks for what would help, and nobody is told of what is not for them."""

from __future__ import annotations

import pytest

from appliance.core.access import RequestPolicy
from appliance.core.problems import Code
from appliance.core.roles import EVERYWHERE, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity
from tests.appliance.core.test_decision import ALICE, ME, PROD, SPACES, World

DEV = Subject(SubjectKind.GROUP, "dev", ALICE.issuer)
OTHERS = Subject(SubjectKind.GROUP, "others", ALICE.issuer)
LIST_PODS = "GET /api/v1/namespaces/blue/pods"
READS = Rule(("get", "list", "watch"), ("",), ("pods",))
COMMAND = "fairlead access request --cluster prod --role "


def world(*policies: RequestPolicy) -> World:
    made = World().role("viewer", READS).role("on call")
    for policy in policies:
        made.put(Entity.REQUEST_POLICY, policy)
    return made


@pytest.mark.parametrize(
    ("policy", "request_line", "command"),
    [
        (RequestPolicy("p", "viewer", EVERYWHERE, (ME,)), LIST_PODS, COMMAND + "viewer"),
        (RequestPolicy("p", "viewer", EVERYWHERE, (DEV,)), "GET /api", COMMAND + "viewer"),  # kubectl's first look
        (RequestPolicy("p", "on call", SPACES, (DEV,)), LIST_PODS, COMMAND + "'on call'"),
        (RequestPolicy("p", "viewer", EVERYWHERE, (ME,), reason_required=True), LIST_PODS, "viewer --reason WHY"),
        (RequestPolicy("p", "viewer", EVERYWHERE, (OTHERS,)), LIST_PODS, None),
        (RequestPolicy("p", "viewer", Scope(ScopeKind.CLUSTER, "cluster_9"), (ME,)), LIST_PODS, None),
        (RequestPolicy("p", "viewer", EVERYWHERE, (ME,)), "DELETE /api/v1/namespaces/blue/pods/web", None),
        (RequestPolicy("p", "on call", SPACES, (ME,)), "GET /api/v1/namespaces/red/pods", None),
        (RequestPolicy("p", "gone", EVERYWHERE, (ME,)), LIST_PODS, None),
    ],
)
def test_without_a_role(policy: RequestPolicy, request_line: str, command: str | None) -> None:
    told = world(policy).denied(request_line).problem
    assert told.code is Code.NO_ROLE_ASSIGNMENT
    assert (dict(told.meta).get("command") is None) is (command is None)
    assert told.message.endswith(command or "nothing else needs to change.")


def test_with_a_role_that_does_not_allow_it() -> None:
    mine = world(
        RequestPolicy("p1", "viewer", EVERYWHERE, (ME,)), RequestPolicy("p2", "on call", EVERYWHERE, (ME,), (), 2)
    )
    told = mine.bind("viewer").denied("DELETE /api/v1/namespaces/blue/pods/web").problem
    assert (told.code, told.message.endswith(COMMAND + "'on call'")) == (Code.FORBIDDEN, True)
    confined = world(RequestPolicy("p", "on call", EVERYWHERE, (ME,))).bind("viewer", SPACES)
    told = confined.denied("GET /api/v1/nodes").problem
    assert (told.code, told.message.endswith(COMMAND + "'on call'")) == (Code.FORBIDDEN, True)


def test_what_needs_the_fewest_others_is_named_first() -> None:
    both = world(
        RequestPolicy("p1", "on call", EVERYWHERE, (ME,), approvals=2),
        RequestPolicy("p2", "viewer", EVERYWHERE, (ME,)),
    )
    assert both.denied(LIST_PODS).problem.message.endswith(COMMAND + "viewer")


def test_a_machine_is_told_to_ask_its_administrator() -> None:
    mine = world(RequestPolicy("p", "viewer", EVERYWHERE, (ME,)))
    mine.snapshot.put(Entity.PERSON, ALICE.id, None)
    mine.snapshot.holders[ALICE.id] = ALICE
    assert "command" not in dict(mine.denied(LIST_PODS).problem.meta)
    assert PROD.name in mine.denied(LIST_PODS).problem.message
