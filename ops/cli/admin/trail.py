"""`fairlead audit list`, `tail`, `show`: the audit trail through the admin API, by whoever may read it.

The trail's own commands, which look at the ledger on the appliance's host, are in `ops.cli.audit`.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from ops.cli.admin.desk import Desk, at
from ops.cli.admin.naming import CLUSTER, MACHINE, PERSON
from ops.cli.admin.options import Moment, desk_command
from ops.cli.lazy import Command
from ops.cli.output import clean, documents, times
from ops.cli.output.kinds import Form, Kind
from ops.cli.output.tables import Column, Item

SHOWN: Final = 100  # records, without --limit
TAILED: Final = 10
POLL_SECONDS: Final = 1.0
OVERLAP_SECONDS: Final = 10.0  # records of several appliances may come late by so much
EVENT_COLUMNS: Final = 22  # the usual event's name; a longer one moves the rest of its line
MAX_SEEN: Final = 20_000  # record ids remembered while following; some 2 MB


def what(record: Item) -> str:
    """What was done, to what, in a few words."""
    thing = str(record.get("path") or record.get("resource") or "")
    if record.get("subresource"):
        thing += f"/{record['subresource']}"
    if record.get("name"):
        thing += f" {record['name']}"
    if record.get("namespace"):
        thing += f" -n {record['namespace']}"
    if record.get("command"):
        thing += f" -- {' '.join(map(str, record['command']))}"
    details = " ".join(f"{name}={value}" for name, value in record.get("details", {}).items())
    counted = f"×{record['counted']}" if record.get("counted") else ""
    return " ".join(it for it in (record.get("verb"), thing, details, counted) if it)


RECORDS = Kind(
    "audit record",
    "audit records",
    (
        Column("TIME", lambda it: str(it.get("time", ""))[:19] + "Z"),
        Column("EVENT", lambda it: it.get("event") or "damaged"),
        Column("WHO", "actor", yields=True),
        Column("CLUSTER", "cluster"),
        Column("WHAT", what, yields=True),
        Column("STATUS", "status"),
        Column("CODE", lambda it: it.get("code") or it.get("rule"), wide=True),
        Column("ADDRESS", "client_address", wide=True),
        Column("CORRELATION ID", "correlation_id", wide=True),
        Column("ID", "id", wide=True),
    ),
    named="id",
)

_FILTERS: Final = (
    click.option("--code", "--event", "type", metavar="CODE|NAME", help="The event, as CPR001I or proxy.request."),
    click.option("--category", help="The event's: access_requests, auth, clusters, credentials, proxy, roles, system."),
    click.option("--severity", type=click.Choice(("info", "warning")), help="The event's."),
    click.option("--user", help="Who did it, by name or id."),
    click.option("-c", "--cluster", help="On which cluster, by its name then, or its id."),
    click.option("-n", "--namespace", help="In which namespace."),
    click.option("--verb", help="Such as get, create, delete."),
    click.option("--api-group", help="Such as apps."),
    click.option("--resource", help="Such as pods."),
    click.option("--name", help="The name of what was touched."),
    click.option("--subresource", help="Such as exec."),
    click.option("--status", help="The HTTP status of the answer."),
    click.option("--error-code", "code", help="The error's code, such as NO_ROLE_ASSIGNMENT."),
    click.option("--rule", help="The rule that decided."),
    click.option("--object", help="The id of whatever it is about."),
    click.option("--credential", "credential_id", help="The credential's id."),
    click.option("--correlation-id", help="As an error names it."),
    click.option("--client-address", help="Where from."),
    click.option("--kubectl-session", help="As kubectl names its own run."),
    click.option("--tunnel-session", help="The agent's session that carried it."),
)
_since = click.option(
    "--since", "--from", type=Moment(ahead=False), help="From then on: a time, or how long ago, as 2h."
)
_until = click.option("--until", "--to", type=Moment(ahead=False), help="Until then, included.")


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.command("list", cls=Command)
@filters
@_since
@_until
@click.option("--limit", type=click.IntRange(1), default=SHOWN, show_default=True, help="The most records.")
@desk_command
def listed(desk: Desk, since: str | None, until: str | None, limit: int, **given: str | None) -> None:
    r"""List audit records, the newest first; all filters must fit. That it was read is recorded.

    \b
    Example: fairlead audit list --since 24h --severity warning
             fairlead audit list --user ann@example.com --cluster prod --resource secrets -o json
    """
    found = _records(desk, _query(given), since=since, until=until, at_once=limit)
    desk.show(RECORDS, list(itertools.islice(found, limit)))


@click.command(cls=Command)
@click.argument("record")
@desk_command
def show(desk: Desk, record: str) -> None:
    """Show one audit record whole.

    Example: fairlead audit show 3-1047
    """
    found = desk.api.get(at("audit", record))
    desk.document(found, [f"{name}: {_flat(value)}" for name, value in found.items()])


@click.command(cls=Command)
@filters
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until you stop it.")
@click.option("--lines", type=click.IntRange(0, 500), default=TAILED, show_default=True, help="The last so many first.")
@desk_command
def tail(desk: Desk, follow: bool, lines: int, **given: str | None) -> None:
    r"""Show the last audit records, the newest last; with -f, go on. -o json gives one record a line.

    \b
    Example: fairlead audit tail -f --cluster prod
             fairlead audit tail -f --severity warning -o json
    """
    query = _query(given)
    since = times.written(desk.sheet.now - OVERLAP_SECONDS)
    last = list(itertools.islice(_records(desk, query, at_once=max(lines, 1)), lines))[::-1]
    _go_on(desk, last)
    if not follow:
        return
    before = _records(desk, query, since=since, follow="true")
    seen = dict.fromkeys(str(it["id"]) for it in (*before, *last))
    while True:
        desk.pause(POLL_SECONDS)
        found = [it for it in _later(desk, query, since) if str(it["id"]) not in seen][::-1]
        _go_on(desk, found)
        for it in found:
            seen[str(it["id"])] = None
            since = _earlier(str(it.get("time", since)), since)
        while len(seen) > MAX_SEEN:
            del seen[next(iter(seen))]


def export_online(desk: Desk, since: str | None, until: str | None) -> None:
    """Every record that the caller may see, one a line, oldest first.

    The API tells the newest first, so they are turned round in a file that nobody else sees.
    """
    with tempfile.TemporaryFile() as kept:
        places: list[tuple[int, int]] = []
        for page in desk.pages("audit", since=since, until=until):
            text = "".join(documents.as_json_line(it) for it in reversed(page)).encode()
            places.append((kept.tell(), len(text)))
            kept.write(text)
        for place, size in reversed(places):
            kept.seek(place)
            desk.said(kept.read(size).decode())


def _records(desk: Desk, query: dict[str, str], *, at_once: int = 500, **more: str | None) -> Iterator[Item]:
    """One after the other, the newest first."""
    for page in desk.pages("audit", limit=min(at_once, 500), **query, **more):
        yield from page


def _later(desk: Desk, query: dict[str, str], since: str) -> list[Item]:
    """What there is from then on, the newest first."""
    return desk.until_reachable(lambda: list(_records(desk, query, since=since, follow="true")))


def _query(given: dict[str, str | None]) -> dict[str, str]:
    """The API's filters; a user and a cluster are known by name or id."""
    query = {name: value for name, value in given.items() if value is not None}
    user, cluster = query.pop("user", None), query.pop("cluster", None)
    if user is not None:
        query["actor_id" if PERSON.is_id(user) or MACHINE.is_id(user) else "actor"] = user
    if cluster is not None:
        query["cluster_id" if CLUSTER.is_id(cluster) else "cluster"] = cluster
    return query


def _go_on(desk: Desk, records: list[Item]) -> None:
    """What a stream shows next: a line each, as a log has it."""
    match desk.form:
        case Form.JSON:
            desk.said("".join(documents.as_json_line(it) for it in records))
        case Form.YAML:
            desk.said("".join(f"---\n{documents.as_yaml(it)}" for it in records))
        case Form.NAME:
            desk.said(RECORDS.names(records))
        case form:
            columns = [it for it in RECORDS.columns if form is Form.WIDE or not it.wide]
            for record in records:
                cells = [it.cell(record, desk.sheet.now) for it in columns]
                desk.said(f"{'  '.join([cells[0], f'{cells[1]:<{EVENT_COLUMNS}}', *cells[2:]])}\n")


def _earlier(record_time: str, since: str) -> str:
    """From when on to ask next: a little before the latest record."""
    at_most = times.read(record_time)
    return max(since, times.written(at_most - OVERLAP_SECONDS)) if at_most is not None else since


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{clean.plain(name)}={clean.plain(it)}" for name, it in value.items())
    return ", ".join(map(clean.plain, value)) if isinstance(value, list) else clean.plain(value)
