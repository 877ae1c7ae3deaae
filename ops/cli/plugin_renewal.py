"""The credential plugin when it has to ask: for the first credential, one that ran out, or one that was refused.

What always holds: of all plugins that run at once for a cluster, one asks, and the others take what it got, be it a
credential or a refusal, without loading what asks; a refusal is believed for ten seconds, so that a shell full of
kubectls does not count as an attack; questions go to the terminal by standard error, and only where kubectl lent it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from ops.cli import places, plugin
from ops.cli.faults import Exit, Fault, barrier

if TYPE_CHECKING:
    from ops.cli.issuing import Issued

REFUSED_SECONDS = 10  # a refusal is the same for all that ask within it
UNREACHABLE_SECONDS = 2  # of a network that is down: whoever tries again by hand has waited longer


def answer(arguments: list[str], refused: str) -> int:
    """What `plugin.run` could not do at once. `refused`: the id of the credential that was; "" for none."""
    if len(arguments) % 2 or not {"--profile", "--cluster"} <= set(arguments[::2]) <= plugin.TAKEN:
        from ops.cli.tree import fairlead

        fairlead(["kube", "token", *arguments], prog_name="fairlead")
        return Exit.DONE
    wanted = dict(zip(arguments[::2], arguments[1::2], strict=True))
    profile, cluster, account = wanted["--profile"], wanted["--cluster"], plugin.account_of(wanted)
    with barrier():
        try:
            kept = _renewed(profile, cluster, account, refused)
        except Fault as fault:
            if fault.exit_code is not Exit.NOT_SIGNED_IN or not _signed_in_again(profile, account):
                raise
            kept = _renewed(profile, cluster, account, refused)
        plugin.hand_out(kept)
    return Exit.DONE


def _renewed(profile: str, cluster: str, account: str, refused: str) -> dict[str, object]:
    """Another credential than the refused one: what a plugin beside us got meanwhile, or a new one."""
    began = time.time()
    directory = plugin.folder(profile, account, cluster)
    with places.locked(places.inside(directory)):
        kept = places.read(f"{directory}/current.json")
        now = time.time()
        if kept is not None and kept.get("id") != refused and plugin.good(kept, now):
            plugin.first(directory, str(kept["id"]))
            return kept
        _raise_known(places.read(f"{directory}/refused.json"), began, now)
        try:
            issued = _asked(profile, cluster, account)
        except Fault as fault:
            told = {"sentence": str(fault), "exit": int(fault.exit_code), "code": fault.code, "next": fault.next_step}
            places.write(f"{directory}/refused.json", {**told, "at": time.time()})
            raise
        made = _keep(directory, issued)
        plugin.first(directory, issued.id)
        return made


def _asked(profile: str, cluster: str, account: str) -> Issued:
    from ops.cli.client import connected
    from ops.cli.issuing import issue

    with connected(profile, "" if profile == places.MACHINE else account) as api:
        return issue(api, cluster, "plugin")


def keep(profile: str, cluster: str, account: str, issued: Issued) -> None:
    """One that was got otherwise: the next kubectl has it."""
    directory = plugin.folder(profile, account, cluster)
    with places.locked(places.inside(directory)):
        _keep(directory, issued)


def _keep(directory: str, issued: Issued) -> dict[str, object]:
    import shutil
    from dataclasses import asdict

    shutil.rmtree(directory, ignore_errors=True)  # with the marks of who was handed the one before
    made = asdict(issued)
    places.write(f"{directory}/current.json", made)
    return made


def _raise_known(told: dict[str, object] | None, began: float, now: float) -> None:
    """The refusal that another plugin got while we waited, or shortly before."""
    if told is None:
        return
    at, exit_code = float(str(told["at"])), Exit(int(str(told["exit"])))
    lasts = UNREACHABLE_SECONDS if exit_code is Exit.UNREACHABLE else REFUSED_SECONDS
    if at >= began or 0 <= now - at < lasts:
        raise Fault(str(told["sentence"]), exit_code, next_step=str(told["next"]), code=str(told["code"]))


def _signed_in_again(profile: str, account: str) -> bool:
    """Offer to sign in, where kubectl has lent us its terminal, once for all plugins that run in it."""
    spec = json.loads(os.environ.get("KUBERNETES_EXEC_INFO") or "{}").get("spec", {})
    if profile == places.MACHINE or not (spec.get("interactive") and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    from ops.cli import profiles

    server = profiles.read().chosen(profile).server
    with contextlib.ExitStack() as held:
        if not held.enter_context(places.alone("asking")):
            return False
        sys.stderr.write(f"You are not signed in to {server}. Sign in now? [Y/n] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"", "y", "yes"}:
            return False
        with contextlib.redirect_stdout(sys.stderr):
            from ops.cli.login import sign_in

            sign_in(profile, account)
    return True


def forget(profile: str, account: str, cluster: str) -> str:
    """Drop the credential that is kept for a cluster; returns its token, so that it can be revoked."""
    import shutil

    directory = plugin.folder(profile, account, cluster)
    kept = places.read(f"{directory}/current.json") or {}
    shutil.rmtree(directory, ignore_errors=True)
    return str(kept.get("token", ""))
