"""The table of requests and what Kubernetes understands by them (asks.txt), and what an API server says of its own.

An API server tells how it read a request in the sentence of a 403: verb, group, resource, sub-resource, namespace and
name, or verb and path. `reading` takes that sentence apart, so that the table can be held against any API server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

_TABLE = Path(__file__).with_name("asks.txt")

_SENTENCE = re.compile(
    r'(?:(?P<what>\S+?)(?: "(?P<name>[^"]*)")? is )?forbidden: User "[^"]*" cannot (?P<verb>\S*) '
    r'(?:resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)" '
    r'(?:in the namespace "(?P<namespace>[^"]*)"|at the cluster scope)|path "(?P<path>[^"]*)").*'
)


@dataclass(frozen=True)
class Reading:
    """What an authorizer is asked: a path, or the rest."""

    verb: str
    path: str = ""
    group: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""


@dataclass(frozen=True)
class Row:
    """One request of the table."""

    method: str
    target: str
    reading: Reading
    """As Fairlead decides it."""
    own: Reading
    """As the API server's authorizer is asked; differs in the verb of exec, attach and port-forward."""
    version: str
    read_only: bool
    everyone: bool
    """Whoever is known to a cluster may do it: its default roles say so."""

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


def rows() -> list[Row]:
    """The whole table."""
    return [_row(line.split()) for line in _TABLE.read_text().splitlines() if line and not line.startswith("#")]


def reading(sentence: str) -> Reading | None:
    """What the API server understood, from the sentence with which it refused; None if it is no such sentence."""
    match = _SENTENCE.fullmatch(sentence)
    if match is None:
        return None
    if match["path"] is not None:
        return Reading(match["verb"], match["path"])
    resource, _, subresource = match["resource"].partition("/")
    return Reading(
        match["verb"], "", match["group"], match["namespace"] or "", resource, subresource, match["name"] or ""
    )


def _row(words: list[str]) -> Row:
    everyone = words[-1] == "open"
    method, target, verb, *rest = words[:-1] if everyone else words
    verb, _, own_verb = verb.partition("<")
    if len(rest) == 2:
        found = Reading(verb, rest[0])
        return Row(method, target, found, found, "", rest[1] == "R", everyone)
    group, version, namespace, what, name, read_only = rest
    resource, _, subresource = what.partition("/")
    fields = (_text(group), _text(namespace), resource, subresource, unquote(_text(name)))
    return Row(
        method,
        target,
        Reading(_text(verb), "", *fields),
        Reading(_text(own_verb or verb), "", *fields),
        version,
        read_only == "R",
        everyone,
    )


def _text(word: str) -> str:
    return "" if word == "-" else word
