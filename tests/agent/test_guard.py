"""What the cluster's owner lets through, whatever the appliance says."""

from __future__ import annotations

import pytest

from agent.config import Bounds
from agent.guard import Guard, RefusedError
from wire.frames import ResetCode
from wire.heads import Identity, RequestHead

NO_BOUNDS = Bounds()


def check(identity: Identity, bounds: Bounds = NO_BOUNDS) -> None:
    Guard(bounds).check_identity(identity)


def target(method: bytes, path: bytes, bounds: Bounds = NO_BOUNDS, *, upgrade: bool = False) -> None:
    Guard(bounds).check_target(RequestHead(method, path), upgrade=upgrade)


@pytest.mark.parametrize(
    "identity",
    [
        Identity(b"alice@example.com"),
        Identity("zoë@example.com".encode(), b"uid", (b"team a", b"Systems"), ((b"example.com/key", b"v"),)),
    ],
)
def test_people_pass(identity: Identity) -> None:
    check(identity)


@pytest.mark.parametrize(
    "identity",
    [
        Identity(b"system:kube-controller-manager"),
        Identity(b"System:masters"),
        Identity(b" system:masters"),
        Identity(b"\tsystem:masters"),
        Identity(b"alice "),
        Identity(b"alice\r\nImpersonate-Group: system:masters"),
        Identity(b"alice\x00"),
        Identity(b"alice\xc2\x85"),
        Identity(b"alice\xff"),
        Identity(b"alice", groups=(b"system:masters",)),
        Identity(b"alice", groups=(b" system:masters",)),
        Identity(b"alice", groups=(b"",)),
        Identity(b"alice", groups=(b"dev", b"a\nb")),
        Identity(b"alice", b"uid\r"),
        Identity(b"alice", extra=((b"key", b"a\nb"),)),
        Identity(b"alice", extra=((b"", b"v"),)),
        Identity(b"alice", groups=tuple(b"g" * 1000 for _ in range(60))),
    ],
)
def test_nobody_else_does(identity: Identity) -> None:
    with pytest.raises(RefusedError) as caught:
        check(identity)
    assert caught.value.code == ResetCode.REFUSED


def test_a_request_without_a_user_never_passes() -> None:
    with pytest.raises(RefusedError, match="no user"):
        check(Identity(b""))


@pytest.mark.parametrize(
    ("identity", "refused"),
    [
        (Identity(b"demo@example.com", groups=(b"viewers", b"dev-1")), ""),
        (Identity(b"ann@corp.example.com", groups=()), ""),
        (Identity(b"system:serviceaccount:ci:deployer"), ""),
        (Identity(b"ann@example.com"), "the user ann@example.com is not among those"),
        (Identity(b"Demo@example.com"), "the user Demo@example.com is not among those"),
        (Identity(b"demo@example.com", groups=(b"viewers", b"ops")), "the group ops is not among those"),
        (Identity(b"demo@example.com", groups=(b"system:masters",)), "the group system:masters is not among"),
    ],
)
def test_only_whom_the_owner_lists_passes(identity: Identity, refused: str) -> None:
    bounds = Bounds(
        frozenset({b"system:serviceaccount:ci:deployer"}),
        users=("demo@example.com", "ann@corp*"),
        groups=("viewers", "dev-*"),
    )
    if refused:
        with pytest.raises(RefusedError, match=refused):
            check(identity, bounds)
    else:
        check(identity, bounds)


def test_bounds_are_said_in_words() -> None:
    assert Guard(NO_BOUNDS).described() == ""
    bounds = Bounds(frozenset({b"system:a"}), users=("b", "a*"), namespaces=frozenset({"x"}), no_exec=True)
    assert Guard(bounds).described() == "users: a* b; namespaces: x; system names: system:a; no exec"


