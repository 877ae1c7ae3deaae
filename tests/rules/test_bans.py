"""What no source may call or say, each with the reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.rules.sources import Source, sources, tracked_texts, uses, verdict


@dataclass(frozen=True)
class Ban:
    """Dotted names that may not be used in `places` but for `except_in`, and why."""

    names: tuple[str, ...]
    places: tuple[str, ...]
    except_in: tuple[str, ...]
    why: str

    def covers(self, source: Source) -> bool:
        return source.within(*self.places) and not source.within(*self.except_in)


EVERYWHERE = ("wire", "daemon", "agent", "appliance", "ops", "benchmarks", "tests")
PROGRAM = ("wire", "daemon", "agent", "appliance", "ops")

PURE_WHY = "Time and randomness are arguments of pure code: what asks for them itself cannot be tested with a table."

BANS = (
    Ban(
        (
            "time",
            "random",
            "secrets",
            "os.urandom",
            "uuid.uuid1",
            "uuid.uuid4",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        ("appliance/core", "wire"),
        ("wire/session.py", "wire/passes.py"),
        PURE_WHY,
    ),
    Ban(
        ("trio.current_time",),
        ("appliance/core", "wire"),
        ("wire/session.py", "wire/exchange.py", "wire/tls.py"),
        PURE_WHY,
    ),
    Ban(
        ("time.sleep",),
        EVERYWHERE,
        (),
        "A thread that sleeps cannot be told to stop, and a loop that sleeps stops everyone: wait for an event with a "
        "deadline (trio.sleep on the virtual clock, threading.Event.wait).",
    ),
    Ban(
        ("asyncio",),
        EVERYWHERE,
        ("appliance/store/postgres.py", "appliance/store/postgres", "appliance/audit/postgres.py"),
        "The program runs on Trio. asyncio's tasks have no parent and its cancellation leaks; only the PostgreSQL "
        "engine needs it, through trio-asyncio, and the audit ledger in PostgreSQL, whose threads are not Trio's.",
    ),
    Ban(
        ("trio_asyncio", "asyncpg"),
        PROGRAM,
        (
            "appliance/store/postgres.py",
            "appliance/store/sqlstates.py",
            "appliance/store/transaction.py",
            "appliance/audit/postgres.py",
        ),
        "Only two modules know PostgreSQL's driver and its loop: importing them changes asyncio for the "
        "whole process, and an installation on SQLite does not have them.",
    ),
    Ban(("os.system", "os.popen"), EVERYWHERE, (), "A shell reads its argument again: use an argument list."),
    Ban(("builtins.eval", "builtins.exec"), EVERYWHERE, (), "Text from outside must never become code."),
    Ban(
        ("pickle", "marshal", "shelve", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
        EVERYWHERE,
        (),
        "These build objects that the bytes choose: parse into plain values instead.",
    ),
    Ban(
        ("ssl.CERT_NONE", "ssl._create_unverified_context"),
        PROGRAM,
        (),
        "There is no unverified TLS, not even the first time: the bundle carries the CA.",
    ),
    Ban(
        (
            "httpcore",
            "http.client",
            "urllib.request",
            "jwt.PyJWKClient",
            "socket.create_connection",
            "trio.open_tcp_stream",
            "trio.open_ssl_over_tcp_stream",
        ),
        ("appliance",),
        ("appliance/login/dialling.py",),
        "What configuration names is dialled through the one guard, or a name could lead to what only we can reach.",
    ),
    Ban(
        ("builtins.print",),
        ("wire", "daemon", "agent", "appliance"),
        (),
        "What a program has to say goes to the log, where secrets are filtered and lines have a time.",
    ),
)

CROSSINGS = ("trio_asyncio.aio_as_trio", "trio_asyncio.asyncio_as_trio", "trio_asyncio.trio_as_aio")

ARGUMENTS = {
    ("shell", True): "A shell reads its argument again: pass an argument list.",
    ("verify", False): "There is no unverified TLS: give the CA.",
    ("check_hostname", False): "A certificate of the right CA for the wrong name is the attack: check the name.",
}

#: (path, what) -> why this one does not weaken anything.
VERIFIED_OTHERWISE: dict[tuple[str, str], str] = {}


def banned(source: Source, ban: Ban) -> Iterator[str]:
    """Yield each use of what the ban names, or of anything below it."""
    for found in uses(source):
        for name in ban.names:
            if found.name == name or found.name.startswith(name + "."):
                yield f"{source.path}:{found.line} {found.name}"


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.names[0])
def test_nothing_banned_is_used(ban: Ban) -> None:
    verdict(sorted({use for source in sources() if ban.covers(source) for use in banned(source, ban)}), ban.why)


def test_asyncio_is_entered_at_one_place() -> None:
    crossings = [
        f"{source.path}:{found.line} {found.name}"
        for source in sources()
        for found in uses(source)
        if found.name in CROSSINGS
    ]
    assert len(crossings) == 1, crossings
    verdict(
        [place for place in crossings if not place.startswith("appliance/store/postgres.py:")],
        "A transaction that crosses between Trio and asyncio more than once leaks when it is cancelled in between: the "
        "connection stays 'idle in transaction' and closing hangs. Whole units cross, in Postgres._carry.",
    )


def switched_off(source: Source) -> Iterator[tuple[str, str]]:
    """Yield (what, where) of each argument or attribute that turns a check off."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.keyword) and _off(node.arg, node.value):
            yield str(node.arg), f"{source.path}:{node.value.lineno}"
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and _off(target.attr, node.value):
                    yield target.attr, f"{source.path}:{node.lineno}"


