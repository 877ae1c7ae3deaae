"""The admin API for commands: signed in, renewed silently, errors as faults. Read this to write a command.

    from ops.cli.client import connected

    @clusters.command("list")
    @output_option
    def list_() -> None:
        with connected() as api:                             # the profile and account in use, or those of the options
            items = list(api.pages("clusters"))              # every page of a list, however it is cut
            one = api.get(f"clusters/{segment(name)}")       # JSON; None without a body
            api.post("bindings", {...}); api.patch(..., it["etag"]); api.put(...); api.delete(...)

`connected` uses, in this order: a token file (FAIRLEAD_CLI_TOKEN_FILE with FAIRLEAD_CLI_SERVER and FAIRLEAD_CLI_CA: for
machines), or the session of a profile. What always holds: an answer that is no success raises a `Fault` with the
catalogue's code, sentence and the correlation id, and the exit code of `ops.cli.faults`; nobody signed in is exit
code 3; an access token that has expired is renewed once, by one process at a time, before anyone is asked to sign in.
Paths are below /fairlead/v1/. `api.profile.server` is the appliance's URL, `api.profile.ca` its CA or None.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from ops.cli import keeping, listing, options, places, profiles
from ops.cli.faults import Exit, Fault, refused
from ops.cli.profiles import Profile
from ops.cli.renewal import not_signed_in, renew
from ops.cli.transport import Answer, Transport, read_ca

PREFIX = "/fairlead/v1/"
TOKEN_FILE_VARIABLE = "FAIRLEAD_CLI_TOKEN_FILE"  # noqa: S105 -- the name of a variable
SERVER_VARIABLE = "FAIRLEAD_CLI_SERVER"
CA_VARIABLE = "FAIRLEAD_CLI_CA"

#: Of a 401: another token may do.
_RENEWABLE = frozenset({"SESSION_EXPIRED", "INVALID_TOKEN", "AUTHENTICATION_REQUIRED"})


class Bearer(Protocol):
    """Where the token comes from."""

    def token(self) -> str:
        """The one to show."""

    def renewed(self, refused: str) -> str | None:
        """Another one, after this one was refused; None: there is none."""


class SessionBearer:
    """A person's session on this machine."""

    def __init__(self, profile: Profile, account: str, transport: Transport) -> None:
        self._profile, self._account, self._transport = profile, account, transport

    def token(self) -> str:
        kept = keeping.load(self._profile.name, self._account)
        if kept is None:
            raise not_signed_in(self._profile, self._account)
        if kept.fresh(time.time()):
            return kept.access_token
        return renew(self._profile, self._account, self._transport, kept.access_token).access_token

    def renewed(self, refused: str) -> str | None:
        return renew(self._profile, self._account, self._transport, refused).access_token


class FileBearer:
    """A machine's token in a file, read again when it is refused: whoever keeps it fresh writes it there."""

    def __init__(self, path: str) -> None:
        self._path = path

    def token(self) -> str:
        found = Path(self._path).read_text(errors="replace").strip()
        if not found or not found.isascii() or not found.isprintable():
            raise Fault(f"{self._path} holds no token.", next_step="put a machine's token into it")
        return found

    def renewed(self, refused: str) -> str | None:
        found = self.token()
        return found if found != refused else None


class Client:
    """Calls of the admin API."""

    def __init__(self, profile: Profile, account: str, bearer: Bearer, transport: Transport) -> None:
        self.profile = profile
        self.account = account  # "" for a machine
        self.transport = transport
        self._bearer = bearer

    def get(self, path: str, /, **query: str | int | None) -> Any:
        asked = {name: str(value) for name, value in query.items() if value is not None}
        return self._call("GET", path + (f"?{urlencode(asked)}" if asked else ""))

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, bare: bool = False) -> Any:
        """`bare`: for a route that takes no body, not even an empty one."""
        return self._call("POST", path, None if bare else body or {})

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("PUT", path, body)

    def patch(self, path: str, body: Mapping[str, Any], etag: str) -> Any:
        """`etag`: of what was read and is changed by that; `*`: whatever is there is changed."""
        return self._call("PATCH", path, body, etag)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def pages(self, path: str, /, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """Every item of a list."""
        for page in listing.pages(self, path, **query):
            yield from page

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None, etag: str | None = None) -> Any:
        token = self._bearer.token()
        answer = self._asked(method, path, body, etag, token)
        document = answer.document()
        if answer.status == 401 and isinstance(document, dict) and document.get("code") in _RENEWABLE:
            another = self._bearer.renewed(token)
            if another is not None:
                answer = self._asked(method, path, body, etag, another)
                document = answer.document()
        if answer.status >= 300:
            raise refused(answer.status, document, answer.correlation_id)
        return document

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None, etag: str | None, token: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        if etag is not None:
            headers["If-Match"] = etag
        raw = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            raw = json.dumps(body).encode()
        return self.transport.ask(method, PREFIX + path, raw, headers, body)


def segment(name_or_id: str) -> str:
    """A name as one segment of a path."""
    return quote(name_or_id, safe="")


@contextmanager
def connected(profile: str = "", account: str = "") -> Iterator[Client]:
    """A client for the command that runs."""
    told = options.given()
    token_file = os.environ.get(TOKEN_FILE_VARIABLE)
    if token_file and (profile or told.profile) in {"", places.MACHINE}:
        server = os.environ.get(SERVER_VARIABLE, "")
        if not server:
            raise Fault(f"{TOKEN_FILE_VARIABLE} is set, but not {SERVER_VARIABLE}.", Exit.USAGE, next_step="set both")
        ca = os.environ.get(CA_VARIABLE)
        found = Profile(places.MACHINE, profiles.origin(server), read_ca(Path(ca)) if ca else None)
        transport = Transport(found.server, found.ca, debug=told.debug)
        client = Client(found, "", FileBearer(token_file), transport)
    else:
        found = profiles.read().chosen(profile or told.profile)
        who = account or told.account or found.account
        transport = Transport(found.server, found.ca, debug=told.debug)
        client = Client(found, who, SessionBearer(found, who, transport), transport)
    try:
        yield client
    finally:
        transport.close()
