"""Entry point of the `fairlead` command."""

from __future__ import annotations


def main() -> None:
    """Dispatch to the sub-commands."""
    raise SystemExit("fairlead: no command yet")
