"""Whoever is refused, wherever, is led to a page of the running appliance that says what to do."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from typing import Any
from urllib.parse import urlsplit

import pytest

from ops.demo import ports
from tests.journeys.gatehouse import OAUTH, Gatehouse

pytestmark = [pytest.mark.real_clock]

LINK = re.compile(r'<([^>]+)>; rel="help"')


def ask(house: Gatehouse, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Any:
    authority = (house.stack.home.appliance / "ca.pem").read_text()
    context = ssl.create_default_context(cadata=authority)
    connection = http.client.HTTPSConnection(ports.LOOPBACK, house.stack.bound.users, timeout=10, context=context)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def test_from_every_door_to_the_page(house: Gatehouse) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    doors: tuple[tuple[str, str, dict[str, str], str | None, str], ...] = (
        ("GET", "/api/proxy/toy/api/v1/pods", {}, None, "AUTHENTICATION_REQUIRED"),
        ("GET", "/api/proxy/toy/api", {"Authorization": "Bearer x"}, None, "INVALID_TOKEN"),
        ("GET", "/fairlead/v1/clusters", {}, None, "AUTHENTICATION_REQUIRED"),
        ("GET", "/fairlead/v1/nothing", {}, None, "ROUTE_NOT_FOUND"),
        ("GET", "/", {"Authorization": "Bearer eyJa.eyJb.c"}, None, "INVALID_TOKEN"),
        ("GET", "/fairlead/sign-in/nobody", {}, None, "PROVIDER_NOT_FOUND"),
        ("POST", f"{OAUTH}/token", form, "grant_type=password&client_id=fairlead-cli", "UNSUPPORTED_GRANT_TYPE"),
    )
    for method, path, headers, body, code in doors:
        _, told, text = ask(house, method, path, {**headers, **trace}, body)
        assert told.get("X-Fairlead-Error-Code") == code, path
        assert "4bf92f3577b34da6a3ce929d0e0e4736" in told["traceresponse"], path
        link = LINK.fullmatch(told["Link"])
        assert link is not None
        if told["Content-Type"] == "application/problem+json":
            assert json.loads(text)["type"] == link[1]
        page = urlsplit(link[1])
        assert page.netloc == f"{ports.LOOPBACK}:{house.stack.bound.users}"
        status, kinds, html = ask(house, "GET", page.path, {"Accept": "text/html"})
        assert (status, kinds["Content-Type"], f"<h1>{code}</h1>" in html) == (200, "text/html; charset=utf-8", True)
        assert "What to do" in ask(house, "GET", page.path, {})[2]
