"""Logins, sessions and what is on its way to one, in both engines: spent once, ended whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from appliance.core.claims import Claimed
from appliance.core.clusters import Cluster
from appliance.core.credentials import CredentialKind
from appliance.core.people import Person
from appliance.core.problems import Code, Problem, ProblemError
from appliance.core.roles import EVERYWHERE, Binding, Role, Subject, SubjectKind
from appliance.core.sessions import SECOND, ClientKind, Login, Session, TokenKind
from appliance.store import administrator, flows, forgetting, issuing, renewing, sessions, units
from appliance.store.flows import Authorization, Device, DeviceState, SignIn
from appliance.store.issuing import Wanted
from appliance.store.sessions import Arrived, Sealed, Token
from appliance.store.store import Store
from tests.appliance.store.homes import Home

pytestmark = pytest.mark.real_clock

NOW = 1_800_000_000_000_000
HOUR = 3600 * SECOND
ISSUER = "https://id.example.com"
ANN = Claimed(ISSUER, "1", "ann@example.com", "ann@example.com", ("dev",))
BOX = Sealed("key", "box")


def login(number: int = 1, now: int = NOW) -> Login:
    return Login(f"login_{number}", "", "provider_1", now, now, now + 100 * HOUR)


def session(number: int = 1, login_id: str = "login_1") -> Session:
    return Session(f"session_{number}", login_id, "", ClientKind.COMMAND, "laptop", "192.0.2.1", NOW, NOW)


def tokens(number: int = 1) -> list[Token]:
    return [
        Token(f"access_{number}", TokenKind.ACCESS, NOW + HOUR),
        Token(f"refresh_{number}", TokenKind.REFRESH, NOW + HOUR),
    ]


async def arrive(store: Store, claimed: Claimed = ANN, number: int = 1, now: int = NOW) -> Arrived:
    return await store.write(sessions.arrive(claimed, f"person_{number}", login(number, now), BOX, now))


async def begun(store: Store) -> None:
    await arrive(store)
    await store.write(sessions.begin(session(), tokens(), NOW))


async def all_at_once(calls: int, call: Callable[[int], Any]) -> list[Any]:
    """What each of several got who asked together."""
    got: list[Any] = []

    async def one(number: int) -> None:
        got.append(await call(number))

    async with trio.open_nursery() as nursery:
        for number in range(calls):
            nursery.start_soon(one, number)
    return got


def code_of(found: Session | Problem) -> str:
    return str(found.code) if isinstance(found, Problem) else "session"


async def test_whoever_arrives_is_one_person_however_often_and_at_once(home: Home) -> None:
    async with home.opened() as store:
        found = await all_at_once(4, lambda number: arrive(store, number=number))
        assert len({it.person.id for it in found}) == 1
        assert sorted(it.made for it in found) == [False, False, False, True]
        later = await arrive(store, Claimed(ISSUER, "1", "another name", "", ("ops",)), 9)
        assert (later.changed, later.person.name, later.person.email) == (True, "ann@example.com", "")
        assert store.snapshot.people[later.person.id].groups == ("ops",)
        with pytest.raises(ProblemError) as caught:
            await arrive(store, Claimed(ISSUER, "2", "ann@example.com", "", ()), 10)
        assert caught.value.problem.code is Code.USER_NAME_TAKEN


async def test_what_was_bound_to_an_email_is_claimed_by_who_proves_it(home: Home) -> None:
    async with home.opened() as store:
        await store.write(units.add_role(Role("role_1", "r"), NOW))
        subject = Subject(SubjectKind.EMAIL, "ann@example.com", ISSUER)
        await store.write(units.add_binding(Binding("binding_1", subject, "role_1", EVERYWHERE), NOW))
        without = await arrive(store, Claimed(ISSUER, "3", "x", "", ()), 3)
        assert without.bindings == ()
        found = await arrive(store)
        assert [it.id for it in found.bindings] == ["binding_1"]
        assert store.snapshot.bindings["binding_1"].subject == Subject(SubjectKind.PERSON, found.person.id)


async def test_a_login_is_younger_than_every_refusal_of_its_person(home: Home) -> None:
    async with home.opened() as store:
        first = await arrive(store)
        await store.write(issuing.refuse_person(first.person.id, NOW + HOUR))
        with pytest.raises(ProblemError):
            await store.write(sessions.begin(session(), tokens(), NOW))
        again = await arrive(store, number=2)  # by an appliance whose clock is an hour behind
        assert again.login.created_at > store.snapshot.people[first.person.id].not_before
        await store.write(sessions.begin(session(2, "login_2"), tokens(2), NOW))
        await store.write(issuing.refuse_person(first.person.id, NOW, disable=True))
        with pytest.raises(ProblemError) as caught:
            await arrive(store, number=3)
        assert caught.value.problem.code is Code.PERSON_DISABLED


def bought(salt: str, at: int) -> list[Token]:
    return [
        Token(f"access_{salt}", TokenKind.ACCESS, at + HOUR),
        Token(f"refresh_{salt}", TokenKind.REFRESH, at + HOUR),
    ]


async def refresh(store: Store, token: str, salt: str, now: int) -> str:
    """From which salt the answer follows, or why there is none."""
    found = await store.write(renewing.renew(token, salt, bought, now))
    return str(found.code) if isinstance(found, Problem) else f"{found.salt} of {(found.at - NOW) // SECOND}"


async def test_many_who_show_a_refresh_token_at_once_get_one_answer(home: Home) -> None:
    async with home.opened() as store:
        await begun(store)
        got = await all_at_once(4, lambda number: refresh(store, "refresh_1", f"salt-{number}", NOW + SECOND))
        assert len(set(got)) == 1, got
        (answer,) = set(got)
        salt = answer.removesuffix(" of 1")
        # It was not lost: whoever shows the old one now is somebody else.
        await store.write(sessions.use(f"access_{salt}", NOW + 2 * SECOND))
        assert await refresh(store, "refresh_1", "late", NOW + 3 * SECOND) == "GRANT_REPLAYED"
        assert await refresh(store, f"refresh_{salt}", "late", NOW + 3 * SECOND) == "INVALID_GRANT"
        seen = await store.read(sessions.seen("access_1"))
        assert seen is not None
        assert (seen.session.ended_why, seen.login.ended_at) == (sessions.REPLAYED, None)


@pytest.mark.parametrize("how", ["too late", "refreshed since"])
async def test_an_answer_is_repeated_for_a_minute_and_not_once_it_was_used(home: Home, how: str) -> None:
    async with home.opened() as store:
        await begun(store)
        assert await refresh(store, "refresh_1", "one", NOW + SECOND) == "one of 1"
        assert await refresh(store, "refresh_1", "two", NOW + 60 * SECOND) == "one of 1"
        again = NOW + 61 * SECOND
        if how == "refreshed since":
            again = NOW + 3 * SECOND
            assert await refresh(store, "refresh_one", "three", NOW + 2 * SECOND) == "three of 2"
        assert await refresh(store, "refresh_1", "two", again) == "GRANT_REPLAYED"


async def test_a_session_ends_with_its_credentials_and_gets_no_more(home: Home) -> None:
    async with home.opened() as store:
        await begun(store)
        await store.write(units.add_cluster(Cluster("cluster_1", "c"), NOW))

        def wanted(number: int) -> Wanted:
            return Wanted(
                f"cred_{number}", "person_1", "cluster_1", CredentialKind.STATIC, 3600, "person_1", "session_1"
            )

        issued: list[str] = []

        async def issue(number: int) -> None:
            try:
                issued.append((await store.write(issuing.issue(wanted(number), NOW))).id)
            except ProblemError as error:
                assert error.problem.code is Code.SESSION_ENDED

        await issue(0)
        async with trio.open_nursery() as nursery:
            for number in range(1, 6):
                nursery.start_soon(issue, number)
            nursery.start_soon(store.write, sessions.end_login("login_1", "gone", NOW + 1))
        await issue(9)
        assert "cred_9" not in issued
        assert all(store.snapshot.revoked(it) for it in issued), issued
        assert not await store.write(sessions.end("session_1", "again", NOW + 2))
        assert await store.read(sessions.page("", None, 9)) == []
        assert await store.read(sessions.secret_of("login_1")) is None, "what the provider gave is forgotten"


async def test_a_login_is_asked_about_by_one_at_a_time(home: Home) -> None:
    async with home.opened() as store:
        await arrive(store)
        taken = await all_at_once(3, lambda _: store.write(sessions.take("login_1", NOW + 60 * SECOND, NOW)))
        assert sorted(it is not None for it in taken) == [False, False, True]
        assert await store.read(sessions.to_read(NOW + 1, NOW, 10)) == []
        changed = await store.write(sessions.reread("login_1", Claimed(*ANN_WITHOUT), Sealed("key", "newer"), NOW + 5))
        assert changed is not None
        assert changed.groups == ()
        assert await store.write(sessions.take("login_1", NOW + 60 * SECOND, NOW + 6)) == Sealed("key", "newer")
        await store.write(sessions.leave("login_1", 0))
        assert [it.id for it in await store.read(sessions.to_read(NOW + 6, NOW + 6, 10))] == ["login_1"]
        assert [it.id for it in await store.read(sessions.over(NOW, NOW + 5, 10))] == ["login_1"]


ANN_WITHOUT = (ISSUER, "1", "ann@example.com", "ann@example.com", ())


async def test_each_thing_on_its_way_is_spent_once(home: Home) -> None:
    def made(number: int) -> flows.Made:
        return lambda login_id, label: (session(number, login_id), tokens(number))

    async with home.opened() as store:
        await arrive(store)
        await store.write(flows.add_sign_in("state", SignIn("browser", "provider_1", "/fairlead/home", NOW)))
        await store.write(flows.add_setup_code("setup", NOW, NOW + HOUR))
        kept = Authorization("login_1", "http://127.0.0.1:1/callback", "challenge", "laptop", NOW + HOUR)
        await store.write(flows.add_authorization("code", kept))
        device = Device("device", "BCDFGHJK", "box", "192.0.2.1", DeviceState.PENDING, "", 5, 0, NOW, NOW + HOUR)
        assert await store.write(flows.add_device(device))
        assert not await store.write(flows.add_device(Device("other", *list(_values(device))[1:])))

        states = await all_at_once(3, lambda _: store.write(flows.spend_sign_in("state")))
        assert sorted(it is not None for it in states) == [False, False, True]

        codes = await all_at_once(
            3,
            lambda it: store.write(
                flows.spend_authorization("code", kept.redirect_uri, "challenge", made(20 + it), NOW)
            ),
        )
        assert sorted(code_of(it) for it in codes) == ["GRANT_REPLAYED", "GRANT_REPLAYED", "session"]
        assert await store.read(sessions.page("", None, 9)) == [], "and what the first bought has ended"

        decided = await all_at_once(3, lambda _: store.write(flows.decide_device("BCDFGHJK", "login_1", NOW)))
        assert sorted(it is not None for it in decided) == [False, False, True]
        polls = await all_at_once(3, lambda it: store.write(flows.poll_device("device", made(30 + it), NOW)))
        assert sorted(code_of(it) for it in polls) == ["INVALID_GRANT", "INVALID_GRANT", "session"]
        assert len(await store.read(sessions.listed("person_1"))) == 1

        async def set_up(_: int) -> bool:
            try:
                await store.write(flows.spend_setup_code("setup", NOW))
            except ProblemError:
                return False
            return True

        assert sorted(await all_at_once(3, set_up)) == [False, False, True]


def _values(device: Device) -> Any:
    return (getattr(device, name) for name in device.__slots__)


async def test_the_administrators_role_is_made_once_and_completed(home: Home) -> None:
    async with home.opened() as store:
        made = await store.write(administrator.role("role_1", NOW))
        assert await store.write(administrator.role("role_2", NOW)) == made
        await store.write(units.set_role("role_1", lambda it: Role(it.id, it.name), NOW))
        assert (await store.write(administrator.role("role_3", NOW))).permissions == made.permissions


async def test_what_has_expired_is_forgotten(home: Home) -> None:
    async with home.opened() as store:
        await begun(store)
        await store.write(flows.add_sign_in("state", SignIn("browser", "provider_1", "/", NOW)))
        await store.write(forgetting.forget_expired(NOW + 1000 * 24 * HOUR, NOW))
        assert await store.write(flows.spend_sign_in("state")) is None
        assert await store.read(sessions.seen("access_1")) is None
        assert await store.read(sessions.secret_of("login_1")) is None
        assert isinstance(store.snapshot.people["person_1"], Person)
