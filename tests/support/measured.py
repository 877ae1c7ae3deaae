"""The most memory a command took, seen from a process of its own: what a child began as counts, and ours is large."""

from __future__ import annotations

import resource
import subprocess
import sys


def main() -> int:
    """Runs its arguments; the last line on standard output is the most memory, in KiB."""
    done = subprocess.run(sys.argv[1:], check=False)
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
