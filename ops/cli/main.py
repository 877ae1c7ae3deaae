"""Where the `fairlead` command begins: the credential plugin at once, everything else through the tree of commands.

kubectl runs `fairlead kube token` each time that it starts, so nothing is imported for it that it does not need: its
arguments are looked at before click is loaded.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line: that of this process, unless another is given."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:2] == ["kube", "token"] and not {"-h", "--help"} & set(given):
        from ops.cli.plugin import run

        try:
            sys.exit(run(given[2:]))
        except (Exception, KeyboardInterrupt):  # the barrier is imported only when something went wrong
            from ops.cli.faults import barrier

            with barrier():
                raise
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # UTF-8 whatever the locale, as kubectl's: a script reads the same
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    from ops.cli.tree import fairlead

    fairlead(args=given, prog_name="fairlead")


if __name__ == "__main__":
    main()
