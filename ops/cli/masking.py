"""What --debug shows of a request and its answer, with every secret masked.

What always holds: a value is shown only if its name is none that carries a secret, here or at the appliance; headers
are shown by name from a short list. What looks like one of our tokens is masked wherever it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
MAX_SHOWN_CHARS = 4000  # of one body; more hides what else is said

#: Names of fields (in JSON and in forms) whose values are never shown. `bundle` holds a bootstrap token.
_SECRET = re.compile(r"token|secret|code|verifier|password|bundle|assertion|private|key_data", re.IGNORECASE)
_SHOWN = frozenset({"code", "error_code", "token_type", "grant_type"})
#: What looks like one of our own tokens, or a JWT, wherever it stands.
_LOOKS_SECRET = re.compile(r"\bfl[a-z]_[A-Za-z0-9_-]{8,}|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADERS = ("Content-Type", "Accept", "Location", "Retry-After", "X-Correlation-Id", "X-Fairlead-Error-Code", "Date")


def masked(value: Any, name: str = "", *, ask: bool = False) -> Any:
    """The same JSON with secrets masked. `ask`: it is a request, in which `code` is one, too."""
    if value in (None, "") or isinstance(value, bool):
        return value
    if _SECRET.search(name) and (name not in _SHOWN or (ask and name == "code")):
        return MASK
    if isinstance(value, Mapping):
        return {key: masked(it, str(key), ask=ask) for key, it in value.items()}
    if isinstance(value, list):
        return [masked(it, name, ask=ask) for it in value]
    return _LOOKS_SECRET.sub(MASK, value) if isinstance(value, str) else value


def shown_url(url: str) -> str:
    """A URL without what its query says of secrets."""
    path, mark, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")] if mark else []
    return path + mark + "&".join(f"{n}{eq}{MASK if _SECRET.search(n) else value}" for n, eq, value in pairs)


def shown_headers(headers: Mapping[str, str]) -> str:
    """Those that help, in one line."""
    known = {name.lower(): value for name, value in headers.items()}
    lines = [f"{name}: {known[name.lower()]}" for name in _HEADERS if name.lower() in known]
    if "authorization" in known:
        lines.append(f"Authorization: {known['authorization'].partition(' ')[0]} {MASK}")
    return "; ".join(lines)


def shown_body(document: Any, *, ask: bool = False) -> str:
    """A body in one line, bounded."""
    text = json.dumps(masked(document, ask=ask), ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]} … ({len(text)} characters)"
