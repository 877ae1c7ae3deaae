"""This appliance as the client of one OpenID provider: its URLs, codes for tokens, tokens for claims.

What always holds: the provider is the issuer it was set up as, by its discovery document, its answers (RFC 9207) and
its tokens; an ID token is for us, of now, and answers to our nonce; what userinfo says is of the same subject; every
request leaves through `dialling`. What a provider gave us stays here and in the sealed row of the login. No claim is
read here but those of the protocol.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from appliance.core.providers import FLOW_PARAMETERS, PROTOCOL_CLAIMS, Provider
from appliance.login.dialling import DialError, Dialler, Reply
from appliance.login.issuers import description_of
from appliance.login.keys import KeysUnavailable, PublishedKeys
from appliance.login.remembered import Remembered, Unreachable
from appliance.login.tokens import Expected, TokenFault, TokenRefused, audiences, verified

REFRESH_SECONDS: Final = 3600  # what a provider says of itself changes once in years
MAX_TOKEN_CHARS: Final = 16 * 1024  # a refresh token; the store keeps it sealed
_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_JSON: Final = ("Accept", "application/json")


class Unavailable(Exception):
    """The provider cannot be used now; the sentence is for an operator."""


class Refused(Exception):
    """The provider says no: the code or refresh token is not good, or never was. The text is its error code."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery §3)."""

    authorization: str
    token: str
    keys: str
    userinfo: str
    end_session: str
    posts_secret: bool  # it takes the client secret in the body only
    names_itself: bool  # it answers with `iss` (RFC 9207)


@dataclass(frozen=True, slots=True)
class Given:
    """What a provider gave for a code or a refresh token. The claims are proven."""

    claims: Mapping[str, Any]
    refresh_token: str
    id_token: str


