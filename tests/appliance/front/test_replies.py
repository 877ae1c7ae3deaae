"""Refusals, in the form in which kubectl shows their sentence."""

from __future__ import annotations

import json

import pytest

from appliance.core.problems import CATALOGUE, Code, Problem
from appliance.front.replies import Reply, correlation, plain_reply, proxy_reply
from appliance.front.responses import render

ID = b"4bf92f3577b34da6a3ce929d0e0e4736"
URL = "https://fairlead.example.com"


def header(reply: Reply, name: bytes) -> bytes | None:
    return next((value for key, value in reply.headers if key == name), None)


@pytest.mark.parametrize("code", list(Code))
@pytest.mark.parametrize("target", [b"/api", b"/apis?x=y", b"/version", b"/api/v1/pods", b"/apis/apps/v1/deployments"])
def test_every_refusal_can_be_shown_everywhere(code: Code, target: bytes) -> None:
    refusal = Problem(code, "A sentence.", (("user", "j\u00f6rg"),), retry_after=3)
    status = CATALOGUE[code][0]
    reply = proxy_reply(refusal, target, ID, URL)
    assert render(reply.status, reply.headers)
    assert header(reply, b"X-Fairlead-Error-Code") == code.encode()
    assert header(reply, b"X-Fairlead-Error-Meta-user") == b"j?rg"
    assert header(reply, b"Content-Length") == b"%d" % len(reply.body)
    if target in {b"/api/v1/pods", b"/apis/apps/v1/deployments"}:
        body = json.loads(reply.body)
        assert (reply.status, body["kind"], body["code"], body["message"]) == (status, "Status", status, "A sentence.")
    else:
        assert reply.status in {401, 403, 429, 502}
        assert reply.body == b"A sentence.\n"
        if status in {401, 429}:
            assert reply.status == status


@pytest.mark.parametrize(("given", "sent"), [(None, b"1"), (0, b"1"), (7, b"7")])
def test_429_always_says_when_in_whole_seconds(given: int | None, sent: bytes) -> None:
    reply = plain_reply(Problem(Code.RATE_LIMITED, "Wait.", (), given), ID, URL)
    assert header(reply, b"Retry-After") == sent


def test_nothing_else_asks_to_come_back() -> None:
    """kubectl would retry a 503 in silence for ten times that long."""
    reply = proxy_reply(Problem(Code.TUNNEL_BUSY, "Busy.", (), 1), b"/api/v1/pods", ID, URL)
    assert header(reply, b"Retry-After") is None


def test_an_id_is_made_when_none_is_given() -> None:
    assert correlation(ID) == ID
    assert len(correlation()) == 32
    assert correlation() != correlation()
