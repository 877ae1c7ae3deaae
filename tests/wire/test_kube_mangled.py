"""A mangled target is never decided as something else than is forwarded: it reads the same to everybody, or is refused.

Everybody is: the toy cluster, whose reading of URLs was written apart from ours; and servers on the way that decode
once too often, cut parameters off, take a backslash for a slash, or tidy a path up.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from urllib.parse import unquote

import h11
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agent.config import Bounds
from agent.guard import Guard, RefusedError
from ops.demo.toy import readings
from ops.demo.toy.exchange import Exchange
from ops.demo.toy.statuses import ApiError
from tests.support.asks import Reading, rows
from wire.heads import RequestHead
from wire.kube import Ask, BadTarget, understand

BITS = [
    *("%2f", "%2F", "%252f", "%25252F", "%5c", "\\", "%255c", "%00", "\0", "%2500"),
    *("/", "//", "/.", "/./", "/..", "/../", "%2e", "/%2e%2E/", "/%252e%252e/", "/..;/", "/.;x/", "...", "."),
    *(";", ";x=y", "%3b", "%253b", "?", "??", "%3f", "#", "%23", "&", "=", "%26", "%3d", "+", "%2b"),
    *("%", "%2", "%zz", "%u002f", "%c0%af", "%c0%ae", "%ff", "%C3%A9", "é", "%ef%bc%8f", "%e2%81%84", "%20", " ", "\t"),
    *("\r\n", "%0d%0a", "%0a", "%7f", "\x7f", ",", "%2c", "*", ":", "@", "~", '"', "<", "|", "^", "`", "{"),
    *("/api", "/apis", "/namespaces", "/namespaces/other", "/watch", "/proxy", "/exec", "%65xec", "/status", "/pods"),
    *("?watch=1", "&watch=true", "&watch=0", ";watch=1", "&w%61tch=1", "&watch", "?watch=%74rue", "&Watch=1"),
    *("?fieldSelector=metadata.name=x", "&fieldSelector=metadata.name%3Dx", "&limit=1", "&limit=x", "&labelSelector=!"),
]
TARGETS = sorted({row.target for row in rows()})
METHODS = sorted({row.method for row in rows()})


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """A target of the table with bits put in, cut out, or written in other cases."""
    target = draw(st.sampled_from(TARGETS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(target)))
        match draw(st.sampled_from(["insert", "insert", "insert", "cut", "case", "encode"])):
            case "insert":
                target = target[:at] + draw(st.sampled_from(BITS)) + target[at:]
            case "cut":
                target = target[:at] + target[at + draw(st.integers(1, 4)) :]
            case "case":
                target = target[:at] + target[at:].swapcase()
            case "encode" if at < len(target):
                target = target[:at] + "".join(f"%{byte:02X}" for byte in target[at].encode()) + target[at + 1 :]
    return target


def as_reading(ask: Ask) -> Reading:
    if not ask.is_resource:
        return Reading(ask.verb, ask.path)
    return Reading(ask.verb, "", ask.group, ask.namespace, ask.resource, ask.subresource, ask.name)


def ours(method: str, target: str) -> Reading | None:
    """What Fairlead decides on; None where it refuses."""
    try:
        return as_reading(understand(method.encode(), target.encode()))
    except BadTarget:
        return None


def toys(method: str, target: str, path: str | None = None) -> Reading | None:
    """What the toy cluster's authorizer would be asked; with `path`, if that came out of the target."""
    request = h11.Request(method=method, target=target, headers=[("host", "toy")])
    exchange = Exchange(cast("Any", None), request, cast("Any", None))
    exchange.path = exchange.path if path is None else path
    try:
        action = readings.action(exchange)
    except ApiError:
        return None
    if action.path:
        return Reading(action.verb, action.path)
    return Reading(action.verb, "", action.group, action.namespace, action.resource, action.subresource, action.name)


