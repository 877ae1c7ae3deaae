"""What only PostgreSQL can suffer: silence, restarts, half-done transactions, other administrators' settings."""

from __future__ import annotations

import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.audit.postgres import PostgresPlace
from appliance.audit.shelf import AuditBroken
from appliance.core.clusters import Cluster
from appliance.core.people import Person
from appliance.store import postgres, server, units
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.server import read
from appliance.store.store import Applied, Store
from appliance.store.unit import Unit, run
from tests.appliance.store.homes import NOW, Home
from tests.support.certificates import TestCA
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.real_clock

CLUSTER = Cluster("cluster_1", "prod", created_at=NOW)


@pytest.fixture
def home(pg_home: Home) -> Home:
    return pg_home


def person(number: int) -> Person:
    return Person(f"p{number}", "iss", f"s{number}", f"n{number}", created_at=NOW)


def sleeping(seconds: float) -> Unit[None]:
    """A transaction that holds the feed for a while, as a slow or stopped writer would."""
    yield from units.add_cluster(CLUSTER, NOW)
    yield run(f"SELECT 1 FROM pg_sleep({seconds})")


async def until(true: Callable[[], bool]) -> None:
    """What another process does has no event here."""
    with trio.fail_after(30):
        while not true():  # noqa: ASYNC110 -- see above
            await trio.sleep(0.01)


def activity(home: Home) -> list[str]:
    assert home.server is not None
    found = home.server.query(
        "postgres",
        f"SELECT state FROM pg_stat_activity WHERE datname = '{home.database}' AND backend_type = 'client backend'",
    )
    return [state for (state,) in found]


# Cancelled


async def test_a_cancelled_unit_leaves_no_transaction_open_and_no_connection_taken(home: Home) -> None:
    home.connections = 2
    async with home.opened() as store:
        for seconds in (0.0, 0.001, 0.003, 0.01, 0.03, 0.1) * 5:
            with trio.move_on_after(seconds) as scope:
                await store.write(sleeping(60))
            assert scope.cancelled_caught
        with trio.fail_after(9):
            await store.write(units.add_cluster(CLUSTER, NOW))
            async with trio.open_nursery() as nursery:  # both places of the pool are free
                nursery.start_soon(store.write, units.add_person(person(1), NOW))
                nursery.start_soon(store.write, units.add_person(person(2), NOW))
        assert "idle in transaction" not in " ".join(activity(home))
        assert store.snapshot.clusters == {"cluster_1": CLUSTER}


async def test_closing_does_not_wait_for_what_is_running(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "CLOSE_SECONDS", 0.3)
    async with home.opened() as store, trio.open_nursery() as nursery:

        async def write() -> None:
            with pytest.raises(StoreUnavailable):
                await store.write(sleeping(60))

        nursery.start_soon(write)
        await until(lambda: "active" in activity(home))
        with trio.fail_after(10):
            await store.aclose()


async def test_what_is_cancelled_around_the_loop_is_closed_in_order(home: Home) -> None:
    with trio.move_on_after(0.3):
        async with home.opened(running=True) as store:
            await store.write(sleeping(60))
    await until(lambda: not activity(home))


async def test_what_goes_wrong_inside_the_loop_comes_out_as_it_is(home: Home) -> None:
    with pytest.raises(StoreRefused, match="exactly this"):
        async with postgres.asyncio_loop():
            raise StoreRefused("exactly this")


# Other processes


