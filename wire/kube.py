"""What a request asks of Kubernetes: verb, group, resource, namespace, name, sub-resource; and how errors are told.

Pure. `understand` reads method and target as the API server's RequestInfo does (k8s.io/apiserver,
pkg/endpoints/request), because a decision about any other reading is a decision about a different request. Where two
API servers or two versions of one could read a target differently, it is refused (BadTarget): encoded slashes,
backslashes, NUL and control characters, empty and dot segments, `;` and a percent sign that was itself encoded (which
some proxies cut at or decode again), query pairs that Go's parser drops. The target itself is never rewritten: the
bytes decided on are the bytes forwarded.

It differs from RequestInfo in one place, towards strictness: exec, attach and port-forward of pods are `create`
whatever the method (API servers before 1.35 take a WebSocket GET for `get`). It knows no people and no rules.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from wire.selectors import selected_name, surely_selects_labels

MAX_PARAMETERS: Final = 4096
"""Query parameters of one request: an exec sends one for each word of its command. Go's own limit is 10,000."""

MAX_REMEMBERED: Final = 2048
"""Readings kept: a client that polls asks the same again. With MAX_REMEMBERED_TARGET, 3 MiB at the very worst."""

MAX_REMEMBERED_TARGET: Final = 512
"""Bytes of a target whose reading is kept; selectors make longer ones, and those are rare."""

MAX_LOGGED_TARGET: Final = 2048
"""Characters of a target in a log line or record; real ones are below 500."""

_VERBS = {
    b"GET": "get",
    b"HEAD": "get",
    b"POST": "create",
    b"PUT": "update",
    b"PATCH": "patch",
    b"DELETE": "delete",
}
_PREFIXES = {"api": False, "apis": True}
"""API prefixes, and whether a group follows."""

_PATH_VERBS = frozenset({"watch", "proxy"})
"""Legacy forms `/api/v1/watch/...` and `/api/v1/proxy/...`, where the path names the verb, whatever the method."""

_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})

UPGRADE_KINDS = frozenset({"exec", "attach", "portforward"})

_NEVER_READ_ONLY = UPGRADE_KINDS | {"proxy", "ephemeralcontainers"}
"""A GET of these reaches a process or a socket; what it does there is not for the method to say."""

_READING_METHODS = frozenset({b"GET", b"HEAD"})
_READING_VERBS = frozenset({"get", "list", "watch"})

_PLAIN_PATH = re.compile(rb"/[\x21\x22\x24\x26-\x5b\x5d-\x7e]*")
_ENCODED_PATH = re.compile(rb"/[\x21\x22\x24-\x5b\x5d-\x7e]*")
_QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_DECODED_AGAIN = re.compile(r"%(?:2[5ef]|5c)|/\.\.?;", re.IGNORECASE)
_INTEGER = re.compile(rb"[+-]?[0-9]{1,18}")
_INTEGER_OPTIONS = (b"limit", b"timeoutSeconds")

_DISCOVERY = frozenset({"/api", "/apis", "/openapi", "/version", "/version/", "/healthz", "/livez", "/readyz"})
_DISCOVERY_BELOW = ("/api/", "/apis/", "/openapi/")

_SELF_REVIEWS = frozenset(
    {
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authentication.k8s.io", "selfsubjectreviews"),
    }
)

_PARAMETERS = frozenset(
    b"allowWatchBookmarks command container continue dryRun fieldManager fieldSelector fieldValidation follow force "
    b"gracePeriodSeconds insecureSkipTLSVerifyBackend labelSelector limit limitBytes orphanDependents path ports "
    b"pretty previous propagationPolicy resourceVersion resourceVersionMatch sendInitialEvents sinceSeconds sinceTime "
    b"stderr stdin stdout stream tailLines timeout timeoutSeconds timestamps tty watch".split()
)
"""Query parameters whose names may be logged. Any other name may itself be what a caller wants to keep secret."""

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Gone",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class BadTarget(ValueError):
    """The target has no single reading. `sentence` may be shown to the client."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as the API server's authorizer sees it. `path` is decoded, as rules for non-resource URLs see it."""

    method: str
    verb: str
    """A Kubernetes verb; for non-resource paths the lower-case method; empty for a method no resource knows."""
    path: str
    is_resource: bool = False
    api_prefix: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    read_only: bool = False
    """A GET or HEAD that can only read. An upgraded connection never only reads: that the caller must add."""
    upgrade_kind: str | None = None
    """`exec`, `attach` or `portforward` of a pod."""
    argv: tuple[str, ...] = ()
    """The command of an exec, for the audit record."""


