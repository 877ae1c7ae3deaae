"""The pages that answers link to: what each error code means, as it is in this version.

Anyone may read them: they hold nothing of anybody. A browser gets HTML under which no script runs, everything else the
text. What always holds: a program without all of its pages does not start.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

import jinja2

from appliance.core.error_pages import BadPage, ErrorPage, read
from appliance.core.problems import Code
from appliance.core.safe_headers import SAFE_HEADERS
from appliance.front.replies import HELP_PREFIX, Reply
from wire.headers import find
from wire.heads import Headers

CACHED: Final = b"public, max-age=3600"  # as long as an upgrade may wait to be seen
_POLICY: Final = b"default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("appliance.front", "pages"), autoescape=True, undefined=jinja2.StrictUndefined
)


class Help:
    """Every page, as text and as HTML."""

    def __init__(self, pages: Mapping[Code, ErrorPage]) -> None:
        template = _templates.get_template("error_code.html")
        self._text = {str(code): page.text.encode() for code, page in pages.items()}
        self._html = {str(code): template.render(title=code, page=page).encode() for code, page in pages.items()}
        self._text[""] = "".join(f"{code}\n" for code in Code).encode()
        self._html[""] = template.render(title="Error codes", page=None, codes=list(Code)).encode()

    def reply(self, target: bytes, headers: Headers) -> Reply:
        """What is at a target that begins with HELP_PREFIX."""
        name = target[len(HELP_PREFIX) :].partition(b"?")[0].decode("ascii", "replace")
        html = b"text/html" in (find(headers, b"accept") or b"")
        body = (self._html if html else self._text).get(name)
        if body is None:
            return _reply(404, b"text/plain; charset=utf-8", b"There is no error code of this name.\n")
        return _reply(200, b"text/html; charset=utf-8" if html else b"text/plain; charset=utf-8", body)


@lru_cache(maxsize=1)  # they never change while a program runs
def load() -> Help:
    """Read all pages.

    Raises:
        BadPage: one is missing, or is not what it should be; a test keeps that from ever being installed.

    """
    folder = files("docs") / "errors"
    pages = {}
    for code in Code:
        try:
            text = (folder / f"{code}.md").read_text("utf-8")
        except OSError:
            raise BadPage(f"{code}: the program's page docs/errors/{code}.md is missing; install it again") from None
        pages[code] = read(code, text)
    return Help(pages)


def _reply(status: int, kind: bytes, body: bytes) -> Reply:
    safe = {name.encode(): value.encode() for name, value in SAFE_HEADERS}
    safe |= {b"Content-Security-Policy": _POLICY, b"Cache-Control": CACHED, b"Vary": b"Accept"}
    return Reply(status, ((b"Content-Type", kind), (b"Content-Length", b"%d" % len(body)), *safe.items()), body)
