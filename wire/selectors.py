"""What an authorizer reads in Kubernetes selectors: the one name that a field selector's `metadata.name=` requires.

Pure, and read as k8s.io/apimachinery reads them (pkg/fields, pkg/labels): of fields, terms between commas, `=`, `==`
or `!=`, a backslash before what is meant literally. Of labels it is only told whether they parse, because that decides
whether the rest of the query counts. It does not evaluate selectors; the API server does that.
"""

from __future__ import annotations

import re

_TERM = re.compile(r"((?:[^\\,]|\\.?)*+)(?:,|$)")
_OPERATOR = re.compile(r"!=|==|=")
_VALUE = re.compile(r"(?:[^\\,=]|\\[\\,=])*+")
_ESCAPED = re.compile(r"\\(.)")

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"(?=[^/]{1,253}/)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_KEY = rf"(?:{_DOMAIN}/)?{_LABEL}"
_SET = rf"{_KEY} +(?:in|notin) +\({_LABEL}(?:, *{_LABEL})*\)"
_REQUIREMENT = rf"(?>{_SET}|{_KEY}(?:==?|!=)(?:{_LABEL})?|!?{_KEY})"
_LABELS = re.compile(rf"(?:{_REQUIREMENT}(?:, *{_REQUIREMENT})*)?".encode())

MAX_LABELS_BYTES = 4096
"""Of a selector that is looked at: nobody writes longer ones, and the time to match one stays bounded."""


def selected_name(selector: str) -> str:
    """Return the name, or nothing where there is none or the API server would see none.

    A selector that does not parse gives no name: the API server answers it with 400.
    """
    name = None
    # Terms are looked at in sorted order: of two names the first in the alphabet counts.
    for term in sorted(match[1] for match in _TERM.finditer(selector)):
        if not term:
            continue
        operator = _OPERATOR.search(term)
        if operator is None or not _VALUE.fullmatch(term, operator.end()):
            return ""
        if name is None and operator[0] != "!=" and term[: operator.start()] == "metadata.name":
            name = _ESCAPED.sub(r"\1", term[operator.end() :])
    if name is None or name in {".", ".."} or "/" in name or "%" in name:
        return ""  # what cannot be one path segment is no name to the authorizer
    return name


def surely_selects_labels(selector: bytes) -> bool:
    """Tell whether a label selector parses for sure. False for unusual spellings that may parse all the same."""
    return len(selector) <= MAX_LABELS_BYTES and _LABELS.fullmatch(selector) is not None
