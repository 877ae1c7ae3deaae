"""`fairlead migrate`, `backup`, `restore` and `verify` as an operator runs them: words, exit codes, secrets, memory."""

from __future__ import annotations

import os
import pty
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from appliance import database
from appliance.audit.book import Book
from appliance.audit_place import audit_place
from appliance.core.events import AuditEvent, EventType
from appliance.keys import open_keys
from appliance.store import schema
from appliance.store.unit import Unit
from tests.appliance.backup.places import NOW, PASSPHRASE, Place
from tests.journeys.processes import eventually
from tests.rules.sources import ROOT
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.real_clock

COMMAND = [sys.executable, "-m", "ops.cli.main"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD")}


def fairlead(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *(str(it) for it in arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100, env=ENVIRONMENT, input=stdin
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = tmp_path / "it"
    made.mkdir()
    return Place(made)


@pytest.fixture
def other(tmp_path: Path) -> Place:
    made = tmp_path / "other"
    made.mkdir()
    return Place(made)


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture(params=["sqlite", "postgres"])
def behind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database as an older version left it: at the first migration."""
    directory = tmp_path / "behind"
    directory.mkdir()
    server: PostgresServer | None = None
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
    place = Place(directory, server, server.fresh() if server is not None else "")
    if server is not None:
        place.give_key()
    place.layout.make()

    def first(tabled: bool) -> Unit[None]:
        return schema.bring_up_to_date(tabled=tabled, migrate=True, now=NOW, to=1)

    async def make() -> None:
        async with database.opened_engine(database.place(place.config().store, place.layout), first):
            pass

    trio.run(make)
    yield place
    if server is not None:
        server.drop(place.name)


NAMES = [it.name for it in schema.migrations()]


def test_migrate_shows_what_is_missing_applies_it_and_then_has_nothing_to_do(behind: Place) -> None:
    settings = behind.settings()
    checked = fairlead("migrate", "--config", settings, "--check")
    assert checked.returncode == 1
    assert checked.stdout.splitlines() == [f"missing: {name}" for name in NAMES[1:]]
    assert fairlead("migrate", "--config", settings, "--check").stdout == checked.stdout

    applied = fairlead("migrate", "--config", settings)
    assert applied.returncode == 0, applied.stderr
    up_to_date = f"The database is up to date: schema {len(NAMES)}."
    assert applied.stdout.splitlines() == [*(f"applying: {name}" for name in NAMES[1:]), up_to_date]

    for again in ((), ("--check",)):
        done = fairlead("migrate", "--config", settings, *again)
        assert (done.returncode, done.stdout) == (0, up_to_date + "\n")


def test_a_start_refuses_what_is_behind_and_names_the_command_unless_it_may_migrate(behind: Place) -> None:
    settings = behind.settings()
    text = settings.read_text()
    if behind.server is None:
        settings.write_text(text + "[store]\nmigrate_on_start = false\n")  # the default is true
    ports = '[users]\nlisten = "127.0.0.1:0"\n[agents]\nlisten = "127.0.0.1:0"\n[health]\nlisten = "127.0.0.1:0"\n'
    settings.write_text(settings.read_text() + ports)
    refused = fairlead("serve", "--config", settings)
    assert refused.returncode == 1
    assert f"The database is behind: {NAMES[1]} is not applied." in refused.stderr
    assert "fairlead migrate" in refused.stderr

    if behind.server is None:
        settings.write_text(text + ports)
    else:
        settings.write_text(settings.read_text().replace("[users]", "migrate_on_start = true\n[users]"))
    with subprocess.Popen(
        [*COMMAND, "serve", "--config", str(settings)], cwd=ROOT, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as serving:
        assert serving.stderr is not None
        said = next((line for line in serving.stderr if '"ready"' in line), "")
        serving.send_signal(signal.SIGTERM)
        serving.communicate()
    assert said
    assert fairlead("migrate", "--config", settings, "--check").returncode == 0


def test_migrate_refuses_a_database_that_is_ahead(behind: Place) -> None:
    later = "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (99, 'later', 'x', 0)"
    if behind.server is not None:
        behind.server.query(behind.name, later)
    else:
        with closing(sqlite3.connect(behind.layout.store)) as connection:
            connection.execute(later)
            connection.commit()
    for more in ((), ("--check",)):
        refused = fairlead("migrate", "--config", behind.settings(), *more)
        assert refused.returncode == 1
        assert (
            refused.stderr
            == "fairlead: The database is at schema 99, newer than this program. Install the newer one.\n"
        )


def test_migrate_makes_a_database_where_there_is_none_and_leaves_a_running_appliance_alone(place: Place) -> None:
    settings = place.settings()
    assert fairlead("migrate", "--config", settings, "--check").returncode == 1
    assert not place.layout.root.exists()
    assert fairlead("migrate", "--config", settings).returncode == 0
    with closing(sqlite3.connect(place.layout.store)) as connection:
        connection.execute("DROP TABLE access_requests")
        connection.execute("DROP TABLE request_policies")
        connection.execute("DROP INDEX bindings_by_until")
        connection.execute("ALTER TABLE machines DROP COLUMN created_by")
        connection.execute("DELETE FROM schema_migrations WHERE number > 1")
        connection.commit()
    with place.layout.claimed():
        refused = fairlead("migrate", "--config", settings)
    assert refused.returncode == 1
    assert refused.stderr.endswith(": stop it first.\n")
    assert "Traceback" not in refused.stderr


def test_back_up_restore_verify(place: Place, other: Place, passphrase: Path, tmp_path: Path) -> None:
    trio.run(place.fill, 100)
    out = tmp_path / "monday.backup"
    asked = ("--passphrase-file", passphrase)
    done = fairlead("backup", "--config", place.settings(), "--out", out, *asked)
    assert done.returncode == 0
    assert all(line.startswith("... ") for line in done.stderr.splitlines()), "progress, where it takes longer"
    assert "200 audit records" in done.stdout

    again = fairlead("backup", "--config", place.settings(), "--out", out, *asked)
    assert again.returncode == 1
    assert again.stderr == f"fairlead: The file {out} is there already. Give another name, or --force to replace it.\n"
    assert fairlead("backup", "--config", place.settings(), "--out", out, *asked, "--force").returncode == 0

    restored = fairlead("restore", "--config", other.settings(), "--from", out, *asked)
    assert restored.returncode == 0, restored.stderr
    assert "Refused from now on: every kubeconfig credential, machine token and bundle" in restored.stdout
    assert "Machines whose tokens ended: ci." in restored.stdout

    looked = fairlead("verify", "--config", other.settings())
    assert looked.returncode == 0, looked.stdout
    assert [line.split()[0] for line in looked.stdout.splitlines()] == ["fine"] * 3

    other.layout.audit.chmod(0o644)
    looked = fairlead("verify", "--config", other.settings())
    assert looked.returncode == 1
    assert f"WRONG  {other.layout.audit} has mode 0644, open to others" in looked.stdout
    assert f"       Run: chmod 0600 {other.layout.audit}" in looked.stdout


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        ("short\n", 0o600, "fewer than 12 characters"),
        ("\nsecond line\n", 0o600, "is empty"),
        (PASSPHRASE, 0o644, "can be read by others. Run: chmod 600"),
        (None, 0, "cannot be read: No such file or directory"),
    ],
)
def test_a_passphrase_that_will_not_do_is_a_matter_of_usage(
    place: Place, tmp_path: Path, content: str | None, mode: int, says: str
) -> None:
    trio.run(place.fill, 1)
    file = tmp_path / "bad"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    out = tmp_path / "x.backup"
    done = fairlead("backup", "--config", place.settings(), "--out", out, "--passphrase-file", file)
    assert done.returncode == 2
    assert says in done.stderr
    assert not out.exists()


def test_no_passphrase_without_a_terminal_and_none_on_the_command_line(place: Place, tmp_path: Path) -> None:
    trio.run(place.fill, 1)
    arguments = ("backup", "--config", place.settings(), "--out", tmp_path / "x")
    done = fairlead(*arguments, stdin=PASSPHRASE + "\n")
    assert done.returncode == 2
    assert "There is no terminal" in done.stderr
    for option in ("--passphrase", "--password"):
        assert fairlead(*arguments, option, PASSPHRASE).returncode == 2


def test_at_a_terminal_it_is_asked_for_and_not_shown(place: Place, other: Place, tmp_path: Path) -> None:
    trio.run(place.fill, 1)
    out = tmp_path / "x.backup"
    code, shown = at_terminal(["backup", "--config", place.settings(), "--out", out], [PASSPHRASE, PASSPHRASE])
    assert code == 0, shown
    assert PASSPHRASE not in shown
    code, shown = at_terminal(["restore", "--config", other.settings(), "--from", out], [PASSPHRASE])
    assert code == 0, shown
    assert PASSPHRASE not in shown


def at_terminal(arguments: list[str | Path], answers: list[str]) -> tuple[int, str]:
    """Run it in a terminal of its own, answering each question that ends in a colon."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *(str(it) for it in arguments)],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=ENVIRONMENT,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown, waiting = "", list(answers)
        while True:
            try:
                piece = os.read(ours, 4096).decode()
            except OSError:  # the terminal's other end is closed
                break
            if not piece:
                break
            shown += piece
            if waiting and piece.rstrip().endswith(":"):
                os.write(ours, (waiting.pop(0) + "\n").encode())
        code = process.wait()
    os.close(ours)
    return code, shown


def test_what_is_not_there_and_what_cannot_be_is_one_sentence(place: Place, passphrase: Path, tmp_path: Path) -> None:
    asked = ("--passphrase-file", passphrase)
    settings = place.settings()
    nowhere = tmp_path / "nowhere" / "x.backup"
    cases = [
        (("backup", "--config", settings, "--out", tmp_path / "x", *asked), f"There is no {place.layout.store}"),
        (("restore", "--config", settings, "--from", tmp_path / "x", *asked), "cannot be read: No such file"),
        (("backup", "--config", tmp_path / "no.toml", "--out", tmp_path / "x", *asked), "settings file"),
    ]
    for arguments, says in cases:
        done = fairlead(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("fairlead: ")
        assert done.stderr.count("\n") == 1
        assert says in done.stderr
    looked = fairlead("verify", "--config", settings)
    assert looked.returncode == 1
    assert "there is no database" in looked.stdout
    assert not place.layout.root.exists()

    trio.run(place.fill, 1)
    done = fairlead("backup", "--config", settings, "--out", nowhere, *asked)
    assert (done.returncode, "cannot be written: No such file" in done.stderr) == (1, True)


def test_a_full_disk_leaves_nothing(place: Place, passphrase: Path, tmp_path: Path) -> None:
    """As full as a limit on the size of files can make it."""
    trio.run(place.fill, 3000)
    arguments = ["backup", "--config", str(place.settings()), "--out", str(tmp_path / "x.backup")]
    limited = (
        "import resource, signal, sys; from ops.cli.main import main; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *arguments, "--passphrase-file", str(passphrase)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "cannot be written: File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == []


@pytest.mark.parametrize("command", ["migrate", "backup", "restore", "verify"])
def test_the_help_says_the_exit_codes_and_shows_an_example(command: str) -> None:
    said = fairlead(command, "--help").stdout
    assert f"Example: fairlead {command} --config" in said
    assert "Exits 0 when" in said


LARGE_RECORDS = 200_000
MOST_MORE_KIB = 24 * 1024  # what allocators keep; the ledger is eight times that
CHEAP = (  # the 64 MiB that a guess at the passphrase takes would hide what the ledger takes
    "import sys; from appliance.backup import envelope; envelope.LOG2_N = 4; from ops.cli.main import main; "
    "main(sys.argv[1:])"
)


async def write_large_ledger(place: Place) -> None:
    await place.fill(1)
    async with database.opened(place.config()) as store:
        key = (await open_keys(store, lambda: NOW)).audit

    def write() -> None:
        book = Book(audit_place(place.config()), key, NOW)
        for first in range(0, LARGE_RECORDS, 1000):
            noise = secrets.token_hex(400)
            book.append(
                [
                    AuditEvent(NOW + first + n, EventType.PROXY_CLOSED, actor="alice", command=(f"{n}{noise}",))
                    for n in range(1000)
                ]
            )
        book.close()

    await trio.to_thread.run_sync(write)


def measured(*arguments: str | Path) -> tuple[int, str]:
    """The most memory the command took (KiB), and what it said on standard error."""
    command = [sys.executable, "-m", "tests.support.measured", sys.executable, "-c", CHEAP]
    command += [str(it) for it in arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300, env=ENVIRONMENT)
    return int(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_large_ledger_takes_no_more_memory_than_a_small_one(
    place: Place, other: Place, passphrase: Path, tmp_path: Path
) -> None:
    asked = ("--passphrase-file", passphrase)
    small = Place(tmp_path / "small")
    small.directory.mkdir()
    trio.run(small.fill, 1)
    trio.run(write_large_ledger, place)
    assert place.layout.audit.stat().st_size > 150_000_000

    def each(of: Place, to: Place, out: Path) -> list[tuple[int, str]]:
        return [
            measured("backup", "--config", of.settings(), "--out", out, *asked),
            measured("restore", "--config", to.settings(), "--from", out, *asked),
            measured("verify", "--config", to.settings()),
        ]

    into = Place(tmp_path / "into")
    into.directory.mkdir()
    little = each(small, into, tmp_path / "small.backup")
    much = each(place, other, tmp_path / "large.backup")

    print([kib for kib, _ in little], [kib for kib, _ in much])
    for (few, _), (many, _) in zip(little, much, strict=True):
        assert many < few + MOST_MORE_KIB
    assert "audit.sheaves: " in much[0][1]
    assert "audit.sheaves: " in much[1][1]
    end_a_backup_in_the_middle(place, passphrase, tmp_path / "ended.backup")
    kill_a_restore_in_the_middle(Place(into.directory / "again"), tmp_path / "large.backup", passphrase)


def begin(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [*COMMAND, *(str(it) for it in arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def end_a_backup_in_the_middle(place: Place, passphrase: Path, out: Path) -> None:
    """Asked to end, it ends in good order."""
    with begin("backup", "--config", place.settings(), "--out", out, "--passphrase-file", passphrase) as running:
        eventually(lambda: any(it.stat().st_size > 100_000 for it in out.parent.glob(".*.part")), 60)
        running.terminate()
        _, said = running.communicate(timeout=60)
    assert (running.returncode, said.splitlines()[-1]) == (1, "fairlead: Stopped; nothing was changed.")
    assert [path.name for path in out.parent.iterdir() if "ended" in path.name] == []


def kill_a_restore_in_the_middle(place: Place, source: Path, passphrase: Path) -> None:
    """Whatever it had unpacked is nobody's, and the next one begins anew."""
    place.directory.mkdir()
    asked = ("restore", "--config", place.settings(), "--from", source, "--passphrase-file", passphrase)
    with begin(*asked) as running:
        eventually(
            lambda: any(it.stat().st_size > 1_000_000 for it in place.layout.root.glob(".restoring-*/audit.db")), 60
        )
        running.kill()
        running.communicate(timeout=60)
    assert not place.layout.store.exists()
    assert not place.layout.master_key.exists()
    done = fairlead(*asked)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in place.layout.root.iterdir()} == {"audit.db", "fairlead.db", "lock", "master.key"}