def test_named_exceptions_pass_and_only_they() -> None:
    bounds = Bounds(frozenset({b"system:serviceaccount:ci:deployer"}), frozenset({b"system:masters"}))

    check(Identity(b"system:serviceaccount:ci:deployer", groups=(b"system:masters",)), bounds)
    with pytest.raises(RefusedError):
        check(Identity(b"system:serviceaccount:ci:other"), bounds)
    with pytest.raises(RefusedError):
        check(Identity(b"alice", groups=(b"system:nodes",)), bounds)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"GET", b"https://evil.example.com/api"),
        (b"GET", b"api/v1/pods"),
        (b"GET", b"*"),
        (b"GET", b"/api/v1/pods HTTP/1.1\r\nX: y"),
        (b"GET", b"/api/v1/namespaces/a%2fb/pods"),
        (b"GET", b"/api/v1/../v1/pods"),
        (b"GET", b"/api//v1/pods"),
        (b"GET", b"/api\\v1"),
        (b"GET", b"/api/v1/pods#x"),
        (b"GET", b""),
        (b"CONNECT", b"/x"),
        (b"TRACE", b"/x"),
        (b"get", b"/x"),
        (b"GET /x HTTP/1.1\r\n", b"/x"),
    ],
)
def test_a_request_with_two_readings_is_bad(method: bytes, path: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        target(method, path)
    assert caught.value.code == ResetCode.BAD_REQUEST


PODS = b"/api/v1/namespaces/open/pods"


@pytest.mark.parametrize(
    ("bounds", "method", "path", "passes"),
    [
        (Bounds(read_only=True), b"GET", PODS, True),
        (Bounds(read_only=True), b"GET", PODS + b"?watch=1", True),
        (Bounds(read_only=True), b"POST", PODS, False),
        (Bounds(read_only=True), b"GET", PODS + b"/p/exec", False),
        (Bounds(read_only=True), b"POST", b"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", True),
        (Bounds(no_exec=True), b"GET", PODS + b"/p/exec", False),
        (Bounds(no_exec=True), b"GET", PODS + b"/p/proxy/x", False),
        (Bounds(no_exec=True), b"GET", b"/api/v1/proxy/namespaces/open/pods/p/x", False),
        (Bounds(no_exec=True), b"POST", PODS + b"/p/%65xec", False),
        (Bounds(no_exec=True), b"POST", b"/apis/example.com/v1/namespaces/open/vms/v/portforward", False),
        (Bounds(read_only=True), b"GET", PODS + b"/p/log?follow=1", True),
        (Bounds(read_only=True), b"GET", b"/api/v1/proxy/namespaces/open/pods/p/x", False),
        (Bounds(read_only=True), b"GET", PODS + b"/p/ephemeralcontainers", False),
        (Bounds(read_only=True), b"DELETE", b"/api/v1/watch/namespaces/open/pods", False),
        (Bounds(read_only=True), b"OPTIONS", PODS, False),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/api/v1/watch/namespaces/open/pods", True),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/api/v1/watch/pods", False),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/api/v1/namespaces/other/pods?x=/namespaces/open/", False),
        (Bounds(no_exec=True), b"PATCH", PODS + b"/p/ephemeralcontainers", False),
        (Bounds(no_exec=True), b"DELETE", PODS + b"/p", True),
        (Bounds(namespaces=frozenset({"open"})), b"GET", PODS, True),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/api/v1/namespaces/open", True),
        (Bounds(namespaces=frozenset({"open"})), b"PATCH", b"/api/v1/namespaces/open", False),
        (Bounds(namespaces=frozenset({"open"})), b"DELETE", b"/api/v1/namespaces/open", False),
        (Bounds(namespaces=frozenset({"open"})), b"DELETE", PODS, True),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/api/v1/namespaces/other/pods", False),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/api/v1/pods", False),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/api/v1/nodes", False),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/metrics", False),
        (Bounds(namespaces=frozenset({"open"})), b"GET", b"/apis", True),
    ],
)
def test_the_owners_bounds(bounds: Bounds, method: bytes, path: bytes, passes: bool) -> None:
    if passes:
        target(method, path, bounds)
    else:
        with pytest.raises(RefusedError) as caught:
            target(method, path, bounds)
        assert caught.value.code == ResetCode.REFUSED


def test_an_upgrade_is_never_only_reading() -> None:
    with pytest.raises(RefusedError):
        target(b"GET", PODS, Bounds(read_only=True), upgrade=True)
