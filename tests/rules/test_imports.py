"""Who may import whom: the arrows of the design, as a table."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.rules.sources import OURS, ROOT, Source, imports, sources, verdict


@dataclass(frozen=True)
class Arrow:
    """What one place may import beside the standard library and itself, and why no more."""

    place: str
    ours: tuple[str, ...]
    others: frozenset[str] | None  # None: whatever is declared in pyproject
    why: str


WIRE = ("wire",)
DAEMON = ("daemon",)
CORE = ("appliance.core",)
STORE = tuple(
    f"appliance.store.{module}"
    for module in (
        *("store", "unit", "units", "ids", "faults", "sealing", "statements"),
        *("granting", "requests", "issuing", "refusing", "machines", "administrator"),
        *("sessions", "renewing", "flows", "providers", "webhooks", "uses"),
    )
)
EDGE_WHY = (
    "Neighbours at the edge never import each other, so that each can be read, tested and replaced alone: they know "
    "the core, the store's interface and the wire; appliance/assemble.py wires them."
)

ARROWS = (
    Arrow(
        "wire",
        WIRE,
        frozenset({"trio", "h2", "hyperframe", "hpack", "msgpack", "httptools"}),
        "wire/ is shared by both ends and knows nothing of people, roles or storage; what it imports, the agent ships.",
    ),
    Arrow(
        "daemon",
        DAEMON,
        frozenset({"trio", "prometheus_client"}),
        "daemon/ is what both programs need on their host; it knows neither of them, and the agent ships it.",
    ),
    Arrow(
        "agent",
        ("agent", *DAEMON, *WIRE),
        frozenset({"trio", "cryptography", "msgpack", "httptools", "structlog"}),
        "The agent runs in other people's clusters: it carries the wire, what every program of ours needs on its host, "
        "and no line of the appliance.",
    ),
    Arrow(
        "appliance/core",
        (*CORE, "wire.kube", "wire.heads"),
        frozenset({"cryptography", "jwt"}),
        "The core decides and does nothing else; what it cannot import it cannot wait for.",
    ),
    Arrow(
        "appliance/store",
        ("appliance.store", *CORE),
        frozenset({"trio", "cryptography", "asyncpg", "trio_asyncio"}),
        "The store keeps what the core describes; it must not know who asks.",
    ),
    Arrow(
        "appliance/front",
        ("appliance.front", *CORE, *STORE, *WIRE, "appliance.tunnel.registry", "appliance.audit.ledger"),
        None,
        EDGE_WHY + " The front alone also sees the registry of sessions and the ledger.",
    ),
    *(
        Arrow(f"appliance/{name}", (f"appliance.{name}", *CORE, *STORE, *WIRE), None, EDGE_WHY)
        for name in ("tunnel", "login", "api", "audit")
    ),
    Arrow(
        "ops/demo/toy",
        ("ops.demo.toy", *WIRE),
        None,
        "The toy cluster stands for somebody else's API server; one that shared our code would share our mistakes.",
    ),
    Arrow(
        "ops",
        ("ops", "appliance", "agent", *DAEMON, *WIRE),
        None,
        "The command starts the programs; it does not need the tests or the benchmarks.",
    ),
    Arrow(
        "appliance/backup",
        (
            "appliance.backup",
            *(f"appliance.{name}" for name in ("audit", "audit_place", "config", "core", "database", "inspection")),
            *(f"appliance.{name}" for name in ("keys", "layout", "store")),
        ),
        frozenset({"trio", "cryptography"}),
        "A backup knows what is kept and how, and nothing of who is served with it.",
    ),
    Arrow(
        "appliance",
        ("appliance", *DAEMON, *WIRE),
        None,
        "The appliance does not ship with the agent, nor with the command that starts it.",
    ),
    Arrow("benchmarks", ("benchmarks", *OURS), None, "Benchmarks drive the program like tests do."),
)

#: Where the packages of a distribution are not called like it.
PACKAGES_OF = {"pyjwt": "jwt", "pyyaml": "yaml", "ruamel.yaml": "ruamel"}
#: What comes with a declared dependency and is part of its interface.
COMES_WITH = {"hyperframe", "hpack", "werkzeug"}

WIRE_DRIVERS = (
    "wire/session.py",
    "wire/workers.py",
    "wire/exchange.py",
    "wire/arrival.py",
    "wire/opening.py",
    "wire/passes.py",
    "wire/readiness.py",
    "wire/slots.py",
    "wire/contexts.py",
    "wire/tls.py",
    "wire/transport.py",
)
WAITING = {"trio", "socket", "ssl", "select", "selectors", "threading", "subprocess", "logging", "sqlite3"}


def faults(source: Source, arrow: Arrow) -> Iterator[str]:
    """Yield every import of the source that the arrow does not allow."""
    for found in imports(source):
        top = found.name.split(".")[0]
        if top in sys.stdlib_module_names:
            continue
        if top in OURS:
            allowed = any(
                found.name == place or found.name.startswith(place + ".") or _is_package_of(found.name, place)
                for place in arrow.ours
            )
        else:
            allowed = top in (declared() if arrow.others is None else arrow.others)
        if not allowed:
            yield f"{source.path}:{found.line} imports {found.name}"


def _is_package_of(name: str, place: str) -> bool:
    """`from appliance.core import roles` names a part of what is allowed; `import wire` alone loads nothing of it."""
    return place.startswith(name + ".") and name in OURS


def declared() -> frozenset[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for extra, lines in optional.items() if extra != "dev" for line in lines),
    ]
    names = {line.split(";")[0].split("[")[0].split("=")[0].split(">")[0].split("<")[0].strip() for line in wanted}
    return frozenset({PACKAGES_OF.get(name, name.replace("-", "_")) for name in names} | COMES_WITH)


def test_every_import_follows_an_arrow() -> None:
    offences: dict[str, list[str]] = {}
    for source in sources():
        arrow = next((arrow for arrow in ARROWS if source.within(arrow.place)), None)
        if arrow is not None:  # tests may import anything
            offences.setdefault(arrow.why, []).extend(faults(source, arrow))
    verdict(
        [f"{why}\n    " + "\n    ".join(found) for why, found in offences.items() if found],
        "Imports against the arrows of the design (what may know what):",
    )


def test_only_the_drivers_of_the_wire_wait() -> None:
    verdict(
        [
            f"{source.path}:{found.line} imports {found.name}"
            for source in sources()
            if source.within("wire") and not source.within(*WIRE_DRIVERS, "wire/calls.py")
            for found in imports(source)
            if found.name.split(".")[0] in WAITING
        ],
        "The wire's protocol is bytes in, values out: what has no socket, task, lock or logger can be tested with a "
        f"table. Waiting belongs to {', '.join(WIRE_DRIVERS)}.",
    )


def test_the_core_touches_nothing_outside() -> None:
    outside = WAITING | {"os", "pathlib", "asyncio", "urllib", "http", "tempfile", "shutil", "queue", "signal"}
    verdict(
        [
            f"{source.path}:{found.line} imports {found.name}"
            for source in sources()
            if source.within("appliance/core")
            for found in imports(source)
            if found.name.split(".")[0] in outside
        ],
        "A decision depends on its arguments and nothing else, or it could not be tested or trusted.",
    )


def test_nothing_imports_the_composition_root() -> None:
    verdict(
        [
            f"{source.path}:{found.line} imports {found.name}"
            for source in sources()
            if source.within("appliance", "wire", "daemon", "agent") and source.path != "appliance/assemble.py"
            for found in imports(source)
            if found.name.startswith("appliance.assemble")
        ],
        "appliance/assemble.py is the only place that names concrete classes; a part that imports it knows the whole.",
    )


@pytest.mark.parametrize(
    ("path", "line", "allowed"),
    [
        ("wire/x.py", "import trio", True),
        ("wire/x.py", "from wire import frames", True),
        ("wire/x.py", "from . import frames", True),
        ("wire/x.py", "from ..agent import relay", False),
        ("wire/x.py", "import cryptography.x509", False),
        ("wire/x.py", "from appliance.core import roles", False),
        ("daemon/x.py", "import trio", True),
        ("daemon/x.py", "from wire import tls", False),
        ("daemon/x.py", "from agent.config import Config", False),
        ("wire/x.py", "from daemon import values", False),
        ("agent/x.py", "from daemon.settings import Setting", True),
        ("appliance/config.py", "from daemon.settings import Setting", True),
        ("appliance/front/x.py", "from daemon import values", False),
        ("appliance/backup/x.py", "from appliance.store import schema", True),
        ("appliance/backup/x.py", "from appliance.front import client", False),
        ("agent/x.py", "from wire.tls import TLSStream", True),
        ("agent/x.py", "import appliance.core.roles", False),
        ("agent/x.py", "from ops.cli import main", False),
        ("appliance/core/x.py", "from wire.kube import Ask", True),
        ("appliance/core/x.py", "from wire import kube", True),
        ("appliance/core/x.py", "from wire import tls", False),
        ("appliance/core/x.py", "from appliance.store import ids", False),
        ("appliance/core/x.py", "import trio", False),
        ("appliance/store/x.py", "from appliance.core.roles import Role", True),
        ("appliance/store/x.py", "import appliance.audit", False),
        ("appliance/front/x.py", "from appliance.tunnel.registry import Registry", True),
        ("appliance/front/x.py", "from appliance.tunnel import registry", True),
        ("appliance/front/x.py", "from appliance.tunnel.listener import serve", False),
        ("appliance/front/x.py", "from appliance.audit.ledger import Ledger", True),
        ("appliance/front/x.py", "from appliance.audit.book import Book", False),
        ("appliance/front/x.py", "from appliance.store import units", True),
        ("appliance/front/x.py", "from appliance.store.sqlite import SQLite", False),
        ("appliance/api/x.py", "from appliance.front import client", False),
        ("appliance/tunnel/x.py", "def f():\n    from appliance.audit import ledger", False),
        ("appliance/api/x.py", "import requests", False),
        ("appliance/api/x.py", "import jwt", True),
        ("ops/demo/toy/x.py", "from appliance.core import roles", False),
        ("ops/cli/x.py", "from appliance import assemble", True),
        ("ops/cli/x.py", "from tests.support import pair", False),
        ("appliance/x.py", "from ops.cli import main", False),
    ],
)
def test_the_arrows_see_an_offence(path: str, line: str, allowed: bool) -> None:
    source = Source(path, line)
    arrow = next(arrow for arrow in ARROWS if source.within(arrow.place))
    assert (not list(faults(source, arrow))) is allowed
