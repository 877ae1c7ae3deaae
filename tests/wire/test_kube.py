"""What a URL asks of Kubernetes, as its API server reads it; and how errors are told to kubectl.

The table follows k8s.io/apiserver's RequestInfo. `-` stands for an empty field, `R` for read-only.
"""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wire.kube import (
    MAX_PARAMETERS,
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

# method target | verb group/version namespace resource[/sub-resource] name read-only
RESOURCES = """
GET     /api/v1/pods                                  list             -/v1 - pods - R
GET     /api/v1/pods/                                 list             -/v1 - pods - R
HEAD    /api/v1/pods                                  list             -/v1 - pods - R
POST    /api/v1/pods                                  create           -/v1 - pods - -
OPTIONS /api/v1/pods                                  -                -/v1 - pods - -
get     /api/v1/pods                                  -                -/v1 - pods - -
GET     /api/v1/namespaces/ns/pods                    list             -/v1 ns pods - R
GET     /api/v1/namespaces/ns/pods?limit=500          list             -/v1 ns pods - R
POST    /api/v1/namespaces/ns/pods                    create           -/v1 ns pods - -
POST    /api/v1/namespaces/ns/pods?dryRun=All         create           -/v1 ns pods - -
DELETE  /api/v1/namespaces/ns/pods                    deletecollection -/v1 ns pods - -
PUT     /api/v1/namespaces/ns/pods                    update           -/v1 ns pods - -
PATCH   /api/v1/namespaces/ns/pods                    patch            -/v1 ns pods - -
GET     /api/v1/namespaces/ns/pods/web                get              -/v1 ns pods web R
GET     /api/v1/namespaces/ns/pods/web/               get              -/v1 ns pods web R
HEAD    /api/v1/namespaces/ns/pods/web                get              -/v1 ns pods web R
PUT     /api/v1/namespaces/ns/pods/web                update           -/v1 ns pods web -
PATCH   /api/v1/namespaces/ns/pods/web                patch            -/v1 ns pods web -
DELETE  /api/v1/namespaces/ns/pods/web                delete           -/v1 ns pods web -
POST    /api/v1/namespaces/ns/pods/web                create           -/v1 ns pods web -
GET     /api/v1/namespaces/ns/pods/web?watch=true     get              -/v1 ns pods web R
GET     /api/v1/namespaces/ns/pods/web/log?follow=1   get              -/v1 ns pods/log web R
GET     /api/v1/namespaces/ns/pods/web/status         get              -/v1 ns pods/status web R
PUT     /api/v1/namespaces/ns/pods/web/status         update           -/v1 ns pods/status web -
POST    /api/v1/namespaces/ns/pods/web/binding        create           -/v1 ns pods/binding web -
POST    /api/v1/namespaces/ns/pods/web/eviction       create           -/v1 ns pods/eviction web -
GET     /api/v1/namespaces/ns/pods/web/a/b/c          get              -/v1 ns pods/a web R
GET     /api/v1/namespaces/ns/pods/w%65b              get              -/v1 ns pods web R
GET     /%61pi/v1/namespaces/ns/p%6fds                list             -/v1 ns pods - R
GET     /api/v1/namespaces/ns/pods/100%25             get              -/v1 ns pods 100% R
GET     /api/v1/secrets                               list             -/v1 - secrets - R
GET     /api/v1/nodes/n1                              get              -/v1 - nodes n1 R
GET     /apis/apps/v1/deployments                     list             apps/v1 - deployments - R
GET     /apis/apps/v1/namespaces/ns/deployments/web   get              apps/v1 ns deployments web R
GET     /apis/apps/v1/namespaces/ns/deployments/web/scale get          apps/v1 ns deployments/scale web R
PATCH   /apis/apps/v1/namespaces/ns/deployments/web/scale patch        apps/v1 ns deployments/scale web -
POST    /apis/example.com/v1alpha1/namespaces/ns/toys create           example.com/v1alpha1 ns toys - -
DELETE  /apis/batch/v1/namespaces/ns/jobs             deletecollection batch/v1 ns jobs - -
DELETE  /apis/batch/v1/namespaces/ns/jobs/j           delete           batch/v1 ns jobs j -
POST    /api/v1/namespaces/ns/serviceaccounts/a/token create           -/v1 ns serviceaccounts/token a -
GET     /api/v1/namespaces                            list             -/v1 - namespaces - R
POST    /api/v1/namespaces                            create           -/v1 - namespaces - -
GET     /api/v1/namespaces/ns                         get              -/v1 ns namespaces ns R
DELETE  /api/v1/namespaces/ns                         delete           -/v1 ns namespaces ns -
GET     /api/v1/namespaces/ns/status                  get              -/v1 ns namespaces/status ns R
PUT     /api/v1/namespaces/ns/finalize                update           -/v1 ns namespaces/finalize ns -
GET     /api/v1/namespaces/ns/status/x                get              -/v1 ns namespaces/status ns R
GET     /apis/apps/v1/namespaces/ns                   get              apps/v1 ns namespaces ns R
GET     /api/v1/namespaces/ns/namespaces              list             -/v1 ns namespaces - R
GET     /api/v1/pods?watch=true                       watch            -/v1 - pods - R
GET     /api/v1/pods?watch=1                          watch            -/v1 - pods - R
GET     /api/v1/pods?watch                            watch            -/v1 - pods - R
GET     /api/v1/pods?watch=                           watch            -/v1 - pods - R
GET     /api/v1/pods?watch=no                         watch            -/v1 - pods - R
GET     /api/v1/pods?watch=false                      list             -/v1 - pods - R
GET     /api/v1/pods?watch=FALSE                      list             -/v1 - pods - R
GET     /api/v1/pods?watch=0                          list             -/v1 - pods - R
GET     /api/v1/pods?watch=00                         watch            -/v1 - pods - R
GET     /api/v1/pods?watch=false&watch=true           list             -/v1 - pods - R
GET     /api/v1/pods?watch=true&watch=false           watch            -/v1 - pods - R
GET     /api/v1/pods?limit=1&w%61tch=true             watch            -/v1 - pods - R
GET     /api/v1/pods?watch=f%61lse                    list             -/v1 - pods - R
GET     /api/v1/pods?watch+=true                      list             -/v1 - pods - R
GET     /api/v1/pods?Watch=true                       list             -/v1 - pods - R
GET     /api/v1/pods?a=watch=true                     list             -/v1 - pods - R
GET     /api/v1/pods?&&watch=true&                    watch            -/v1 - pods - R
GET     /api/v1/pods??watch=true                      list             -/v1 - pods - R
HEAD    /api/v1/pods?watch=true                       watch            -/v1 - pods - R
POST    /api/v1/pods?watch=true                       create           -/v1 - pods - -
DELETE  /api/v1/pods?watch=true                       deletecollection -/v1 - pods - -
GET     /api/v1/watch/pods                            watch            -/v1 - pods - R
GET     /api/v1/watch/namespaces/ns/pods              watch            -/v1 ns pods - R
GET     /api/v1/watch/namespaces/ns/pods/web          watch            -/v1 ns pods web R
GET     /api/v1/watch/namespaces/ns                   watch            -/v1 ns namespaces ns R
GET     /apis/apps/v1/watch/deployments               watch            apps/v1 - deployments - R
DELETE  /api/v1/watch/pods                            watch            -/v1 - pods - -
POST    /api/v1/watch/namespaces/ns/pods              watch            -/v1 ns pods - -
GET     /api/v1/watch/pods?fieldSelector=metadata.name%3Dweb watch     -/v1 - pods - R
GET     /api/v1/proxy/nodes/n1                        proxy            -/v1 - nodes n1 -
GET     /api/v1/proxy/namespaces/ns/pods/web          proxy            -/v1 ns pods web -
GET     /api/v1/proxy/namespaces/ns/pods/web/exec     proxy            -/v1 ns pods web -
POST    /api/v1/proxy/namespaces/ns/services/s/x/y    proxy            -/v1 ns services s -
GET     /api/v1/namespaces/ns/services/s/proxy        get              -/v1 ns services/proxy s -
GET     /api/v1/namespaces/ns/services/s/proxy/       get              -/v1 ns services/proxy s -
GET     /api/v1/namespaces/ns/services/s/proxy/a?b;c=%zz get           -/v1 ns services/proxy s -
GET     /api/v1/namespaces/ns/services/https:s:443/proxy/a get         -/v1 ns services/proxy https:s:443 -
DELETE  /api/v1/namespaces/ns/services/s/proxy/a      delete           -/v1 ns services/proxy s -
GET     /api/v1/namespaces/ns/pods/web:80/proxy/a/b   get              -/v1 ns pods/proxy web:80 -
GET     /api/v1/nodes/n1/proxy/exec/ns/web/c          get              -/v1 - nodes/proxy n1 -
GET     /api/v1/nodes/n1/proxy/logs/                  get              -/v1 - nodes/proxy n1 -
PATCH   /api/v1/namespaces/ns/pods/web/ephemeralcontainers patch       -/v1 ns pods/ephemeralcontainers web -
GET     /api/v1/namespaces/ns/pods/web/ephemeralcontainers get         -/v1 ns pods/ephemeralcontainers web -
GET     /api/v1/namespaces/ns/pods/web/exec?command=ls create          -/v1 ns pods/exec web -
POST    /api/v1/namespaces/ns/pods/web/exec?command=ls create          -/v1 ns pods/exec web -
GET     /api/v1/namespaces/ns/pods/web/%65xec         create           -/v1 ns pods/exec web -
GET     /api/v1/namespaces/ns/pods/web/exec/          create           -/v1 ns pods/exec web -
PUT     /api/v1/namespaces/ns/pods/web/exec           create           -/v1 ns pods/exec web -
GET     /api/v1/namespaces/ns/pods/web/attach         create           -/v1 ns pods/attach web -
POST    /api/v1/namespaces/ns/pods/web/attach         create           -/v1 ns pods/attach web -
GET     /api/v1/namespaces/ns/pods/web/portforward    create           -/v1 ns pods/portforward web -
POST    /api/v1/namespaces/ns/pods/web/portforward    create           -/v1 ns pods/portforward web -
GET     /apis/example.com/v1/namespaces/ns/vms/v/portforward get       example.com/v1 ns vms/portforward v -
GET     /apis/example.com/v1/namespaces/ns/pods/v/exec get             example.com/v1 ns pods/exec v -
GET     /api/v1/pods?fieldSelector=metadata.name%3Dweb list            -/v1 - pods web R
GET     /api/v1/pods?fieldSelector=metadata.name=web  list             -/v1 - pods web R
GET     /api/v1/pods?fieldSelector=metadata.name==web list             -/v1 - pods web R
GET     /api/v1/pods?watch=1&fieldSelector=metadata.name=web watch     -/v1 - pods web R
GET     /api/v1/pods?fieldSelector=spec.nodeName=n,metadata.name=web list -/v1 - pods web R
GET     /api/v1/pods?fieldSelector=metadata.name=b,metadata.name=a list -/v1 - pods a R
GET     /api/v1/pods?fieldSelector=metadata.name!=web list             -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=metadata.name!=a,metadata.name=b list -/v1 - pods b R
GET     /api/v1/pods?fieldSelector=spec.nodeName=n    list             -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=metadata.name=     list             -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=                   list             -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=metadata.name      list             -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=metadata.name=a,b  list             -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=metadata.name=a/b  list             -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=metadata.name=..   list             -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=metadata.name=a%255C list           -/v1 - pods - R
GET     /api/v1/pods?fieldSelector=metadata.name=a%5C,b list           -/v1 - pods a,b R
GET     /api/v1/pods?fieldSelector=a=b&fieldSelector=metadata.name=web list -/v1 - pods - R
DELETE  /api/v1/pods?fieldSelector=metadata.name=web  deletecollection -/v1 - pods - -
POST    /apis/authorization.k8s.io/v1/selfsubjectaccessreviews create  authorization.k8s.io/v1 - selfsubjectaccessreviews - -
"""  # noqa: E501 - one row, one request


def rows() -> list[list[str]]:
    return [line.split() for line in RESOURCES.strip().splitlines()]


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]} {row[1]}")
def test_a_resource(row: list[str]) -> None:
    method, target, verb, group_version, namespace, resource, name, read_only = row
    ask = understand(method.encode(), target.encode())
    assert ask.is_resource
    assert (ask.verb or "-") == verb
    assert f"{ask.group or '-'}/{ask.version}" == group_version
    assert (ask.namespace or "-") == namespace
    assert (f"{ask.resource}/{ask.subresource}" if ask.subresource else ask.resource) == resource
    assert (ask.name or "-") == name
    assert ("R" if ask.read_only else "-") == read_only
    assert ask.api_prefix == ("apis" if ask.group else "api")
    assert ask.method == method


