"""Label and field selectors: what a list, watch or deletecollection is limited to.

A selector is parsed once into a predicate over objects. Field selectors look at any path of the object, where the
real server knows a few per kind; absent fields count as empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ops.demo.toy.statuses import Object, bad_request

Predicate = Callable[[Object], bool]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?P<key>(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME})"
_SET = re.compile(rf"\s*{_KEY}\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)\s*")
_EQUAL = re.compile(rf"\s*{_KEY}\s*(?P<op>==|=|!=)\s*(?P<value>(?:{_NAME})?)\s*")
_PRESENT = re.compile(rf"\s*(?P<absent>!?)\s*{_KEY}\s*")


def everything(_obj: Object) -> bool:
    return True


def parse_labels(text: str) -> Predicate:
    """`a=b,c!=d,e in (f,g),h notin (i),j,!k`; raises a 400 for anything else."""
    tests: list[Predicate] = []
    at = 0
    while at < len(text):
        for pattern, build in ((_SET, _set_test), (_EQUAL, _equal_test), (_PRESENT, _present_test)):
            match = pattern.match(text, at)
            if match is not None and (match.end() == len(text) or text[match.end()] == ","):
                tests.append(build(match))
                at = match.end() + 1
                break
        else:
            raise bad_request(f"unable to parse requirement: {text[at:]!r} is not a label requirement")
    return _all(tests)


def parse_fields(text: str) -> Predicate:
    """`metadata.name=x,status.phase!=Running`; raises a 400 for anything else."""
    tests: list[Predicate] = []
    for term in filter(None, text.split(",")):
        path, found, value = term.partition("!=")
        wanted = not found
        if not found:
            path, found, value = term.partition("==" if "==" in term else "=")
        if not found:
            raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        tests.append(_field_test(tuple(path.strip().split(".")), value.strip(), wanted=wanted))
    return _all(tests)


def exact_name(text: str) -> str:
    """The name that a field selector demands; empty if it demands none, or cannot be read.

    Of several the first in the alphabet of their terms. A backslash takes the next character for itself.
    """
    terms: list[str] = [""]
    rest = iter(text)
    for letter in rest:
        if letter == "\\":
            terms[-1] += letter + next(rest, "")
        elif letter == ",":
            terms.append("")
        else:
            terms[-1] += letter
    found: list[str] = []
    for term in sorted(filter(None, terms)):
        key, operator, value = term.partition("=")
        if not operator or not _readable(value.removeprefix("=")):
            return ""
        if key == "metadata.name":
            found.append(_literal(value.removeprefix("=")))
    return found[0] if found else ""


def _readable(value: str) -> bool:
    return re.fullmatch(r"(?:\\[\\,=]|[^\\,=])*", value) is not None


def _literal(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value)


def matches_selector(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a `LabelSelector` object (matchLabels, matchExpressions) picks these labels."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        value, values = labels.get(expression["key"]), expression.get("values") or []
        answer = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not answer.get(expression["operator"], False):
            return False
    return True


def selector_text(selector: Object) -> str:
    """A `LabelSelector` as kubectl prints it."""
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or []:
        values = ",".join(expression.get("values") or [])
        words = {"In": f"in ({values})", "NotIn": f"notin ({values})"}
        key, operator = expression["key"], expression["operator"]
        terms.append("!" + key if operator == "DoesNotExist" else f"{key} {words.get(operator, '')}".strip())
    return ",".join(terms) or "<none>"


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _all(tests: list[Predicate]) -> Predicate:
    if not tests:
        return everything
    return lambda obj: all(test(obj) for test in tests)


def _set_test(match: re.Match[str]) -> Predicate:
    key, wanted = match["key"], match["op"] == "in"
    values = {value.strip() for value in match["values"].split(",")}
    return lambda obj: (_labels(obj).get(key) in values) is wanted


def _equal_test(match: re.Match[str]) -> Predicate:
    key, value, wanted = match["key"], match["value"], match["op"] != "!="
    return lambda obj: (_labels(obj).get(key) == value) is wanted


def _present_test(match: re.Match[str]) -> Predicate:
    key, wanted = match["key"], not match["absent"]
    return lambda obj: (key in _labels(obj)) is wanted


def _field_test(path: tuple[str, ...], value: str, *, wanted: bool) -> Predicate:
    def test(obj: Object) -> bool:
        here: object = obj
        for step in path:
            here = here.get(step) if isinstance(here, dict) else None
        text = "" if here is None else str(here).lower() if isinstance(here, bool) else str(here)
        return (text == value) is wanted

    return test