def _off(name: str | None, value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, bool) and (name, value.value) in ARGUMENTS


def test_no_check_is_switched_off() -> None:
    found = [(source, what, where) for source in sources() for what, where in switched_off(source)]
    verdict(
        [
            f"{where} {what}: {ARGUMENTS[what, what == 'shell']}"
            for source, what, where in found
            if (source.path, what) not in VERIFIED_OTHERWISE
        ],
        "Fail closed, with no switch. If the context verifies in another way, say how in VERIFIED_OTHERWISE.",
    )
    there = {(source.path, what) for source, what, _ in found}
    verdict([str(key) for key in VERIFIED_OTHERWISE if key not in there], "These exceptions are no longer needed.")


def own_sentences(source: Source) -> Iterator[str]:
    """Where a refusal is made with a sentence of its own."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Problem":
            yield f"{source.path}:{node.lineno}"


def test_every_refusal_is_in_the_words_of_the_catalogue() -> None:
    homes = ("appliance/core/problems.py", "appliance/core/wordings.py")
    verdict(
        [
            it
            for source in sources()
            if source.within(*PROGRAM) and source.path not in homes
            for it in own_sentences(source)
        ],
        "What a refusal says stands in core/problems.py, or where a code needs several sentences in core/wordings.py: "
        "one reading must show whether each names the next step.",
    )


UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
MACHINE_PATHS = re.compile("/" + "work/(?:main|shared)|/" + "tmp/team")
BARE_SUPPRESSION = re.compile(r"#\s*(?:noqa|type:\s*ignore)\s*$")
SUPPRESSION = re.compile(
    r"#\s*(?:noqa:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*|type:\s*ignore\[[a-z-]+(?:,\s*[a-z-]+)*\])(.*)"
)


def lines_with(pattern: re.Pattern[str]) -> Iterator[str]:
    for source in tracked_texts():
        if source.path.startswith("requirements/") or source.path == "LICENSE":
            continue
        for number, line in enumerate(source.text.splitlines(), 1):
            if pattern.search(line):
                yield f"{source.path}:{number} {line.strip()[:80]}"


def test_nothing_is_left_for_later() -> None:
    verdict(
        lines_with(UNFINISHED),
        "The tree holds no unfinished work: what is not done is left out and named where work is planned.",
    )


def test_no_path_of_one_machine() -> None:
    verdict(lines_with(MACHINE_PATHS), "The sources work wherever they are checked out.")


def silent(source: Source) -> Iterator[str]:
    """Yield each suppression in a program file that names no rule, or gives no reason after it."""
    for number, line in enumerate(source.text.splitlines(), 1):
        match = SUPPRESSION.search(line)
        if BARE_SUPPRESSION.search(line) or (match and not match[1].strip(" #-")):
            yield f"{source.path}:{number} {line.strip()[:100]}"


def test_every_suppression_says_why() -> None:
    verdict(
        [fault for source in sources() if source.within(*PROGRAM) for fault in silent(source)],
        "A `noqa` or `type: ignore` names its rule and says why it does not apply; otherwise nobody dares remove it.",
    )


@pytest.mark.parametrize(
    ("path", "text", "offends"),
    [
        ("wire/x.py", "import time", False),
        ("wire/x.py", "import time\ntime.monotonic()", True),
        ("wire/x.py", "from time import monotonic as now\nnow()", True),
        ("wire/x.py", "def f(time: int) -> int:\n    return time", False),
        ("wire/session.py", "import secrets\nsecrets.token_hex()", False),
        ("appliance/core/x.py", "from datetime import datetime\ndatetime.now()", True),
        ("appliance/core/x.py", "import datetime as dt\ndt.datetime.now", True),
        ("appliance/core/x.py", "from datetime import datetime\ndatetime.fromtimestamp(0)", False),
        ("appliance/front/x.py", "from time import time_ns\ntime_ns()", False),
        ("appliance/front/x.py", "import time\ntime.sleep(1)", True),
        ("tests/x.py", "from time import sleep\nsleep(1)", True),
        ("agent/x.py", "import asyncio\nasyncio.run(x)", True),
        ("appliance/store/postgres.py", "import asyncio\nasyncio.run(x)", False),
        ("appliance/api/x.py", "from trio_asyncio import aio_as_trio\naio_as_trio(f)", True),
        ("appliance/audit/x.py", "import asyncpg\nasyncpg.connect()", True),
        ("appliance/store/transaction.py", "import asyncpg\nasyncpg.connect()", False),
        ("ops/x.py", "import os\nos.system('x')", True),
        ("ops/x.py", "eval('1')", True),
        ("ops/x.py", "x.exec('1')", False),
        ("agent/x.py", "import ssl\nc.verify_mode = ssl.CERT_NONE", True),
        ("agent/x.py", "import ssl\nc.verify_mode = ssl.CERT_REQUIRED", False),
        ("appliance/api/x.py", "import httpcore\nhttpcore.AsyncConnectionPool()", True),
        ("appliance/login/x.py", "import trio\ntrio.open_tcp_stream('a', 1)", True),
        ("appliance/login/dialling.py", "import httpcore\nhttpcore.AsyncConnectionPool()", False),
        ("agent/x.py", "print('x')", True),
        ("ops/cli/x.py", "print('x')", False),
        ("ops/x.py", "import yaml\nyaml.safe_load('x')", False),
        ("ops/x.py", "import yaml\nyaml.load('x')", True),
    ],
)
def test_the_bans_see_an_offence(path: str, text: str, offends: bool) -> None:
    source = Source(path, text)
    assert bool([use for ban in BANS if ban.covers(source) for use in banned(source, ban)]) is offends


@pytest.mark.parametrize(
    ("text", "offends"),
    [
        ("subprocess.run('x', shell=True)", True),
        ("subprocess.run(['x'], shell=False)", False),
        ("get(verify=False)", True),
        ("get(verify=True)", False),
        ("context.check_hostname = False", True),
        ("context.check_hostname = True", False),
        ("f(check_hostname=False)", True),
    ],
)
def test_the_switch_rule_sees_an_offence(text: str, offends: bool) -> None:
    assert bool(list(switched_off(Source("agent/x.py", text)))) is offends


@pytest.mark.parametrize(
    ("text", "offends"),
    [
        ("x = 1  # no" + "qa", True),
        ("x = 1  # no" + "qa: S105", True),
        ("x = 1  # no" + "qa: S105 - it is a name", False),
        ("x = 1  # no" + "qa: S105, E501 # it is a name", False),
        ("x = 1  # type: " + "ignore", True),
        ("x = 1  # type: " + "ignore[misc]", True),
        ("x = 1  # type: " + "ignore[misc]  # untyped library", False),
        ("x = 1", False),
    ],
)
def test_the_suppression_rule_sees_an_offence(text: str, offends: bool) -> None:
    assert bool(list(silent(Source("agent/x.py", text)))) is offends
