"""The alert rules: Prometheus' own tool reads them, each fires for what it is for, with numbers that there are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import DEPLOY
from tests.rules.sources import ROOT
from tests.support.missing import need

RULES = DEPLOY / "appliance" / "chart" / "alerts.yaml"
MADE = re.compile(r"(counters?|gauges?|histogram)\(\s*\"(fairlead_[a-z_]+)\"")
SERIES = re.compile(r"fairlead_[a-z_]+")

#: For each alert the series that make it fire within an hour, minute by minute in Prometheus' own notation.
FIRES: dict[str, dict[str, str]] = {
    "FairleadApplianceAbsent": {"up": "0x60"},
    "FairleadAuditUnavailable": {"fairlead_audit_available": "0x60"},
    "FairleadAuditBacklog": {"fairlead_audit_waiting_records": "5000x60"},
    "FairleadAuditDenialsLost": {"fairlead_audit_lost_denials_total": "0+1x60"},
    "FairleadConfigurationStale": {"fairlead_store_age_seconds": "20x60"},
    "FairleadClusterDisconnected": {'fairlead_cluster_sessions{cluster="prod"}': "0x60"},
    "FairleadClusterApiServerDown": {'fairlead_cluster_api_server_up{cluster="prod"}': "0x60"},
    "FairleadAnswersFail": {
        'fairlead_requests_total{answer="5xx"}': "0+6x60",
        'fairlead_requests_total{answer="2xx"}': "0+60x60",
    },
    "FairleadGuessing": {"fairlead_failed_authentications_total": "0+120x60"},
    "FairleadSignInsFail": {
        'fairlead_sign_ins_total{result="failed"}': "0+1x60",
        'fairlead_sign_ins_total{result="ok"}': "7x60",
    },
    "FairleadHandshakesWait": {'fairlead_handshakes_in_progress{listener="users"}': "32x60"},
    "FairleadCertificateExpires": {'fairlead_certificate_expiry_timestamp_seconds{listener="users"}': "600000x70"},
    "FairleadClusterCertificateExpires": {
        'fairlead_cluster_certificate_expiry_timestamp_seconds{cluster="prod"}': "600000x70"
    },
    "FairleadAgentDisconnected": {"fairlead_agent_tunnel_sessions": "0x60"},
    "FairleadAgentCredentialUnusable": {"fairlead_agent_credential_usable": "0x60"},
}

#: All is well: nothing of the above fires.
HEALTHY = {
    "fairlead_build_info": "1x70",
    "fairlead_audit_available": "1x70",
    "fairlead_audit_waiting_records": "3x70",
    "fairlead_audit_lost_denials_total": "4x70",
    "fairlead_store_age_seconds": "1x70",
    'fairlead_cluster_sessions{cluster="prod"}': "2x70",
    'fairlead_cluster_api_server_up{cluster="prod"}': "1x70",
    'fairlead_requests_total{answer="5xx"}': "0+1x70",
    'fairlead_requests_total{answer="2xx"}': "0+60x70",
    "fairlead_failed_authentications_total": "0+6x70",
    'fairlead_sign_ins_total{result="failed"}': "0+1x70",
    'fairlead_sign_ins_total{result="ok"}': "0+1x70",
    'fairlead_handshakes_in_progress{listener="users"}': "4x70",
    'fairlead_certificate_expiry_timestamp_seconds{listener="users"}': "2000000x70",
    'fairlead_cluster_certificate_expiry_timestamp_seconds{cluster="prod"}': "2000000x70",
    "fairlead_agent_tunnel_sessions": "1x70",
    "fairlead_agent_credential_usable": "1x70",
}


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def promtool(directory: Path, tests: list[dict[str, Any]]) -> str:
    """What `promtool test rules` says; empty: all as expected."""
    need("promtool")
    file = directory / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    said = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False, timeout=60)
    return "" if said.returncode == 0 else said.stdout + said.stderr


def story(series: dict[str, str], expected: dict[str, bool]) -> dict[str, Any]:
    """An hour and some of it. An alert that fires is expected to say what the rule says, whatever its labels."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                "eval_time": "65m" if "Expires" in alert else "59m",
                "exp_samples": [{"labels": "{}", "value": 1 if fires else 0}],
            }
            for alert, fires in expected.items()
        ],
    }


def test_each_fires_for_what_it_is_for_and_none_when_all_is_well(tmp_path: Path) -> None:
    assert set(FIRES) == set(rules())
    healthy = story(HEALTHY, dict.fromkeys(FIRES, False))
    assert promtool(tmp_path, [healthy, *(story(series, {alert: True}) for alert, series in FIRES.items())]) == ""


def test_a_story_that_is_not_true_is_seen(tmp_path: Path) -> None:
    assert "FAILED" in promtool(tmp_path, [story(HEALTHY, {"FairleadAuditUnavailable": True})])


def exposed() -> set[str]:
    """Every name that the two programs can give; that they do is seen from outside, in tests of their own."""
    found = set()
    for source in ("appliance/metrics.py", "agent/metrics.py"):
        for kind, name in MADE.findall((ROOT / source).read_text()):
            found |= {f"{name}_total"} if kind.startswith("counter") else {name}
    return found


def test_their_numbers_exist() -> None:
    assert len(exposed()) > 30
    assert {name for rule in rules().values() for name in SERIES.findall(rule["expr"])} <= exposed()


@pytest.mark.parametrize("alert", FIRES)
def test_each_says_what_to_do(alert: str) -> None:
    rule = rules()[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert all(rule["annotations"][key].endswith(".") for key in ("summary", "description"))
    assert f"\n## {alert}\n" in (ROOT / "ops" / "runbooks" / "alerts.md").read_text()
