"""Identity providers: whom we ask who someone is, and how their claims are read.

A provider is an OpenID Connect issuer at which this appliance is a client. What always holds: its issuer is https, says
who it is in one form only, and is for life, because people and bindings are known by it; what we send along to its
sign-in page cannot replace what the flow itself says there. Its client secret is not here: it lies sealed in the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ClaimPath = tuple[str, ...]
"""Where a claim is: its name, then names within it. A name may hold dots and slashes, as Auth0's do."""

#: What the flow says itself (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1).
FLOW_PARAMETERS: Final = frozenset(
    {
        "client_id",
        "client_secret",
        "code",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)
PROTOCOL_CLAIMS: Final = frozenset({"iss", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash"})


@dataclass(frozen=True, slots=True)
class Reading:
    """Which claims say what. Prefixes keep the names and groups of two providers apart."""

    name: ClaimPath = ("email",)
    name_prefix: str = ""
    email: ClaimPath = ("email",)
    email_verified: ClaimPath = ("email_verified",)
    groups: ClaimPath = ("groups",)  # empty: this provider names none
    groups_prefix: str = ""
    required: tuple[tuple[ClaimPath, tuple[str, ...]], ...] = ()  # each claim holds one of the values; else: not ours
    userinfo: bool = False  # some providers put groups there and not into the ID token


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. `slug` stands in the URL that it sends people back to."""

    id: str
    slug: str
    title: str  # on the button
    issuer: str
    client_id: str
    confidential: bool = True  # a client secret is kept; without one PKCE alone proves the client
    scopes: tuple[str, ...] = ("openid", "profile", "email", "offline_access")
    parameters: tuple[tuple[str, str], ...] = ()  # more of the authorization request, such as access_type=offline
    reading: Reading = Reading()
    enabled: bool = True
    created_at: int = 0
    secret_version: str = ""  # another text for each client secret; it says nothing about one

    @property
    def secret_name(self) -> str:
        """Under which its client secret is sealed."""
        return f"provider/{self.id}"
