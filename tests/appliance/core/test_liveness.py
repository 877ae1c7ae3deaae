"""What three facts come to: an agent is registered, the link is up, the API server answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.core.liveness import AgentLink, ClusterState, Phase, Report, api_server, condition, report

DAY = 86_400 * 1_000_000
NOW = 1_800_000_000_000_000
LINK = AgentLink("s1", "agent/1", "192.0.2.1", NOW - 50, "0a", NOW - DAY, NOW + 29 * DAY, report=Report(), said_at=5)
DOWN = "The API server at 10.0.0.1:443 cannot be reached."


def up(*links: AgentLink) -> ClusterState:
    return ClusterState(True, NOW - 100, len(links), agents=links)


@pytest.mark.parametrize(
    ("state", "registered", "phase", "since", "reason"),
    [
        (None, False, Phase.PENDING, None, "Install its agent with a bundle"),
        (None, True, Phase.DISCONNECTED, None, "to this appliance since it started"),
        (ClusterState(False, 7, 0, "the connection broke"), True, Phase.DISCONNECTED, 7, "the connection broke"),
        (ClusterState(False, 7, 0, "revoked"), False, Phase.PENDING, 7, "No agent of this cluster is enrolled"),
        (up(LINK), True, Phase.CONNECTED, NOW - 100, ""),
        (up(replace(LINK, report=None)), True, Phase.CONNECTED, NOW - 100, ""),
        (up(LINK, replace(LINK, report=Report(fault=DOWN), said_at=9)), True, Phase.DEGRADED, 9, DOWN),
        (up(replace(LINK, report=Report(skew_seconds=90))), True, Phase.DEGRADED, NOW - 50, "90 s ahead of"),
        (up(replace(LINK, report=Report(skew_seconds=-61))), True, Phase.DEGRADED, NOW - 50, "61 s behind"),
        (up(replace(LINK, report=Report(skew_seconds=60))), True, Phase.CONNECTED, NOW - 100, ""),
        (up(replace(LINK, issued_at=NOW - 30 * DAY, expires_at=NOW + 10 * DAY)), True, Phase.DEGRADED, NOW, "renewed"),
        (
            up(replace(LINK, issued_at=NOW - 30 * DAY, expires_at=NOW + DAY, leaving=True)),
            True,
            Phase.CONNECTED,
            NOW - 100,
            "",
        ),
    ],
)
def test_a_phase(state: ClusterState | None, registered: bool, phase: Phase, since: int | None, reason: str) -> None:
    found = condition(state, registered=registered, now=NOW)

    assert (found.phase, found.since) == (phase, since)
    assert reason in found.reason
    assert bool(reason) is bool(found.reason)


def test_the_api_server_answers_if_it_answers_one_agent() -> None:
    deaf = replace(LINK, report=Report(fault=DOWN), said_at=9)

    assert api_server(None).answers is None
    assert api_server(up(replace(LINK, report=None))).answers is None
    assert (api_server(up(deaf)).answers, api_server(up(deaf)).since, api_server(up(deaf)).reason) == (False, 9, DOWN)
    assert (api_server(up(deaf, LINK)).answers, api_server(up(deaf, LINK)).since) == (True, 5)


def test_what_an_agent_says_is_read_and_nothing_else_believed() -> None:
    said: dict[str, str | int] = {
        "version": "1.2",
        "kubernetes": "v1.33.1",
        "api_server": DOWN,
        "guard": "no exec",
        "refused": 3,
    }

    assert report(said | {"clock": NOW // 1_000_000 + 5, "later": 1}, NOW) == Report(
        "1.2", "v1.33.1", DOWN, "no exec", 3, 5
    )
    assert report({"version": 5, "kubernetes": "a\nb", "refused": "x", "clock": "noon"}, NOW) == Report()
    assert len(report({"api_server": "x" * 5000}, NOW).fault) == 512
