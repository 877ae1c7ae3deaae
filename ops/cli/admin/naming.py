"""Which one a person means: by id, by name, or by what else is its own.

What always holds: what fits several is refused with all of them named, never guessed; an id is taken as it is, so that
whoever may not list things can still name one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ops.cli.admin.desk import Desk, at
from ops.cli.faults import Exit, Fault
from ops.cli.output import clean
from ops.cli.output.tables import Item

MAX_NAMED: Final = 8  # candidates in one sentence
ALIKE: Final = 0.85  # a letter or two; people of one company share all that follows the @


@dataclass(frozen=True, slots=True)
class Noun:
    """`path` lists them; `prefix` begins their ids; `keys` are the fields that name one, the first is the name.

    `by_name`: the API takes a name wherever it takes an id.
    """

    one: str
    path: str
    prefix: str
    keys: tuple[str, ...] = ("name",)
    see: str = ""  # the command that lists them
    by_name: bool = False

    def is_id(self, text: str) -> bool:
        return re.fullmatch(rf"{self.prefix}_[0-9a-z]{{1,64}}", text) is not None

    def called(self, item: Item) -> str:
        return clean.plain(item.get(self.keys[0]) or item["id"])


CLUSTER: Final = Noun("cluster", "clusters", "cluster", see="fairlead clusters list", by_name=True)
PERSON: Final = Noun("user", "people", "person", ("name", "email"), "fairlead users list", by_name=True)
MACHINE: Final = Noun("machine", "machines", "machine", see="fairlead machines list", by_name=True)
ROLE: Final = Noun("role", "roles", "role", see="fairlead roles list")
PROVIDER: Final = Noun("provider", "providers", "provider", ("slug", "issuer", "title"), "fairlead providers list")
REQUEST: Final = Noun("access request", "access-requests", "request", ("id",), "fairlead access list")
POLICY: Final = Noun("policy", "request-policies", "policy", ("id",), "fairlead policies list")
BINDING: Final = Noun("binding", "bindings", "binding", ("id",), "fairlead bindings list")
WEBHOOK: Final = Noun("webhook", "webhooks", "webhook", ("id", "url"), "fairlead webhooks list")
TRUST: Final = Noun("trust rule", "trust-rules", "trust", ("id",), "fairlead trust list")


def find(desk: Desk, noun: Noun, text: str) -> Item:
    """The one that is meant. The appliance is asked for it first: what it knows by id or name needs no list."""
    if text and "/" not in text and text.strip("."):
        try:
            found: Item = desk.api.get(f"{noun.path}/{at(text)}")
            return found
        except Fault as fault:
            if fault.exit_code is not Exit.NOT_FOUND:
                raise
    if noun.is_id(text):
        raise missing(noun, text)
    try:
        return chosen(noun, text, desk.every(noun.path))
    except Fault as fault:
        if fault.exit_code is not Exit.FORBIDDEN:
            raise
        raise missing(noun, text) from None


def identify(desk: Desk, noun: Noun, text: str) -> str:
    """Its id; or its name as given, where the API takes that and the caller may not look it up."""
    if noun.is_id(text):
        return text
    try:
        return str(find(desk, noun, text)["id"])
    except Fault as fault:
        if fault.exit_code is not Exit.FORBIDDEN or not noun.by_name:
            raise
        return text


def to_edit(desk: Desk, noun: Noun, text: str) -> tuple[str, str]:
    """Its path, and the etag of what is changed; whoever may not look at it changes whatever is there."""
    try:
        found = find(desk, noun, text)
    except Fault as fault:
        if fault.exit_code is not Exit.FORBIDDEN:
            raise
        return at(noun.path, identify(desk, noun, text)), "*"
    return at(noun.path, found["id"]), str(found["etag"])


def chosen(noun: Noun, text: str, items: Sequence[Item]) -> Item:
    """The one of these that is meant: exactly, else whatever the case, else by the beginning of its id."""
    for fits in (
        lambda it: text == it["id"] or text == it.get(noun.keys[0]),
        lambda it: any(text == it.get(key) for key in noun.keys),
        lambda it: any(text.casefold() == str(it.get(key) or "").casefold() for key in noun.keys),
        lambda it: len(text) > len(noun.prefix) + 1 and str(it["id"]).startswith(text),
    ):
        found = [it for it in items if fits(it)]
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(noun, text, found)
    raise missing(noun, text, items)


def missing(noun: Noun, text: str, items: Sequence[Item] = ()) -> Fault:
    near = difflib.get_close_matches(text, [noun.called(it) for it in items], n=1, cutoff=ALIKE)
    hint = f" Did you mean {near[0]}?" if near else ""
    return Fault(
        f"There is no {noun.one} {clean.plain(text)} that you may see.{hint}", Exit.NOT_FOUND, next_step=noun.see
    )


def _ambiguous(noun: Noun, text: str, found: Sequence[Item]) -> Fault:
    named = [
        noun.called(it) if noun.called(it) == it["id"] else f"{noun.called(it)} ({it['id']})"
        for it in found[:MAX_NAMED]
    ]
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return Fault(
        f"{clean.plain(text)} could be any of {len(found)}: {', '.join(named)}{more}.",
        Exit.USAGE,
        next_step=f"give the id of the {noun.one} that is meant",
    )
