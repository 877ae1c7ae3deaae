"""The appliances this person works with, by name: one of them is in use, and in each one account.

A profile says where an appliance is and which CA signs its certificate; nothing in it is secret. What always holds: the
server is an https origin; a change is made under the lock on what is there then, so two commands lose nothing of each
other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from ops.cli import places
from ops.cli.faults import SIGN_IN, Exit, Fault

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_HOST = re.compile(r"[\w.:-]+")  # what could be read as something else in a shell or a terminal is in no name


@dataclass(frozen=True, slots=True)
class Profile:
    """One appliance. `ca`: PEM, None if this machine trusts its certificate; `account`: who is in use there, or ""."""

    name: str
    server: str
    ca: str | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """All profiles, and the name of the one in use ("": none)."""

    active: str = ""
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def chosen(self, name: str = "") -> Profile:
        """The profile of this name, or the one in use."""
        wanted = name or self.active
        found = self.profiles.get(wanted)
        if found is None and name:
            raise Fault(f"There is no profile {name}.", Exit.NOT_FOUND, next_step="fairlead profiles list")
        if found is None:
            raise Fault(
                "You are not signed in.", Exit.NOT_SIGNED_IN, next_step=f"{SIGN_IN} https://fairlead.example.com"
            )
        return found

    def of_server(self, server: str) -> Profile | None:
        """The profile that leads to this appliance."""
        return next((it for it in self.profiles.values() if it.server == server), None)

    def with_profile(self, profile: Profile, *, use: bool = False) -> Book:
        kept = {**self.profiles, profile.name: profile}
        return replace(self, profiles=kept, active=profile.name if use or not self.active else self.active)

    def with_account(self, name: str, account: str) -> Book:
        """Someone else is in use there; "" for nobody."""
        found = self.profiles.get(name)
        return self if found is None else self.with_profile(replace(found, account=account))

    def without(self, name: str) -> Book:
        kept = {key: it for key, it in self.profiles.items() if key != name}
        return replace(self, profiles=kept, active="" if self.active == name else self.active)


def read() -> Book:
    """What is known; nothing, the first time."""
    found: dict[str, Any] = places.read(places.within("config.json")) or {}
    profiles: dict[str, Profile] = {}
    try:
        for name, it in found.get("profiles", {}).items():
            profiles[name] = Profile(name, str(it["server"]), it.get("ca"), str(it.get("account", "")))
    except (AttributeError, KeyError, TypeError):
        where = places.within("config.json")
        raise Fault(f"{where} is not what this program writes.", next_step="fairlead config clean") from None
    return Book(str(found.get("active", "")), profiles)


def change(edit: Callable[[Book], Book]) -> Book:
    """Read, edit and write under the lock; returns what was written."""
    with places.locked("config"):
        book = edit(read())
        kept = {it.name: {key: v for key, v in asdict(it).items() if key != "name"} for it in book.profiles.values()}
        places.write(places.within("config.json"), {"active": book.active, "profiles": kept})
    return book


def origin(given: str) -> str:
    """What someone typed, as the https origin it means."""
    text = given.strip()
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _no_origin(given) from None
    if (
        parts.scheme != "https"
        or not _HOST.fullmatch(host)
        or parts.path not in {"", "/"}
        or parts.query
        or parts.fragment
        or "@" in text
    ):
        raise _no_origin(given)
    host = f"[{host}]" if ":" in host else host
    return f"https://{host}" if port in {None, 443} else f"https://{host}:{port}"


def _no_origin(given: str) -> Fault:
    return Fault(f"{given} is no appliance's URL.", Exit.USAGE, next_step="give it as in https://fairlead.example.com")


def name_for(server: str) -> str:
    """What a profile is called that nobody named: its host, and its port if that is not the usual one."""
    return urlsplit(server).netloc.replace("[", "").replace("]", "")


def check_name(name: str) -> str:
    """The same name, if a profile may have it."""
    if not NAME.fullmatch(name):
        raise Fault(f"{name} is no name for a profile: use letters, digits, dots and dashes.", Exit.USAGE)
    return name
