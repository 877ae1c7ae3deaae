"""An identity that replicas share, in one Kubernetes Secret of the agent's own namespace.

What always holds: a Secret is replaced only in the version that was read (`resourceVersion`, a precondition that the
API server checks), so of two replicas that store at once one wins and the other reads again; the key is agreed on
before anyone shows a token, so that all of them get the same certificate for it; the files here are a copy, for TLS to
read and to start from when the API server is away. The Secret exists already: whoever installs the agent makes it, and
the agent may get and update this one and no other.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from agent.api_server import ApiServer, NoAnswerError
from agent.custody import CustodyError
from agent.identity import CREDENTIAL, KEY, DataDirectory, Identity, IdentityError

TRIES: Final = 5  # of storing; each one lost means that another replica has stored

_log = logging.getLogger("fairlead.agent")


class SharedSecret:
    """One Secret, and its copy in the data directory."""

    def __init__(self, api_server: ApiServer, directory: DataDirectory, namespace: str, name: str) -> None:
        self._api_server = api_server
        self._directory = directory
        self._shown = f"{namespace}/{name}"
        self._path = f"/api/v1/namespaces/{namespace}/secrets/{name}".encode()

    async def fetch(self) -> None:
        """Take up what the Secret holds; into one that holds nothing goes what is here, or a new key.

        Raises:
            CustodyError: the Secret cannot be used now, and there is no identity here to go on with.

        """
        try:
            await self._settle()
        except CustodyError as error:
            if self._directory.identity() is None:
                raise
            _log.warning("the copy of the identity here is used: %s", error)

    async def offer(self, identity: Identity) -> Identity:
        """Store the identity that is here now, unless another replica's is newer: then that one.

        Raises:
            CustodyError: it could not be stored. It is here, and good; the next fetch tries again.

        """
        try:
            await self._settle()
        except CustodyError as error:
            _log.warning("the new certificate is not shared yet: %s", error)
        return self._directory.identity() or identity

    async def _settle(self) -> None:
        """Make the Secret and the files here one; what is newer wins."""
        for _ in range(TRIES):
            secret = await self._read()
            theirs = _content(secret.get("data"))
            if KEY in theirs and not self._is_newer_here(theirs):
                if theirs != self._directory.content():
                    self._take(theirs)
                return
            mine = self._directory.content()
            if await self._replaced(secret, mine):
                return
        raise CustodyError(f"The Secret {self._shown} was changed by others {TRIES} times while it was written.")

    def _is_newer_here(self, theirs: Mapping[str, bytes]) -> bool:
        """Tell whether what is here should be what all have: for the same key, and issued later."""
        mine = self._directory.content()
        if mine[KEY] != theirs[KEY]:
            return False
        return _issued(mine) > _issued(theirs)

    def _take(self, theirs: Mapping[str, bytes]) -> None:
        try:
            self._directory.take(theirs)
        except (IdentityError, ValueError) as error:
            raise CustodyError(f"The Secret {self._shown} holds no identity ({error}): empty it.") from None
        _log.info("took up the identity in the Secret %s", self._shown)

    async def _read(self) -> dict[str, Any]:
        status, secret = await self._ask(b"GET", None)
        if status == 404:
            raise CustodyError(f"There is no Secret {self._shown}: make an empty one.")
        if status in {401, 403}:
            raise CustodyError(f"The agent's service account may not get the Secret {self._shown}.")
        if status != 200 or not isinstance(secret, dict) or not isinstance(secret.get("metadata"), dict):
            raise CustodyError(f"The Secret {self._shown} cannot be read (status {status}).")
        return secret

    async def _replaced(self, secret: dict[str, Any], content: Mapping[str, bytes]) -> bool:
        """Store, in the version that was read. False: another replica was faster."""
        data = {name: base64.b64encode(value).decode() for name, value in content.items()}
        status, _ = await self._ask(b"PUT", {**secret, "data": {**(secret.get("data") or {}), **data}})
        if status == 409:
            return False
        if status in {401, 403}:
            raise CustodyError(f"The agent's service account may not update the Secret {self._shown}.")
        if status != 200:
            raise CustodyError(f"The Secret {self._shown} cannot be written (status {status}).")
        return True

    async def _ask(self, method: bytes, body: object) -> tuple[int, Any]:
        try:
            return await self._api_server.ask(method, self._path, body)
        except NoAnswerError as error:
            raise CustodyError(str(error)) from None


def _content(data: object) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in (KEY, CREDENTIAL):
        value = data.get(name) if isinstance(data, dict) else None
        if isinstance(value, str) and value:
            try:
                found[name] = base64.b64decode(value, validate=True)
            except binascii.Error:
                continue
    return found


def _issued(content: Mapping[str, bytes]) -> float:
    try:
        return float(json.loads(content[CREDENTIAL]).get("issued", 0))
    except (KeyError, ValueError, AttributeError, TypeError):
        return 0.0
