"""A real browser without a screen: Debian's Chromium, driven over WebDriver (W3C), which is JSON over HTTP.

It believes the certificates of the public keys it is told of, and no others; it has a profile of its own that is thrown
away, and asks nobody else for anything.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how WebDriver writes a reference
SECONDS = 60.0
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@dataclass
class Browser:
    """One window."""

    port: int
    session: str = ""

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def go(self, url: str) -> None:
        self.ask("POST", f"/session/{self.session}/url", {"url": url})

    @property
    def url(self) -> str:
        return str(self.ask("GET", f"/session/{self.session}/url"))

    @property
    def source(self) -> str:
        return str(self.ask("GET", f"/session/{self.session}/source"))

    def text(self) -> str:
        return str(self._of(self._find("body"), "text"))

    def has(self, selector: str) -> bool:
        found = self.ask("POST", f"/session/{self.session}/elements", {"using": "css selector", "value": selector})
        return bool(found)

    def click(self, selector: str) -> None:
        self.ask("POST", f"/session/{self.session}/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self.ask("POST", f"/session/{self.session}/element/{self._find(selector)}/value", {"text": text})

    def run(self, script: str) -> Any:
        return self.ask("POST", f"/session/{self.session}/execute/sync", {"script": script, "args": []})

    def screenshot(self) -> bytes:
        return base64.b64decode(self.ask("GET", f"/session/{self.session}/screenshot"))

    def forget(self) -> None:
        """All cookies, as a person's private window does when it is closed."""
        self.ask(
            "POST", f"/session/{self.session}/goog/cdp/execute", {"cmd": "Network.clearBrowserCookies", "params": {}}
        )

    def _find(self, selector: str) -> str:
        found = self.ask("POST", f"/session/{self.session}/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def _of(self, element: str, what: str) -> Any:
        return self.ask("GET", f"/session/{self.session}/element/{element}/{what}")


def key_pin(certificate_pem: str) -> str:
    """How Chromium names a public key."""
    public = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(sha256(raw).digest()).decode()


@contextmanager
def browser(directory: Path, pins: Sequence[str]) -> Iterator[Browser]:
    """A window that believes the certificates of these keys."""
    driver = shutil.which("chromedriver")
    assert driver is not None, "a real browser is needed: apt-get install chromium chromium-driver"
    process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    made = None
    try:
        assert process.stdout is not None
        said = next(line for line in process.stdout if "started successfully" in line)
        found = re.search(r"on port (\d+)", said)
        assert found is not None
        made = Browser(int(found[1]))
        arguments = [*QUIET, f"--user-data-dir={directory}", f"--ignore-certificate-errors-spki-list={','.join(pins)}"]
        capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}}
        made.session = made.ask("POST", "/session", {"capabilities": capabilities})["sessionId"]
        yield made
    finally:
        if made is not None and made.session:
            made.ask("DELETE", f"/session/{made.session}")
        process.terminate()
        process.wait(SECONDS)
        if process.stdout is not None:
            process.stdout.close()