def test_the_table_is_long() -> None:
    assert len(rows()) >= 80


# method target | verb path read-only
NON_RESOURCES = """
GET     /                     get     /                     R
GET     /api                  get     /api                  R
GET     /api/                 get     /api/                 R
GET     /api/v1               get     /api/v1               R
GET     /api/v1/              get     /api/v1/              R
GET     /apis                 get     /apis                 R
GET     /apis/apps            get     /apis/apps            R
GET     /apis/apps/v1         get     /apis/apps/v1         R
GET     /apis/apps/v1?x=;     get     /apis/apps/v1         R
HEAD    /version              head    /version              R
GET     /healthz/etcd         get     /healthz/etcd         R
GET     /openapi/v3/apis/a/v1 get     /openapi/v3/apis/a/v1 R
POST    /version              post    /version              -
OPTIONS /api                  options /api                  -
GET     /metrics              get     /metrics              R
GET     /logs/a/b/c           get     /logs/a/b/c           R
GET     /API/v1/pods          get     /API/v1/pods          R
GET     /v1/api/pods/x        get     /v1/api/pods/x        R
GET     /apifoo/v1/pods       get     /apifoo/v1/pods       R
GET     /he%61lthz            get     /healthz              R
GET     /caf%C3%A9            get     /café                 R
"""


@pytest.mark.parametrize(
    "row", [line.split() for line in NON_RESOURCES.strip().splitlines()], ids=lambda row: f"{row[0]} {row[1]}"
)
def test_a_path_that_is_no_resource(row: list[str]) -> None:
    method, target, verb, path, read_only = row
    ask = understand(method.encode(), target.encode())
    assert ask == Ask(method, verb, path, read_only=read_only == "R")


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
