"""The API's document: as checked in, served, valid, and about every route; and the page that shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from appliance.api import openapi
from appliance.api.table import ROUTES
from tests.appliance.api.rig import rig

CHECKED_IN = Path(__file__).parents[3] / "docs" / "openapi.json"
DOCUMENT = openapi.document(ROUTES)
OPERATIONS = {
    f"{method.upper()} {path}": it for path, methods in DOCUMENT["paths"].items() for method, it in methods.items()
}


def test_what_is_checked_in_is_what_the_routes_say() -> None:
    assert CHECKED_IN.read_text() == openapi.text(ROUTES), "run: make openapi"


def test_every_route_is_described_once() -> None:
    assert len(OPERATIONS) == len(ROUTES)
    names = [it["operationId"] for it in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in names)


def schemas(value: Any) -> list[dict[str, Any]]:
    """Every schema in a document."""
    if isinstance(value, list):
        return [found for it in value for found in schemas(it)]
    if not isinstance(value, dict):
        return []
    here = [value["schema"]] if isinstance(value.get("schema"), dict) else []
    return here + [found for it in value.values() for found in schemas(it)]


def test_every_schema_is_one() -> None:
    found = schemas(DOCUMENT["paths"])
    assert len(found) > 500
    for it in found:
        Draft202012Validator({**it, "components": DOCUMENT["components"]})


def test_nothing_is_described_that_no_answer_uses() -> None:
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert used == set(DOCUMENT["components"]["schemas"])


@pytest.mark.real_clock
async def test_the_document_and_its_page_are_served_to_anybody_and_bring_nothing_along(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        served = await api.client.get("/fairlead/v1/openapi.json")
        assert (served.status_code, served.content_type) == (200, "application/json")
        assert await served.get_json() == DOCUMENT
        for path, kind in {"docs": "text/html", "docs/page.css": "text/css", "docs/page.js": "text/javascript"}.items():
            page = await api.client.get(f"/fairlead/v1/{path}")
            assert (page.status_code, page.mimetype) == (200, kind)
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            text = await page.get_data(as_text=True)
            assert "://" not in text, "it names another place"
            assert not re.search(r"innerHTML|eval\(|<script>|style=|\son\w+=", text)
