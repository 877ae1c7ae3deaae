"""The live sessions and nothing else say who is connected."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from appliance.tunnel.registry import MAX_SESSIONS_PER_CLUSTER, Change, Registry, SessionChange, TooManySessionsError


@dataclass
class Line:
    """A session as far as the registry sees one."""

    id: str
    alive: bool = True
    draining: bool = False
    in_flight: int = 0
    carried: int = 0
    exchanges: int = 0
    round_trip_seconds: float | None = None
    aborted: bool = False
    drained: float | None = None

    def abort(self) -> None:
        self.aborted = True

    def drain(self, seconds: float) -> None:
        self.drained = seconds


def registry_of(*lines: Line, cluster: str = "c") -> Registry[Line]:
    registry: Registry[Line] = Registry()
    for line in lines:
        registry.add(cluster, line, generation=1, serial="s" + line.id, now=10)
    return registry


def test_the_least_busy_healthy_session_is_chosen() -> None:
    busy, best = Line("1", in_flight=5), Line("2", in_flight=2)
    registry = registry_of(busy, best, Line("3", draining=True), Line("4", alive=False))

    assert registry.session_for("c") is best
    assert registry.session_for("other") is None


def test_no_session_when_all_are_leaving() -> None:
    assert registry_of(Line("1", draining=True)).session_for("c") is None


def test_the_end_of_an_old_session_leaves_the_new_one_alone() -> None:
    old, new = Line("old"), Line("new")
    registry = registry_of(old, new)

    registry.remove("c", "old", reason="lost", now=20)
    registry.remove("c", "old", reason="lost again", now=30)
    registry.remove("c", "never", reason="?", now=30)

    assert registry.session_for("c") is new
    state = registry.state("c")
    assert state is not None
    assert (state.connected, state.since, state.sessions) == (True, 10, 1)


def test_states_turn_with_the_first_and_the_last_session() -> None:
    registry: Registry[Line] = Registry()
    told: list[Change | SessionChange] = []
    registry.on_change(told.append)

    registry.add("c", Line("1"), generation=1, serial="a", now=1)
    registry.add("c", Line("2"), generation=1, serial="a", now=2)
    registry.remove("c", "1", reason="first gone", now=3)
    registry.remove("c", "2", reason="silent", now=4)
    registry.add("c", Line("3"), generation=1, serial="a", now=5)

    turns = [it for it in told if isinstance(it, Change)]
    assert [(change.state.connected, change.state.since, change.state.reason) for change in turns] == [
        (True, 1, ""),
        (False, 4, "silent"),
        (True, 5, ""),
    ]
    sessions = [it for it in told if isinstance(it, SessionChange)]
    assert [(it.session_id, it.began, it.reason) for it in sessions] == [
        ("1", True, ""),
        ("2", True, ""),
        ("1", False, "first gone"),
        ("2", False, "silent"),
        ("3", True, ""),
    ]
    assert registry.state("other") is None
    assert set(registry.states()) == {"c"}


def test_a_cluster_is_ended_whole_and_alone() -> None:
    ours, theirs = [Line("1"), Line("2")], Line("3")
    registry = registry_of(*ours)
    registry.add("d", theirs, generation=1, serial="x", now=1)

    assert registry.end_where(lambda cluster, _generation, _serial: cluster == "c") == 2
    assert all(line.aborted for line in ours)
    assert not theirs.aborted


def test_one_certificate_can_be_ended() -> None:
    first, second = Line("1"), Line("2")

    assert registry_of(first, second).end_where(lambda _c, _g, serial: serial == "s1") == 1
    assert (first.aborted, second.aborted) == (True, False)


def test_a_cluster_holds_only_so_many_sessions() -> None:
    registry = registry_of(*(Line(str(number)) for number in range(MAX_SESSIONS_PER_CLUSTER)))

    with pytest.raises(TooManySessionsError):
        registry.add("c", Line("one more"), generation=1, serial="s", now=1)
