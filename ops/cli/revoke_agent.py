"""`fairlead revoke-agent`: one call of the admin API, and the new bundle in a file.

What always holds: the bundle, which holds a secret, is only ever in a file that its owner alone can read, and the
place for it is tried before anything is revoked; every mistake is one sentence.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit

import trio

from ops.demo.admin import ApiError, Appliance
from ops.demo.files import write_private


class RevokeError(Exception):
    """Nothing was revoked, or it is said that something was; the text is one sentence."""


def run(cluster: str, server: str, token_file: Path, ca: Path | None, bundle_out: Path) -> None:
    """Revoke, and write the bundle."""
    if urlsplit(server).scheme != "https" or not urlsplit(server).hostname:
        raise RevokeError("--server must be an https URL, such as https://fairlead.example.com.")
    appliance = Appliance(server, None if ca is None else _read(ca), _read(token_file).strip())
    if not os.access(bundle_out.parent, os.W_OK):
        raise RevokeError(f"{bundle_out} cannot be written, so nothing was revoked.")
    try:
        answer = trio.run(appliance.call, "POST", f"clusters/{quote(cluster, safe='')}/revoke-agent", {})
    except ApiError as error:
        raise RevokeError(str(error)) from None
    except (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError) as error:
        raise RevokeError(f"{server} cannot be reached, so nothing was revoked: {error}.") from None
    except (OSError, trio.TooSlowError, http.client.HTTPException) as error:
        raise RevokeError(f"{server} gave no answer ({error or 'too slow'}): it may have been done.") from None
    try:
        write_private(bundle_out, json.dumps(answer["bundle"], indent=2).encode() + b"\n")
    except OSError as error:
        again = f"make another bundle with POST /fairlead/v1/clusters/{cluster}/bundles"
        raise RevokeError(f"Revoked, but {bundle_out} cannot be written ({error.strerror}): {again}.") from None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RevokeError(f"{path} cannot be read: {error}.") from None
