"""What a browser or a client asked of sign-in, and what it is answered: values, without a framework.

What always holds: a form is believed only with the secret that its page was given, and from our own origin; a path that
a browser is to go on to is one of ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from appliance.core.problems import Code, ProblemError, problem

BROWSER_COOKIE: Final = "__Host-fairlead-browser"  # tells browsers apart while they sign in
SESSION_COOKIE: Final = "__Host-fairlead-session"
MAX_LABEL_CHARS: Final = 64  # what a client calls itself, on a page and in a list
MAX_NEXT_CHARS: Final = 4096  # of a path to go on to; the longest is an authorization request

_SECRET = re.compile(r"[A-Za-z0-9_-]{20,128}")
#: Pages of ours that a sign-in may lead back to.
_NEXT = re.compile(r"/fairlead/(?:authorize\?[!-~]*|device(?:\?[!-~]*)?|setup|home)")
HOME: Final = "/fairlead/home"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. Parameters that stand twice were refused before."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    cookies: Mapping[str, str]
    origin: str | None
    address: str
    now: int
    correlation_id: str

    def cookie(self, name: str) -> str | None:
        """A secret of ours in a cookie; what cannot be one is none."""
        found = self.cookies.get(name)
        return found if found is not None and _SECRET.fullmatch(found) else None


@dataclass(frozen=True, slots=True)
class Cookie:
    """To be set; an empty value takes it back. `seconds`: how long the browser keeps it."""

    name: str
    value: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page of ours. `form_to`: an origin beyond ours that its form may lead to."""

    template: str
    words: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    cookies: tuple[Cookie, ...] = ()
    form_to: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """See other."""

    url: str
    cookies: tuple[Cookie, ...] = ()


@dataclass(frozen=True, slots=True)
class Json:
    """An answer for a program."""

    body: Mapping[str, Any]
    status: int = 200
    cookies: tuple[Cookie, ...] = ()


Shown = Page | Redirect | Json


def derived(secret: str, purpose: str, *more: str) -> str:
    """Another secret that follows from this one, for one purpose; base64url, 43 characters."""
    made = hmac.digest(secret.encode(), "\n".join(("fairlead", purpose, *more)).encode(), "sha256")
    return _text(made)


def challenge_of(verifier: str) -> str:
    """RFC 7636 §4.2, S256."""
    return _text(hashlib.sha256(verifier.encode()).digest())


def next_path(text: str | None) -> str:
    """Where to go on to, if it is one of our pages; else home."""
    return text if text is not None and len(text) <= MAX_NEXT_CHARS and _NEXT.fullmatch(text) else HOME


def label(text: str | None) -> str:
    """What a client calls itself: cut, and without anything that is no letter of a line."""
    return "".join(c for c in (text or "") if c.isprintable())[:MAX_LABEL_CHARS].strip()


def origin_of(url: str) -> str:
    """As browsers write it: without the port that is the scheme's own."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if parts.port in {None, usual} else f":{parts.port}")


def check_form(visit: Visit, secret: str | None, public_url: str) -> None:
    """Raises ProblemError unless the form is from a page that this holder of the secret was given."""
    given = visit.form.get("proof", "")
    if secret is None or visit.origin != origin_of(public_url):
        raise ProblemError(problem(Code.FORM_EXPIRED))
    if not hmac.compare_digest(given.encode(), derived(secret, "form").encode()):
        raise ProblemError(problem(Code.FORM_EXPIRED))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
