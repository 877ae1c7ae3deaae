"""What people write for the API: a rule on one line, a document in a file, someone or somewhere by name.

Nothing is decided here: what makes no sense to the appliance is refused there, with the field's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from ops.cli.admin import naming
from ops.cli.admin.desk import Desk
from ops.cli.admin.naming import CLUSTER, MACHINE, PERSON
from ops.cli.faults import Exit, Fault
from ops.cli.output import clean

MAX_FILE_BYTES: Final = 1024 * 1024  # the API takes no larger body

_KINDS: Final = {"user": "person", "person": "person", "group": "group", "machine": "machine", "email": "email"}


def read_rule(text: str) -> dict[str, Any]:
    """'get,list pods,deployments.apps [web,db]', or 'get /healthz,/version': a PolicyRule."""
    parts = text.split()
    if len(parts) not in {2, 3}:
        raise click.UsageError(f"A rule is 'VERBS RESOURCES [NAMES]', such as 'get,list pods'; {text!r} is none.")
    verbs, what = parts[0].split(","), parts[1].split(",")
    if what[0].startswith("/"):
        if len(parts) == 3:
            raise click.UsageError(f"A path has no names: {text!r}.")
        return {"verbs": verbs, "nonResourceURLs": what}
    resources, groups = zip(*(_resource(it) for it in what), strict=True)
    rule = {"verbs": verbs, "apiGroups": sorted(set(groups)), "resources": list(dict.fromkeys(resources))}
    if len(set(groups)) > 1:
        raise click.UsageError(
            f"One rule for each API group: {text!r} names {', '.join(map(repr, sorted(set(groups))))}."
        )
    return rule | ({"resourceNames": parts[2].split(",")} if len(parts) == 3 else {})


def rule_words(rule: Mapping[str, Any]) -> str:
    """The other way."""
    groups = [it for it in rule.get("apiGroups", []) if it]
    suffix = f".{groups[0]}" if len(groups) == 1 else f".{{{','.join(rule['apiGroups'])}}}" if groups else ""
    what = rule.get("nonResourceURLs") or [f"{it}{suffix}" for it in rule.get("resources", [])]
    names = [",".join(rule["resourceNames"])] if rule.get("resourceNames") else []
    return " ".join([",".join(rule["verbs"]), ",".join(what), *names])


def document(file: Path, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """A mapping from a YAML or JSON file, without what the appliance sets itself."""
    import yaml

    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise Fault(f"{clean.plain(file)} is larger than {MAX_FILE_BYTES // 1024} KiB.", Exit.USAGE)
        found = yaml.safe_load(raw.decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise Fault(f"{clean.plain(file)}{where} is not YAML or JSON.", Exit.USAGE) from None
    if not isinstance(found, dict):
        raise Fault(f"{clean.plain(file)} does not hold one object with fields.", Exit.USAGE)
    return {str(name): value for name, value in found.items() if name not in without}


def key_set(file: Path) -> Any:
    """A JSON Web Key Set."""
    try:
        return json.loads(file.read_text())
    except ValueError:
        raise Fault(f"{clean.plain(file)} is not JSON.", Exit.USAGE) from None


def scope(
    desk: Desk, *, everywhere: bool, cluster: str | None, namespaces: Sequence[str], labels: Mapping[str, str]
) -> dict[str, Any]:
    """Where: exactly one way of saying it."""
    if sum((everywhere, cluster is not None, bool(labels))) != 1 or (namespaces and cluster is None):
        raise click.UsageError(
            "Give one of --everywhere, --cluster (with --namespace if you like) and --cluster-label."
        )
    if everywhere:
        return {"kind": "everywhere"}
    if cluster is None:
        return {"kind": "labels", "labels": dict(labels)}
    found = {"kind": "cluster", "cluster_id": naming.identify(desk, CLUSTER, cluster)}
    return found | ({"kind": "namespaces", "namespaces": list(namespaces)} if namespaces else {})


def subject(desk: Desk, text: str, issuer: str | None = None) -> dict[str, str]:
    """user:NAME, machine:NAME, group:NAME or email:ADDRESS; the last two are of an issuer."""
    word, mark, name = text.partition(":")
    kind = _KINDS.get(word)
    if not mark or not name or kind is None:
        raise click.UsageError(f"Someone is user:NAME, group:NAME or machine:NAME; {text!r} is none of them.")
    match kind:
        case "person":
            return {"kind": kind, "id": naming.identify(desk, PERSON, name)}
        case "machine":
            return {"kind": kind, "id": naming.identify(desk, MACHINE, name)}
        case _:
            return {"kind": kind, "id": name, "issuer": issuer or _only_issuer(desk)}


def _only_issuer(desk: Desk) -> str:
    """The one provider's, when there is one; several are not guessed among."""
    try:
        issuers = sorted({str(it["issuer"]) for it in desk.every("providers") if it["enabled"]})
    except Fault as fault:
        if fault.exit_code is not Exit.FORBIDDEN:
            raise
        issuers = []
    if len(issuers) == 1:
        return issuers[0]
    known = f" There are {', '.join(map(clean.plain, issuers))}." if issuers else ""
    raise Fault(f"Whose group or e-mail that is has to be said.{known}", Exit.USAGE, next_step="give --issuer")


def _resource(text: str) -> tuple[str, str]:
    """`deployments.apps/scale` or `deployments/scale.apps` as resource (with its sub-resource) and API group."""
    head, slash, sub = text.partition("/")
    name, _, group = head.partition(".")
    if slash and "." in sub and not group:
        sub, _, group = sub.partition(".")
    return name + slash + sub, group
