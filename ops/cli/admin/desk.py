"""What every administrator's command works with: the admin API to ask, and where the answer goes.

What always holds: lists are followed to their end, whatever the API's page is; standard output carries the answer and
nothing else, so that `-o json` is JSON; what is asked or remarked goes to standard error; nothing is destroyed without
a yes, and where nobody can be asked, without --yes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import click

from ops.cli import listing
from ops.cli.faults import Exit, Fault
from ops.cli.output import clean, documents
from ops.cli.output.kinds import Form, Kind, Told
from ops.cli.output.tables import Item, Sheet
from ops.cli.patience import patience

T = TypeVar("T")

RETRY_SECONDS: Final = 2.0  # a restart is over in less than ten


class Api(listing.Asked, Protocol):
    """The admin API, signed in; paths are below /fairlead/v1/. A refusal is a `Fault`."""

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, bare: bool = False) -> Any: ...
    def patch(self, path: str, body: Mapping[str, Any], etag: str) -> Any: ...
    def delete(self, path: str, /) -> Any: ...


@dataclass(slots=True)
class Desk:
    """`api` is the signed-in client, `server` the appliance's URL; `form` and `sheet` say how answers look."""

    api: Api
    server: str
    form: Form
    sheet: Sheet
    said: Callable[[str], None] = field(default=lambda text: click.echo(text, nl=False, color=True))
    _lists: dict[str, list[Item]] = field(default_factory=dict)

    def pages(self, path: str, /, **query: str | int | None) -> Iterator[list[Item]]:
        """The pages of a list, as they come."""
        return listing.pages(self.api, path, **query)

    def every(self, path: str, /, **query: str | int | None) -> list[Item]:
        """A whole list, asked for once."""
        key = f"{path} {sorted(query.items())}"
        if key not in self._lists:
            with patience(f"Reading {path}"):
                self._lists[key] = [it for page in self.pages(path, **query) for it in page]
        return self._lists[key]

    def show(self, kind: Kind, items: list[Item], told: Told | None = None) -> None:
        """Several; that there are none is said to people."""
        self.said(kind.shown(items, self.form, self.sheet, told))
        if not items and self.form.for_people:
            self.remark(f"No {kind.many}.")

    def whole(self, kind: Kind, item: Item, told: Told | None = None) -> None:
        """One."""
        self.said(kind.whole(item, self.form, self.sheet, told))

    def done(self, kind: Kind, item: Item, what: str) -> None:
        """One that was made or changed: a sentence for people, the thing itself for scripts."""
        if self.form.for_people:
            self.said(f"{clean.plain(what)}\n")
        else:
            self.said(kind.whole(item, self.form, self.sheet))

    def document(self, document: Mapping[str, Any], lines: list[str]) -> None:
        """What is of no kind: a document for scripts, lines for people."""
        match self.form:
            case Form.JSON:
                self.said(documents.as_json(document))
            case Form.YAML:
                self.said(documents.as_yaml(document))
            case _:
                self.said("".join(f"{line}\n" for line in lines))

    def remark(self, text: str) -> None:
        """To whoever watches, not part of the answer."""
        click.echo(clean.paragraph(text), err=True)

    def until_reachable(self, ask: Callable[[], T]) -> T:
        """What this asks, however long the appliance is away: for what goes on for hours. Ctrl-C ends it."""
        told = False
        while True:
            try:
                return ask()
            except Fault as fault:
                if fault.exit_code is not Exit.UNREACHABLE:
                    raise
                if not told:
                    self.remark(f"{fault} Trying again until it answers.")
                told = True
            self.pause(RETRY_SECONDS)

    def pause(self, seconds: float) -> None:
        """Between two questions; Ctrl-C ends it."""
        threading.Event().wait(seconds)

    def consent(self, what: str, yes: bool) -> None:
        """A yes to what cannot be taken back; a no ends the command."""
        consent(what, yes=yes)


def consent(what: str, *, yes: bool) -> None:
    """The same for a command that has no desk."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Fault(f"{clean.plain(what)} Nobody can be asked here.", Exit.USAGE, next_step="give --yes if it is meant")
    click.echo(f"{clean.plain(what)} [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Fault("Nothing was changed.")


def at(*parts: str) -> str:
    """A path from its parts, each encoded."""
    return "/".join(quote(part, safe="") for part in parts)
