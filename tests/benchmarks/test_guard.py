"""The hot path may not become slower by a factor without someone noticing."""

from __future__ import annotations

import pytest
import trio

from benchmarks import guard
from benchmarks.nginx import ToolMissingError

RUN_SECONDS = 90.0  # four loads of three seconds, their warm-ups, and the start of everything


@pytest.mark.real_clock
@pytest.mark.slow
@pytest.mark.alone
async def test_a_small_get_through_the_chain_costs_no_more_than_it_may() -> None:
    reason = guard.may_skip()
    if reason is not None:
        pytest.skip(reason)

    with trio.fail_after(RUN_SECONDS):
        cost, table = await guard.measure()

    print(table)
    assert cost <= guard.CEILING, (
        f"a request costs {cost:.1f} times nginx's CPU; the ceiling is {guard.CEILING}\n{table}"
    )


def test_a_missing_tool_fails_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)

    with pytest.raises(ToolMissingError, match="nginx is not installed"):
        guard.may_skip({})


def test_a_developer_may_allow_missing_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)

    assert "nginx is not installed" in (guard.may_skip({guard.ALLOW_MISSING: "1"}) or "")
    with pytest.raises(ToolMissingError):
        guard.may_skip({guard.ALLOW_MISSING: "yes"})
