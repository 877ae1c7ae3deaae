"""Credential plugins, run as kubectl would run them: a command that prints an ExecCredential with a token.

The token goes into a file that the agent reads again when it changes, and the plugin is asked anew before the token
expires. What always holds: the token is never logged nor put into an argument or a variable; the plugin gets no
terminal, and its own words reach the user only when it fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import trio

from ops.demo.files import write_private
from ops.demo.kubeconfig import KubeconfigError, Plugin

RUN_SECONDS = 60.0  # a plugin may ask a cloud; longer and something waits for a person
RENEW_BEFORE_SECONDS = 60.0  # the agent must never hold an expired token
RENEW_AT_LEAST_SECONDS = 5.0  # a plugin that gives short or stale tokens is not asked in a tight loop
RENEW_UNDATED_SECONDS = 600.0  # a token without an expiry is valid until refused; ask now and then


@dataclass(frozen=True, slots=True)
class PluginToken:
    token: str
    expires: float | None  # seconds since the epoch

    def renewal_delay(self, now: float) -> float:
        """How long to wait before asking again."""
        if self.expires is None:
            return RENEW_UNDATED_SECONDS
        return max(RENEW_AT_LEAST_SECONDS, self.expires - now - RENEW_BEFORE_SECONDS)


async def keep_fresh(
    plugin: Plugin, path: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Write the plugin's token to `path`, then renew it for as long as the task lives."""
    current = await ask(plugin)
    write_private(path, current.token.encode())
    task_status.started()
    while True:
        await trio.sleep(current.renewal_delay(time.time()))
        try:
            current = await ask(plugin)
        except KubeconfigError as error:
            # The old token may be good for a while yet; if it is not, the agent says so with every request.
            print(f"  {error}", flush=True)
            await trio.sleep(RENEW_AT_LEAST_SECONDS)
            continue
        write_private(path, current.token.encode())


async def ask(plugin: Plugin) -> PluginToken:
    """Run the plugin once."""
    info: dict[str, Any] = {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": {"interactive": False}}
    if plugin.cluster_info is not None:
        info["spec"]["cluster"] = plugin.cluster_info
    environment = {**os.environ, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": json.dumps(info)}
    try:
        with trio.fail_after(RUN_SECONDS):
            done = await trio.run_process(
                [plugin.command, *plugin.arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    except FileNotFoundError:
        hint = f" {plugin.install_hint.strip()}" if plugin.install_hint else ""
        raise KubeconfigError(f"The credential plugin {plugin.command} is not installed.{hint}") from None
    except OSError as error:
        raise KubeconfigError(f"The credential plugin {plugin.command} cannot be run: {error.strerror}.") from None
    except trio.TooSlowError:
        raise KubeconfigError(f"The credential plugin {plugin.command} took over {RUN_SECONDS:.0f} s.") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise KubeconfigError(f"The credential plugin {plugin.command} failed: {last[0][:500]}")
    return parse(plugin, done.stdout)


def parse(plugin: Plugin, output: bytes) -> PluginToken:
    """What the plugin printed, as a token."""
    try:
        document = json.loads(output)
        status = document["status"]
        version = document["apiVersion"]
    except (ValueError, KeyError, TypeError):
        raise KubeconfigError(f"The credential plugin {plugin.command} printed no ExecCredential.") from None
    if version != plugin.api_version:
        raise KubeconfigError(f"The credential plugin {plugin.command} answered {version}, not {plugin.api_version}.")
    token = status.get("token") if isinstance(status, dict) else None
    if not isinstance(token, str) or not token:
        raise KubeconfigError(
            f"The credential plugin {plugin.command} gives a certificate instead of a token, which the demo does not "
            "support."
        )
    stamp = status.get("expirationTimestamp")
    if stamp is None:
        return PluginToken(token, None)
    try:
        return PluginToken(token, datetime.fromisoformat(str(stamp)).timestamp())
    except ValueError:
        raise KubeconfigError(f"The credential plugin {plugin.command} gives no readable expiry.") from None