def understand(method: bytes, target: bytes) -> Ask:
    """Read what `method` on `target` (path and query, as forwarded) asks. Raises BadTarget, and nothing else."""
    if len(target) > MAX_REMEMBERED_TARGET or target.find(b"/exec") >= 0:  # `in` first takes it for a number
        return _read(method, target)  # the words of a command stay nowhere longer than they must
    return _remembered(method, target)


def _read(method: bytes, target: bytes) -> Ask:
    raw_path, _, query = target.partition(b"?")
    path = _checked_path(raw_path)
    if query and (not _QUERY.fullmatch(query) or b"%00" in query):
        raise BadTarget("The query holds a character that must be percent-encoded, or an encoded NUL.")
    method_text = method.decode("ascii", "backslashreplace")
    parts = path.strip("/").split("/")
    takes_group = _PREFIXES.get(parts[0])
    if takes_group is None or len(parts) < (4 if takes_group else 3):
        _check_read_part(parts)
        return Ask(method_text, method_text.lower(), path, read_only=method in _READING_METHODS)
    group = parts[1] if takes_group else ""
    version = parts[2 if takes_group else 1]
    rest = parts[3 if takes_group else 2 :]
    by_path = rest[0] in _PATH_VERBS
    if by_path:
        verb, rest = rest[0], rest[1:]
        if not rest:
            raise BadTarget(f"The path names no resource after /{verb}.")
    else:
        verb = _VERBS.get(method, "")
    namespace, resource, name, subresource, beyond = _resource(rest, verb)
    if "%" in path or ";" in path:
        tail = beyond if verb == "proxy" or subresource == "proxy" else 0
        _check_read_part(parts[: len(parts) - tail])
        if tail and _DECODED_AGAIN.search(path):
            raise BadTarget("The path holds an encoded slash, dot or percent sign that was encoded once more.")
    argv: tuple[str, ...] = ()
    upgrade_kind = None
    if subresource in UPGRADE_KINDS and resource == "pods" and not group:
        verb, upgrade_kind = "create", subresource
        if subresource == "exec" and query:
            argv = tuple(value.decode("utf-8", "backslashreplace") for value in _values(query, b"command"))
    elif not name:
        if verb == "get":
            verb, name = _collection(query)
        elif verb == "delete":
            verb = "deletecollection"
    return Ask(
        method_text,
        verb,
        path,
        True,
        parts[0],
        group,
        version,
        namespace,
        resource,
        subresource,
        name,
        verb in _READING_VERBS and method in _READING_METHODS and subresource not in _NEVER_READ_ONLY,
        upgrade_kind,
        argv,
    )


_remembered = lru_cache(MAX_REMEMBERED)(_read)


def is_discovery(ask: Ask) -> bool:
    """Tell whether it reads what the API server offers and how it is, which says nothing of what it holds."""
    if ask.is_resource or ask.method not in {"GET", "HEAD"}:
        return False
    return ask.path in _DISCOVERY or ask.path.startswith(_DISCOVERY_BELOW)


def is_self_review(ask: Ask) -> bool:
    """Tell whether callers ask the API server about themselves (`kubectl auth can-i`, `whoami`)."""
    return (
        ask.verb == "create"
        and ask.method == "POST"
        and (ask.group, ask.resource) in _SELF_REVIEWS
        and not (ask.namespace or ask.name or ask.subresource)
    )


def log_target(target: bytes) -> str:
    """Return the target for a log or record: path and known parameter names, no values. Never raises."""
    path, mark, query = target.partition(b"?")
    shown = path
    if mark:
        names = [pair.partition(b"=")[0] for pair in query[:MAX_LOGGED_TARGET].split(b"&")]
        shown += b"?" + b"&".join([(name if name in _PARAMETERS else b"") + b"=..." for name in names])
    return re.sub(rb"[^\x21-\x7e]", b"?", shown[:MAX_LOGGED_TARGET]).decode("ascii")


def shows_text(target: bytes) -> bool:
    """Tell whether kubectl shows a text/plain error here and loses a Status: on every path that is no resource's.

    It works on any bytes, because an error may be that the target could not be understood.
    """
    parts = target.partition(b"?")[0].strip(b"/").split(b"/")
    return not ((parts[0] == b"api" and len(parts) >= 3) or (parts[0] == b"apis" and len(parts) >= 4))


