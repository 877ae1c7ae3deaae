"""The page that shows the admin API, in a real browser: it reads the document, and calls what it shows."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.api.table import ROUTES
from tests.journeys.gatehouse import Gatehouse
from tests.support.browser import Browser

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

# Calls back once an element says something that it did not say at first.
SEEN = """
const [find, first, done] = [arguments[0], arguments[1], arguments[arguments.length - 1]];
const look = () => {
  const found = eval(find);
  if (found && found.textContent && found.textContent !== first) { done(found.textContent); return true; }
  return false;
};
if (!look()) {
  const observer = new MutationObserver(() => { if (look()) observer.disconnect(); });
  observer.observe(document, { childList: true, subtree: true, characterData: true });
}
"""


def seen(window: Browser, what: str, first: str = "") -> str:
    script = SEEN.replace("eval(find)", what)  # the page's own policy lets nothing be evaluated
    found: Any = window.ask("POST", f"/session/{window.session}/execute/async", {"script": script, "args": ["", first]})
    return str(found)


def box(method: str, path: str) -> str:
    return (
        "[...document.querySelectorAll('main > details')]"
        f".find((it) => it.querySelector('summary').textContent === '{method}/fairlead/v1/{path}')"
    )


def test_the_page_shows_every_route_and_calls_what_it_shows(house: Gatehouse, window: Browser) -> None:
    window.go(f"{house.url}/fairlead/v1/docs")
    assert seen(window, box("GET", "clusters")).startswith("GET/fairlead/v1/clusters")
    assert window.run("return document.querySelectorAll('main > details').length") == len(ROUTES)

    window.run(f"{box('GET', 'clusters')}.querySelector('button').click()")
    assert "AUTHENTICATION_REQUIRED" in seen(window, f"{box('GET', 'clusters')}.querySelector(':scope > pre')", "…")

    window.run(f"document.getElementById('token').value = '{house.stack.token}'")
    window.run(f"{box('GET', 'clusters')}.querySelector('button').click()")
    answer = seen(window, f"{box('GET', 'clusters')}.querySelector(':scope > pre')", "…")
    assert answer.startswith("200 GET /fairlead/v1/clusters")
    assert '"name": "toy"' in answer

    # A body to begin with, a place in the path, and a header.
    made = box("PATCH", "clusters/{cluster}")
    window.run(f"{made}.querySelector('input').value = 'toy'")
    window.run(f"{made}.querySelector('button').click()")
    assert seen(window, f"{made}.querySelector(':scope > pre')", "…").startswith("200 PATCH /fairlead/v1/clusters/toy")

    window.run("const it = document.getElementById('find'); it.value = 'who-can'; it.dispatchEvent(new Event('input'))")
    assert window.run("return document.querySelectorAll('main > details:not([hidden])').length") == 1
    house.call("PATCH", "clusters/toy", {"labels": {}})
