"""Who asks, and what they may do: bearer token, impersonation, and three plain rules of authorisation.

One service account exists. It may impersonate anybody, keep its identity in one Secret, and do nothing else, so that a
proxy that forgets the user's name is refused. Impersonated users: `toy:viewers` may read; members of any other group
may do everything; users without a group may do nothing.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import unquote

from ops.demo.toy.statuses import ApiError, Object, bad_request, details_of, qualified, unauthorized

AGENT_NAMESPACE = "fairlead"
AGENT = f"system:serviceaccount:{AGENT_NAMESPACE}:agent"
IDENTITY = "fairlead-agent-identity"
ADMIN_GROUPS = frozenset({"toy:admins", "system:masters"})
VIEWER_GROUP = "toy:viewers"
_AUTHENTICATED = "system:authenticated"
_PUBLIC_GROUPS = frozenset({_AUTHENTICATED, "system:unauthenticated"})
READING = frozenset({"get", "list", "watch", "head"})
_OPEN_PATHS = ("/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz", "/toy")
"""Paths any authenticated caller may use, as the default roles of a cluster allow; /toy is for tests."""

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """As whom a request acts, after impersonation."""

    user: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    impersonated: bool = False

    def user_info(self) -> Object:
        info: Object = {"username": self.user, "groups": list(self.groups)}
        if self.uid:
            info["uid"] = self.uid
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra}
        return info


@dataclass(frozen=True, slots=True)
class Action:
    """What is asked: a verb on a resource, or on a plain path."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""  # set for what is not a resource


def authenticate(headers: Headers, agent_token: str) -> Caller:
    """The caller a request acts as. Raises 401 without the service account's token, 400 for half an impersonation."""
    given = [value for name, value in headers if name.lower() == b"authorization"]
    expected = b"Bearer " + agent_token.encode()
    if len(given) != 1 or not hmac.compare_digest(given[0], expected):
        raise unauthorized()
    user, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.lower().decode("latin-1"), raw_value.decode("utf-8", "replace")
        if name == "impersonate-user":
            user = user or value
        elif name == "impersonate-uid":
            uid = uid or value
        elif name == "impersonate-group":
            groups.append(value)
        elif name.startswith("impersonate-extra-"):
            extra.setdefault(unquote(name.removeprefix("impersonate-extra-")).lower(), []).append(value)
    if not user:
        if groups or uid or extra:
            given_without = "groups" if groups else "uid" if uid else "extra"
            raise bad_request(f"requested impersonation of {given_without} without impersonating a user")
        own = ("system:serviceaccounts", f"system:serviceaccounts:{AGENT_NAMESPACE}", _AUTHENTICATED)
        return Caller(AGENT, own)
    if not groups and user.startswith("system:serviceaccount:"):
        groups = ["system:serviceaccounts", "system:serviceaccounts:" + user.split(":")[2]]
    if _AUTHENTICATED not in groups and user != "system:anonymous":
        groups.append(_AUTHENTICATED)
    frozen = tuple(sorted((key, tuple(values)) for key, values in extra.items()))
    return Caller(user, tuple(groups), uid, frozen, impersonated=True)


def may(caller: Caller, action: Action) -> bool:
    if action.path and any(action.path == path or action.path.startswith(path + "/") for path in _OPEN_PATHS):
        return True
    if action.group in {"authorization.k8s.io", "authentication.k8s.io"} and action.resource.startswith("selfsubject"):
        return True
    if not caller.impersonated:
        return (action.resource, action.name) == ("secrets", IDENTITY) and action.verb in {"get", "update"}
    own = set(caller.groups) - _PUBLIC_GROUPS
    if own & ADMIN_GROUPS:
        return True
    if VIEWER_GROUP in own:
        return action.verb in READING and action.subresource not in {"exec", "attach", "portforward"}
    return bool(own)


def demand(caller: Caller, action: Action) -> None:
    """Raise the API server's 403 unless the caller may."""
    if may(caller, action):
        return
    if action.path:
        why = f'User "{caller.user}" cannot {action.verb} path "{action.path}"'
        raise ApiError(403, "Forbidden", f"forbidden: {why}", {})
    resource = action.resource + (f"/{action.subresource}" if action.subresource else "")
    where = f' in the namespace "{action.namespace}"' if action.namespace else " at the cluster scope"
    what = f'"{resource}" in API group "{action.group}"'
    subject = qualified(action.group, action.resource) + (f' "{action.name}"' if action.name else "")
    message = f'{subject} is forbidden: User "{caller.user}" cannot {action.verb} resource {what}{where}'
    raise ApiError(403, "Forbidden", message, details_of(action.group, action.resource, action.name))
