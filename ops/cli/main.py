"""Where the `fairlead` command begins: everything else through the tree of commands."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line: that of this process, unless another is given."""
    from ops.cli.tree import fairlead

    fairlead(args=arguments, prog_name="fairlead")


if __name__ == "__main__":
    main()
