"""Nothing is skipped where nobody allowed it."""

from __future__ import annotations

import pytest

from tests.support.missing import ALLOW_MISSING, need


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)


@pytest.mark.parametrize("said", ["", "0", "yes"])
def test_a_missing_tool_fails_a_test(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(ALLOW_MISSING, said)
    with pytest.raises(pytest.fail.Exception, match="nginx is not installed"):
        need("nginx")


def test_a_developer_may_allow_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_MISSING, "1")
    with pytest.raises(pytest.skip.Exception, match="nginx is not installed"):
        need("nginx")
