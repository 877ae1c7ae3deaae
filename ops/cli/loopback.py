"""Sign-in with the browser of this machine: PKCE and a loopback address (RFC 8252, RFC 7636).

What always holds: we listen on 127.0.0.1 only, on a port of the system's choice, for as long as a sign-in may take; a
code is taken only with the state that this very command made up and from the appliance it asked (RFC 9207), compared in
constant time; what comes with another state changes nothing. The browser is shown a page that holds no secret and loads
nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import os
import queue
import secrets
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

import click

from ops.cli.faults import Exit, Fault, plain
from ops.cli.renewal import CLIENT_ID

WAIT_SECONDS = 600.0  # the appliance keeps a sign-in no longer
REQUEST_SECONDS = 10.0  # browsers open connections that they then do not use

_PAGE = (
    "<!doctype html><meta charset=utf-8><title>Fairlead</title>"
    "<body style='font: 16px system-ui; max-width: 32em; margin: 4em auto'>"
    "<h1>{title}</h1><p>{text}</p>"
)
_DONE = _PAGE.format(title="Back to the terminal", text="The command goes on there. You can close this window.")
_OTHER = _PAGE.format(title="Not this one", text="This page is not part of the sign-in that is going on.")


@dataclass(frozen=True, slots=True)
class Brought:
    """What the browser brought to the loopback address: a code, or the error that stands for none."""

    code: str
    error: str


def has_browser() -> bool:
    """Whether a browser would open where its user sees it, and not in this terminal or on another screen."""
    if os.environ.get("BROWSER"):
        return True
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def authorize(metadata: Mapping[str, str], label: str, *, show_only: bool, anew: bool) -> dict[str, str]:
    """The grant (a form for the token endpoint) that a person gives in the browser.

    `show_only`: open none. `anew`: whoever is signed in there already is not simply asked.
    """
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(32)
    with listening(metadata["issuer"], state) as (redirect_uri, arrivals):
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": redirect_uri,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            "state": state,
            "label": label,
            **({"prompt": "login"} if anew else {}),
        }
        url = f"{metadata['authorization_endpoint']}?{urlencode(asked)}"
        opened = not show_only and webbrowser.open(url)
        what = "Your browser was asked to open" if opened else "Open this page in a browser on this machine:"
        click.echo(f"{what}\n\n  {url}\n\nWaiting for you to sign in there. Ctrl-C ends it.", err=True)
        try:
            brought = arrivals.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise Fault("Nobody signed in within ten minutes.", next_step="fairlead login") from None
    if brought.error == "access_denied":
        raise Fault("The sign-in was refused in the browser.", Exit.FORBIDDEN)
    if brought.error:
        raise Fault(f"The appliance did not sign you in: {plain(brought.error)}.", next_step="fairlead login")
    return {
        "grant_type": "authorization_code",
        "code": brought.code,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri,
    }


@contextmanager
def listening(issuer: str, state: str) -> Iterator[tuple[str, queue.Queue[Brought]]]:
    """A redirect URI, and what arrives there; each thing only when its page is on its way."""
    arrivals: queue.Queue[Brought] = queue.Queue(maxsize=1)

    class Listener(http.server.BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            brought = read(self.path, issuer, state)
            try:
                self._answer(404 if brought is None else 200, _OTHER if brought is None else _DONE)
            finally:  # not before: whoever waits for it may end the process, and the page with it
                if brought is not None:
                    with _first_only():
                        arrivals.put_nowait(brought)

        def _answer(self, status: int, text: str) -> None:
            page = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """The query holds the code: it is written nowhere."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, name="loopback", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/callback", arrivals
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _first_only() -> Iterator[None]:
    """A browser that shows its page again brings the same."""
    try:
        yield
    except queue.Full:
        return


def read(target: str, issuer: str, state: str) -> Brought | None:
    """What a request target brings; None: it is not an answer to what we asked."""
    parts = urlsplit(target)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = dict(pairs)
    if parts.path != "/callback" or len(query) != len(pairs):
        return None
    ours = hmac.compare_digest(query.get("state", "").encode(), state.encode())
    if not ours or query.get("iss") != issuer or not (query.get("code") or query.get("error")):
        return None
    return Brought(query.get("code", ""), query.get("error", ""))
