"""`fairlead revoke-agent`: as `fairlead clusters revoke-agent`, for a program with a token in a file and no profile.

What always holds: the bundle, which holds a secret, is only ever in a file that its owner alone can read, and the
place for it is tried before anything is revoked.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from ops.cli import places, profiles
from ops.cli.admin import installing
from ops.cli.client import Client, FileBearer, segment
from ops.cli.transport import Transport


def run(cluster: str, server: str, token_file: Path, ca: Path | None, bundle_out: Path) -> None:
    """Revoke, and write the bundle."""
    profile = profiles.Profile(places.MACHINE, profiles.origin(server), ca.read_text(errors="replace") if ca else None)
    bearer = FileBearer(str(token_file))
    bearer.token()
    file = installing.place(bundle_out, cluster)
    with contextlib.closing(Transport(profile.server, profile.ca)) as transport:
        answer = Client(profile, "", bearer, transport).post(f"clusters/{segment(cluster)}/revoke-agent")
    installing.write(file, answer["bundle"])
