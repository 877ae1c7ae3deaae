"""After a restore nothing works that was given out before it, whatever form it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.backup.voiding import Voided, void_what_was_issued
from appliance.core.claims import Claimed
from appliance.core.clusters import Cluster
from appliance.core.credentials import CredentialKind
from appliance.core.machines import MachineToken
from appliance.core.people import Machine
from appliance.core.problems import Code, Problem, ProblemError
from appliance.core.sessions import SECOND, ClientKind, Login, Session, TokenKind
from appliance.store import flows, issuing, renewing, sessions, statements, units
from appliance.store.flows import Authorization, Device, DeviceState, SignIn
from appliance.store.issuing import Wanted
from appliance.store.sessions import Sealed, Token
from appliance.store.store import Store
from appliance.store.unit import Unit, run
from tests.appliance.store.homes import NOW, in_file

pytestmark = pytest.mark.real_clock

HOUR = 3600 * SECOND
#: Tables that may still know a secret: ended ones, spent ones, and agents' certificates, which stay.
STILL_KNOWN = {"machine_tokens", "exchanged", "agent_certificates"}


def session(number: int) -> Session:
    return Session(f"session_{number}", "login_1", "", ClientKind.COMMAND, "laptop", "192.0.2.1", NOW, NOW)


def bought(salt: str, at: int) -> list[Token]:
    return [Token(f"{salt}-{kind}", kind, at + HOUR) for kind in (TokenKind.ACCESS, TokenKind.REFRESH)]


async def give_out(store: Store) -> None:
    """One of everything."""
    login = Login("login_1", "", "provider_1", NOW, NOW, NOW + HOUR)
    await store.write(
        sessions.arrive(Claimed("https://id.example.com", "1", "ann", "", ()), "person_1", login, Sealed("k", "b"), NOW)
    )
    await store.write(sessions.begin(session(1), bought("first", NOW), NOW))
    await store.write(renewing.renew("first-refresh", "second", bought, NOW))
    await store.write(units.add_cluster(Cluster("cluster_1", "c"), NOW))
    await store.write(units.add_bootstrap_token("bootstrap", "cluster_1", NOW + HOUR))
    wanted = Wanted("cred_1", "person_1", "cluster_1", CredentialKind.STATIC, 3600, "person_1", "session_1")
    await store.write(issuing.issue(wanted, NOW))
    await store.write(flows.add_sign_in("state", SignIn("browser", "provider_1", "/", NOW + HOUR)))
    await store.write(flows.add_authorization("code", Authorization("login_1", "uri", "pkce", "label", NOW + HOUR)))
    device = Device("device", "BCDFGHJK", "box", "", DeviceState.APPROVED, "login_1", 5, 0, NOW, NOW + HOUR)
    await store.write(flows.add_device(device))
    await store.write(flows.add_setup_code("setup", NOW, NOW + HOUR))
    await store.write(units.add_machine(Machine("machine_1", "ci"), NOW))
    for name, until in (("live", NOW + HOUR), ("over", NOW - HOUR)):
        await store.write(units.add_machine_token(MachineToken(name, "machine_1", f"sha-{name}", until), NOW))


def voided(now: int) -> Unit[Voided]:
    """In the middle of a restore, which has advanced the feed before."""
    yield run(statements.FEED_LOCK)
    return (yield from void_what_was_issued(now))


async def test_whatever_was_given_out_is_refused(tmp_path: Path) -> None:
    home, later = in_file(tmp_path), NOW + SECOND
    async with home.opened() as store:
        await give_out(store)
        made = store.snapshot.clusters["cluster_1"]
        assert await store.write(voided(later)) == Voided(1, ("ci",))
        assert store.snapshot.clusters["cluster_1"].not_before >= later > made.not_before, (
            "of the cluster's credentials"
        )
        assert not any(it.live(later) for it in store.snapshot.machine_token_by_hash.values())
        for token in ("first-access", "second-access", "second-refresh"):
            assert await store.read(sessions.seen(token)) is None
        tried = (
            renewing.renew("second-refresh", "third", bought, later),
            flows.spend_authorization("code", "uri", "pkce", lambda *_: (session(2), []), later),
            flows.poll_device("device", lambda *_: (session(3), []), later),
        )
        for unit in tried:
            found = await store.write(unit)
            assert isinstance(found, Problem)
            assert found.code is Code.INVALID_GRANT
        assert await store.write(flows.spend_sign_in("state")) is None
        with pytest.raises(ProblemError):
            await store.write(flows.spend_setup_code("setup", later))
        with pytest.raises(ProblemError):
            await store.write(sessions.begin(session(4), [], later))
    left = {
        table
        for (table,) in home.query("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (column,) in home.query(f"SELECT name FROM pragma_table_info('{table}')")
        if column.endswith("sha256") and home.query(f"SELECT count(*) FROM {table}") != [("0",)]
    }
    assert left <= STILL_KNOWN, "a table that keeps secrets by their digest and is not emptied"