async def test_a_writer_that_stopped_in_the_middle_holds_up_the_others_for_a_moment_only(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client lives but says nothing: only the server can end it."""
    monkeypatch.setattr(postgres, "IDLE_IN_TRANSACTION_SECONDS", 0.3)
    async with home.opened() as one, home.opened() as two:
        engine = one._engine
        assert isinstance(engine, postgres.Postgres)
        held = trio.Event()

        async def hold() -> None:
            connection = await engine._begun(postgres.BEGIN_WRITE)
            await connection.fetch("UPDATE feed SET head = head + 1 WHERE id = 1 RETURNING head")
            held.set()

        await engine._carry(hold)
        assert held.is_set()
        with trio.fail_after(postgres.LOCK_SECONDS - 1):
            await two.write(units.add_cluster(CLUSTER, NOW))
        assert home.query("SELECT head FROM feed") == [("1",)]


async def test_a_lock_that_is_never_given_is_unavailable_not_endless(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.2)
    async with home.opened() as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.write, sleeping(60))
        await until(lambda: "active" in activity(home))
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await store.write(units.add_person(person(1), NOW))
        nursery.cancel_scope.cancel()


async def test_readers_find_a_connection_while_every_writer_waits(home: Home) -> None:
    home.connections = 3
    async with home.opened() as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.write, sleeping(60))
        await until(lambda: "active" in activity(home))
        for number in range(10):
            nursery.start_soon(store.write, units.add_person(person(number), NOW))
        await trio.testing.wait_all_tasks_blocked(0.05)
        with trio.fail_after(5):
            await store.poll()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("told", "seconds"), [(True, 0.5), (False, 1.0)])
async def test_a_revocation_elsewhere_is_seen_within_a_second(home: Home, told: bool, seconds: float) -> None:
    """Told within milliseconds; looked for within a second when nobody tells. The best of a few: machines are busy."""
    took = []
    async with home.opened(running=told) as ours, home.opened() as theirs, trio.open_nursery() as nursery:
        if told:
            await until(lambda: bool(listeners(home)))
        else:
            nursery.start_soon(ours._follow)
        for number in range(5):
            await trio.sleep(0.15)  # so that it is waiting, not about to look
            seen = trio.Event()
            ours.on_change[:] = [partial(hear, seen)]
            await theirs.write(units.add_person(person(number), NOW))
            began = trio.current_time()
            with trio.fail_after(10):
                await seen.wait()
            took.append(trio.current_time() - began)
            if min(took) < seconds:
                break
        nursery.cancel_scope.cancel()
    assert min(took) < seconds


def hear(seen: trio.Event, _: Applied) -> None:
    seen.set()


def listeners(home: Home) -> list[tuple[str, ...]]:
    assert home.server is not None
    return home.server.query(
        "postgres", f"SELECT query FROM pg_stat_activity WHERE datname = '{home.database}' AND query LIKE 'LISTEN%'"
    )


async def test_the_listener_comes_back_after_its_connection_was_killed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "RECONNECT_SECONDS", 0.01)
    assert home.server is not None
    async with home.opened(running=True):
        for _ in range(2):
            await until(lambda: bool(listeners(home)))
            home.server.query(
                "postgres",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{home.database}' AND query LIKE 'LISTEN%'",
            )


# The server


async def test_a_server_that_restarts_is_found_again_by_itself(fragile_home: Home) -> None:
    home, it = fragile_home, fragile_home.server
    assert it is not None
    async with home.opened(running=True) as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        for how, number in ((signal.SIGINT, 1), (signal.SIGQUIT, 2), (signal.SIGKILL, 3)):
            if how is signal.SIGKILL:
                it.kill()
            else:
                it.stop(how)
            with trio.fail_after(10), pytest.raises(StoreUnavailable):
                await store.write(units.add_person(person(0), NOW))
            with pytest.raises(StoreUnavailable):
                await store.poll()
            it.start()
            with trio.fail_after(30):
                await store.write(units.add_person(person(number), NOW))
        assert set(store.snapshot.people) == {"p1", "p2", "p3"}


async def test_connections_that_died_unnoticed_are_replaced_without_a_word(fragile_home: Home) -> None:
    home, it = fragile_home, fragile_home.server
    assert it is not None
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        it.stop()
        it.start()  # the loop has not run in between
        await store.write(units.add_person(person(1), NOW))


async def test_a_server_that_says_nothing_is_unavailable_within_the_limit_and_used_again_when_it_speaks(
    fragile_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "COMMAND_SECONDS", 1.5)
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 1.5)
    home, it = fragile_home, fragile_home.server
    home.connections = 2
    assert it is not None
    async with home.opened(running=True) as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        it.freeze()
        try:
            for number in range(3):  # more than the pool holds
                with trio.fail_after(10), pytest.raises(StoreUnavailable):
                    await store.write(units.add_person(person(number), NOW))
            with trio.move_on_after(0.1) as scope:
                await store.write(units.add_person(person(50), NOW))
            assert scope.cancelled_caught
        finally:
            it.thaw()
        monkeypatch.undo()
        with trio.fail_after(30):
            while True:
                try:
                    await store.write(units.add_person(person(99), NOW))
                    break
                except StoreUnavailable:
                    await trio.sleep(0.1)
        assert store.fresh()
        await store.poll()
        assert home.query("SELECT count(*) FROM people") == [(str(len(store.snapshot.people)),)]
        it.freeze()
        try:
            monkeypatch.setattr(postgres, "CLOSE_SECONDS", 0.4)
            with trio.fail_after(10):
                await store.aclose()
        finally:
            it.thaw()


# Who is spoken to


@asynccontextmanager
async def tls_in_front(it: PostgresServer, context: ssl.SSLContext, address: str) -> AsyncIterator[int]:
    """TLS as PostgreSQL speaks it, before a server that was built without."""

    async def serve(plain: trio.SocketStream) -> None:
        asked = await plain.receive_some(8)
        assert asked == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
        await plain.send_all(b"S")
        client = trio.SSLStream(plain, context, server_side=True)
        try:
            async with await trio.open_tcp_stream("127.0.0.1", it.port) as behind, trio.open_nursery() as nursery:
                nursery.start_soon(pump, client, behind, nursery.cancel_scope)
                nursery.start_soon(pump, behind, client, nursery.cancel_scope)
        except (trio.BrokenResourceError, ssl.SSLError, OSError):
            return

    async def pump(source: trio.abc.Stream, sink: trio.abc.Stream, both: trio.CancelScope) -> None:
        try:
            while data := await source.receive_some(65536):
                await sink.send_all(data)
        except (trio.BrokenResourceError, ssl.SSLError):
            pass
        both.cancel()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=address)
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield int(listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def test_a_server_is_believed_only_with_a_certificate_of_the_ca_for_its_name(home: Home, tmp_path: Path) -> None:
    ours, theirs = TestCA.make(), TestCA.make("another")
    (tmp_path / "ca.pem").write_text(ours.pem)
    assert home.server is not None
    for authority, host, believed in (
        (ours, "localhost", True),
        (ours, "127.0.0.1", True),
        (ours, "127.0.0.2", False),  # the certificate is for another name
        (theirs, "localhost", False),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(tmp_path, "postgres"))
        async with tls_in_front(home.server, context, host.replace("localhost", "127.0.0.1")) as port:
            plain = home.server.url(home.database)
            url = plain.replace(f"127.0.0.1:{home.server.port}", f"{host}:{port}")
            home.url_file.write_text(f"{url}?sslrootcert={tmp_path}/ca.pem")
            ledger = PostgresPlace(read(home.url_file))
            if believed:
                async with home.opened() as store:
                    await store.write(units.add_cluster(replace(CLUSTER, id=host, name=host), NOW))
                shelf = await trio.to_thread.run_sync(ledger.open)
                await trio.to_thread.run_sync(shelf.close)
            else:
                with pytest.raises(StoreUnavailable, match="certificate verify failed"):
                    async with home.opened():
                        pass
                with pytest.raises(AuditBroken, match="certificate verify failed"):
                    await trio.to_thread.run_sync(ledger.open)


async def test_a_server_without_tls_is_not_spoken_to_in_clear_when_tls_was_asked_for(home: Home) -> None:
    home.url_file.write_text(home.url_file.read_text().strip() + "?sslmode=verify-full")
    with pytest.raises(StoreUnavailable, match="SSL"):
        async with home.opened():
            pass
    with pytest.raises(AuditBroken, match="SSL"):
        await trio.to_thread.run_sync(PostgresPlace(read(home.url_file)).open)


async def test_a_socket_will_do(home: Home) -> None:
    """The server's socket has the number of its port in its name; ours is expected at the standard one."""
    assert home.server is not None
    standard = home.server.directory / f".s.PGSQL.{server.DEFAULT_PORT}"
    standard.unlink(missing_ok=True)
    standard.symlink_to(home.server.directory / f".s.PGSQL.{home.server.port}")
    url = f"postgresql://fairlead:{home.server.password}@/{home.database}?host={home.server.directory}"
    home.url_file.write_text(url)
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))


