"""Who a request acts as, and what that person may do."""

from __future__ import annotations

import pytest

from ops.demo.toy.people import AGENT, Action, Caller, authenticate, may
from ops.demo.toy.statuses import ApiError

TOKEN = "the-token"
AUTH = (b"authorization", b"Bearer the-token")
LIST = Action("list", resource="pods", namespace="demo")
DELETE = Action("delete", resource="pods", namespace="demo")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ((), 401),
        (((b"Authorization", b"Bearer other"),), 401),
        ((AUTH, AUTH), 401),
        ((AUTH, (b"Impersonate-Group", b"g")), 400),
        ((AUTH, (b"Impersonate-Uid", b"1")), 400),
        ((AUTH, (b"Impersonate-Extra-Scopes", b"s")), 400),
    ],
)
def test_refused(headers: tuple[tuple[bytes, bytes], ...], code: int) -> None:
    with pytest.raises(ApiError) as refused:
        authenticate(headers, TOKEN)
    assert refused.value.code == code


def test_without_impersonation_it_is_the_agent_who_may_nothing() -> None:
    caller = authenticate((AUTH,), TOKEN)
    assert caller.user == AGENT
    assert not may(caller, LIST)
    assert may(caller, Action("get", path="/version"))


def test_everything_of_an_impersonated_user_arrives() -> None:
    caller = authenticate(
        (
            AUTH,
            (b"Impersonate-User", b"ann@example.com"),
            (b"Impersonate-Group", b"a,b"),
            (b"impersonate-group", b"c"),
            (b"Impersonate-Uid", b"7"),
            (b"Impersonate-Extra-Example.Com%2fScope", b"one"),
            (b"Impersonate-Extra-example.com%2Fscope", b"two"),
        ),
        TOKEN,
    )
    groups = ("a,b", "c", "system:authenticated")
    assert caller == Caller("ann@example.com", groups, "7", (("example.com/scope", ("one", "two")),), impersonated=True)


def test_an_impersonated_service_account_gets_its_groups() -> None:
    caller = authenticate((AUTH, (b"Impersonate-User", b"system:serviceaccount:demo:robot")), TOKEN)
    assert caller.groups == ("system:serviceaccounts", "system:serviceaccounts:demo", "system:authenticated")


@pytest.mark.parametrize(
    ("groups", "reads", "writes"),
    [
        ((), False, False),
        (("toy:viewers",), True, False),
        (("crew",), True, True),
        (("crew", "toy:viewers"), True, False),
        (("toy:admins", "toy:viewers"), True, True),
    ],
)
def test_groups_decide(groups: tuple[str, ...], reads: bool, writes: bool) -> None:
    caller = Caller("ann", (*groups, "system:authenticated"), impersonated=True)
    assert (may(caller, LIST), may(caller, DELETE)) == (reads, writes)
