"""Which one is meant, and how people write rules, places and people for the API."""

from __future__ import annotations

from typing import Any

import click
import pytest

from ops.cli.admin import naming, written
from ops.cli.admin.naming import CLUSTER, PERSON
from ops.cli.faults import Exit, Fault

PEOPLE = [
    {"id": "person_aa1", "name": "ann@example.com", "email": "team@example.com"},
    {"id": "person_aa2", "name": "Ann@example.com", "email": "team@example.com"},
    {"id": "person_b", "name": "person_aa1x", "email": "ben@example.com"},
]


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("person_aa1", "person_aa1"),
        ("ann@example.com", "person_aa1"),
        ("Ann@example.com", "person_aa2"),
        ("ben@example.com", "person_b"),
        ("BEN@example.com", "person_b"),
        ("person_aa1x", "person_b"),
        ("person_b", "person_b"),
    ],
)
def test_one_is_meant(text: str, identity: str) -> None:
    assert naming.chosen(PERSON, text, PEOPLE)["id"] == identity


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("ANN@example.com", Exit.USAGE, "any of 2: ann@example.com (person_aa1), Ann@example.com (person_aa2)"),
        ("team@example.com", Exit.USAGE, "any of 2"),
        ("person_a", Exit.USAGE, "any of 2"),
        ("person_", Exit.NOT_FOUND, "no user person_ that you may see"),
        ("bem@example.com", Exit.NOT_FOUND, "no user bem@example.com"),
        ("\x1b[2J", Exit.NOT_FOUND, "no user \\x1b[2J "),
        ("", Exit.NOT_FOUND, "no user"),
    ],
)
def test_what_is_not_one_is_refused(text: str, code: Exit, says: str) -> None:
    with pytest.raises(Fault, match=r"user|any of") as refused:
        naming.chosen(PERSON, text, PEOPLE)
    assert (refused.value.exit_code, says in str(refused.value)) == (code, True), refused.value


def test_many_candidates_are_not_all_named() -> None:
    many = [{"id": f"cluster_{number}", "name": f"C{number}", "x": ""} for number in range(20)]
    with pytest.raises(Fault, match=r"any of 20: .* and 12 more"):
        naming.chosen(CLUSTER, "cluster", [{**it, "name": "Cluster"} for it in many])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("get pods", {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}),
        ("* *", {"verbs": ["*"], "apiGroups": [""], "resources": ["*"]}),
        (
            "get,update deployments.apps,deployments.apps/scale web",
            {
                "verbs": ["get", "update"],
                "apiGroups": ["apps"],
                "resources": ["deployments", "deployments/scale"],
                "resourceNames": ["web"],
            },
        ),
        ("get /healthz,/metrics/*", {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/metrics/*"]}),
    ],
)
def test_a_rule_on_one_line(text: str, rule: dict[str, Any]) -> None:
    assert written.read_rule(text) == rule


@pytest.mark.parametrize("text", ["", "get", "get pods web more", "get pods,jobs.batch", "get /healthz web"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError):
        written.read_rule(text)
