"""The edge of the admin API: who gets in, and how every refusal looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.api.app import strict_transport
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


async def test_browsers_are_held_to_tls_where_the_host_is_ours_alone(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        assert (await api.call("GET", "nothing")).headers["Strict-Transport-Security"] == "max-age=31536000"
    assert strict_transport("https://fairlead.example.com:443") is not None
    assert strict_transport("https://fairlead.example.com:8443") is None, "it would bind that host's other ports"


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
