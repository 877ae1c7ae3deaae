"""The sessions of this person's accounts, as they are kept on this machine.

The access token, good for minutes, and who it is for are in a file of mode 0600. The refresh token, good for days, is
in the system's keyring where there is one that can be used without asking, else in the same file. What always holds: a
keyring that fails is as good as none, and says so only where someone asks where the secrets are; the token is never in
both places. Times are seconds of this machine's clock, counted from when the appliance answered: its own clock does not
matter.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.cli import places

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

KEYRING_VARIABLE = "FAIRLEAD_CLI_KEYRING"  # "off": files only
SERVICE = "fairlead"


@dataclass(frozen=True, slots=True)
class Kept:
    """One session. `access_until` and `saved_at` are seconds since the epoch on this machine."""

    account: str
    person_id: str
    session_id: str
    access_token: str
    access_until: float
    saved_at: float
    refresh_token: str

    def fresh(self, now: float) -> bool:
        """Whether the access token may still be good. A clock that went back makes it doubtful."""
        return self.saved_at <= now + 5 and now < self.access_until


def path(profile: str, account: str) -> str:
    return places.within("sessions", profile, account) + ".json"


def of_grant(answer: Mapping[str, Any], account: str = "") -> Kept:
    """What the token endpoint gave. `account`: as which it is kept, if not under the person's name."""
    now = time.time()
    person = answer.get("person") or {}
    return Kept(
        account or str(person.get("name") or person.get("id") or "me"),
        str(person.get("id", "")),
        str(answer.get("session_id", "")),
        str(answer["access_token"]),
        now + float(answer["expires_in"]),
        now,
        str(answer.get("refresh_token") or ""),
    )


def save(profile: str, kept: Kept) -> None:
    """The caller holds the lock of this session."""
    document = asdict(kept)
    if kept.refresh_token and _into_keyring(profile, kept.account, kept.refresh_token):
        document["refresh_token"] = ""
        document["refresh_in"] = "keyring"
    places.write(path(profile, kept.account), document)


def load(profile: str, account: str, *, whole: bool = False) -> Kept | None:
    """The session; None: nobody is signed in so. `whole`: with its refresh token, which may ask the keyring."""
    found: dict[str, Any] = places.read(path(profile, account)) or {}
    if found.get("account") != account:
        return None
    try:
        refresh = str(found["refresh_token"])
        if whole and found.get("refresh_in") == "keyring":
            refresh = _from_keyring(profile, account)
        return Kept(
            str(found["account"]),
            str(found["person_id"]),
            str(found["session_id"]),
            str(found["access_token"]),
            float(found["access_until"]),
            float(found["saved_at"]),
            refresh,
        )
    except (KeyError, TypeError, ValueError):
        return None


def where(profile: str, account: str) -> str:
    """Where the refresh token is, for people."""
    found = places.read(path(profile, account)) or {}
    return "the system's keyring" if found.get("refresh_in") == "keyring" else path(profile, account)


def accounts(profile: str) -> list[str]:
    """Who is signed in there, by name."""
    try:
        files = sorted(Path(places.within("sessions", profile)).glob("*.json"))
    except OSError:
        return []
    found = (places.read(str(file)) for file in files)
    return sorted(str(it["account"]) for it in found if it and it.get("account"))


def forget(profile: str, account: str) -> None:
    """Everything of this session on this machine, the credentials got in it included."""
    if (places.read(path(profile, account)) or {}).get("refresh_in") == "keyring":
        _out_of_keyring(profile, account)
    Path(path(profile, account)).unlink(missing_ok=True)
    forget_credentials(profile, account)


def forget_credentials(profile: str, account: str, cluster: str = "") -> None:
    """The kubeconfig credentials kept for the plugin: of one cluster, or of all."""
    import shutil

    directory = places.within("credentials", profile, account)
    shutil.rmtree(f"{directory}/{places.element(cluster)}" if cluster else directory, ignore_errors=True)


def lock(profile: str, account: str) -> contextlib.AbstractContextManager[None]:
    """One renewal at a time, in all processes."""
    return places.locked(places.inside(places.within("sessions", profile, account)))


def keyring() -> KeyringBackend | None:
    """The system's keyring, if there is one that works without a question."""
    if os.environ.get(KEYRING_VARIABLE, "").lower() in {"off", "no", "0", "false"}:
        return None
    import keyring as library
    from keyring.backends import chainer, fail, null

    found: KeyringBackend | None = None
    with _failing_is_none():
        found = library.get_keyring()
    if isinstance(found, chainer.ChainerBackend) and not found.backends:
        return None
    return None if found is None or isinstance(found, fail.Keyring | null.Keyring) else found


def _into_keyring(profile: str, account: str, token: str) -> bool:
    ring = keyring()
    with _failing_is_none():
        if ring is not None:
            ring.set_password(SERVICE, f"{profile} {account}", token)
            return True
    return False


def _from_keyring(profile: str, account: str) -> str:
    ring = keyring()
    with _failing_is_none():
        if ring is not None:
            return ring.get_password(SERVICE, f"{profile} {account}") or ""
    return ""


def _out_of_keyring(profile: str, account: str) -> None:
    ring = keyring()
    with _failing_is_none():
        if ring is not None:
            ring.delete_password(SERVICE, f"{profile} {account}")


@contextlib.contextmanager
def _failing_is_none() -> Iterator[None]:
    """Keyrings fail in the ways of D-Bus, of a locked desktop, of a library that is missing: all mean there is none."""
    with contextlib.suppress(Exception):
        yield
