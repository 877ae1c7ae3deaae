"""Calls that schemathesis makes of the document, right ones and wrong ones: no fault of ours, no answer undescribed.

The rig holds every answer to the document; here only what is sent is chosen. The same calls every time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from appliance.api import openapi
from appliance.api.examples import BODIES
from appliance.api.routes import Route
from appliance.api.table import ROUTES
from tests.appliance.api.rig import rig
from tests.appliance.api.world import furnished, path

RIGHT, WRONG = 6, 3  # calls made of each route: together some 30 s, most of it in making them

BY_LABEL = {f"{it.method} /fairlead/v1/{it.path.replace('<', '{').replace('>', '}')}": it for it in ROUTES}


def calls(operation: Any, mode: GenerationMode, number: int) -> list[Any]:
    found: list[Any] = []

    @seed(2027)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:
        found.append(case)

    collect()
    return found


def generated() -> Iterator[tuple[Route, Any]]:
    """What deletes comes last: by then there has been something to act on."""
    document = schemathesis.openapi.from_dict(openapi.document(ROUTES))
    operations = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    for operation in sorted(operations, key=lambda it: (it.method.upper() == "DELETE", it.label)):
        for mode, number in ((GenerationMode.POSITIVE, RIGHT), (GenerationMode.NEGATIVE, WRONG)):
            for case in calls(operation, mode, number):
                yield BY_LABEL[operation.label], case


def target(route: Route, case: Any, *, real: bool) -> str:
    asked = path(route).partition("?")[0]
    if not real:
        asked = route.path
        for name, value in (case.path_parameters or {}).items():
            asked = asked.replace(f"<{name}>", quote(str(value), safe=""))
    given = {name: value for name, value in (case.query or {}).items() if value is not None}
    return f"{asked}?{urlencode(given, doseq=True)}" if given else asked


def body(route: Route, case: Any, *, real: bool) -> Any:
    if route.body is None or not isinstance(case.body, dict | list | str | int | float | bool | None):
        return None
    example = BODIES.get((route.method, route.path))
    if real and example is not None and isinstance(case.body, Mapping):
        return {**case.body, **example}
    return case.body


@pytest.mark.real_clock
async def test_no_call_finds_a_fault_or_an_answer_that_is_not_described(tmp_path: Path) -> None:
    seen: dict[int, int] = {}
    async with rig(tmp_path) as api:
        world = await furnished(api)
        for number, (route, case) in enumerate(generated()):
            real = number % 2 == 0  # about what is there, else about what the generator made up
            match = (case.headers or {}).get("If-Match", "*") if number % 3 else "*"
            usable = match if str(match).isprintable() and str(match).isascii() else "*"
            sent = body(route, case, real=real)
            asked = target(route, case, real=real)
            reply = await api.call(route.method, asked, sent, token=world.holder(route), if_match=str(usable))
            assert reply.status < 500, (route.method, asked, sent, reply.body)
            seen[reply.status] = seen.get(reply.status, 0) + 1
    assert sum(seen.values()) > 500
    assert {200, 201, 204, 400, 404, 409, 422} <= set(seen), seen
