"""The keys of issuers that trust rules name: published ones (OpenID Connect Discovery §4), or given with the rule.

What always holds: an issuer is dialled through the guard, and only one that a rule names; its document must say that it
is of that issuer; keys of a rule serve that rule's issuer alone.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from appliance.core.machines import MAX_RULES, TrustRule
from appliance.login.dialling import DialError, Reply
from appliance.login.keys import Keys, KeysUnavailable, PublishedKeys, StaticKeys

Get = Callable[[str], Awaitable[Reply]]
"""What a URL holds; raises DialError."""


def description_of(issuer: str) -> str:
    """Where an issuer describes itself (OpenID Connect Discovery §4.1)."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


class Issuers:
    """Remembers the keys of each issuer, and asks again when `keys` says so."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._known: dict[tuple[str, str], Keys] = {}

    def keys(self, rule: TrustRule) -> Keys:
        """Those that a token under this rule may be signed with."""
        place = (rule.issuer, rule.jwks)
        known = self._known.get(place)
        if known is None:
            if len(self._known) >= 2 * MAX_RULES:  # rules come and go
                self._known.clear()
            published = PublishedKeys(rule.issuer, lambda: self._fetch(rule.issuer))
            known = self._known[place] = StaticKeys(rule.jwks.encode()) if rule.jwks else published
        return known

    async def _fetch(self, issuer: str) -> bytes:
        try:
            found = json.loads(await self._body(description_of(issuer)))
            named, where = found["issuer"], found["jwks_uri"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise KeysUnavailable("its discovery document is none") from None
        if named != issuer:
            raise KeysUnavailable("its discovery document is of another issuer")
        if not isinstance(where, str):
            raise KeysUnavailable("its discovery document is none")
        return await self._body(where)

    async def _body(self, url: str) -> bytes:
        try:
            reply = await self._get(url)
        except DialError as error:
            raise KeysUnavailable(str(error)) from None
        if reply.status != 200:
            raise KeysUnavailable(f"it answered with status {reply.status}")
        return reply.body
