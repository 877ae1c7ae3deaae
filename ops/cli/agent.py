"""`fairlead agent`: read its settings, run it, and turn every reason not to into one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from agent.config import load
from agent.enrolment import BundleError
from agent.identity import IdentityError
from agent.run import run as run_agent
from appliance import logs
from daemon.settings import ConfigError


class AgentStartError(Exception):
    """The agent cannot start; the text is one sentence."""


def run(config: Path | None, bootstrap: Path | None = None) -> None:
    """Run the agent until a signal. `bootstrap`: where its bundle is, whatever the settings say."""
    given = {"FAIRLEAD_AGENT_BUNDLE": str(bootstrap.absolute())} if bootstrap is not None else {}
    logs.configure("info", "auto")
    try:
        trio.run(run_agent, load(config, {**os.environ, **given}), strict_exception_groups=True)
    except (ConfigError, BundleError, IdentityError) as error:
        raise AgentStartError(str(error)) from None
    except OSError as error:
        raise AgentStartError(f"{error.filename or 'health_listen'}: {error.strerror or error}.") from None
