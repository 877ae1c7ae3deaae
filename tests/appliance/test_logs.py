"""Log lines: one line an event, JSON for programs, and never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from appliance import logs
from appliance.core.events import AuditEvent, EventType


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    before = logging.getLogger().handlers[:]
    stream = io.StringIO()
    logs.configure("info", "auto", stream)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_one_json_object_a_line(out: io.StringIO) -> None:
    structlog.get_logger().info("listening", port=8443, note="two\nlines")
    structlog.get_logger().debug("not written")

    (line,) = lines(out)
    assert (line["event"], line["port"], line["level"], line["note"]) == ("listening", 8443, "info", "two\nlines")


def test_the_standard_logging_module_ends_in_the_same_form(out: io.StringIO) -> None:
    logging.getLogger("agent.dialling").warning("lost %s", "session", extra={"address": "192.0.2.1"})

    (line,) = lines(out)
    assert (line["event"], line["level"], line["address"]) == ("lost session", "warning", "192.0.2.1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("note", "Authorization: Bearer abcdefghijklmnop"),
        ("note", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"),
        ("machine_token", "anything"),
        ("note", "-----BEGIN EC PRIVATE KEY-----"),
    ],
)
def test_secrets_are_blanked_by_name_and_by_form(out: io.StringIO, field: str, value: str) -> None:
    structlog.get_logger().info("x", **{field: value})

    assert value not in out.getvalue()
    assert "[removed]" in out.getvalue()


def test_an_exception_is_part_of_its_line(out: io.StringIO) -> None:
    secret_local = "hunter2-in-a-local"
    try:
        raise ValueError(len(secret_local))
    except ValueError:
        structlog.get_logger().exception("failed")

    (line,) = lines(out)
    assert "ValueError" in json.dumps(line)
    assert "hunter2" not in out.getvalue()


def test_audit_events_are_lines_of_their_own_kind(out: io.StringIO) -> None:
    allowed = AuditEvent(1, EventType.PROXY_CLOSED, verb="get", groups=("toy:admins",), duration=1500)
    denied = AuditEvent(1, EventType.PROXY_DENIED, verb="delete", details=(("reason", "no role"),))
    logs.audit_lines([allowed], refused_only=True)
    logs.audit_lines([denied], refused_only=True)
    logs.audit_lines([allowed], refused_only=False)

    first, second = lines(out)
    assert (first["kind"], first["event"], first["level"]) == ("audit", "proxy.access_denied", "warning")
    assert first["details"] == {"reason": "no role"}
    assert (second["event"], second["level"], second["duration_us"]) == ("proxy.request", "info", 1500)
    assert second["groups"] == ["toy:admins"]
