"""Every list, page by page: whole, in order, once, and only what the caller may see; also of ten thousand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.api.pages import QUERY
from appliance.api.table import ROUTES
from appliance.core.access import AccessRequest
from appliance.core.clusters import Cluster
from appliance.core.paging import Order
from appliance.core.people import Person
from appliance.core.roles import EVERYWHERE, Permission, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity
from appliance.store import units
from tests.appliance.api.rig import NOW, Rig, rig

pytestmark = pytest.mark.real_clock  # the store has a thread

MANY = 10_000


async def walked(api: Rig, path: str, limit: int, **given: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    query = f"{'&' if '?' in path else '?'}limit={limit}"
    page = (await api.call("GET", path + query, **given)).body
    while True:
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        assert page["items"]
        page = (await api.call("GET", f"{path}{query}&cursor={page['next']}", **given)).body


def put_many(api: Rig) -> None:
    """Straight into the snapshot, which is all that these lists read."""
    ann = Subject(SubjectKind.PERSON, "person_0")
    for number in range(MANY):
        name = f"{number * 7919 % MANY:05}"
        cluster = Cluster(f"cluster_{number}", f"c{name}", (("half", str(number % 2)),), created_at=NOW)
        person = Person(f"person_{number}", "https://login.example.com", name, f"p{name}", created_at=NOW)
        request = AccessRequest(
            f"request_{number}", "policy_1", ann, ann, "role_1", EVERYWHERE, 60, "", created_at=NOW + number // 3,
            expires_at=NOW + MANY,
        )  # fmt: skip
        api.store.snapshot.put(Entity.CLUSTER, cluster.id, cluster)
        api.store.snapshot.put(Entity.PERSON, person.id, person)
        api.store.snapshot.put(Entity.ACCESS_REQUEST, request.id, request)


async def test_ten_thousand_of_each(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        put_many(api)
        names = [f"{number:05}" for number in range(MANY)]
        assert [it["name"] for it in await walked(api, "clusters", 500)] == [f"c{name}" for name in names]
        assert [it["name"] for it in await walked(api, "people", 499)] == [f"p{name}" for name in names]
        requests = [it["id"] for it in await walked(api, "access-requests", 500)]
        assert len(set(requests)) == MANY
        places = [(-(int(it.partition("_")[2]) // 3), it) for it in requests]
        assert places == sorted(places)
        assert len(await walked(api, "clusters?labels=half=1", 500)) == MANY // 2

        # Whoever may see one of them finds it on one page, and what they may not see is not counted.
        one = Scope(ScopeKind.CLUSTER, "cluster_5000")
        await api.store.write(units.add_cluster(api.store.snapshot.clusters.pop("cluster_5000"), NOW))
        token = await api.machine(Permission.CLUSTERS_READ, Permission.ACCESS_READ, scope=one)
        page = (await api.call("GET", "clusters?limit=1", token=token)).body
        assert ([it["id"] for it in page["items"]], page["next"]) == (["cluster_5000"], None)
        assert (await api.call("GET", "access-requests", token=token)).body == {"items": [], "next": None}


async def test_pages_are_cut_from_one_order_while_nothing_changes(tmp_path: Path) -> None:
    """A page costs what it shows: the order is made once, not for each."""
    async with rig(tmp_path) as api:
        put_many(api)
        people = api.store.snapshot.changed[Entity.PERSON]
        page = (await api.call("GET", "people?limit=2")).body
        made: Order[Person] = api.parts.orders.of(Entity.PERSON, people, (), lambda _: ())
        assert len(made.entries) == MANY
        await api.call("GET", f"people?limit=2&cursor={page['next']}")
        assert api.parts.orders.of(Entity.PERSON, people, (), lambda _: ()) is made


async def test_what_is_written_between_two_pages_moves_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        for name in ("b", "d", "f", "h"):
            assert (await api.call("POST", "clusters", {"name": name})).status == 201
        page = (await api.call("GET", "clusters?limit=2")).body
        assert [it["name"] for it in page["items"]] == ["b", "d"]
        await api.call("POST", "clusters", {"name": "a"})
        await api.call("POST", "clusters", {"name": "e"})
        await api.call("DELETE", "clusters/d")
        await api.call("DELETE", "clusters/f")
        rest = (await api.call("GET", f"clusters?limit=2&cursor={page['next']}")).body
        assert ([it["name"] for it in rest["items"]], rest["next"]) == (["e", "h"], None)


LISTS = [route for route in ROUTES if {field.name for field in QUERY} <= {field.name for field in route.query}]
NO_LISTS = {"authority", "explain", "me"}  # GETs of a fixed path that answer about one thing


def test_every_list_pages() -> None:
    paths = {route.path for route in ROUTES if route.method == "GET" and not route.path.endswith(">")}
    assert {route.path for route in LISTS} == paths - NO_LISTS


FIXED = [route for route in LISTS if route.proof is None and "<" not in route.path]


@pytest.mark.parametrize("path", [route.path for route in FIXED])
async def test_every_list_refuses_what_cannot_be_meant(tmp_path: Path, path: str) -> None:
    needed = "cluster=c&verb=get&resource=pods&" if path == "who-can" else ""
    async with rig(tmp_path) as api:
        await api.call("POST", "clusters", {"name": "c"})
        other = (await api.call("GET", "roles?limit=1")).body["next"] if path != "roles" else "AAAA"
        for query in ("limit=0", "limit=501", "limit=", "limit=x", "limit=%D9%A3", "limit=1&limit=2", "nothing=1"):
            reply = await api.call("GET", f"{path}?{needed}{query}")
            assert (reply.status, reply.body["field"]) == (422, "?" + query.partition("=")[0]), query
        for cursor in ("x", "1.2.3", other or "AAAA"):
            reply = await api.call("GET", f"{path}?{needed}cursor={cursor}")
            assert (reply.status, reply.code, reply.body["field"]) == (400, "INVALID_CURSOR", "?cursor"), cursor


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("clusters?connected=maybe", "?connected"),
        ("clusters?labels=env", "?labels"),
        ("people?enabled=1", "?enabled"),
        ("access-requests?state=open", "?state"),
        ("credentials?state=dead", "?state"),
        ("audit?type=x", "?type"),
        ("who-can?cluster=c&verb=steal&resource=pods", "?verb"),
        ("who-can?verb=get&resource=pods", "?cluster"),
    ],
)
async def test_a_filter_refuses_a_bad_value_by_name(tmp_path: Path, path: str, names: str) -> None:
    async with rig(tmp_path) as api:
        reply = await api.call("GET", path)
        assert (reply.status, reply.body["field"]) == (422, names)


async def test_filters_find_what_fits_all_of_them(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        made = {}
        for name, labels in {"a": {"env": "prod", "region": "eu"}, "b": {"env": "prod"}, "c": {}}.items():
            made[name] = (await api.call("POST", "clusters", {"name": name, "labels": labels})).body["id"]
        for subject, groups in {"ann": ["dev"], "bob": ["dev", "ops"]}.items():
            body = {"issuer": "https://login.example.com", "subject": subject, "name": subject, "groups": groups}
            made[subject] = (await api.call("POST", "people", body)).body["id"]
        await api.call("POST", "people/ann/disable", {})
        role = (await api.call("POST", "roles", {"name": "viewer"})).body["id"]
        who = {"kind": "person", "id": made["bob"]}
        scope = {"kind": "cluster", "cluster_id": made["a"]}
        bound = (await api.call("POST", "bindings", {"subject": who, "role_id": role, "scope": scope})).body["id"]

        async def found(path: str, name: str = "name") -> list[str]:
            return [it[name] for it in (await api.call("GET", path)).body["items"]]

        assert await found("clusters?labels=env=prod") == ["a", "b"]
        assert await found("clusters?labels=env=prod,region=eu") == ["a"]
        assert await found("clusters?connected=true") == []
        assert await found("clusters?connected=false") == ["a", "b", "c"]
        assert await found("people?group=dev") == ["ann", "bob"]
        assert await found("people?group=dev&enabled=true") == ["bob"]
        assert await found("people?issuer=https://other.example.com") == []
        assert await found(f"bindings?subject={made['bob']}", "id") == [bound]
        assert await found(f"bindings?role={role}&cluster=a", "id") == [bound]
        assert bound not in await found("bindings?cluster=b", "id")
