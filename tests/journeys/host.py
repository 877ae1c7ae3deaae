"""Whoever may write to a running appliance's database from its own host, as another process.

    python -m tests.journeys.host DATA_DIRECTORY DEED NAME...

does one deed in one transaction and prints when it was done (time.monotonic, which all processes of a host share) and
what came of it, as JSON. It stands for a second appliance, or a command, that the running one hears nothing from.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from appliance.core.credentials import SECOND, CredentialKind, mint
from appliance.core.roles import Rule
from appliance.core.snapshot import Snapshot
from appliance.keys import open_keys
from appliance.layout import Layout
from appliance.store import ids, issuing, units
from appliance.store.clock import utc_micros
from appliance.store.issuing import Wanted
from appliance.store.store import Store
from appliance.store.unit import Unit

REPOSITORY = Path(__file__).resolve().parents[2]
DO_SECONDS = 30.0


def do(data: Path, deed: str, *names: str) -> tuple[float, Any]:
    """Have another process do it; says when it was done, and what came of it."""
    command = [sys.executable, "-m", "tests.journeys.host", str(data), deed, *names]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=DO_SECONDS)
    assert done.returncode == 0, done.stderr
    at, came = json.loads(done.stdout)
    return float(at), came


def revoke(_: Snapshot, now: int, credential_id: str) -> Unit[Any]:
    yield from units.revoke_credential(credential_id, "on the host", now)


def refuse_person(_: Snapshot, now: int, person_id: str) -> Unit[Any]:
    yield from issuing.refuse_person(person_id, now)


def narrow_role(_: Snapshot, now: int, role_id: str) -> Unit[Any]:
    """To what nobody asks for."""
    rules = (Rule(("get",), ("",), ("nodes",)),)
    yield from units.set_role(role_id, lambda it: replace(it, rules=rules), now)


def drop_group(_: Snapshot, now: int, role_id: str) -> Unit[Any]:
    yield from units.set_role(role_id, lambda it: replace(it, groups=it.groups[:1]), now)


def remove_role(snapshot: Snapshot, now: int, role_id: str) -> Unit[Any]:
    """With the bindings that hold it back."""
    for binding in [it for it in snapshot.bindings.values() if it.role_id == role_id]:
        yield from units.remove_binding(binding.id, now)
    yield from units.remove_role(role_id, now)


def narrow_binding(snapshot: Snapshot, now: int, binding_id: str, namespace: str) -> Unit[Any]:
    """To one namespace, under the same id."""
    old = snapshot.bindings[binding_id]
    yield from units.remove_binding(binding_id, now)
    yield from units.add_binding(replace(old, scope=replace(old.scope, namespaces=(namespace,))), now)


def leave_groups(_: Snapshot, now: int, person_id: str) -> Unit[Any]:
    yield from units.set_person(person_id, lambda it: replace(it, groups=()), now)


def unlabel(_: Snapshot, now: int, cluster_id: str) -> Unit[Any]:
    yield from units.set_cluster(cluster_id, lambda it: replace(it, labels=()), now)


DEEDS: dict[str, Callable[..., Unit[Any]]] = {
    deed.__name__: deed
    for deed in (
        revoke,
        refuse_person,
        narrow_role,
        drop_group,
        remove_role,
        narrow_binding,
        leave_groups,
        unlabel,
    )
}


async def short_credential(store: Store, person_id: str, cluster_id: str, seconds: str) -> str:
    """A token that lives shorter than the API would give one."""
    wanted = Wanted(ids.new_id("credential"), person_id, cluster_id, CredentialKind.STATIC, int(seconds), "host")
    made = await store.write(issuing.issue(wanted, utc_micros() // SECOND * SECOND))
    return mint(made, (await open_keys(store, utc_micros)).credentials)


async def main(*words: str) -> None:
    data, deed, *names = words
    layout = Layout(Path(data))
    store = await Store.open(layout.store, master_key=layout.master_key)
    try:
        came: Any = None
        if deed == "short_credential":
            came = await short_credential(store, *names)
        else:
            await store.write(DEEDS[deed](store.snapshot, utc_micros(), *names))
        sys.stdout.write(json.dumps([time.monotonic(), came]))
    finally:
        await store.aclose()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
