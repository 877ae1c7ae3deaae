"""Someone who goes through web pages without a browser: cookies, links, forms, one request at a time.

Fast enough for every way in which a flow can be attacked; that real browsers agree is shown by one. Redirects are
followed as long as they lead to hosts that the surfer knows; a step beyond is where they stop and look.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

SECONDS = 20.0
MAX_HOPS = 20


@dataclass
class Seen:
    """Where a step led. `url` is the last one; for a redirect that was not followed, `location` is the next."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    body: str

    @property
    def location(self) -> str:
        return urljoin(self.url, self.headers.get("Location", ""))

    @property
    def code(self) -> str:
        return self.headers.get("X-Fairlead-Error-Code", "")

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.location or self.url).query))

    def form(self) -> tuple[str, dict[str, str]]:
        """The last form of the page: where it leads, and the fields that are filled in."""
        text = re.findall(r"<form.*?</form>", self.body, re.DOTALL)[-1]
        action = re.search(r'action="([^"]*)"', text)
        fields = re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', text)
        return urljoin(self.url, unescape(action[1] if action else "")), {n: unescape(v) for n, v in fields}


@dataclass
class Surfer:
    """One browser's worth of cookies. `authorities`: PEM of those believed."""

    authorities: str
    address: str = "127.0.0.1"  # where from
    jars: dict[str, dict[str, str]] = field(default_factory=dict)  # by host and port: the real one shares them by host

    def go(self, url: str, form: Mapping[str, str] | None = None, **headers: str) -> Seen:
        """One request, redirects not followed."""
        parts = urlsplit(url)
        jar = self.jars.setdefault(parts.netloc, {})
        context = ssl.create_default_context(cadata=self.authorities)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=SECONDS, context=context, source_address=(self.address, 0)
        )
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}
        body = None
        if form is not None:
            body = urlencode(form)
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://{parts.netloc}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("GET" if form is None else "POST", target, body, sent)
            answer = connection.getresponse()
            seen = Seen(url, answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()
        for cookie in seen.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            if value:
                jar[name] = value
            else:
                jar.pop(name, None)
        return seen

    def follow(self, url: str, form: Mapping[str, str] | None = None, *, until: str = "\0") -> Seen:
        """Also where it leads, but for URLs that begin with `until`."""
        seen = self.go(url, form)
        for _ in range(MAX_HOPS):
            if not seen.headers.get("Location") or seen.location.startswith(until):
                return seen
            seen = self.go(seen.location)
        raise AssertionError(f"too many redirects: {seen.url}")

    def pass_provider(self, seen: Seen, subject: str, callback: str) -> Seen:
        """Log in and consent at the provider's own pages, up to the step back to `callback`."""
        while "<form" in seen.body and "/interaction/" in seen.url:
            action, fields = seen.form()
            if 'name="login"' in seen.body:
                fields |= {"login": subject, "password": "any"}
            seen = self.follow(action, fields, until=callback)
        return seen
