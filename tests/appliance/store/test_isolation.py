"""Races between two processes, on both engines: one wins, the other gets the right code, nothing is half done."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import EVERYWHERE, Binding, Role, Subject, SubjectKind
from appliance.core.snapshot import Entity
from appliance.store import units
from appliance.store.faults import ConstraintBroken
from appliance.store.store import Store
from appliance.store.unit import Unit, run
from tests.appliance.store.homes import NOW, Home

pytestmark = pytest.mark.real_clock

ROUNDS = 15  # enough that both orders come up
ROLE = Role("role_1", "admin", "", created_at=NOW)
GROUP = Subject(SubjectKind.GROUP, "dev", "iss")


async def outcomes(*attempts: tuple[Store, Unit[object]]) -> list[Code | None]:
    """What each of several writes that begin at once came to; None: it was done."""
    found: list[Code | None] = []

    async def attempt(store: Store, unit: Unit[object]) -> None:
        try:
            await store.write(unit)
        except ProblemError as error:
            found.append(error.problem.code)
        else:
            found.append(None)

    async with trio.open_nursery() as nursery:
        for store, unit in attempts:
            nursery.start_soon(attempt, store, unit)
    return sorted(found, key=lambda code: code or "~")  # what was done comes last


async def test_of_two_registrations_of_one_name_one_is_there(home: Home) -> None:
    async with home.opened() as one, home.opened() as two:
        for number in range(ROUNDS):
            a, b = (Cluster(f"{letter}{number}", f"prod{number}", created_at=NOW) for letter in "ab")
            came = await outcomes((one, units.add_cluster(a, NOW)), (two, units.add_cluster(b, NOW)))
            assert came == [Code.DUPLICATE_CLUSTER_NAME, None]
        await one.poll()
        assert len(one.snapshot.clusters) == ROUNDS


async def test_of_two_renamings_to_one_name_one_is_done(home: Home) -> None:
    async with home.opened() as one, home.opened() as two:
        for name in ("a", "b"):
            await one.write(units.add_cluster(Cluster(name, name, created_at=NOW), NOW))
        for number in range(ROUNDS):

            def rename(it: Cluster, name: str = f"prod{number}") -> Cluster:
                return replace(it, name=name)

            came = await outcomes(
                (one, units.set_cluster("a", rename, NOW)), (two, units.set_cluster("b", rename, NOW))
            )
            assert came == [Code.DUPLICATE_CLUSTER_NAME, None]


async def test_a_role_deleted_while_it_is_bound_is_either_bound_or_gone(home: Home) -> None:
    async with home.opened() as one, home.opened() as two:
        for number in range(ROUNDS):
            role = replace(ROLE, id=f"role_{number}", name=f"role{number}")
            await one.write(units.add_role(role, NOW))
            binding = Binding(f"binding_{number}", GROUP, role.id, EVERYWHERE, created_at=NOW)
            pair = [(one, units.remove_role(role.id, NOW)), (two, units.add_binding(binding, NOW))]
            if number % 2:
                pair.reverse()
            came = await outcomes(*pair)
            await one.poll()
            bound = binding.id in one.snapshot.bindings
            assert bound == (role.id in one.snapshot.roles)
            assert came == [Code.ROLE_IN_USE if bound else Code.ROLE_NOT_FOUND, None]


def resign(binding_id: str) -> Unit[None]:
    """Gives up a binding unless it is the last: right only if nobody else does the same at this moment."""
    yield from units.change(Entity.BINDING, binding_id, NOW)
    ((left,),) = yield run("SELECT count(*) FROM bindings WHERE role_id = $1", ROLE.id)
    if left <= 1:
        raise ProblemError(problem(Code.ROLE_IN_USE, count=left))
    yield run("DELETE FROM bindings WHERE id = $1 RETURNING id", binding_id)


async def test_two_administrators_cannot_remove_each_others_last_rights(home: Home) -> None:
    """Each reads that the other is still there, and removes a different row: no constraint would see it."""
    async with home.opened() as one, home.opened() as two:
        await one.write(units.add_role(ROLE, NOW))
        for number in range(ROUNDS):
            for letter in "ab":
                binding = Binding(f"{letter}{number}", GROUP, ROLE.id, EVERYWHERE, created_at=NOW)
                await one.write(units.add_binding(binding, NOW))
            came = await outcomes((one, resign(f"a{number}")), (two, resign(f"b{number}")))
            assert came == [Code.ROLE_IN_USE, None]
            await one.poll()
            (last,) = one.snapshot.bindings
            await one.write(units.remove_binding(last, NOW))


async def test_a_constraint_that_a_unit_did_not_foresee_is_named_and_nothing_is_kept(home: Home) -> None:
    certificate = AgentCertificate("0a", "cluster_1", 1, NOW + 1)
    async with home.opened() as store:
        await store.write(units.add_cluster(Cluster("cluster_1", "prod", created_at=NOW), NOW))
        await store.write(units.add_certificate(certificate, "k1", "PEM", NOW))

        def twice() -> Unit[None]:
            yield from units.add_role(ROLE, NOW)
            yield from units.add_certificate(certificate, "k1", "PEM", NOW)

        with pytest.raises(ConstraintBroken):
            await store.write(twice())
        await store.write(units.add_role(ROLE, NOW))
        assert home.query("SELECT head FROM feed") == [("3",)]
