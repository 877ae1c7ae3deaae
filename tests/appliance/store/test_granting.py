"""Nobody gives what they do not hold, by whatever road: roles, bindings, labels, groups, e-mails, credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from appliance.core.clusters import Cluster, Labels
from appliance.core.credentials import CredentialKind
from appliance.core.machines import MachineToken
from appliance.core.people import Machine, Person
from appliance.core.problems import Code
from appliance.core.rights import Principal
from appliance.core.roles import EVERYWHERE, Binding, Permission, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.store import granting, ids, units
from appliance.store.issuing import Wanted
from appliance.store.store import Store
from appliance.store.unit import Unit
from tests.appliance.store import cast
from tests.appliance.store.cast import (
    ADMIN,
    ANN,
    BEN,
    BLUE,
    BY_LABEL,
    DEV,
    HOUR,
    ISSUER,
    NOW,
    ON_DEV,
    ON_PROD,
    OPERATOR,
    PROD,
    VIEWER,
    bound,
    refused,
)
from tests.appliance.store.homes import Home

pytestmark = pytest.mark.real_clock

BINDER = cast.may(Permission.BINDINGS_WRITE)
ROLE_WRITER = cast.may(Permission.ROLES_WRITE)


@asynccontextmanager
async def opened(home: Home) -> AsyncIterator[Store]:
    async with home.opened() as store:
        await cast.cast(store)
        yield store


@pytest.mark.parametrize(
    ("held", "role", "scope", "allowed"),
    [
        (((VIEWER, EVERYWHERE),), VIEWER, EVERYWHERE, True),
        (((VIEWER, EVERYWHERE),), VIEWER, BLUE, True),
        (((VIEWER, ON_PROD),), VIEWER, ON_PROD, True),
        (((VIEWER, ON_PROD),), VIEWER, BLUE, True),
        (((VIEWER, ON_PROD),), VIEWER, ON_DEV, False),
        (((VIEWER, ON_PROD),), VIEWER, EVERYWHERE, False),
        (((VIEWER, BLUE),), VIEWER, ON_PROD, False),
        (((VIEWER, BLUE),), VIEWER, replace(BLUE, namespaces=("blue", "green")), False),
        (((VIEWER, BY_LABEL),), VIEWER, ON_PROD, True),
        (((VIEWER, BY_LABEL),), VIEWER, ON_DEV, False),
        (((VIEWER, BY_LABEL),), VIEWER, replace(BY_LABEL, labels=(("env", "prod"), ("team", "x"))), True),
        (((VIEWER, BY_LABEL),), VIEWER, EVERYWHERE, False),
        (((VIEWER, ON_PROD),), OPERATOR, ON_PROD, False),  # another group, and no rules
        (((OPERATOR, ON_PROD),), VIEWER, ON_PROD, False),  # everything, but without the group
        (((cast.may(Permission.ROLES_ESCALATE), ON_PROD),), OPERATOR, ON_PROD, True),
        (((cast.may(Permission.ROLES_ESCALATE), ON_PROD),), OPERATOR, ON_DEV, False),
        (((cast.may(Permission.ROLES_ESCALATE), BLUE),), OPERATOR, ON_PROD, False),
        ((), VIEWER, BLUE, False),
    ],
)
async def test_a_role_is_given_where_it_is_held(
    home: Home, held: tuple[tuple[Role, Scope], ...], role: Role, scope: Scope, allowed: bool
) -> None:
    async with opened(home) as store:
        caller = await cast.machine(store, "caller", (BINDER, EVERYWHERE), *held)
        unit = granting.add_binding(caller.subject, bound(cast.person(BEN), role, scope), NOW)
        if allowed:
            await store.write(unit)
        else:
            assert await refused(store, unit) is Code.ESCALATION_FORBIDDEN
            assert not store.snapshot.bindings_of(cast.person(BEN))


async def test_a_group_is_not_given_without_the_rules_that_bound_it(home: Home) -> None:
    """Someone with a strong group for few requests and a weak group for all may not join the strong one to all."""
    async with opened(home) as store:
        strong = Role("role_strong", "strong", groups=("masters",), rules=(Rule(("get",), ("",), ("nodes",)),))
        weak = Role("role_weak", "weak", groups=("viewers",))
        mix = Role("role_mix", "mix", groups=("masters",))
        await store.write(units.add_role(mix, NOW))
        caller = await cast.machine(
            store, "caller", (BINDER, EVERYWHERE), (ROLE_WRITER, EVERYWHERE), (strong, EVERYWHERE), (weak, EVERYWHERE)
        )
        given = granting.add_binding(caller.subject, bound(caller.subject, mix), NOW)
        assert await refused(store, given) is Code.ESCALATION_FORBIDDEN
        made = granting.add_role(caller.subject, replace(mix, id="role_2", name="mix-2", rules=weak.rules), NOW)
        assert await refused(store, made) is Code.ESCALATION_FORBIDDEN


async def test_what_is_held_for_an_hour_is_given_for_an_hour_at_most(home: Home) -> None:
    async with opened(home) as store:
        caller = await cast.machine(store, "caller", (BINDER, EVERYWHERE))
        await store.write(units.add_binding(bound(caller.subject, VIEWER, ON_PROD, NOW + HOUR), NOW))
        for until in (None, NOW + HOUR + 1):
            unit = granting.add_binding(caller.subject, bound(cast.person(BEN), VIEWER, ON_PROD, until), NOW)
            assert await refused(store, unit) is Code.ESCALATION_FORBIDDEN
        binding = bound(cast.person(BEN), VIEWER, ON_PROD, NOW + HOUR)
        await store.write(granting.add_binding(caller.subject, binding, NOW))
        late = bound(cast.person(BEN), VIEWER, ON_PROD, NOW + HOUR)
        assert await refused(store, granting.add_binding(caller.subject, late, NOW + HOUR)) is Code.ESCALATION_FORBIDDEN


async def test_bindings_are_written_in_the_scope_of_the_permission_only(home: Home) -> None:
    async with opened(home) as store:
        caller = await cast.machine(store, "caller", (BINDER, ON_PROD), (VIEWER, EVERYWHERE))
        here = bound(cast.person(BEN), VIEWER, BLUE)
        await store.write(granting.add_binding(caller.subject, here, NOW))
        there = bound(cast.person(BEN), VIEWER, ON_DEV)
        assert await refused(store, granting.add_binding(caller.subject, there, NOW)) is Code.CLUSTER_NOT_FOUND
        nowhere = bound(cast.person(BEN), VIEWER, replace(ON_DEV, cluster_id="cluster_none"))
        assert await refused(store, granting.add_binding(caller.subject, nowhere, NOW)) is Code.CLUSTER_NOT_FOUND
        wide = bound(cast.person(BEN), VIEWER)
        assert await refused(store, granting.add_binding(caller.subject, wide, NOW)) is Code.FORBIDDEN
        await store.write(units.add_binding(there, NOW))
        assert await refused(store, granting.remove_binding(caller.subject, there.id, NOW)) is Code.ASSIGNMENT_NOT_FOUND
        await store.write(granting.remove_binding(caller.subject, here.id, NOW))


async def test_what_is_put_into_a_role_is_held_everywhere_and_for_good(home: Home) -> None:
    async with opened(home) as store:
        local = await cast.machine(store, "local", (ROLE_WRITER, EVERYWHERE), (VIEWER, ON_PROD))
        copy = replace(VIEWER, id="role_copy", name="copy")
        assert await refused(store, granting.add_role(local.subject, copy, NOW)) is Code.ESCALATION_FORBIDDEN
        brief = await cast.machine(store, "brief", (ROLE_WRITER, EVERYWHERE))
        await store.write(units.add_binding(bound(brief.subject, VIEWER, until=NOW + HOUR), NOW))
        assert await refused(store, granting.add_role(brief.subject, copy, NOW)) is Code.ESCALATION_FORBIDDEN
        holder = await cast.machine(store, "holder", (ROLE_WRITER, EVERYWHERE), (VIEWER, EVERYWHERE))
        await store.write(granting.add_role(holder.subject, copy, NOW))

        named = granting.set_role(local.subject, copy.id, lambda it: replace(it, name="renamed"), NOW)
        assert (await store.write(named)).name == "renamed"  # nothing is given by that
        for change in ({"groups": ("viewers", "masters")}, {"rules": ()}, {"permissions": (Permission.AUDIT_READ,)}):
            wider = granting.set_role(holder.subject, copy.id, lambda it: replace(it, **change), NOW)  # noqa: B023
            assert await refused(store, wider) is Code.ESCALATION_FORBIDDEN
        assert store.snapshot.roles[copy.id] == replace(copy, name="renamed")
        scoped = await cast.machine(store, "scoped", (ROLE_WRITER, ON_PROD), (VIEWER, EVERYWHERE))
        other = replace(copy, id="role_o", name="o")
        assert await refused(store, granting.add_role(scoped.subject, other, NOW)) is Code.FORBIDDEN


def labelled(by: Principal, cluster: Cluster, labels: Labels) -> Unit[Cluster]:
    return granting.label_cluster(by.subject, cluster.id, lambda it: replace(it, labels=labels), NOW)


async def test_a_label_gives_what_is_bound_by_it(home: Home) -> None:
    labeller = cast.may(Permission.CLUSTERS_WRITE)
    async with opened(home) as store:
        caller = await cast.machine(store, "caller", (labeller, EVERYWHERE))
        await store.write(labelled(caller, DEV, (("env", "prod"),)))
        await store.write(labelled(caller, DEV, ()))
        await store.write(units.add_binding(bound(cast.person(BEN), VIEWER, BY_LABEL), NOW))

        assert await refused(store, labelled(caller, DEV, (("env", "prod"),))) is Code.ESCALATION_FORBIDDEN
        new = Cluster("cluster_new", "new", (("env", "prod"),), created_at=NOW)
        assert await refused(store, granting.add_cluster(caller.subject, new, NOW)) is Code.ESCALATION_FORBIDDEN
        await store.write(granting.add_cluster(caller.subject, replace(new, labels=(("env", "test"),)), NOW))

        # Holding the role by that very label does not help: the cluster does not carry it yet.
        own = await cast.machine(store, "own", (labeller, EVERYWHERE), (VIEWER, BY_LABEL))
        assert await refused(store, labelled(own, DEV, PROD.labels)) is (Code.ESCALATION_FORBIDDEN)
        holder = await cast.machine(store, "holder", (labeller, ON_DEV), (VIEWER, ON_DEV))
        assert (await store.write(labelled(holder, DEV, PROD.labels))).labels == PROD.labels
        assert await refused(store, labelled(holder, PROD, ())) is Code.CLUSTER_NOT_FOUND


async def test_a_group_gives_what_is_bound_to_it(home: Home) -> None:
    async with opened(home) as store:
        await store.write(units.add_binding(bound(cast.group("ops"), OPERATOR, ON_PROD), NOW))
        desk = await cast.machine(store, "desk", (cast.may(Permission.PEOPLE_WRITE), EVERYWHERE))

        joined = granting.set_person(desk.subject, BEN.id, lambda it: replace(it, groups=("ops",)), NOW)
        assert await refused(store, joined) is Code.ESCALATION_FORBIDDEN
        new = Person("person_new", ISSUER, "3", "new@example.com", groups=("ops",))
        made = granting.add_person(desk.subject, new, NOW, email_verified=False)
        assert await refused(store, made) is Code.ESCALATION_FORBIDDEN
        assert set(store.snapshot.people) == {ANN.id, BEN.id}

        harmless = granting.set_person(desk.subject, BEN.id, lambda it: replace(it, groups=("others",)), NOW)
        await store.write(harmless)
        elsewhere = replace(new, issuer="https://other.example.com")  # another issuer's group of that name
        await store.write(granting.add_person(desk.subject, elsewhere, NOW, email_verified=False))
        both = await cast.machine(
            store, "both", (cast.may(Permission.PEOPLE_WRITE), EVERYWHERE), (OPERATOR, EVERYWHERE)
        )
        await store.write(granting.set_person(both.subject, BEN.id, lambda it: replace(it, groups=("ops",)), NOW))
        kept = granting.set_person(desk.subject, BEN.id, lambda it: replace(it, email="b@example.com"), NOW)
        await store.write(kept)  # what they have already is not given again


async def test_a_binding_waits_for_a_verified_email_and_is_claimed_once(home: Home) -> None:
    waiting = bound(Subject(SubjectKind.EMAIL, "new@example.com", ISSUER), OPERATOR, ON_PROD)
    new = Person("person_new", ISSUER, "3", "new", "New@Example.com")
    async with opened(home) as store:
        admin = await cast.machine(store, "admin", (ADMIN, EVERYWHERE))
        await store.write(granting.add_binding(admin.subject, waiting, NOW))
        desk = await cast.machine(store, "desk", (cast.may(Permission.PEOPLE_WRITE), EVERYWHERE))

        # An unverified e-mail, another issuer's, and one that only looks alike claim nothing.
        for number, other in enumerate(
            (
                (replace(new, email="new@example.com"), False),
                (replace(new, issuer="https://other.example.com"), True),
                (replace(new, email="n\u0435w@example.com"), True),  # a Cyrillic letter
                (replace(new, email="new@example.com "), True),
                (replace(new, email=""), True),
            )
        ):
            person = replace(other[0], id=f"person_{number}", subject=f"s{number}", name=f"n{number}")
            claimed = await store.write(granting.add_person(desk.subject, person, NOW, email_verified=other[1]))
            assert claimed == []
        gives = granting.add_person(desk.subject, new, NOW, email_verified=True)
        assert await refused(store, gives) is Code.ESCALATION_FORBIDDEN
        claimed = await store.write(granting.add_person(admin.subject, new, NOW, email_verified=True))
        assert claimed == [replace(waiting, subject=cast.person(new))]
        assert store.snapshot.bindings_for(new.id, PROD.id) == tuple(claimed)
        again = replace(new, id="person_again", subject="again", name="again")
        assert await store.write(granting.add_person(admin.subject, again, NOW, email_verified=True)) == []


async def test_a_caller_who_is_gone_disabled_or_expired_holds_nothing(home: Home) -> None:
    async with opened(home) as store:
        await store.write(units.add_machine(Machine("machine_x", "x"), NOW))
        await store.write(units.add_machine_token(MachineToken("token_x", "machine_x", "ab" * 32, NOW + HOUR), NOW))
        expiring = Subject(SubjectKind.MACHINE, "machine_x")
        for subject in (expiring, cast.person(ANN)):
            await store.write(units.add_binding(bound(subject, ADMIN), NOW))
        given = bound(cast.person(BEN), VIEWER)
        assert await refused(store, granting.add_binding(expiring, given, NOW + HOUR)) is Code.FORBIDDEN
        await store.write(granting.add_binding(cast.person(ANN), given, NOW))
        await store.write(units.set_person(ANN.id, lambda it: replace(it, enabled=False), NOW))
        for nobody in (
            cast.person(ANN),
            Subject(SubjectKind.MACHINE, "machine_none"),
            cast.group("dev"),
            Subject(SubjectKind.EMAIL, "ann@example.com", ISSUER),
        ):
            assert await refused(store, granting.add_binding(nobody, replace(given, id="b"), NOW)) is Code.FORBIDDEN


async def test_a_person_holds_what_their_groups_hold(home: Home) -> None:
    async with opened(home) as store:
        await store.write(units.add_binding(bound(cast.group("dev"), ADMIN), NOW))
        given = bound(cast.person(BEN), OPERATOR)
        await store.write(granting.add_binding(cast.person(ANN), given, NOW))
        assert await refused(store, granting.add_binding(cast.person(BEN), replace(given, id="b"), NOW)) is (
            Code.FORBIDDEN
        )


async def only_administrator(store: Store, subject: Subject) -> Binding:
    binding = bound(subject, ADMIN)
    await store.write(units.add_binding(binding, NOW))
    return binding


async def test_the_last_administrator_stays_whatever_is_tried(home: Home) -> None:
    async with opened(home) as store:
        admin = await cast.machine(store, "admin")
        last = await only_administrator(store, admin.subject)
        # None of these is one who could take over: they end, are not everywhere, or nobody holds them.
        await store.write(
            units.add_binding(replace(bound(cast.person(ANN), ADMIN), request_id="r", until=NOW + 1), NOW)
        )
        for subject, scope in (
            (cast.person(ANN), ON_PROD),
            (cast.person(ANN), BY_LABEL),
            (cast.group("nobody-is-in-it"), EVERYWHERE),
            (Subject(SubjectKind.EMAIL, "new@example.com", ISSUER), EVERYWHERE),
        ):
            await store.write(units.add_binding(bound(subject, ADMIN, scope), NOW))
        await store.write(units.add_binding(bound(cast.person(ANN), ADMIN, until=NOW), NOW))
        for unit in (
            granting.remove_binding(admin.subject, last.id, NOW),
            granting.remove_machine(admin.subject, admin.id, NOW),
            granting.set_role(admin.subject, ADMIN.id, lambda it: replace(it, permissions=()), NOW),
        ):
            assert await refused(store, unit) is Code.LAST_ADMINISTRATOR
        assert last.id in store.snapshot.bindings


async def test_a_person_who_is_the_last_administrator_stays_enabled_and_in_the_group(home: Home) -> None:
    async with opened(home) as store:
        await only_administrator(store, cast.group("dev"))
        desk = await cast.machine(store, "desk", (cast.may(Permission.PEOPLE_WRITE), EVERYWHERE))
        for edit in (lambda it: replace(it, enabled=False), lambda it: replace(it, groups=())):
            unit = granting.set_person(desk.subject, ANN.id, edit, NOW)
            assert await refused(store, unit) is Code.LAST_ADMINISTRATOR
        await only_administrator(store, desk.subject)
        await store.write(granting.set_person(desk.subject, ANN.id, lambda it: replace(it, enabled=False), NOW))


async def test_a_person_bound_by_name_who_is_the_last_administrator_stays_enabled(home: Home) -> None:
    async with opened(home) as store:
        await only_administrator(store, cast.person(ANN))
        desk = await cast.machine(store, "desk", (cast.may(Permission.PEOPLE_WRITE), EVERYWHERE))
        unit = granting.set_person(desk.subject, ANN.id, lambda it: replace(it, enabled=False), NOW)
        assert await refused(store, unit) is Code.LAST_ADMINISTRATOR
        await only_administrator(store, cast.person(BEN))
        await store.write(granting.set_person(desk.subject, ANN.id, lambda it: replace(it, enabled=False), NOW))
        unit = granting.set_person(desk.subject, BEN.id, lambda it: replace(it, enabled=False), NOW)
        assert await refused(store, unit) is Code.LAST_ADMINISTRATOR


async def test_where_there_is_no_administrator_nothing_is_locked(home: Home) -> None:
    async with opened(home) as store:
        caller = await cast.machine(store, "caller", (BINDER, EVERYWHERE))
        given = bound(cast.person(BEN), VIEWER)
        await store.write(units.add_binding(given, NOW))
        await store.write(granting.remove_binding(caller.subject, given.id, NOW))


async def test_a_permission_held_for_one_cluster_removes_no_other(home: Home) -> None:
    async with opened(home) as store:
        caller: Principal = await cast.machine(store, "caller", (cast.may(Permission.CLUSTERS_WRITE), ON_PROD))
        assert await refused(store, granting.remove_cluster(caller.subject, DEV.id, NOW)) is Code.CLUSTER_NOT_FOUND
        assert await refused(store, granting.add_cluster(caller.subject, Cluster("c", "c"), NOW)) is Code.FORBIDDEN
        await store.write(granting.remove_cluster(caller.subject, PROD.id, NOW))
        by_space = await cast.machine(
            store, "space", (cast.may(Permission.CLUSTERS_WRITE), replace(BLUE, cluster_id=DEV.id))
        )
        assert await refused(store, granting.remove_cluster(by_space.subject, DEV.id, NOW)) is Code.CLUSTER_NOT_FOUND


async def test_a_machine_by_itself_may_do_nothing(home: Home) -> None:
    async with opened(home) as store:
        maker = await cast.machine(store, "maker", (cast.may(Permission.MACHINES_WRITE), EVERYWHERE))
        made = Machine(ids.new_id("machine"), "made", NOW, maker.id)
        await store.write(granting.add_machine(maker.subject, made, NOW))
        assert store.snapshot.machines[made.id].created_by == maker.id
        given = bound(cast.person(BEN), VIEWER)
        subject = Subject(SubjectKind.MACHINE, made.id)
        assert await refused(store, granting.add_binding(subject, given, NOW)) is Code.FORBIDDEN
        taken = replace(made, id="machine_2")
        assert await refused(store, granting.add_machine(maker.subject, taken, NOW)) is Code.DUPLICATE_MACHINE_NAME
        await store.write(granting.remove_machine(maker.subject, made.id, NOW))
        scoped = await cast.machine(store, "scoped", (cast.may(Permission.MACHINES_WRITE), ON_PROD))
        assert await refused(store, granting.add_machine(scoped.subject, taken, NOW)) is Code.FORBIDDEN


async def test_a_scope_of_a_cluster_that_is_gone_is_contained_in_nothing_narrow() -> None:
    from appliance.core.coverage import contains

    gone = Scope(ScopeKind.CLUSTER, "cluster_gone")
    assert contains(EVERYWHERE, gone, None)
    assert not contains(BY_LABEL, gone, None)
    assert not contains(BY_LABEL, gone, PROD)


def wanted(person: Person, cluster: Cluster) -> Wanted:
    return Wanted(ids.new_id("credential"), person.id, cluster.id, CredentialKind.STATIC, 600, "someone")


async def test_a_credential_gives_what_its_person_holds_on_that_cluster(home: Home) -> None:
    """To whoever issues it, because they see the token."""
    issuer = cast.may(Permission.CREDENTIALS_ISSUE)
    async with opened(home) as store:
        for role, scope, until in ((VIEWER, BY_LABEL, None), (OPERATOR, BLUE, NOW + HOUR), (OPERATOR, ON_DEV, None)):
            await store.write(units.add_binding(bound(cast.group("dev"), role, scope, until), NOW))
        held = {
            "nothing": (),
            "half": ((VIEWER, ON_PROD),),
            "brief": ((VIEWER, ON_PROD),),
            "both": ((VIEWER, ON_PROD), (OPERATOR, BLUE)),
            "free": ((cast.may(Permission.ROLES_ESCALATE), ON_PROD),),
        }
        callers = {name: await cast.machine(store, name, (issuer, ON_PROD), *more) for name, more in held.items()}
        await cast.machine(store, "clerk", (cast.may(Permission.PEOPLE_WRITE), EVERYWHERE))
        # A permission over the appliance is not given: no credential reaches it.
        await store.write(units.add_binding(bound(cast.person(ANN), cast.may(Permission.PEOPLE_WRITE)), NOW))
        brief = callers["brief"].subject
        await store.write(units.add_binding(bound(brief, OPERATOR, ON_PROD, NOW + HOUR - 1), NOW))
        for name, caller in callers.items():
            unit = granting.issue_credential(caller.subject, wanted(ANN, PROD), NOW)
            if name in {"both", "free"}:
                assert (await store.write(unit)).person_id == ANN.id, name
            else:
                assert await refused(store, unit) is Code.ESCALATION_FORBIDDEN, name
            elsewhere = granting.issue_credential(caller.subject, wanted(ANN, DEV), NOW)
            assert await refused(store, elsewhere) is Code.CLUSTER_NOT_FOUND, name
        # Somebody bound to nothing is nobody there; what has ended is not given; one's own is given by nobody.
        await store.write(granting.issue_credential(callers["nothing"].subject, wanted(BEN, PROD), NOW))
        await store.write(granting.issue_credential(callers["half"].subject, wanted(ANN, PROD), NOW + HOUR))
        await store.write(granting.issue_credential(cast.person(ANN), wanted(ANN, PROD), NOW))
        nobody = granting.issue_credential(callers["free"].subject, replace(wanted(ANN, PROD), person_id="x"), NOW)
        assert await refused(store, nobody) is Code.USER_NOT_FOUND


async def test_enabling_a_person_again_gives_what_they_are_bound_to(home: Home) -> None:
    async with opened(home) as store:
        await store.write(units.add_binding(bound(cast.group("dev"), OPERATOR, ON_PROD), NOW))
        desk = await cast.machine(store, "desk", (cast.may(Permission.PEOPLE_WRITE), EVERYWHERE))
        both = await cast.machine(store, "both", (cast.may(Permission.PEOPLE_WRITE), EVERYWHERE), (OPERATOR, ON_PROD))

        def switched(enabled: bool, by: Principal = desk) -> Unit[Person]:
            return granting.set_person(by.subject, ANN.id, lambda it: replace(it, enabled=enabled), NOW)

        await store.write(switched(True))  # they were enabled
        await store.write(switched(False))
        await store.write(granting.set_person(desk.subject, ANN.id, lambda it: replace(it, email="a@example.com"), NOW))
        assert await refused(store, switched(True)) is Code.ESCALATION_FORBIDDEN
        assert not store.snapshot.people[ANN.id].enabled
        assert (await store.write(switched(True, both))).enabled
