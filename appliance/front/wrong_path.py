"""A kubeconfig credential outside the proxy path: kubectl dropped the server path, and its user must be told.

`kubectl get --raw` and `kubectl proxy` take the path they are given as the whole path. Their requests arrive at our
root with a credential that is good for one cluster only. Such a credential opens nothing here; it gets the sentence
that names the two forms that work.
"""

from __future__ import annotations

import re
from typing import Final

from appliance.core.problems import Code, Problem, problem
from appliance.front.intake import Asked
from appliance.front.parts import FrontParts

_JWT: Final = re.compile(rb"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def wrong_path(asked: Asked, address: str, parts: FrontParts) -> Problem | None:
    """Return what to tell whoever holds a kubeconfig credential; None for everyone else."""
    token = asked.block.token
    if token is None or not _JWT.fullmatch(token):
        return None  # machine tokens are no JWTs
    now = parts.clock()
    if not parts.verifier.known(token):
        limited = parts.failed_logins.refuse(address, now)
        if limited is not None:
            return limited
    credential = parts.verifier.verify(token, now)
    if isinstance(credential, Problem):
        parts.failed_logins.failed(address, now)
        return credential
    return problem(Code.WRONG_SERVER_PATH, path=f"/api/proxy/{credential.cluster_id}")
