"""What people see of the children's JSON lines."""

from __future__ import annotations

import json

import pytest

from ops.demo.show import MAX_TEXT_CHARS, line_for_people


def shown(**fields: object) -> str | None:
    line = line_for_people("appliance", json.dumps({"level": "info", "kind": "audit", "time_us": 0, **fields}))
    return None if line is None else " ".join(line.split()[1:])  # the time of day depends on where we are


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"event": "proxy.request", "actor": "demo@example.com", "verb": "list", "resource": "pods",
             "namespace": "default", "status": 200, "duration_us": 12_345},
            "demo@example.com list pods -n default -> 200, 12 ms",
        ),
        (
            {"event": "proxy.opened", "actor": "a", "verb": "create", "resource": "pods", "subresource": "exec",
             "name": "web", "namespace": "default", "command": ["sh", "-c", "ls"]},
            "a create pods/exec web -n default: sh -c ls -> started",
        ),
        (
            {"event": "proxy.access_denied", "actor": "a", "verb": "delete", "resource": "nodes", "name": "n1",
             "status": 403, "code": "FORBIDDEN"},
            "a delete nodes n1 -> refused, FORBIDDEN",
        ),
        ({"event": "proxy.request", "actor": "a", "verb": "get", "path": "/version", "status": 200},
         "a get /version -> 200"),
        ({"event": "proxy.discovery", "actor": "a", "counted": 24}, "a looked around (discovery, 24 requests)"),
        ({"event": "proxy.opened", "actor": "a", "verb": "create", "resource": "configmaps"}, None),
        ({"event": "cluster.registered", "actor": "demo", "details": {"name": "toy"}},
         "demo cluster.registered: name toy"),
        ({"event": "cluster.connected", "cluster": "toy"}, "toy cluster.connected"),
    ],
)  # fmt: skip
def test_audit_lines_read_like_commands(fields: dict[str, object], expected: str | None) -> None:
    assert shown(**fields) == expected


def test_only_what_warns_is_shown_of_the_rest() -> None:
    assert line_for_people("agent", '{"level": "info", "event": "connected"}') is None
    assert (
        line_for_people("agent", '{"level": "warning", "event": "lost", "why": "x"}') == "  [agent] warning: lost why=x"
    )
    assert line_for_people("agent", "Traceback: x") == "  [agent] Traceback: x"
    assert line_for_people("agent", "[1]") is None


def test_a_peer_cannot_write_to_the_terminal() -> None:
    line = line_for_people("appliance", json.dumps({"kind": "audit", "event": "proxy.request", "verb": "get",
                                                    "path": "/\x1b[2J" + "a" * 500}))  # fmt: skip

    assert line is not None
    assert "\x1b" not in line
    assert len(line) == MAX_TEXT_CHARS
