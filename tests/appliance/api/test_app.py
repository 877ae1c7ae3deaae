"""The edge of the admin API: who gets in, and how every refusal looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from appliance.api.bodies import MAX_BODY_BYTES
from appliance.core.buckets import FAILURES_BURST
from appliance.core.events import EventType
from appliance.core.roles import Permission
from tests.appliance.api.rig import NOW, rig

pytestmark = pytest.mark.real_clock  # the store has a thread


async def test_a_problem_says_what_is_wrong_in_the_form_of_rfc_9457(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        reply = await api.call("GET", "clusters", headers={"Authorization": "", "X-Correlation-Id": "abc-1"})

    assert reply.status == 401
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="fairlead"'
    assert reply.headers["X-Correlation-Id"] == "abc-1"
    assert reply.headers["X-Fairlead-Error-Code"] == "AUTHENTICATION_REQUIRED"
    assert reply.body == {
        "type": "https://fairlead.example.com/help/errors/AUTHENTICATION_REQUIRED",
        "title": "Authentication required",
        "status": 401,
        "detail": reply.body["detail"],
        "code": "AUTHENTICATION_REQUIRED",
        "correlation_id": "abc-1",
    }


@pytest.mark.parametrize("token", ["flm_wrong", "eyJhbGciOiJFUzI1NiJ9.e30.x", "", "flm_" + "x" * 300])
async def test_only_a_known_machine_token_gets_in(tmp_path: Path, token: str) -> None:
    async with rig(tmp_path) as api:
        reply = await api.call("GET", "clusters", token=token)

        assert (reply.status, reply.code) == (401, "INVALID_TOKEN")
        assert [(it.type, it.status, it.path) for it in api.recorded] == [
            (EventType.API_DENIED, 401, "/fairlead/v1/clusters")
        ]


async def test_a_token_works_until_it_expires(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        token = await api.machine(Permission.CLUSTERS_READ, expires_at=NOW + 1)

        assert (await api.call("GET", "clusters", token=token)).status == 200
        api.now = NOW + 1
        assert (await api.call("GET", "clusters", token=token)).status == 401


async def test_failed_tries_are_limited_by_address(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        for _ in range(FAILURES_BURST):
            assert (await api.call("GET", "clusters", token="flm_wrong")).status == 401
        reply = await api.call("GET", "clusters")

    assert (reply.status, reply.code) == (429, "RATE_LIMITED")
    assert int(reply.headers["Retry-After"]) >= 1


async def test_a_missing_permission_is_named_and_recorded(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        token = await api.machine(Permission.CLUSTERS_READ)
        reply = await api.call("POST", "roles", {"name": "x"}, token=token)

        assert (reply.status, reply.code) == (403, "FORBIDDEN")
        assert "roles:write everywhere" in reply.body["detail"]
        assert [(it.type, it.status) for it in api.recorded] == [(EventType.API_DENIED, 403)]


async def test_paths_and_methods_that_do_not_exist(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        assert (await api.call("GET", "nothing")).code == "ROUTE_NOT_FOUND"
        assert (await api.call("GET", "/")).code == "ROUTE_NOT_FOUND"
        assert (await api.call("GET", "/fairlead/v1//clusters")).code == "ROUTE_NOT_FOUND"
        assert (await api.call("GET", "clusters/")).code == "ROUTE_NOT_FOUND"
        reply = await api.call("PUT", "clusters", {})

    assert (reply.status, reply.code) == (405, "METHOD_NOT_ALLOWED")
    assert reply.headers["Allow"] == "GET, HEAD, POST"


async def test_bodies_of_the_wrong_kind_and_size(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        form = await api.call("POST", "clusters", raw=b"name=x", headers={"Content-Type": "text/plain"})
        zipped = await api.call("POST", "clusters", raw=b"{}", headers={"Content-Encoding": "gzip"})
        large = await api.call("POST", "clusters", raw=b" " * (MAX_BODY_BYTES + 1))
        unwanted = await api.call("DELETE", "clusters/x", {"name": "x"})
        unknown = await api.call("POST", "clusters", {"name": "x", "colour": "red"})
        query = await api.call("GET", "clusters?page=2")

    assert (form.status, form.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert (zipped.status, zipped.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert (large.status, large.code) == (413, "PAYLOAD_TOO_LARGE")
    assert (unwanted.status, unwanted.code) == (422, "VALIDATION_ERROR")
    assert (unknown.status, unknown.body["field"]) == (422, "colour")
    assert (query.status, query.body["field"]) == (422, "?page")


async def test_nothing_is_changed_when_it_could_not_be_recorded(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        api.audit_broken = True
        reply = await api.call("POST", "clusters", {"name": "x"})

        assert (reply.status, reply.code) == (503, "AUDIT_UNAVAILABLE")
        assert api.store.snapshot.clusters == {}


async def test_a_change_whose_own_record_cannot_be_kept_is_not_called_undone(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        api.unrecordable = EventType.CLUSTER_REGISTERED
        reply = await api.call("POST", "clusters", {"name": "x"})

        assert (reply.status, reply.code) == (503, "OUTCOME_UNKNOWN")
        assert "may have been made" in reply.body["detail"]
        assert [it.name for it in api.store.snapshot.clusters.values()] == ["x"]


async def test_a_call_is_on_the_disk_before_it_changes_anything(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        assert (await api.call("GET", "clusters")).status == 200
        assert (await api.call("POST", "clusters", {"name": "UPPER CASE"})).status == 422
        (call,) = api.called
        assert (call.verb, call.path) == ("POST", "/fairlead/v1/clusters")
        made = await api.call("POST", "clusters", {"name": "x"}, headers={"X-Correlation-Id": "mine"})
        assert made.status == 201
        assert [it.correlation_id for it in (api.called[1], api.recorded[0])] == ["mine", "mine"]
        assert api.called[1].actor_id == api.recorded[0].actor_id != ""


async def test_a_defect_of_ours_shows_a_correlation_id_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with rig(tmp_path) as api:
        await api.call("POST", "clusters", {"name": "x"})
        api.states = None  # type: ignore[assignment]  # the defect
        reply = await api.call("GET", "clusters")

    assert (reply.status, reply.code) == (500, "INTERNAL_ERROR")
    assert "NoneType" not in str(reply.body)
    assert reply.headers["X-Correlation-Id"] in capsys.readouterr().out


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_every_answer_of_ours_is_traced_and_safe_in_a_browser(tmp_path: Path) -> None:
    """Whatever it is of: a route, none, or what anybody may read."""
    async with rig(tmp_path) as api:
        parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        for path in ("clusters", "nothing", "/.well-known/fairlead-configuration", "/"):
            reply = await api.call("GET", path, headers=parent)
            assert reply.headers["X-Correlation-Id"] == TRACE
            assert reply.headers["traceresponse"] == f"00-{TRACE}-{TRACE[16:]}-00"
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert (reply.headers["X-Frame-Options"], reply.headers["Cache-Control"]) == ("DENY", "no-store")
            assert "Strict-Transport-Security" not in reply.headers  # our own authority: nobody else believes it
        named = await api.call("GET", "clusters", headers={**parent, "X-Correlation-Id": "ticket-7"})
        assert (named.headers["X-Correlation-Id"], TRACE in named.headers["traceresponse"]) == ("ticket-7", True)
        alone = await api.call("GET", "clusters", headers={"traceparent": "none"})
        assert alone.headers["X-Correlation-Id"] in alone.headers["traceresponse"]


async def test_with_a_certificate_that_others_believe_browsers_come_by_tls_only(tmp_path: Path) -> None:
    async with rig(tmp_path, hsts=True) as api:
        assert (await api.call("GET", "clusters")).headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_one_caller_and_one_address_have_their_pace(tmp_path: Path) -> None:
    async with rig(tmp_path, burst=5) as api:
        other = await api.machine(Permission.CLUSTERS_READ)
        replies = [await api.call("GET", "clusters") for _ in range(6)]
        assert [it.status for it in replies] == [200] * 5 + [429]
        assert (replies[-1].code, replies[-1].headers["Retry-After"]) == ("RATE_LIMITED", "1")
        assert (await api.call("GET", "clusters", token=other)).status == 200
        api.now = NOW + 1_000_000
        assert (await api.call("GET", "clusters")).status == 200
        strangers = [await api.call("GET", "nothing", token="") for _ in range(30)]
        assert {it.status for it in strangers} == {404, 429}  # what does not even have a route is counted, too


async def test_where_everything_is(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        reply = await api.call("GET", "/.well-known/fairlead-configuration", headers={"Authorization": ""})
        assert (reply.status, reply.body["api"]) == (200, "https://fairlead.example.com/fairlead/v1")
        assert reply.body["errors"].format(code="FORBIDDEN") == "https://fairlead.example.com/help/errors/FORBIDDEN"
        assert (reply.body["client_id"], reply.body["version"].count(".")) == ("fairlead-cli", 2)


async def test_an_outage_is_logged_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        api.audit_broken = True
        with capture_logs() as logged:
            replies = [await api.call("POST", "roles", {"name": f"role-{number}"}) for number in range(20)]
        assert {(it.status, it.code) for it in replies} == {(503, "AUDIT_UNAVAILABLE")}
        (line,) = logged
        first = replies[0].headers["X-Correlation-Id"]
        assert (line["event"], line["correlation_id"]) == ("admin API call refused", first)
        assert (line["code"], line["times"], line["why"]) == ("AUDIT_UNAVAILABLE", 1, "DiskFullError")
