"""What a URL asks of Kubernetes, as its API server reads it; and how errors are told to kubectl."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.asks import Reading, Row, reading, rows
from wire import kube
from wire.kube import (
    MAX_PARAMETERS,
    MAX_REMEMBERED_TARGET,
    UPGRADE_KINDS,
    Ask,
    BadTarget,
    is_discovery,
    is_self_review,
    log_target,
    shows_text,
    status_body,
    status_reason,
    understand,
)

POD = "/api/v1/namespaces/ns/pods/web"


def as_reading(ask: Ask) -> Reading:
    if not ask.is_resource:
        assert not any((ask.group, ask.namespace, ask.resource, ask.subresource, ask.name))
        return Reading(ask.verb, ask.path)
    return Reading(ask.verb, "", ask.group, ask.namespace, ask.resource, ask.subresource, ask.name)


@pytest.mark.parametrize("row", rows(), ids=str)
def test_the_table(row: Row) -> None:
    ask = understand(row.method.encode(), row.target.encode())
    assert as_reading(ask) == row.reading
    assert ask.read_only is row.read_only
    assert ask.version == row.version
    assert ask.method == row.method
    assert ask.api_prefix == ("" if not ask.is_resource else "apis" if ask.group else "api")
    assert ask.path == unquote(row.target.partition("?")[0])
    assert (is_discovery(ask) or is_self_review(ask)) is row.everyone


def test_the_table_has_every_family() -> None:
    table = rows()
    assert len(table) >= 200
    assert len({str(row) for row in table}) == len(table)
    verbs = {row.reading.verb for row in table if not row.reading.path}
    looking, changing = {"get", "list", "watch"}, {"create", "update", "patch", "delete", "deletecollection"}
    assert verbs == looking | changing | {"proxy", ""}
    assert {row.own.verb for row in table if row.own != row.reading} == {"get", "update", "delete", ""}


def test_what_changes_is_never_read_only() -> None:
    """Read-only is what a read-only guard lets through and what starts before its record is on disk."""
    for row in rows():
        if row.read_only:
            assert row.method in {"GET", "HEAD"}, row
            assert row.own.verb in {"get", "list", "watch", "head"}, row
            assert row.own.subresource not in {"exec", "attach", "portforward", "proxy", "ephemeralcontainers"}, row


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            'pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "ns"',
            Reading("list", "", "", "ns", "pods"),
        ),
        (
            'toys.x "t" is forbidden: User "u" cannot get resource "toys/a" in API group "x" in the namespace "n": why',
            Reading("get", "", "x", "n", "toys", "a", "t"),
        ),
        (
            'nodes is forbidden: User "u" cannot  resource "nodes" in API group "" at the cluster scope',
            Reading("", "", "", "", "nodes"),
        ),
        ('forbidden: User "u" cannot get path "/metrics"', Reading("get", "/metrics")),
        ("Your access to cluster prod is limited to the namespace blue.", None),
    ],
)
def test_the_api_servers_sentence_is_taken_apart(sentence: str, expected: Reading | None) -> None:
    assert reading(sentence) == expected


REFUSED = [
    b"",
    b"api/v1/pods",
    b"?watch=true",
    b"http://h.example.com/api",
    b"*",
    b"//api/v1/pods",
    b"/api//v1/pods",
    b"/api/v1/pods//",
    b"/api/v1/namespaces//pods",
    b"/api/v1/./pods",
    b"/api/v1/../v1/pods",
    b"/api/v1/pods/..",
    b"/api/v1/pods/.",
    b"/.",
    b"/api/v1/%2e/pods",
    b"/api/v1/%2E%2e/pods",
    b"/api/v1/.%2e/pods",
    b"/api/v1/namespaces/ns%2Fpods",
    b"/api/v1/namespaces/ns%2fpods",
    b"/api/v1/namespaces/ns/services/s/proxy/a%2fb",
    b"/api/v1/namespaces/ns/pods/web%252fexec",
    b"/api/v1/namespaces/ns/pods/web%25",
    b"/api/v1/namespaces/%256es/pods",
    b"/api/v1/namespaces/ns/services/s%25/proxy/a",
    b"/api/v1/proxy/namespaces/ns/pods/web%25/a",
    b"/metrics/%252e%252e",
    b"/api/v1/namespaces/ns/pods/..;/..;/other/pods",
    b"/api/v1/namespaces/ns/pods;a=b/web",
    b"/api/v1/namespaces;/ns/pods/web/exec",
    b"/api/v1/namespaces/ns/pods/web%3b/exec",
    b"/api/v1/namespaces/ns/services/s;x/proxy/a",
    b"/version;x",
    b"/api/v1/namespaces/ns/services/s/proxy/%252e%252e/%252E./pods",
    b"/api/v1/namespaces/ns/services/s/proxy/a%252fb",
    b"/api/v1/namespaces/ns/services/s/proxy/a%25252fb",
    b"/api/v1/namespaces/ns/services/s/proxy/a%255cb",
    b"/api/v1/namespaces/ns/services/s/proxy/..;/..;x/pods",
    b"/api/v1/namespaces/ns/services/s/proxy/.;/x",
    b"/api/v1/proxy/namespaces/ns/pods/web/..;/x",
    b"/api/v1/pods%5cx",
    b"/api/v1\\pods",
    b"/api/v1/pods%00",
    b"/api/v1/pods\0",
    b"/api/v1/pods%0a",
    b"/api/v1/pods%7F",
    b"/api/v1/pods\x7f",
    b"/api/v1/pods\n",
    b"/api/v1/po ds",
    b"/api/v1/pods\t",
    b"/api/v1/pods#x",
    b"/api/v1/pods?x#y",
    b"/api/v1/p\xc3\xb6ds",
    b"/api/v1/pods/%ff",
    b"/api/v1/pods/%c0%ae",
    b"/api/v1/pods%",
    b"/api/v1/pods%4",
    b"/api/v1/pods%zz",
    b"/api/v1/pods%+1",
    b"/api/v1/pods?x=\xc3\xb6",
    b"/api/v1/pods?x= y",
    b"/api/v1/pods?x=\0",
    b"/api/v1/pods?x=%00",
    b"/version?x=%00",
    b"/api/v1/pods?watch=true;x",
    b"/api/v1/pods?x;watch=true",
    b"/api/v1/pods?watch=%zz",
    b"/api/v1/pods?wat%ch=true",
    b"/api/v1/pods?watch=fal%C5%BFe",
    b"/api/v1/pods?watch=%ff",
    b"/api/v1/pods?fieldSelector=metadata.name=%0a",
    b"/api/v1/pods?fieldSelector=metadata.name=%ff",
    b"/api/v1/namespaces/ns/pods/p/exec?command=a;b",
    b"/api/v1/namespaces/ns/pods/p/exec?command=a%00",
    b"/api/v1/watch",
    b"/api/v1/watch/",
    b"/api/v1/proxy",
    b"/apis/apps/v1/watch",
    b"/api/v1/pods?" + b"a&" * MAX_PARAMETERS + b"watch=true",
]


@pytest.mark.parametrize("target", REFUSED, ids=lambda target: repr(target[:60]))
def test_a_refused_target(target: bytes) -> None:
    with pytest.raises(BadTarget) as refused:
        understand(b"GET", target)
    assert refused.value.sentence.endswith(".")


@pytest.mark.parametrize("kind", sorted(UPGRADE_KINDS))
def test_what_is_upgraded_in_a_pod(kind: str) -> None:
    for method in (b"GET", b"POST"):
        assert understand(method, f"{POD}/{kind}".encode()).upgrade_kind == kind
    assert understand(b"GET", POD.encode()).upgrade_kind is None


def test_readings_are_remembered_but_no_commands() -> None:
    kube._remembered.cache_clear()
    first = understand(b"GET", POD.encode())
    assert understand(b"GET", POD.encode()) is first
    assert understand(b"DELETE", POD.encode()).verb == "delete"
    understand(b"GET", f"{POD}/exec?command=s3cret".encode())
    understand(b"GET", f"{POD}?x={'y' * MAX_REMEMBERED_TARGET}".encode())
    for _ in range(2):
        with pytest.raises(BadTarget):
            understand(b"GET", b"/api//v1")
    assert kube._remembered.cache_info().currsize == 2
    assert (kube._remembered.cache_info().maxsize or 0) * MAX_REMEMBERED_TARGET <= 4 * 2**20


def test_the_command_of_an_exec() -> None:
    query = "container=c&command=sh&command=-c&command=echo+a%3Bb%20%C3%A9&command=&command=%FF&stdout=true&c%6fmmand=x"
    ask = understand(b"POST", f"{POD}/exec?{query}".encode())
    assert ask.argv == ("sh", "-c", "echo a;b é", "", "\\xff", "x")
    assert understand(b"POST", f"{POD}/exec?container=c".encode()).argv == ()
    assert understand(b"GET", f"{POD}/attach?command=x".encode()).argv == ()
    assert understand(b"GET", f"{POD}/log?command=x".encode()).argv == ()


@pytest.mark.parametrize(
    ("method", "target", "discovery"),
    [
        (b"GET", b"/api", True),
        (b"GET", b"/api/", True),
        (b"GET", b"/api?timeout=32s", True),
        (b"HEAD", b"/apis", True),
        (b"GET", b"/apis/apps/v1", True),
        (b"GET", b"/api/v1", True),
        (b"GET", b"/openapi/v2", True),
        (b"GET", b"/openapi/v3/apis/apps/v1", True),
        (b"GET", b"/version", True),
        (b"GET", b"/readyz", True),
        (b"GET", b"/livez", True),
        (b"GET", b"/healthz", True),
        (b"GET", b"/healthz/etcd", False),
        (b"GET", b"/versions", False),
        (b"GET", b"/apifoo", False),
        (b"GET", b"/metrics", False),
        (b"GET", b"/", False),
        (b"POST", b"/api", False),
        (b"GET", b"/api/v1/pods", False),
    ],
)
def test_discovery(method: bytes, target: bytes, discovery: bool) -> None:
    assert is_discovery(understand(method, target)) is discovery


@pytest.mark.parametrize(
    ("method", "target", "review"),
    [
        (b"POST", b"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", True),
        (b"POST", b"/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", True),
        (b"POST", b"/apis/authentication.k8s.io/v1/selfsubjectreviews", True),
        (b"GET", b"/apis/authentication.k8s.io/v1/selfsubjectreviews", False),
        (b"POST", b"/apis/authentication.k8s.io/v1/selfsubjectreviews/x", False),
        (b"POST", b"/apis/authorization.k8s.io/v1/subjectaccessreviews", False),
        (b"POST", b"/apis/authorization.k8s.io/v1/namespaces/ns/localsubjectaccessreviews", False),
        (b"POST", b"/apis/authentication.k8s.io/v1/selfsubjectaccessreviews", False),
        (b"POST", b"/apis/authentication.k8s.io/v1/tokenreviews", False),
        (b"POST", b"/api/v1/selfsubjectreviews", False),
    ],
)
def test_self_reviews(method: bytes, target: bytes, review: bool) -> None:
    assert is_self_review(understand(method, target)) is review


@pytest.mark.parametrize(
    ("target", "logged"),
    [
        (b"/api/v1/pods", "/api/v1/pods"),
        (b"/api/v1/pods?limit=500&watch=1", "/api/v1/pods?limit=...&watch=..."),
        (b"/api/v1/p?token=s3cret&s3cret&labelSelector=a%3Ds3cret", "/api/v1/p?=...&=...&labelSelector=..."),
        (b"/exec?command=s3cret", "/exec?command=..."),
        (b"/a\nb\xff\0?\r", "/a?b???=..."),
        (b"", ""),
    ],
)
def test_a_logged_target_has_no_values(target: bytes, logged: str) -> None:
    assert log_target(target) == logged


def test_a_logged_target_is_bounded() -> None:
    assert len(log_target(b"/" + b"x" * 70_000 + b"?" + b"watch&" * 10_000)) == 2048
    assert len(log_target(b"/?" + b"watch&" * 10_000)) == 2048


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (b"/api", True),
        (b"/api/v1", True),
        (b"/api/v1/?x=/a/b", True),
        (b"/apis/apps/v1", True),
        (b"/openapi/v3/apis/apps/v1", True),
        (b"/version", True),
        (b"/", True),
        (b"", True),
        (b"\xff\\", True),
        (b"/api/v1/pods", False),
        (b"/apis/apps/v1/deployments?limit=1", False),
        (b"/api/v1/namespaces/a%2fb", False),
    ],
)
def test_where_kubectl_shows_text(target: bytes, text: bool) -> None:
    assert shows_text(target) is text


def test_a_status() -> None:
    body = status_body(429, "TooManyRequests", "Slow down – please.", {"retryAfterSeconds": 2})
    assert body.endswith(b"}\n")
    assert json.loads(body) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Slow down – please.",
        "reason": "TooManyRequests",
        "details": {"retryAfterSeconds": 2},
        "code": 429,
    }


def test_a_status_without_a_reason() -> None:
    assert {"reason", "details"}.isdisjoint(json.loads(status_body(502, status_reason(502), "Gone.")))


def test_reasons() -> None:
    assert [status_reason(code) for code in (401, 403, 429, 503, 504)] == [
        "Unauthorized",
        "Forbidden",
        "TooManyRequests",
        "ServiceUnavailable",
        "Timeout",
    ]


SEGMENT = st.sampled_from(
    [
        "api",
        "apis",
        "v1",
        "namespaces",
        "ns",
        "pods",
        "exec",
        "watch",
        "proxy",
        "status",
        "%2e",
        "..",
        "",
        "%",
        "a b",
        "é",
    ]
)
TARGET = st.one_of(
    st.binary(max_size=60),
    st.lists(SEGMENT, max_size=9).map(lambda parts: ("/" + "/".join(parts)).encode()),
    st.tuples(
        st.lists(SEGMENT, max_size=6),
        st.lists(st.sampled_from(["watch", "=", "&", "%", "fieldSelector=", "metadata.name=", "\\", ",", "%ff", ";"])),
    ).map(lambda both: ("/" + "/".join(both[0]) + "?" + "".join(both[1])).encode()),
)
METHOD = st.one_of(st.sampled_from([b"GET", b"POST", b"DELETE"]), st.binary(max_size=8))


@given(METHOD, TARGET)
@example(b"\xff", b"/api/v1/pods")
def test_only_bad_target_comes_out_of_anything(method: bytes, target: bytes) -> None:
    with contextlib.suppress(BadTarget):
        ask = understand(method, target)
        assert not ask.read_only or method in {b"GET", b"HEAD"}
        assert ask.is_resource or not (ask.resource or ask.namespace or ask.name)
    log_target(target).encode("ascii")
    shows_text(target)


@given(METHOD, TARGET)
def test_a_path_decodes_to_the_same_segments_for_everyone(method: bytes, target: bytes) -> None:
    """No accepted path has more, fewer or relative segments after decoding."""
    with contextlib.suppress(BadTarget):
        path = understand(method, target).path
        assert path.count("/") == target.partition(b"?")[0].count(b"/")
        assert {".", ".."}.isdisjoint(path.split("/"))
        assert "" not in path.strip("/").split("/") or path == "/"
        assert "\\" not in path
        assert "\0" not in path
