"""The appliance's numbers: each of them moves with what it counts, and names nobody.

A number that no test here has seen moving fails the last one.
"""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.support.meter import Meter, Numbers, family_of
from tests.support.missing import need

PODS = "/api/v1/namespaces/demo/pods"
ELSEWHERE = {
    "fairlead_build_info",
    "fairlead_sign_ins_total",
    "fairlead_sessions_total",
}  # tests/appliance/test_metrics.py


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture(scope="module")
def meter(stack: Stack) -> Meter:
    return Meter("127.0.0.1", stack.bound.health)


def moves(meter: Meter, before: Numbers, *samples: str) -> None:
    """Each of them, soon: what is counted from the audit trail is counted when its record is on the disk."""
    for sample in samples:
        eventually(partial(meter.moved, before, sample), what=sample)


def test_a_request(stack: Stack, meter: Meter) -> None:
    before = meter.read()
    assert stack.door.ask("GET", PODS).status == 200
    assert stack.door.ask("GET", "/version").status == 200
    made = b'{"metadata": {"name": "counted"}}'
    assert stack.door.ask("POST", "/api/v1/namespaces/demo/configmaps", made).status == 201

    moves(
        meter,
        before,
        'fairlead_requests_total{answer="2xx"}',
        'fairlead_requests_total{answer="discovery"}',
        'fairlead_request_duration_seconds_bucket{le="+Inf"}',
        "fairlead_request_duration_seconds_sum",
        "fairlead_user_sent_bytes_total",
        "fairlead_user_received_bytes_total",
        "fairlead_exchanges_total",
        "fairlead_tunnel_bytes_total",
        'fairlead_handshakes_total{listener="users"}',
        'fairlead_audit_records_total{event="proxy.opened"}',
    )


def test_what_is_open(stack: Stack, meter: Meter) -> None:
    before = meter.read()
    with closing(stack.door.connect()) as watch:
        watch.sendall(stack.door.head("GET", f"{PODS}?watch=1"))
        assert watch.recv(65536).startswith(b"HTTP/1.1 200")
        moves(meter, before, "fairlead_open_exchanges", "fairlead_user_connections", "fairlead_audit_reserved_records")
    eventually(lambda: meter.moved(before, "fairlead_open_exchanges", 0), what="the watch having ended")

    with closing(socket.create_connection(("127.0.0.1", stack.bound.users))) as slow:
        slow.sendall(b"\x16\x03\x01")
        moves(meter, before, 'fairlead_handshakes_in_progress{listener="users"}')


def test_a_refusal(stack: Stack, meter: Meter) -> None:
    before = meter.read()
    assert stack.door.exchange(stack.door.head("GET", PODS, token=False)).code == "AUTHENTICATION_REQUIRED"
    moves(meter, before, 'fairlead_refusals_total{code="AUTHENTICATION_REQUIRED"}')

    stranger = stack.door.head("GET", PODS, b"Authorization: Bearer x.y.z", token=False)
    for _ in range(25):
        stack.door.exchange(stranger)
    moves(meter, before, "fairlead_failed_authentications_total", "fairlead_limited_authentications_total")


def test_a_disk_that_does_not_answer(stack: Stack, meter: Meter) -> None:
    before = meter.read()
    stranger = "/api/v1/namespaces/demo/pods%2F"
    with closing(sqlite3.connect(stack.home.appliance / "audit.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        # The record of the first is being written, and those of the next ones wait for that.
        waits = "fairlead_audit_waiting_records"
        eventually(lambda: stack.door.ask("GET", stranger).status and meter.moved(before, waits), what=waits)
        eventually(lambda: meter.moved(before, "fairlead_audit_available", -1), what="the ledger being unavailable")
        stack.door.ask("GET", stranger)
        moves(meter, before, "fairlead_audit_lost_denials_total")
        other.execute("ROLLBACK")
    eventually(lambda: meter.moved(before, "fairlead_audit_available", 0), what="the ledger being back")


def test_an_agent_that_goes_and_comes(stack: Stack, meter: Meter) -> None:
    before = meter.read()
    for name in ("fairlead_cluster_certificate_expiry", "fairlead_certificate_expiry"):
        expiries = [at for sample, at in before.items() if family_of(sample) == f"{name}_timestamp_seconds"]
        assert expiries
        assert all(at > time.time() + 86_400 for at in expiries)
        meter.proven.add(f"{name}_timestamp_seconds")  # that of a renewed one: tests/appliance/test_certificates.py
    stack.agent.kill()

    moves(
        meter,
        before,
        "fairlead_tunnel_sessions",
        'fairlead_cluster_sessions{cluster="toy"}',
        'fairlead_cluster_api_server_up{cluster="toy"}',
        'fairlead_cluster_round_trip_seconds{cluster="toy"}',
    )
    stack.start_agent()
    stack.until_it_works()
    moves(meter, before, "fairlead_tunnel_sessions_begun_total", 'fairlead_handshakes_total{listener="agents"}')
    now = meter.read()
    assert now["fairlead_tunnel_bytes_total"] > before["fairlead_tunnel_bytes_total"]  # those of the dead one count


def test_how_old_the_configuration_is(meter: Meter) -> None:
    before = meter.read()
    assert 0 <= before["fairlead_store_age_seconds"] < 30
    moves(meter, before, "fairlead_store_age_seconds")


def test_prometheus_finds_nothing_wrong_with_names_and_meanings(meter: Meter) -> None:
    need("promtool")
    page = "\n".join(line for line in meter.page().splitlines() if "fairlead_" in line) + "\n"
    said = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_every_number_was_seen_moving_and_none_names_anybody(stack: Stack, meter: Meter) -> None:
    assert meter.unproven() == ELSEWHERE
    samples = "\n".join(meter.read())
    assert "demo" not in samples
    assert "@" not in samples
    assert "127.0.0.1" not in samples
    assert len(meter.read()) < 300, "a page that a thousand clusters make four numbers longer each"
