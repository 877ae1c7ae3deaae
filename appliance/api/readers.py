"""How rules, scopes and subjects stand in a body: read strictly, into the core's own values."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, TypeVar

from appliance.api import bodies
from appliance.api.bodies import BodyError, Field, Reader, reads
from appliance.core.clusters import Labels
from appliance.core.destinations import BadURL, destination
from appliance.core.people import email_key, name_fault
from appliance.core.roles import Rule, Scope, ScopeKind, Subject, SubjectKind

MAX_QUERY_CHARS: Final = 2_048  # a cursor is the longest
MAX_DIGITS: Final = 9  # what Python reads in no time

K = TypeVar("K", bound=StrEnum)


def one_of(kind: type[K]) -> Reader[K]:
    @reads({"type": "string", "enum": [str(it) for it in kind]})
    def read(where: str, value: Any) -> K:
        try:
            return kind(value)
        except ValueError:
            raise BodyError(where, f"{where} must be one of {', '.join(kind)}.") from None

    return read


@reads({"type": "string", "minLength": 1, "maxLength": MAX_QUERY_CHARS})
def query_text(where: str, value: Any) -> str:
    """A value of the query that is looked for as it is."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_QUERY_CHARS or not value.isprintable():
        raise BodyError(
            where, f"{where} must be a text of 1 to {MAX_QUERY_CHARS} characters without control characters."
        )
    return value


def digits(lowest: int, highest: int) -> Reader[int]:
    """A whole number in a query."""

    @reads({"type": "integer", "minimum": lowest, "maximum": highest})
    def read(where: str, value: Any) -> int:
        if not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS and lowest <= int(value) <= highest):
            raise BodyError(where, f"{where} must be a whole number from {lowest} to {highest}.")
        return int(value)

    return read


@reads({"type": "boolean"})
def flag(where: str, value: Any) -> bool:
    """Yes or no in a query."""
    if value not in {"true", "false"}:
        raise BodyError(where, f"{where} must be true or false.")
    return bool(value == "true")


@reads({"type": "string", "minLength": 2, "maxLength": MAX_QUERY_CHARS, "pattern": "^[^=]+="})
def selector(where: str, value: Any) -> Labels:
    """Labels that must all fit, as `key=value,key=value`."""
    wanted = query_text(where, value)
    pairs = [part.partition("=") for part in wanted.split(",")]
    if len(pairs) > bodies.MAX_ITEMS or not all(key and equals for key, equals, _ in pairs):
        raise BodyError(where, f"{where} must be labels such as env=prod,region=eu.")
    return tuple((key, text) for key, _, text in pairs)


@reads(bodies.text)
def kubernetes_name(where: str, value: Any) -> str:
    """A user or group name that is not one of Kubernetes' own."""
    name = bodies.text(where, value)
    fault = name_fault(name)
    if fault is not None:
        raise BodyError(where, f"{fault}.")
    return name


@reads(bodies.text, format="uri", pattern="^https://")
def issuer(where: str, value: Any) -> str:
    """An https URL without query (OpenID Connect Core §2), to the letter as it stands in the issuer's tokens."""
    text = bodies.text(where, value)
    try:
        found = destination(text)
    except BadURL as error:
        raise BodyError(where, f"{where} {error}.") from None
    if "?" in found.target:
        raise BodyError(where, f"{where} is not an issuer: it has a query.")
    return text


@reads(bodies.text, minLength=0)
def _resource(where: str, value: Any) -> str:
    """A group of a rule; the core group is the empty text."""
    return "" if value == "" else bodies.text(where, value)


_TEXTS = bodies.listed(bodies.text)
_RULE = bodies.obj(
    (
        Field("verbs", _TEXTS),
        Field("apiGroups", bodies.listed(_resource), required=False, default=()),
        Field("resources", _TEXTS, required=False, default=()),
        Field("resourceNames", _TEXTS, required=False, default=()),
        Field("nonResourceURLs", _TEXTS, required=False, default=()),
    )
)
_SUBJECT = bodies.obj(
    (
        Field("kind", one_of(SubjectKind)),
        Field("id", bodies.text),
        Field("issuer", bodies.text, required=False, default=""),
    )
)
_SCOPE = bodies.obj(
    (
        Field("kind", one_of(ScopeKind)),
        Field("cluster_id", bodies.text, required=False, default=""),
        Field("labels", bodies.labels, required=False, default={}),
        Field("namespaces", _TEXTS, required=False, default=()),
    )
)


@reads(_RULE)
def rule(where: str, value: Any) -> Rule:
    read = _RULE(where, value)
    made = Rule(read["verbs"], read["apiGroups"], read["resources"], read["resourceNames"], read["nonResourceURLs"])
    resources, urls = bool(made.resources and made.api_groups), bool(made.non_resource_urls)
    if not made.verbs or resources == urls or (urls and (made.resources or made.api_groups or made.resource_names)):
        raise BodyError(where, f"{where} needs verbs, and either apiGroups with resources or nonResourceURLs.")
    return made


@reads(_SUBJECT)
def subject(where: str, value: Any) -> Subject:
    """Names are checked here; whether a person or a machine of that id exists, the store says."""
    read = _SUBJECT(where, value)
    if read["kind"] is SubjectKind.GROUP:
        kubernetes_name(f"{where}.id", read["id"])
    if read["kind"] is SubjectKind.EMAIL:
        key = email_key(read["id"])
        if key is None:
            raise BodyError(f"{where}.id", f"{where}.id must be an e-mail address in ASCII.")
        read["id"] = key
    try:
        return Subject(**read)
    except ValueError as error:
        raise BodyError(where, f"{error}.") from None


@reads(_SUBJECT)
def known_subject(where: str, value: Any) -> Subject:
    """Someone who can act now: an e-mail cannot."""
    found = subject(where, value)
    if found.kind is SubjectKind.EMAIL:
        raise BodyError(f"{where}.kind", f"{where}.kind must be person, group or machine here.")
    return found


@reads(_SCOPE)
def scope(where: str, value: Any) -> Scope:
    read = _SCOPE(where, value)
    try:
        return Scope(**{**read, "labels": tuple(sorted(read["labels"].items()))})
    except ValueError as error:
        raise BodyError(where, f"{error}.") from None
