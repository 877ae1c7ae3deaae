"""The table of routes: each declares its permission, or the appliance does not start."""

from __future__ import annotations

import pytest
import trio

from appliance.api.routes import Answer, Call, Proof, Route, UndeclaredRouteError, checked
from appliance.api.table import ROUTES
from appliance.core.roles import Permission


async def answer(_call: Call) -> Answer:
    await trio.lowlevel.checkpoint()
    return Answer(204)


READ = (Permission.CLUSTERS_READ,)


def test_every_route_declares_a_permission() -> None:
    assert checked(ROUTES) == ROUTES


def test_reading_never_needs_a_permission_to_write_and_writing_always_does() -> None:
    for route in ROUTES:
        if route.proof is Proof.SIGNED_IN:  # about whoever calls, and nobody else
            continue
        names = {str(it).partition(":")[2] for it in route.permissions}
        assert (names == {"read"}) == (route.method == "GET"), route


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ((Route("GET", "x", (), answer),), "GET /fairlead/v1/x declares no permission"),
        ((Route("GET", "x", ("clusters:read",), answer),), "declares no permission"),  # type: ignore[arg-type]
        ((Route("GET", "x", READ, answer), Route("GET", "x", READ, answer)), "stands twice"),
        ((Route("GET", "x", READ, answer, body=()),), "takes a body"),
    ],
)
def test_an_open_route_is_refused(routes: tuple[Route, ...], expected: str) -> None:
    with pytest.raises(UndeclaredRouteError, match=expected):
        checked(routes)
