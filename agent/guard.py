"""What this cluster lets the appliance do. The agent's own reading of a request, never the appliance's.

Pure. What always holds: no request goes up without a user; nobody is impersonated whose name or group the API server
could read as one of its own (`system:`), unless the cluster's owner named it; nothing passes whose bytes two parsers
could read in two ways. The owner may bound it further. A refusal is an exception with a sentence for the user.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from agent.config import Bounds
from wire import kube
from wire.frames import ResetCode
from wire.heads import Identity, RequestHead

MAX_IDENTITY_BYTES: Final = 48 * 1024
"""All impersonation headers of one request: Go's server takes a head of 1 MiB, and intermediaries far less."""

_METHOD: Final = re.compile(rb"[A-Z]{1,32}")
_SYSTEM: Final = b"system:"
_BEYOND_POD_READING: Final = kube.UPGRADE_KINDS | {"proxy", "ephemeralcontainers"}


class RefusedError(Exception):
    """The request does not go to the API server. `code` is for the RESET, the sentence for the user."""

    def __init__(self, code: ResetCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class Guard:
    """Checks every request of one cluster against its owner's bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._bounded = bool(bounds.namespaces or bounds.read_only or bounds.no_exec)
        self._users, self._groups = _Names(bounds.users), _Names(bounds.groups)

    def described(self) -> str:
        """Return the bounds in words, for whoever wonders why something is refused; empty: there are none."""
        bounds = self._bounds
        said = {
            "users": sorted(bounds.users),
            "groups": sorted(bounds.groups),
            "namespaces": sorted(bounds.namespaces),
            "system names": sorted(it.decode() for it in bounds.system_users | bounds.system_groups),
        }
        words = [f"{what}: {' '.join(names)}" for what, names in said.items() if names]
        words += ["only reading"] * bounds.read_only + ["no exec"] * bounds.no_exec
        return "; ".join(words)

    def check_identity(self, identity: Identity) -> None:
        """Refuse an identity that must not be impersonated here.

        Raises:
            RefusedError: with what is wrong.

        """
        if not identity.user:
            raise _refused("a request names no user")
        _check_text("user name", identity.user)
        if identity.uid:
            _check_text("uid", identity.uid)
        if identity.user.lower().startswith(_SYSTEM) and identity.user not in self._bounds.system_users:
            raise _refused(f"the user {_shown(identity.user)} is Kubernetes' own and the guard has no exception for it")
        if not self._users.allow(identity.user) and identity.user not in self._bounds.system_users:
            raise _refused(f"the user {_shown(identity.user)} is not among those this cluster lets in")
        for group in identity.groups:
            _check_text("group", group)
            if not self._groups.allow(group) and group not in self._bounds.system_groups:
                raise _refused(f"the group {_shown(group)} is not among those this cluster lets in")
            if group.lower().startswith(_SYSTEM) and group not in self._bounds.system_groups:
                raise _refused(f"the group {_shown(group)} is Kubernetes' own and the guard has no exception for it")
        for key, value in identity.extra:
            _check_text("extra key", key)
            _check_text("extra value", value)
        if _size(identity) > MAX_IDENTITY_BYTES:
            raise _refused("the identity is larger than the API server would take")

    def check_target(self, request: RequestHead, *, upgrade: bool) -> None:
        """Refuse a method or target that has no single reading, or that the owner does not allow.

        Raises:
            RefusedError: with what is wrong.

        """
        if not _METHOD.fullmatch(request.method) or request.method in {b"CONNECT", b"TRACE"}:
            raise RefusedError(ResetCode.BAD_REQUEST, "The agent refuses this method.")
        try:
            ask = kube.understand(request.method, request.target)
        except kube.BadTarget as error:
            raise RefusedError(ResetCode.BAD_REQUEST, error.sentence) from None
        if self._bounded:
            self._check_bounds(ask, upgrade=upgrade)

    def _check_bounds(self, ask: kube.Ask, *, upgrade: bool) -> None:
        if kube.is_discovery(ask) or kube.is_self_review(ask):
            return
        bounds = self._bounds
        if bounds.no_exec and (upgrade or ask.verb == "proxy" or ask.subresource in _BEYOND_POD_READING):
            raise _refused("exec, attach, port-forward and proxy are not allowed in this cluster")
        if bounds.read_only and (upgrade or not ask.read_only):
            raise _refused("only reading is allowed in this cluster")
        if bounds.namespaces and (not ask.is_resource or ask.namespace not in bounds.namespaces):
            allowed = ", ".join(sorted(bounds.namespaces))
            raise _refused(f"only these namespaces are open in this cluster: {allowed}")
        if bounds.namespaces and ask.resource == "namespaces" and not ask.group and not ask.read_only:
            # Its labels choose the pod security level, and deleting it takes what others keep in it.
            raise _refused("a namespace itself may only be read in this cluster")


class _Names:
    """Names that are let in, exact ones and beginnings. None at all: everybody."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._exact = frozenset(name.encode() for name in names if not name.endswith("*"))
        self._beginnings = tuple(name[:-1].encode() for name in names if name.endswith("*"))
        self._all = not names

    def allow(self, name: bytes) -> bool:
        return self._all or name in self._exact or name.startswith(self._beginnings)


def _check_text(what: str, value: bytes) -> None:
    if not value:
        raise _refused(f"an empty {what} was sent")
    if value != value.strip(b" \t"):
        # The API server trims header values: " system:masters" would pass a prefix check and arrive without the space.
        raise _refused(f"a {what} begins or ends with white space")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(f"a {what} is not UTF-8") from None
    if not text.isascii():
        if any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for letter in text):
            raise _refused(f"a {what} holds a control character")
    elif not text.isprintable():
        raise _refused(f"a {what} holds a control character")


def _size(identity: Identity) -> int:
    """Return about how many bytes the identity's headers take, names included."""
    size = len(identity.user) + len(identity.uid) + sum(len(group) + 24 for group in identity.groups)
    return size + sum(len(key) * 3 + len(value) + 24 for key, value in identity.extra)


def _refused(sentence: str) -> RefusedError:
    return RefusedError(ResetCode.REFUSED, sentence)


def _shown(name: bytes) -> str:
    return name[:128].decode("utf-8", "replace")
