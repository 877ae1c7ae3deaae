"""Odd URLs all the way to the API server, through the real agent: they arrive byte for byte, or not at all."""

from __future__ import annotations

import pytest

from tests.journeys.door import Door

PODS = "/api/v1/namespaces/demo/pods"

ARRIVE = [
    f"{PODS}?labelSelector=a%3Db%2Cc&MARK",
    f"{PODS}/t%75g?MARK",
    "/%61pi/v1/namespaces/d%65mo/pods?MARK",
    f"{PODS}/?MARK",
    f"{PODS}?&&MARK&&",
    f"{PODS}??MARK",
    f"{PODS}?MARK&x='\"<>|^`{{}}[]\\",
    f"{PODS}?MARK&fieldSelector=metadata.name%3dtug&limit=+5",
    f"{PODS}/a%20b%C3%A9?MARK",
    f"{PODS}/a+b!$'()*,:@~?MARK",
    f'{PODS}/t|u^g`{{}}"<>?MARK',
    "/api/v1/namespaces/demo/services/lighthouse/proxy/a;b=c/100%25/?MARK",
    "/API/v1/namespaces/demo/pods?MARK",
    "/version/?MARK",
    "/?MARK",
]

NEVER_ARRIVE = [
    "//api/v1/namespaces/demo/pods?MARK",
    f"{PODS}//tug?MARK",
    f"{PODS}/../pods?MARK",
    f"{PODS}/./tug?MARK",
    f"{PODS}/%2e%2e/pods?MARK",
    f"{PODS}/..;/pods?MARK",
    f"{PODS}/tug;x=y?MARK",
    f"{PODS}%2ftug?MARK",
    f"{PODS}%252ftug?MARK",
    f"{PODS}%5ctug?MARK",
    f"{PODS}\\tug?MARK",
    f"{PODS}/tug%00?MARK",
    f"{PODS}/tug%0d%0aX:y?MARK",
    f"{PODS}/%ff?MARK",
    f"{PODS}/%?MARK",
    f"{PODS}#?MARK",
    f"{PODS}?watch=false;watch=true&MARK",
    f"{PODS}?MARK&x=%00",
    f"{PODS}?MARK&%zz",
    "/api/v1/namespaces/demo/services/lighthouse/proxy/%252e%252e/x?MARK",
    "/api/v1/watch?MARK",
]


@pytest.mark.parametrize("target", ARRIVE)
def test_it_arrives_as_it_was_sent(target: str, door: Door, unique: str) -> None:
    target = target.replace("MARK", f"mark={unique}")
    assert door.exchange(door.head("GET", target, b"Connection: close")).status < 500
    assert [record["target"] for record in door.arrived(unique)] == [target]


@pytest.mark.parametrize("target", NEVER_ARRIVE)
def test_it_is_refused_and_never_arrives(target: str, door: Door, unique: str) -> None:
    answer = door.exchange(door.head("GET", target.replace("MARK", f"mark={unique}"), b"Connection: close"))
    assert answer.code == "BAD_REQUEST"
    assert door.arrived(unique) == []
