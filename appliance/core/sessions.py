"""What signing in gives: a login (one authentication at a provider) and the sessions that rest on it.

A browser, a command on a laptop and a command on a machine without a browser each hold a session of their own; they may
share a login. What always holds: a login lasts no longer than what its provider last said is young enough; nothing
outlives its login; what a client holds is a random token of which only the SHA-256 is kept. Times are microseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.core.people import Person

SECOND: Final = 1_000_000

SIGN_IN_SECONDS: Final = 600  # at the provider, second factor and forgotten password included
CODE_SECONDS: Final = 60  # between the browser and the command beside it (RFC 6749 §4.1.2 allows 600)
DEVICE_SECONDS: Final = 600  # to walk to another device and type eight letters
POLL_SECONDS: Final = 5  # RFC 8628 §3.5
SLOWER_SECONDS: Final = 5  # more, each time that someone asks too soon
ACCESS_SECONDS: Final = 900  # what was copied from a process's memory is good for no longer
REPEAT_SECONDS: Final = 60  # in which an answer that was lost is asked for again: a time-out, and a retry
IDLE_SECONDS: Final = 24 * 3600  # a refresh token that nobody used since yesterday
LOGIN_SECONDS: Final = 7 * 24 * 3600  # then a person shows again that it is them
READ_SECONDS: Final = 3600  # the longest that what a provider said of a person is believed
SETUP_CODE_SECONDS: Final = 3600
BREAK_GLASS_SECONDS: Final = 8 * 3600  # of someone who came in by a setup code and no provider

HOST_ISSUER: Final = "fairlead:host"
"""The issuer of people whom a setup code made. No provider can have it: an issuer is an https URL."""

USER_CODE_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words; nothing that looks alike (RFC 8628 §6.1)
USER_CODE_LENGTH: Final = 8  # 20^8: of a thousand open codes a guess hits one in 25 million


COMMAND_CLIENT_ID: Final = "fairlead-cli"  # public: PKCE and the loopback address are what proves it


class ClientKind(StrEnum):
    """How a session is held."""

    BROWSER = "browser"  # by a cookie
    COMMAND = "command"  # by `fairlead` on the machine whose browser signed in
    DEVICE = "device"  # by `fairlead` elsewhere, confirmed in a browser by its code


class TokenKind(StrEnum):
    ACCESS = "access"
    REFRESH = "refresh"
    COOKIE = "cookie"


PREFIXES: Final = {TokenKind.ACCESS: "fla", TokenKind.REFRESH: "flr", TokenKind.COOKIE: "flc"}


@dataclass(frozen=True, slots=True)
class Login:
    """`provider_id` is empty for one by a setup code, which no provider can confirm again.

    `read_at`: when its provider last said who the person is. `ended_why` is empty as long as it has not ended.
    """

    id: str
    person_id: str
    provider_id: str
    read_at: int
    created_at: int
    ends_at: int
    ended_at: int | None = None
    ended_why: str = ""

    def fault(self, person: Person | None, now: int) -> str | None:
        """Why it is not good any more; None while it is."""
        if self.ended_at is not None:
            return self.ended_why
        if person is None:
            return "the person was deleted"
        if not person.enabled:
            return "the account is disabled"
        if self.created_at <= person.not_before:
            return "an administrator ended all sessions of this account"
        if self.ends_at <= now:
            return "it has lasted its time"
        if self.provider_id and self.read_at + READ_SECONDS * SECOND <= now:
            return "the identity provider could not be asked for an hour"
        return None

    def until(self) -> int:
        """When it ends by the clock, unless its provider is asked again before."""
        return min(self.ends_at, self.read_at + READ_SECONDS * SECOND) if self.provider_id else self.ends_at


@dataclass(frozen=True, slots=True)
class Session:
    """`label` is what the client calls itself, `address` where it was begun: for the person who looks at the list."""

    id: str
    login_id: str
    person_id: str
    client: ClientKind
    label: str
    address: str
    created_at: int
    used_at: int
    ended_at: int | None = None
    ended_why: str = ""

    def fault(self, login: Login, person: Person | None, now: int) -> str | None:
        """Why it is not good any more; None while it is."""
        if self.ended_at is not None:
            return self.ended_why
        if self.used_at + IDLE_SECONDS * SECOND <= now:
            return "it was not used for a day"
        return login.fault(person, now)


def user_code(text: str) -> str | None:
    """What someone typed, as the code it is; None: it is none."""
    letters = "".join(letter for letter in text.upper() if letter not in " -\t")
    known = len(letters) == USER_CODE_LENGTH and all(letter in USER_CODE_LETTERS for letter in letters)
    return letters if known else None


def shown(code: str) -> str:
    """A user code as it is read out."""
    return f"{code[:4]}-{code[4:]}"