class RelyingParty:
    """One provider, as long as its settings stay the same. `secret` opens its client secret."""

    def __init__(self, provider: Provider, dialler: Dialler, secret: Callable[[], Awaitable[str]]) -> None:
        self.provider = provider
        self._dialler = dialler
        self._secret = secret
        self._metadata = Remembered(
            f"the description of {provider.issuer}", self._discover, refresh_seconds=REFRESH_SECONDS
        )
        self._keys = PublishedKeys(provider.issuer, self._published)
        self._keys_url = ""

    async def authorization_url(self, redirect_uri: str, state: str, nonce: str, challenge: str, now: int) -> str:
        """Where the browser is sent to."""
        metadata = await self._described(now)
        ours = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        theirs = {name: value for name, value in self.provider.parameters if name not in FLOW_PARAMETERS}
        joined = "&" if "?" in metadata.authorization else "?"
        return metadata.authorization + joined + urlencode({**theirs, **ours})

    async def answered_by(self, issuer: str | None, now: int) -> bool:
        """Whether an answer that names this issuer, or none, can be this provider's (RFC 9207 §2.4)."""
        if issuer is not None:
            return issuer == self.provider.issuer
        return not (await self._described(now)).names_itself

    async def redeem(self, code: str, verifier: str, redirect_uri: str, nonce: str, now: int) -> Given:
        """What a code buys. Raises Refused, Unavailable, TokenRefused."""
        answer = await self._tokens(
            now,
            grant_type="authorization_code",
            code=code,
            redirect_uri=redirect_uri,
            code_verifier=verifier,
        )
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise TokenRefused(TokenFault.MALFORMED)
        claims = await self._proven(id_token, now)
        said = claims.get("nonce")
        if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
            raise TokenRefused(TokenFault.NONCE)
        return await self._given(answer, claims, id_token, "", now)

    async def reread(self, refresh_token: str, subject: str, id_token: str, now: int) -> Given:
        """What the provider says now of someone who signed in before. Raises Refused, Unavailable, TokenRefused."""
        answer = await self._tokens(now, grant_type="refresh_token", refresh_token=refresh_token)
        renewed = answer.get("id_token")
        claims: Mapping[str, Any] = {"sub": subject}
        if isinstance(renewed, str):
            claims = await self._proven(renewed, now)
        elif not self.provider.reading.userinfo:
            raise Unavailable(
                f"{self.provider.issuer} renews no ID token; set its `userinfo` to have claims read there."
            )
        if claims["sub"] != subject:
            raise TokenRefused(TokenFault.SUBJECT)
        return await self._given(answer, claims, renewed if isinstance(renewed, str) else id_token, refresh_token, now)

    async def end_session_url(self, id_token: str, back_to: str, now: int) -> str | None:
        """Where the browser signs out at the provider; None: it has no such page (RP-Initiated Logout §2)."""
        metadata = await self._described(now)
        if not metadata.end_session:
            return None
        ours = {"id_token_hint": id_token, "client_id": self.provider.client_id, "post_logout_redirect_uri": back_to}
        return metadata.end_session + ("&" if "?" in metadata.end_session else "?") + urlencode(ours)

    # Asking

    async def _given(
        self, answer: Mapping[str, Any], claims: Mapping[str, Any], id_token: str, old: str, now: int
    ) -> Given:
        if self.provider.reading.userinfo:
            claims = {**claims, **(await self._userinfo(answer, claims["sub"], now)), **_of_protocol(claims)}
        refresh = answer.get("refresh_token", old)
        usable = isinstance(refresh, str) and len(refresh) <= MAX_TOKEN_CHARS
        return Given(claims, refresh if usable else "", id_token)

    async def _proven(self, id_token: str, now: int) -> Mapping[str, Any]:
        client = self.provider.client_id
        self._keys_url = (await self._described(now)).keys
        try:
            claims = await verified(id_token, Expected(self.provider.issuer, frozenset({client})), self._keys, now)
        except KeysUnavailable as error:
            raise Unavailable(str(error)) from None
        # OpenID Connect Core §3.1.3.7: who it was issued to, when it is for several.
        if ("azp" in claims or len(audiences(claims)) > 1) and claims.get("azp") != client:
            raise TokenRefused(TokenFault.AUDIENCE)
        return claims

    async def _userinfo(self, answer: Mapping[str, Any], subject: str, now: int) -> Mapping[str, Any]:
        url, access = (await self._described(now)).userinfo, answer.get("access_token")
        if not url or not isinstance(access, str) or not access.isascii() or not access.isprintable():
            raise Unavailable(f"{self.provider.issuer} offers no userinfo.")
        reply = await self._ask("GET", url, [("Authorization", f"Bearer {access}"), _JSON])
        if reply.status in {401, 403}:
            raise Refused("userinfo_refused")
        if reply.status != 200:
            raise Unavailable(f"{self.provider.issuer} answers {reply.status} for userinfo.")
        found = self._parsed(reply)
        if found.get("sub") != subject:  # OpenID Connect Core §5.3.2: else the token was swapped for another's
            raise TokenRefused(TokenFault.SUBJECT)
        return found

    async def _tokens(self, now: int, **fields: str) -> Mapping[str, Any]:
        metadata = await self._described(now)
        headers = [_FORM, _JSON]
        if self.provider.confidential:
            secret = await self._secret()
            if metadata.posts_secret:
                fields |= {"client_id": self.provider.client_id, "client_secret": secret}
            else:  # RFC 6749 §2.3.1: both are form-encoded first
                pair = f"{quote_plus(self.provider.client_id)}:{quote_plus(secret)}"
                headers.append(("Authorization", f"Basic {b64encode(pair.encode()).decode()}"))
        else:
            fields["client_id"] = self.provider.client_id
        reply = await self._ask("POST", metadata.token, headers, urlencode(fields).encode())
        if reply.status == 200:
            return self._parsed(reply)
        if reply.status == 400:
            error = self._parsed(reply).get("error")
            if error in {"invalid_grant", "interaction_required", "login_required", "consent_required"}:
                raise Refused(str(error))
        raise Unavailable(f"{self.provider.issuer} answers {reply.status} when asked for tokens: check the client.")

    async def _described(self, now: int) -> Metadata:
        try:
            return await self._metadata.get(now)
        except Unreachable as error:
            raise Unavailable(f"{error}.") from None

    async def _discover(self) -> Metadata:
        try:
            reply = await self._ask("GET", description_of(self.provider.issuer), [_JSON])
            if reply.status != 200:
                raise Unreachable(f"it answers {reply.status}")
            return _metadata(self._parsed(reply), self.provider.issuer)
        except Unavailable as error:
            raise Unreachable(str(error)) from None

    async def _published(self) -> bytes:
        try:
            reply = await self._ask("GET", self._keys_url, [_JSON])
        except Unavailable as error:
            raise KeysUnavailable(str(error)) from None
        if reply.status != 200:
            raise KeysUnavailable(f"it answers {reply.status}")
        return reply.body

    async def _ask(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes = b"") -> Reply:
        try:
            return await self._dialler.ask(method, url, headers=headers, body=body)
        except DialError as error:
            raise Unavailable(str(error)) from None

    def _parsed(self, reply: Reply) -> Mapping[str, Any]:
        try:
            found = json.loads(reply.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Unavailable(f"{self.provider.issuer} answers something that is no JSON object.")
        return found


def _of_protocol(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Of the ID token what userinfo must not say otherwise."""
    return {name: value for name, value in claims.items() if name in PROTOCOL_CLAIMS or name == "sub"}


def _metadata(found: Mapping[str, Any], issuer: str) -> Metadata:
    if found.get("issuer") != issuer:  # OpenID Connect Discovery §4.3
        raise Unreachable("it says that it is another issuer")

    def url(name: str, *, needed: bool) -> str:
        given = found.get(name, "")
        # What is dialled, the dialler checks; two of these are the browser's to go to.
        if not isinstance(given, str) or (needed and not given) or (given and not given.startswith("https://")):
            raise Unreachable(f"its {name} is no https URL")
        if not given.isprintable() or "#" in given:
            raise Unreachable(f"its {name} is no plain URL")
        return given

    methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    basic = not isinstance(methods, list) or "client_secret_basic" in methods or "client_secret_post" not in methods
    return Metadata(
        url("authorization_endpoint", needed=True),
        url("token_endpoint", needed=True),
        url("jwks_uri", needed=True),
        url("userinfo_endpoint", needed=False),
        url("end_session_endpoint", needed=False),
        not basic,
        found.get("authorization_response_iss_parameter_supported") is True,
    )
