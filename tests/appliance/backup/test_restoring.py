"""A backup of either engine comes back whole in either; whatever is wrong changes nothing."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.backup.faults import BackupDamaged, BackupError
from appliance.backup.making import Made, back_up
from appliance.backup.restoring import Restored, Wishes, restore
from appliance.core.problems import Code, Problem
from appliance.inspection import inspect
from appliance.layout import InUseError
from appliance.store import schema
from appliance.store.clock import utc_micros
from appliance.store.schema import Migration, migrations
from tests.appliance.backup.conftest import MakePlace
from tests.appliance.backup.places import PASSPHRASE, RECORDS, Place
from tests.support.tampering import tamper_file

pytestmark = pytest.mark.real_clock

ENGINES = ("sqlite", "postgres")


def told(_what: str, _rows: int) -> None: ...


async def made(place: Place, **how: Any) -> Path:
    out = place.directory / "it.backup"
    await make(place, out, **how)
    return out


async def make(place: Place, out: Path, **how: Any) -> Made:
    return await back_up(place.config(), out, PASSPHRASE, told=told, **how)


async def put(place: Place, source: Path, passphrase: str = PASSPHRASE, **wishes: bool) -> Restored:
    return await restore(place.config(), source, passphrase, Wishes(**wishes), told=told)


async def wrong(place: Place) -> list[str]:
    return [fault.what for fault in (await inspect(place.config(), lambda _: None)).faults]


@pytest.mark.parametrize("to", ENGINES)
@pytest.mark.parametrize("of", ENGINES)
async def test_everything_is_there_again_in_either_engine(make_place: MakePlace, of: str, to: str) -> None:
    old, new = make_place(of), make_place(to)
    await old.fill()

    source = await made(old)
    done = await put(new, source, keep_credentials=True)

    assert source.stat().st_mode & 0o777 == 0o600
    assert await new.rows() == await old.rows()
    before, after = await old.records(), await new.records()
    assert len(before) == done.records == 2 * RECORDS
    assert [it for it in after if it[2] != "CSY011I"] == before
    assert [it[2] for it in after].count("CSY011I") == 1
    assert (await new.verdict()).sound
    assert await wrong(new) == []
    assert base64.b64decode(new.key_file.read_bytes()) == base64.b64decode(old.key_file.read_bytes())
    assert {path.name for path in new.layout.root.iterdir()} <= {"fairlead.db", "audit.db", "master.key", "lock"}


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_was_given_out_before_is_refused_and_the_feed_says_so(make_place: MakePlace, engine: str) -> None:
    old, new = make_place("sqlite"), make_place(engine)
    await old.fill()
    before = await old.rows()

    done = await put(new, await made(old))
    rows = await new.rows()

    assert (done.voided.clusters, done.voided.machines) == (1, ("ci",))
    cluster = dict(zip(("id", "name", "labels", "generation", "not_before"), rows["clusters"][0], strict=False))
    assert before["clusters"][0][4] == 0
    assert utc_micros() - 120_000_000 < cluster["not_before"] <= utc_micros()
    assert cluster["generation"] == 1  # its agents stay
    assert rows["agent_certificates"] == before["agent_certificates"]
    assert rows["bootstrap_tokens"] == []
    assert all(token[3] <= utc_micros() for token in rows["machine_tokens"])
    told_of = {(entity, identity) for _, entity, identity, _ in sorted(rows["changes"])[-2:]}
    assert told_of == {("cluster", "cluster_1"), ("machine_token", "token_1")}
    assert rows["sealed"] == before["sealed"]
    assert await wrong(new) == []

    async def decide(store: Any) -> Any:
        from appliance.core.credentials import Credential
        from appliance.core.decision import decide as decided
        from wire.kube import understand

        credential = Credential("credential_1", "person_1", "cluster_1", int(before["credentials"][0][3]), 1 << 60)
        return decided(credential, store.snapshot, "cluster_1", understand(b"GET", b"/api"), utc_micros())

    denial = await new.with_store(decide)
    assert isinstance(denial.problem, Problem)
    assert denial.problem.code is Code.CREDENTIAL_REVOKED


async def test_without_its_master_key_it_needs_the_file(make_place: MakePlace) -> None:
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    source = await made(old, with_master_key=False)

    with pytest.raises(BackupError, match=f"Put that key into {new.key_file} first"):
        await put(new, source)
    assert not new.layout.root.exists()
    new.layout.make()
    new.give_key()
    with pytest.raises(BackupError, match="is not the one that the backup's secrets are sealed under"):
        await put(new, source)
    new.key_file.write_bytes(old.key_file.read_bytes())
    await put(new, source)

    assert await wrong(new) == []
    assert new.key_file.read_bytes() == old.key_file.read_bytes()


async def test_the_master_key_goes_where_the_settings_say(make_place: MakePlace) -> None:
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    new.given_key = True
    await put(new, await made(old))
    assert base64.b64decode(new.key_file.read_bytes()) == base64.b64decode(old.key_file.read_bytes())
    assert new.key_file.stat().st_mode & 0o777 == 0o600
    assert not new.layout.master_key.exists()
    assert await wrong(new) == []


async def test_another_master_key_in_the_place_is_not_replaced(make_place: MakePlace) -> None:
    old, new = make_place("sqlite"), make_place("postgres")
    await old.fill()
    new.give_key()
    with pytest.raises(BackupError, match="Another master key lies in"):
        await put(new, await made(old))
    assert new.server is not None
    assert new.server.query(new.name, "SELECT to_regclass('clusters') IS NULL") == [("t",)]


@pytest.mark.parametrize("engine", ENGINES)
async def test_data_that_is_there_is_never_removed(make_place: MakePlace, engine: str) -> None:
    old, new = make_place("sqlite"), make_place(engine)
    await old.fill()
    await new.fill()
    source = await made(old)
    if engine == "postgres":
        new.key_file.write_bytes(old.key_file.read_bytes())
    before, rows, records = new.files(), await new.rows(), await new.records()

    for force in (False, True) if engine == "postgres" else (False,):
        with pytest.raises(BackupError, match=r"There is an appliance's data in|holds a configuration already"):
            await put(new, source, force=force)
    assert (new.files(), await new.rows(), await new.records()) == (before, rows, records)

    if engine == "sqlite":
        done = await put(new, source, force=True)
        assert done.aside is not None
        assert {path.name: path.read_bytes() for path in done.aside.iterdir()} == before
        assert done.aside.stat().st_mode & 0o777 == 0o700
        assert await wrong(new) == []
        assert new.key_file.read_bytes() == old.key_file.read_bytes()


async def test_an_appliance_that_runs_is_left_alone(make_place: MakePlace) -> None:
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    source = await made(old)
    new.layout.make()
    with new.layout.claimed(), pytest.raises(InUseError):
        await put(new, source, force=True)
    assert new.files() == {}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", ["passphrase", "cut", "cut at a chunk", "bit", "added", "other file", "missing"])
async def test_a_backup_that_is_not_right_changes_nothing(make_place: MakePlace, engine: str, fault: str) -> None:
    old, new = make_place("sqlite"), make_place(engine)
    await old.fill()
    source = await made(old)
    raw = source.read_bytes()
    assert len(raw) > 100_000
    passphrase, match = PASSPHRASE, "changed or cut off"
    match fault:
        case "passphrase":
            passphrase, match = "another", "The passphrase is not the one"
        case "cut":
            source.write_bytes(raw[:-1])
        case "cut at a chunk":
            source.write_bytes(raw[: 75 + 65536 + 16])
            match = "its end is missing"
        case "bit":
            source.write_bytes(raw[:90_000] + bytes([raw[90_000] ^ 4]) + raw[90_001:])
        case "added":
            source.write_bytes(raw + b"x")
        case "other file":
            source.write_bytes(old.files()["fairlead.db"])
            match = "This is no backup of Fairlead"
        case "missing":
            source.unlink()
            match = "cannot be read: No such file"

    with pytest.raises(BackupError, match=match):
        await put(new, source, passphrase)

    assert not new.layout.root.exists()
    if new.server is not None:
        assert new.server.query(new.name, "SELECT to_regclass('clusters') IS NULL") == [("t",)]
        assert not new.key_file.exists()


async def test_a_restore_that_fails_late_leaves_an_empty_database_empty(
    make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger is in, then the configuration's own transaction fails: as when the server goes away."""
    from appliance.backup import unpacking

    old, new = make_place("sqlite"), make_place("postgres")
    await old.fill()
    source = await made(old)
    real = unpacking.configuration
    calls = 0

    def failing(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        yield from real(*arguments, **more)
        if calls == 2:  # the first was the rehearsal
            raise OSError("the server went away")

    monkeypatch.setattr(unpacking, "configuration", failing)
    with pytest.raises(Exception, match="the server went away"):
        await put(new, source)
    assert new.server is not None
    assert new.server.query(new.name, "SELECT to_regclass('clusters') IS NULL") == [("t",)]
    assert new.server.query(new.name, "SELECT count(*) FROM fairlead_audit.sheaves") == [("0",)]
    assert new.server.query(new.name, "SELECT count(*) FROM fairlead_audit.chains") == [("0",)]
    assert not new.key_file.exists()
    monkeypatch.undo()

    await put(new, source)
    assert await wrong(new) == []


async def test_a_backup_of_an_older_schema_goes_into_a_newer_program(
    make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    source = await made(old)
    text = "ALTER TABLE roles ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';"
    known = [*migrations(), Migration(len(migrations()) + 1, "9999_colour", text)]
    monkeypatch.setattr(schema, "migrations", lambda: known)

    await put(new, source)

    assert [row[-1] for row in (await new.rows())["roles"]] == ["grey"]
    assert await wrong(new) == []
    newer = await made(new)
    monkeypatch.undo()
    with pytest.raises(BackupError, match=rf"is of schema {len(known)} .*newer than this program"):
        await put(make_place("sqlite"), newer)


async def test_a_backup_of_another_build_is_refused(make_place: MakePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    source = await made(old)
    known = [Migration(it.number, it.name, it.text + "\n-- edited") for it in migrations()]
    monkeypatch.setattr(schema, "migrations", lambda: known)
    with pytest.raises(BackupError, match="made by another build"):
        await put(new, source)


async def test_a_database_that_is_behind_can_be_backed_up(
    make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is migrated is when a backup is wanted most."""
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    rows = await old.rows()
    known = [*migrations(), Migration(len(migrations()) + 1, "9999_more", "CREATE TABLE more (id TEXT PRIMARY KEY);")]
    monkeypatch.setattr(schema, "migrations", lambda: known)
    source = await made(old)
    monkeypatch.undo()
    await put(new, source, keep_credentials=True)
    assert await new.rows() == rows


async def test_a_ledger_tampered_with_before_the_backup_is_restored_only_when_told(make_place: MakePlace) -> None:
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()

    tamper_file(old.layout.audit, "DELETE FROM records WHERE chain = 1 AND number = 7")
    source = await made(old)
    with pytest.raises(BackupError, match=r"The audit ledger in the backup is not what an appliance wrote: .*7"):
        await put(new, source)
    assert not new.layout.root.exists()
    done = await put(new, source, despite_ledger_faults=True)
    assert len(done.faults) == 1
    assert [it for it in await new.records() if it[2] != "CSY011I"] == await old.records()


async def test_a_configuration_that_is_not_whole_is_not_put_in_place(make_place: MakePlace) -> None:
    import sqlite3

    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    with sqlite3.connect(old.layout.store) as connection:
        connection.execute("UPDATE roles SET rules_json = '{'")
    connection.close()
    source = await made(old)
    with pytest.raises(BackupDamaged, match="the role role_1 cannot be read"):
        await put(new, source)
    assert not new.layout.root.exists()


async def test_a_clock_behind_the_backup_is_not_trusted_to_refuse_anything(make_place: MakePlace) -> None:
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    source = await made(old, clock=lambda: utc_micros() + 3600 * 1_000_000)
    with pytest.raises(BackupError, match="from the future"):
        await put(new, source)


async def test_what_a_killed_restore_left_is_cleared_away(make_place: MakePlace) -> None:
    old, new = make_place("sqlite"), make_place("sqlite")
    await old.fill()
    new.layout.make()
    (new.layout.root / ".restoring-old").mkdir()
    (new.layout.root / ".restoring-old" / "master.key").write_text("secret")
    (new.layout.root / "lost+found").mkdir()  # a volume of its own has one
    await put(new, await made(old))
    assert {path.name for path in new.layout.root.iterdir()} == {
        "fairlead.db",
        "audit.db",
        "master.key",
        "lock",
        "lost+found",
    }


async def test_a_file_is_replaced_only_when_told_and_only_by_a_whole_one(
    make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_place("sqlite")
    await old.fill()
    out = await made(old)
    first = out.read_bytes()
    with pytest.raises(BackupError, match="is there already"):
        await make(old, out)
    assert out.read_bytes() == first
    from appliance.backup import making

    monkeypatch.setattr(making, "write_ledger", partial(_fail, "disk full"))
    with pytest.raises(BackupError, match="disk full"):
        await make(old, out, replace=True)
    assert out.read_bytes() == first
    monkeypatch.undo()
    await make(old, out, replace=True)
    assert out.read_bytes() != first
    assert [path.name for path in old.directory.glob(".*")] == []


def _fail(what: str, *_: object) -> int:
    raise OSError(28, what)


async def test_many_backups_at_once_while_it_is_written_to(make_place: MakePlace) -> None:
    """Each is one moment: the feed in it has no gap and ends with what it holds."""
    from appliance.core.roles import Role
    from appliance.store import units

    old = make_place("sqlite")
    await old.fill()
    from appliance import database

    backups: list[Path] = []
    async with database.opened(old.config()) as store, trio.open_nursery() as nursery:

        async def write() -> None:
            for number in range(10_000):
                await store.write(units.add_role(Role(f"role_x{number}", f"r{number}", ""), utc_micros()))

        nursery.start_soon(write)
        for number in range(4):
            out = old.directory / f"{number}.backup"
            await make(old, out)
            backups.append(out)
        nursery.cancel_scope.cancel()
    counts = []
    for source in backups:
        new = make_place("sqlite")
        await put(new, source)
        assert await wrong(new) == []
        counts.append(len((await new.rows())["roles"]))
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] > 0
