"""Names instead of ids, in tables: looked up once for each kind of thing, and only what the caller may list.

Whoever may not list people still gets their tables, with ids in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.cli.admin.desk import Desk
from ops.cli.admin.naming import CLUSTER, MACHINE, PERSON, ROLE, Noun
from ops.cli.faults import Exit, Fault
from ops.cli.output.tables import Item


class Names:
    """What ids are called."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[str, dict[str, str]] = {}

    def role(self, identity: str) -> str:
        return self._called(ROLE, identity)

    def cluster(self, identity: str) -> str:
        return self._called(CLUSTER, identity)

    def machine(self, identity: str) -> str:
        return self._called(MACHINE, identity)

    def subject(self, it: Mapping[str, Any]) -> str:
        """Someone with their kind, as `--asker` takes it."""
        kind, identity = str(it["kind"]), str(it["id"])
        match kind:
            case "person":
                return f"user:{self._called(PERSON, identity)}"
            case "machine":
                return f"machine:{self.machine(identity)}"
            case _:
                return f"{kind}:{identity}"

    def scope(self, it: Mapping[str, Any]) -> str:
        """Where something holds, in a word."""
        match it["kind"]:
            case "everywhere":
                return "everywhere"
            case "labels":
                return ",".join(f"{name}={value}" for name, value in it["labels"].items())
            case "namespaces":
                return f"{self.cluster(it['cluster_id'])}/{','.join(it['namespaces'])}"
            case _:
                return self.cluster(it["cluster_id"])

    def bound(self, it: Item) -> Mapping[str, Any]:
        """What tables show of whatever has a role, a subject and a scope."""
        return {
            "role": self.role(it["role_id"]),
            "who": self.subject(it["subject"]) if "subject" in it else None,
            "where": self.scope(it["scope"]),
        }

    def _called(self, noun: Noun, identity: str) -> str:
        if noun.path not in self._known:
            items = self._allowed(noun.path)
            known = {str(it["id"]): str(it[noun.keys[0]]) for it in items} if items is not None else self._own(noun)
            self._known[noun.path] = known
        return self._known[noun.path].get(identity, identity)

    def _allowed(self, path: str) -> list[Item] | None:
        """The list; None: the caller may not see it."""
        try:
            return self._desk.every(path)
        except Fault as fault:
            if fault.exit_code is not Exit.FORBIDDEN:
                raise
            return None

    def _own(self, noun: Noun) -> dict[str, str]:
        """What a person is told by the way: what they may ask for and what they reach."""
        offers = self._allowed("me/askable")
        if offers is None:
            return {}
        if noun is ROLE:
            return {it["role_id"]: it["role"] for it in offers}
        if noun is CLUSTER:
            reached = [*(self._allowed("me/clusters") or []), *(one for it in offers for one in it["clusters"])]
            return {it["id"]: it["name"] for it in reached}
        if noun is PERSON:
            me = self._desk.api.get("me")
            return {me["id"]: me["name"]}
        return {}
