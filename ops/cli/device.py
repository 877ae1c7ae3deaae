"""Sign-in on a machine without a browser: a code that its user types on another one (RFC 8628)."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import click

from ops.cli.faults import Exit, Fault, plain, refused
from ops.cli.renewal import CLIENT_ID, grant, post_form
from ops.cli.transport import Transport

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SLOWER_SECONDS = 5  # RFC 8628 §3.5


def authorize(transport: Transport, target: str, label: str) -> Mapping[str, Any]:
    """The tokens that somebody confirmed elsewhere. `target`: the path of the device authorization endpoint."""
    answer = post_form(transport, target, {"client_id": CLIENT_ID, "label": label})
    begun = answer.document()
    if answer.status != 200 or not isinstance(begun, dict):
        raise refused(answer.status, begun, answer.correlation_id)
    minutes = int(begun["expires_in"]) // 60
    click.echo(
        f"On any device with a browser open\n\n  {plain(str(begun['verification_uri']))}\n\n"
        f"and type the code  {plain(str(begun['user_code']))}\n\n"
        f"Waiting for up to {minutes} minutes. Ctrl-C ends it.",
        err=True,
    )
    asking = {"grant_type": DEVICE_GRANT, "device_code": str(begun["device_code"])}
    return _polled(transport, asking, int(begun.get("interval", 5)), time.monotonic() + int(begun["expires_in"]))


def _polled(transport: Transport, asking: Mapping[str, str], seconds: int, until: float) -> Mapping[str, Any]:
    waiting = threading.Event()
    while time.monotonic() < until:
        waiting.wait(seconds)
        try:
            answer = grant(transport, asking)
        except Fault as fault:
            if fault.exit_code is not Exit.UNREACHABLE:
                raise
            seconds += SLOWER_SECONDS  # RFC 8628 §3.5: a connection that fails is a reason to ask less often
            continue
        document = answer.document()
        if answer.status == 200 and isinstance(document, dict):
            return document
        error = document.get("error") if isinstance(document, dict) else None
        if error == "slow_down":
            seconds += SLOWER_SECONDS
        elif error not in {"authorization_pending", "temporarily_unavailable"}:
            ended = refused(answer.status, document, answer.correlation_id)
            if ended.exit_code is Exit.UNREACHABLE:  # said by what stands before an appliance that starts anew
                continue
            ended.exit_code = Exit.FORBIDDEN if error == "access_denied" else Exit.FAILED
            raise ended
    raise Fault("Nobody confirmed the code in time.", next_step="fairlead login --device")