def decided(method: str, target: str) -> Reading:
    """What Fairlead decides on, in the API server's verbs; only of targets that it does not refuse."""
    found = ours(method, target)
    assume(found is not None)
    assert found is not None
    if found.subresource in {"exec", "attach", "portforward"} and found.resource == "pods" and not found.group:
        assert found.verb == "create"
        verbs = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
        by_path = unquote(target.partition("?")[0]).strip("/").split("/")[2] == "watch"
        return replace(found, verb="watch" if by_path else verbs.get(method, ""))
    return found


@given(st.sampled_from(METHODS), mangled())
@example("GET", "/api/v1/namespaces/ns/pods/web/exec")
def test_another_api_server_reads_it_the_same(method: str, target: str) -> None:
    found, theirs = decided(method, target), toys(method, target)
    if theirs is not None and not found.name and "labelSelector" in target:
        theirs = replace(theirs, name="")  # beside labels that might not parse, ours takes no name for certain
    assert theirs == found


def decoded_to_the_end(path: str) -> str:
    while (further := unquote(path)) != path:
        path = further
    return path


def without_parameters(path: str) -> str:
    return "/".join(part.partition(";")[0] for part in path.split("/"))


def with_slashes_kept(path: str) -> str:
    """As who splits before decoding: an encoded slash is no slash there, but some other letter."""
    return unquote(re.sub("%2f", "%E2%88%95", path, flags=re.IGNORECASE))


def tidied(path: str) -> str:
    """Without empty and dot segments; a slash at the end stays, as it does where paths are tidied on the way."""
    tidy = posixpath.normpath(path).replace("//", "/")
    return tidy + "/" if path.endswith("/") and tidy != "/" else tidy


OTHERS: dict[str, Callable[[str], str]] = {
    "splits before decoding": with_slashes_kept,
    "decodes twice": lambda path: unquote(unquote(path)),
    "decodes to the end": decoded_to_the_end,
    "cuts parameters off": lambda path: unquote(without_parameters(path)),
    "cuts them off after decoding": lambda path: without_parameters(unquote(path)),
    "takes backslashes for slashes": lambda path: unquote(path).replace("\\", "/"),
    "tidies up": lambda path: unquote(tidied(path)),
    "tidies up after decoding": lambda path: tidied(unquote(path)),
    "does all of it": lambda path: tidied(without_parameters(decoded_to_the_end(path).replace("\\", "/"))),
}


@pytest.mark.parametrize("other", OTHERS, ids=str)
@given(method=st.sampled_from(METHODS), target=mangled())
@example(method="GET", target="/api/v1/namespaces/ns/services/s/proxy/%252e%252e/%252e%252e/x")
@example(method="GET", target="/api/v1/namespaces/ns/services/s/proxy/..;/..;/x")
@example(method="GET", target="/api/v1/namespaces/ns/services/s/proxy/%255c..%255c..%255cx")
@example(method="GET", target="/api/v1/namespaces/ns/pods/web%252fexec")
@example(method="GET", target="/api/v1/namespaces/ns/pods/web%2flog")
@example(method="GET", target="/api/v1/namespaces/ns/pods/web%5clog")
def test_who_decodes_cuts_or_tidies_on_the_way_changes_nothing(other: str, method: str, target: str) -> None:
    found = decided(method, target)
    assert toys(method, target, OTHERS[other](target.partition("?")[0])) == found


@given(st.sampled_from([method for method in METHODS if method.isupper()]), mangled())
def test_the_guard_reads_what_the_appliance_read(method: str, target: str) -> None:
    """An agent confined to one namespace lets through what the appliance took for a request in it, and nothing else."""
    head = RequestHead(method.encode(), target.encode())
    bounds = Bounds(namespaces=frozenset({"ns"}), read_only=True)
    found = ours(method, target)
    try:
        Guard(bounds).check_target(head, upgrade=False)
    except RefusedError:
        return
    assert found is not None
    ask = understand(method.encode(), target.encode())
    if ask.is_resource and ask.verb != "create":
        assert ask.namespace == "ns"
        assert ask.read_only
