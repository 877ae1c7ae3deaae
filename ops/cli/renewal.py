"""The token endpoint, as the command's side of it: getting tokens, renewing them, giving them back.

What always holds: a refresh token is shown once, by one process at a time, and what came for it is on the disk before
anyone uses it; no signal ends this program between the two, because a refresh token that was spent and lost ends the
session.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from ops.cli import keeping
from ops.cli.faults import SIGN_IN, Exit, Fault, refused
from ops.cli.keeping import Kept
from ops.cli.profiles import Profile
from ops.cli.transport import Answer, Transport

CLIENT_ID = "fairlead-cli"  # public (RFC 8252 §8.4)
OAUTH = "/fairlead/v1/oauth"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def renew(profile: Profile, account: str, transport: Transport, stale: str) -> Kept:
    """Other tokens than `stale`: those that another process got meanwhile, or new ones."""
    with keeping.lock(profile.name, account), _undisturbed():
        kept = keeping.load(profile.name, account, whole=True)
        if kept is None:
            raise not_signed_in(profile, account)
        if kept.access_token != stale and kept.fresh(time.time()):
            return kept
        if not kept.refresh_token:
            raise not_signed_in(profile, account)
        form = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token}
        try:
            answer = grant(transport, form)
        except Fault:
            if not transport.sent:
                raise
            answer = grant(transport, form)  # an answer that was lost is given again, for a minute
        if answer.status != 200:
            raise refused(answer.status, answer.document(), answer.correlation_id)
        renewed = keeping.of_grant(answer.document(), account)
        if not renewed.refresh_token:
            renewed = replace(renewed, refresh_token=kept.refresh_token)
        keeping.save(profile.name, renewed)
        return renewed


def grant(transport: Transport, form: Mapping[str, str]) -> Answer:
    """One request for tokens, whatever comes of it."""
    return post_form(transport, f"{OAUTH}/token", {"client_id": CLIENT_ID, **form})


def revoke(kept: Kept, transport: Transport) -> None:
    """The session ends at the appliance, with everything that was got in it."""
    answer = post_form(transport, f"{OAUTH}/revoke", {"token": kept.refresh_token or kept.access_token})
    if answer.status != 200:
        raise refused(answer.status, answer.document(), answer.correlation_id)


def post_form(transport: Transport, target: str, form: Mapping[str, Any]) -> Answer:
    return transport.ask("POST", target, urlencode(form).encode(), FORM, dict(form))


def not_signed_in(profile: Profile, account: str) -> Fault:
    """Nobody is, or not as this one."""
    who = f" as {account}" if account else ""
    return Fault(
        f"You are not signed in to {profile.server}{who}.",
        Exit.NOT_SIGNED_IN,
        next_step=f"{SIGN_IN} {profile.server}",
    )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals that would end the program wait until this is over; its deadlines bound it."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
