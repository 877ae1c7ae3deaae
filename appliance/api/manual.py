"""The API's own document and a page to read and try it: for whoever asks, since they say nothing of this installation.

The page comes whole from here: no script, style or font of anybody else, and a policy that lets none in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Final

from quart import Response

from appliance.api import openapi
from appliance.api.routes import PREFIX, Route

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_FILES: Final = {
    "docs": ("page.html", "text/html; charset=utf-8"),
    "docs/page.css": ("page.css", "text/css; charset=utf-8"),
    "docs/page.js": ("page.js", "text/javascript; charset=utf-8"),
}

View = Callable[[], Awaitable[Response]]


def views(routes: Sequence[Route]) -> Mapping[str, View]:
    """By path: what is answered to a GET there."""
    folder = files("appliance.api") / "reference"
    found = {f"{PREFIX}/{path}": _view((folder / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}
    return {**found, f"{PREFIX}/openapi.json": _view(openapi.text(routes).encode(), "application/json")}


def _view(content: bytes, kind: str) -> View:
    async def view() -> Response:
        return Response(content, content_type=kind, headers={"Content-Security-Policy": POLICY})

    return view