async def test_of_several_hosts_the_one_that_takes_writes_is_used(home: Home) -> None:
    assert home.server is not None
    port = home.server.port
    home.url_file.write_text(home.server.url(home.database).replace(f":{port}", f":1,127.0.0.1:{port}"))
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
    home.query(f"ALTER DATABASE {home.database} SET default_transaction_read_only = on")  # as a standby is
    home.url_file.write_text(home.server.url(home.database))
    with pytest.raises(StoreUnavailable, match="target attribute"):
        async with home.opened():
            pass


async def test_a_wrong_password_is_a_sentence_without_it(home: Home) -> None:
    assert home.server is not None
    url = home.url_file.read_text()
    home.url_file.write_text(url.replace(home.server.password, "wr0ng"))
    with pytest.raises(StoreUnavailable) as caught:
        async with home.opened():
            pass
    assert "password authentication failed" in str(caught.value)
    assert "wr0ng" not in str(caught.value)


async def test_a_new_password_is_taken_up_without_a_restart(home: Home) -> None:
    assert home.server is not None
    role = f"role_{home.database}"
    home.query(f"CREATE ROLE {role} LOGIN PASSWORD 'first'")
    home.query(f"GRANT ALL ON DATABASE {home.database} TO {role}")
    home.query(f"GRANT ALL ON SCHEMA public TO {role}")
    where = f"@127.0.0.1:{home.server.port}/{home.database}"
    home.url_file.write_text(f"postgresql://{role}:first{where}")
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        home.query(f"ALTER ROLE {role} PASSWORD 'second'")
        home.server.query(
            "postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        )
        home.url_file.write_text(f"postgresql://{role}:second{where}")
        await store.write(units.add_person(person(1), NOW))


async def test_a_database_that_is_another_programs_is_refused(home: Home) -> None:
    home.query("CREATE TABLE schema_migrations (version TEXT NOT NULL)")
    with pytest.raises(StoreRefused, match="Another program's tables"):
        async with home.opened():
            pass


async def test_a_database_in_another_encoding_is_refused(home: Home) -> None:
    assert home.server is not None
    name = f"{home.database}_latin"
    home.server.query(
        "postgres", f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    home.url_file.write_text(home.server.url(name))
    with pytest.raises(StoreRefused, match="LATIN1"):
        async with home.opened():
            pass


async def test_an_answered_write_is_on_the_disk_whatever_the_database_prefers(home: Home) -> None:
    home.query(f"ALTER DATABASE {home.database} SET synchronous_commit = off")
    async with home.opened() as store:

        def asked() -> Unit[str]:
            ((value,),) = yield run("SELECT current_setting('synchronous_commit')")
            return str(value)

        assert await store.read(asked()) == "on"


# The master key


async def test_without_its_master_key_nothing_starts_and_none_is_made(home: Home) -> None:
    async with postgres.asyncio_loop():
        with pytest.raises(StoreRefused, match="must be given as a file"):
            await Store.open(home.where)
    home.key.unlink()
    with pytest.raises(StoreRefused, match=r"master\.key is missing: make it once with `openssl rand"):
        async with home.opened():
            pass
    assert not home.key.exists()
