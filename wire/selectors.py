"""The one thing an authorizer reads in a Kubernetes field selector: the name that `metadata.name=` requires.

Pure, and read as k8s.io/apimachinery reads selectors (pkg/fields): terms between commas, `=`, `==` or `!=`, a backslash
before what is meant literally. It does not evaluate selectors; the API server does that.
"""

from __future__ import annotations

import re

_TERM = re.compile(r"((?:[^\\,]|\\.?)*+)(?:,|$)")
_OPERATOR = re.compile(r"!=|==|=")
_VALUE = re.compile(r"(?:[^\\,=]|\\[\\,=])*+")
_ESCAPED = re.compile(r"\\(.)")


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
