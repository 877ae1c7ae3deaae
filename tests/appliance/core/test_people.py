"""Names that Kubernetes may be told."""

from __future__ import annotations

import pytest

from appliance.core.clusters import cluster_name_fault, labels_fault
from appliance.core.people import email_key, name_fault


@pytest.mark.parametrize("name", ["alice@example.com", "oidc:alice", "Ådmin", "a" * 256, "team blue"])
def test_names_that_are_good(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "system:masters",
        "System:masters",
        "SYSTEM:kube-controller-manager",
        "\u017fystem:masters",  # case-folds to the reserved prefix
        "a\nb",
        "a\x00b",
        "\x7f",
        " alice",
        "alice ",
        "a" * 257,
        "é" * 129,
        "\ud800",
        "\u202egnp",
    ],
)
def test_names_that_are_refused(name: str) -> None:
    assert name_fault(name)


@pytest.mark.parametrize("name", ["prod", "eu-1.prod", "a", "a" * 63])
def test_cluster_names_that_are_good(name: str) -> None:
    assert cluster_name_fault(name) is None


@pytest.mark.parametrize("name", ["", "Prod", "-a", "a-", "a_b", "a/b", "..", "a" * 64, "a\n", "cluster_1"])
def test_cluster_names_that_are_refused(name: str) -> None:
    assert cluster_name_fault(name)


def test_labels() -> None:
    assert labels_fault((("env", "prod"), ("example.com/team", ""))) is None
    assert labels_fault((("b", ""), ("a", "")))
    assert labels_fault((("a", "1"), ("a", "2")))
    assert labels_fault((("a b", ""),))
    assert labels_fault((("a", "x y"),))
    assert labels_fault(tuple((f"k{number:03}", "") for number in range(65)))


@pytest.mark.parametrize(
    ("email", "key"),
    [
        ("Ann@Example.com", "ann@example.com"),
        ("ann+x@example.com", "ann+x@example.com"),
        ("ann", None),
        ("ann@", None),
        ("@example.com", None),
        ("a@b@example.com", None),
        ("ann @example.com", None),
        ("ann@example.com\n", None),
        ("\u212aen@example.com", None),  # the Kelvin sign, whose lower case is a plain k
        ("", None),
    ],
)
def test_an_email_has_one_reading_or_none(email: str, key: str | None) -> None:
    assert email_key(email) == key
