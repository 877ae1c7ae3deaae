"""Runs `async def` tests under Trio, on a virtual clock unless the test says it needs the real one.

A test marked `real_clock` talks to real processes or sockets; every other async test gets an autojumping
`MockClock`, so that a deadline of an hour takes no time and no test sleeps.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import settings

from tests.support.postgres import PostgresServer, cluster
from wire import frames

# No example has a deadline: how long one takes says how busy the machine is. In CI the examples are the same each time;
# new ones are for developers to find.
settings.register_profile("fairlead", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("fairlead")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_clock: run this async test on the wall clock (real sockets, processes)")
    config.addinivalue_line("markers", "interpreted: replaces a part that a compiled build binds early")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A compiled build (see setup.py) runs the same tests but for those that put a part of it out of its place."""
    if str(frames.__file__).endswith(".py"):
        return
    apart = [item for item in items if item.get_closest_marker("interpreted") is not None]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests, which each take a database of their own; a test that hurts a server makes its own."""
    with cluster() as server:
        yield server


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in wanted}
    clock = None
    if pyfuncitem.get_closest_marker("real_clock") is None:
        clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(functools.partial(test, **arguments), clock=clock, strict_exception_groups=True)
    return True


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that must not skip (`FAIRLEAD_TEST_REFUSE_SKIPS=1`, as CI sets it) when anything was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("FAIRLEAD_TEST_REFUSE_SKIPS") == "1" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