def status_body(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> bytes:
    """Return a Kubernetes `Status` of failure. `details` may hold `retryAfterSeconds`, `causes`, `name`, `kind`."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        status["reason"] = reason
    if details:
        status["details"] = details
    status["code"] = code
    return json.dumps(status, separators=(",", ":")).encode("ascii") + b"\n"


def status_reason(code: int) -> str:
    """Return the reason the API server gives with this code; empty where it has none (502)."""
    return _REASONS.get(code, "")


def _checked_path(raw: bytes) -> str:
    """Return the decoded path, once sure that decoding it again or not at all would name the same segments."""
    if b"%" not in raw:
        if not _PLAIN_PATH.fullmatch(raw):
            raise BadTarget(_blame(raw))
        path = raw.decode("ascii")
    else:
        if not _ENCODED_PATH.fullmatch(raw):
            raise BadTarget(_blame(raw))
        if _BROKEN_ESCAPE.search(raw):
            raise BadTarget("The path holds a `%` that two hexadecimal digits do not follow.")
        decoded = unquote_to_bytes(raw)
        if decoded.count(b"/") != raw.count(b"/") or b"\\" in decoded or _CONTROL.search(decoded):
            raise BadTarget("The path holds an encoded slash, backslash or control character.")
        try:
            path = decoded.decode("utf-8")
        except UnicodeDecodeError:
            raise BadTarget("The path, decoded, is not UTF-8.") from None
    if "//" in path:
        raise BadTarget("The path holds an empty segment.")
    if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
        raise BadTarget("The path holds a segment `.` or `..`.")
    return path


def _blame(raw: bytes) -> str:
    if not raw.startswith(b"/"):
        return "The path does not begin with a slash."
    if b"\\" in raw:
        return "The path holds a backslash."
    return "The path holds a character that must be percent-encoded."


def _check_read_part(parts: list[str]) -> None:
    """Refuse what could be decoded again, or cut off as a parameter, where verb, resource and name are read.

    What follows a `proxy` sub-resource is another server's path and may hold either, unless that could lead out of it.
    """
    for part in parts:
        if "%" in part or ";" in part:
            raise BadTarget("The path holds an encoded percent sign or a `;`, which no Kubernetes name holds.")


def _resource(rest: list[str], verb: str) -> tuple[str, str, str, str, int]:
    """Return (namespace, resource, name, sub-resource, number of segments beyond) of what follows the version."""
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        # /namespaces/x/status is of the Namespace itself; any other third segment is a resource in it.
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    # After the legacy verb `proxy`, a third segment is already the path at the far end.
    known = 2 if verb == "proxy" else 3
    subresource = rest[2] if known == 3 and len(rest) > 2 else ""
    return namespace, rest[0], name, subresource, max(0, len(rest) - known)


def _collection(query: bytes) -> tuple[str, str]:
    """Return the verb of a GET without a name (list or watch), and the one name its field selector picks, if any."""
    if not query:
        return "list", ""
    watch = _values(query, b"watch")
    if watch and not watch[0].isascii():
        # Go compared with "false" by lower case once and by Unicode folding now, which takes a long s for an s.
        raise BadTarget("The parameter `watch` holds a character that is not ASCII.")
    verb = "watch" if watch and watch[0].lower() not in {b"false", b"0"} else "list"
    selectors = _values(query, b"fieldSelector")
    name = _selected(selectors[0]) if selectors else ""
    return verb, name if name and _options_parse(query) else ""


def _options_parse(query: bytes) -> bool:
    """Tell whether the other options surely parse: if one does not, the API server's authorizer sees no name either."""
    for option in _INTEGER_OPTIONS:
        given = _values(query, option)
        if given and not _INTEGER.fullmatch(given[0]):
            return False
    labels = _values(query, b"labelSelector")
    return not labels or surely_selects_labels(labels[0])


def _values(query: bytes, wanted: bytes) -> list[bytes]:
    """Return the decoded values of one parameter in order."""
    if b";" in query or (b"%" in query and _BROKEN_ESCAPE.search(query)):
        # Go drops such a pair today and split at `;` until 1.17: what is left depends on who reads it.
        raise BadTarget("The query holds a `;` or `%` that must be percent-encoded.")
    if b"%" not in query and wanted not in query:
        return []
    pairs = query.split(b"&")
    if len(pairs) > MAX_PARAMETERS:
        raise BadTarget(f"The query holds more than {MAX_PARAMETERS} parameters.")
    found = []
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        if key == wanted or (b"%" in key and _unescaped(key) == wanted):
            found.append(_unescaped(value))
    return found


def _unescaped(text: bytes) -> bytes:
    if b"%" not in text and b"+" not in text:
        return text
    return unquote_to_bytes(text.replace(b"+", b" "))


def _selected(selector: bytes) -> str:
    try:
        text = selector.decode("utf-8")
    except UnicodeDecodeError:
        raise BadTarget("The field selector, decoded, is not UTF-8.") from None
    if _CONTROL.search(selector):
        raise BadTarget("The field selector holds a control character.")
    return selected_name(text)
