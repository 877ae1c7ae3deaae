"""The access review: what nobody uses, what ends, who cannot act; and how a use comes to be known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance import binding_uses
from appliance.core.events import AuditEvent, EventType
from appliance.core.review import DAY
from appliance.core.roles import Permission, Scope, ScopeKind
from appliance.store import uses
from appliance.store.statements import USES_AT_ONCE
from tests.appliance.api.rig import NOW, Rig, rig

pytestmark = pytest.mark.real_clock  # the store has a thread

ISSUER = "https://login.example.com"


class Office:
    """A role, two people and what is bound to them."""

    def __init__(self, api: Rig) -> None:
        self.api = api
        self.role = self.ann = self.bob = ""

    async def furnish(self) -> None:
        self.api.token = await self.api.machine(*Permission, expires_at=NOW + 364 * DAY)
        self.role = (await self.api.call("POST", "roles", {"name": "viewer"})).body["id"]
        for name in ("ann", "bob"):
            made = await self.api.call("POST", "people", {"issuer": ISSUER, "subject": name, "name": name})
            setattr(self, name, made.body["id"])

    async def bind(self, subject: dict[str, str], scope: dict[str, Any] | None = None, **more: Any) -> str:
        body = {"subject": subject, "role_id": self.role, "scope": scope or {"kind": "everywhere"}, **more}
        made = await self.api.call("POST", "bindings", body)
        assert made.status == 201, made.body
        return str(made.body["id"])

    async def found(self, query: str = "", **given: Any) -> dict[str, list[str]]:
        reply = await self.api.call("GET", f"access-review?limit=500{query}", **given)
        return {it["id"]: it["findings"] for it in reply.body["items"]}


async def test_each_finding_and_no_other(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.furnish()
        people = {
            name: {"kind": "person", "id": identity} for name, identity in (("ann", office.ann), ("bob", office.bob))
        }
        plain = await office.bind(people["ann"])
        ending = await office.bind(people["ann"], until="2027-02-01T00:00:00Z")
        mail = await office.bind({"kind": "email", "id": "new@example.com", "issuer": ISSUER})
        group = await office.bind({"kind": "group", "id": "dev", "issuer": ISSUER})
        disabled = await office.bind(people["bob"])
        await api.call("POST", "people/bob/disable", {})

        found = await office.found()
        assert found == {disabled: ["disabled"]}, "what is new is not unused, and what ends in weeks does not end soon"
        api.now = NOW + 14 * DAY
        found = await office.found()
        assert found == {ending: ["expiring"], disabled: ["disabled"]}
        api.now = NOW + 18 * DAY
        assert ending not in await office.found("&unused_days=1"), "it is over"

        # The office is used, the group is too, and nobody else did anything.
        api.now = NOW + 91 * DAY
        api.parts.uses.note((group,), api.now - DAY)
        await binding_uses.write(api.store, api.parts.uses)
        found = await office.found()
        assert (found[plain], found[mail], found[disabled]) == (["unused"], ["unclaimed"], ["unused", "disabled"])
        assert group not in found
        assert set(await office.found("&finding=unclaimed")) == {mail}
        assert set(await office.found("&unused_days=92&finding=unused")) == set()

        seen = (await api.call("GET", "access-review?finding=disabled")).body["items"]
        assert [(it["holder"], it["role"], it["used_at"]) for it in seen] == [("bob", "viewer", None)]


async def test_a_call_and_a_record_are_uses_and_a_binding_that_goes_takes_its_use_along(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.furnish()
        bound = await office.bind({"kind": "person", "id": office.ann})
        api.now = NOW + 100 * DAY
        assert bound in await office.found("&finding=unused")
        api.parts.uses.hear([AuditEvent(api.now, EventType.PROXY_CLOSED, binding_ids=(bound,))])
        await binding_uses.write(api.store, api.parts.uses)
        found = await office.found("&finding=unused")
        assert bound not in found
        assert len(found) == 1, "the binding of the machine that asks is used by that, and only the rig's first is not"

        assert (await api.call("DELETE", f"bindings/{bound}")).status == 204
        api.parts.uses.note((bound,), api.now + DAY)
        await binding_uses.write(api.store, api.parts.uses)  # too late: an id is given once, so nothing may stay
        again = await api.store.read(uses.latest([bound]))
        assert again == {}


async def test_a_page_reads_the_uses_of_its_bindings_alone(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.furnish()
        made = sorted([await office.bind({"kind": "group", "id": f"g{it}", "issuer": ISSUER}) for it in range(120)])
        await api.store.write(uses.keep({it: NOW + number for number, it in enumerate(made)}))
        asked = [it for number, it in enumerate(made) if number % 7 or number == 119]
        assert len(asked) > 2 * USES_AT_ONCE
        assert await api.store.read(uses.latest(asked)) == {it: NOW + made.index(it) for it in asked}
        assert await api.store.read(uses.latest([])) == {}


async def test_whoever_sees_some_clusters_reviews_what_lies_in_them(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.furnish()
        clusters = {}
        for name in ("mine", "other"):
            clusters[name] = (await api.call("POST", "clusters", {"name": name})).body["id"]
        who = {"kind": "group", "id": "dev", "issuer": ISSUER}
        bound = {name: await office.bind(who, {"kind": "cluster", "cluster_id": it}) for name, it in clusters.items()}
        token = await api.machine(
            Permission.BINDINGS_READ, scope=Scope(ScopeKind.CLUSTER, clusters["mine"]), expires_at=NOW + 200 * DAY
        )
        api.now = NOW + 100 * DAY
        assert bound["mine"] in await office.found(token=token)
        assert bound["other"] not in await office.found(token=token)


async def test_pages_join_though_many_show_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.furnish()
        made = [await office.bind({"kind": "group", "id": f"g{number}", "issuer": ISSUER}) for number in range(12)]
        api.now = NOW + 100 * DAY
        api.parts.uses.note(tuple(made[:6]), api.now)
        await binding_uses.write(api.store, api.parts.uses)
        found, cursor, pages = [], "", 0
        while True:
            page = (await api.call("GET", f"access-review?limit=2{cursor}")).body
            found += [it["id"] for it in page["items"]]
            pages += 1
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert pages > 5
        assert sorted(set(found) & set(made)) == sorted(made[6:])
        assert len(found) == len(set(found))
