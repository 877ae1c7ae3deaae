"""What a message says, how it is signed, and when it is tried again."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from appliance.core.access import SECOND, AccessRequest, Approval, RequestState
from appliance.core.roles import Scope, ScopeKind, Subject, SubjectKind
from appliance.core.webhooks import (
    FIRST_RETRY_SECONDS,
    GIVE_UP_SECONDS,
    LONGEST_RETRY_SECONDS,
    SECRET_BYTES,
    SUBSCRIBABLE,
    Delivery,
    Names,
    Notice,
    Outcome,
    Target,
    Webhook,
    became,
    message,
    next_try,
    shown_url,
    signature,
    target,
)

NOW = 1_800_000_000_000_000
ANN = Subject(SubjectKind.PERSON, "person_1")
REQUEST = AccessRequest(
    "request_1",
    "policy_1",
    ANN,
    ANN,
    "role_1",
    Scope(ScopeKind.NAMESPACES, "cluster_1", namespaces=("blue",)),
    600,
    "incident 7",
    approvals=(Approval(Subject(SubjectKind.PERSON, "person_2"), "ben@example.com", NOW),),
    expires_at=NOW + SECOND,
    reviewers=("cat@example.com",),
)


def test_a_signature_is_as_the_specification_has_it() -> None:
    """The vector that the specification's own libraries are tested with."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_says_who_where_why_and_what_became_of_it() -> None:
    told = json.loads(
        message(Notice.SECONDED, REQUEST, Names("ann@example.com", "ann@example.com", "operator", "prod"), NOW)
    )
    assert (told["type"], told["timestamp"]) == ("access_request.seconded", "2027-01-15T08:00:00Z")
    data = told["data"]
    assert (data["requester"]["name"], data["role"]["name"], data["cluster"]["name"]) == (
        "ann@example.com",
        "operator",
        "prod",
    )
    assert (data["scope"]["namespaces"], data["seconds"], data["reason"]) == (["blue"], 600, "incident 7")
    assert (data["reviewers"], data["approvals"][0]["name"]) == (["cat@example.com"], "ben@example.com")


def test_every_state_is_told() -> None:
    assert {became(replace(REQUEST, decided=it)) for it in RequestState} | {Notice.CREATED} == set(SUBSCRIBABLE)


def test_a_webhook_hears_what_it_wants() -> None:
    assert all(Webhook("w", "https://x.example.com").wants(it) for it in Notice)
    some = Webhook("w", "https://x.example.com", (Notice.CREATED,))
    assert [it for it in Notice if some.wants(it)] == [Notice.CREATED, Notice.TEST]


@pytest.mark.parametrize(
    ("tries", "least", "most"),
    [
        (1, FIRST_RETRY_SECONDS / 2, FIRST_RETRY_SECONDS),
        (2, FIRST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2),
        (9, FIRST_RETRY_SECONDS * 128, FIRST_RETRY_SECONDS * 256),
        (99, LONGEST_RETRY_SECONDS / 2, LONGEST_RETRY_SECONDS),
    ],
)
def test_it_is_tried_again_later_and_later_and_never_all_at_once(tries: int, least: float, most: float) -> None:
    owed = Delivery("m", "w", Notice.CREATED, "{}", NOW, tries)
    waits = [((next_try(owed, Outcome(500), NOW, chance) or 0) - NOW) / SECOND for chance in (0.0, 1.0)]
    assert waits == [least, most]


def test_it_is_given_up_after_a_day_or_when_the_receiver_wants_no_more() -> None:
    owed = Delivery("m", "w", Notice.CREATED, "{}", NOW, 30)
    late = NOW + GIVE_UP_SECONDS * SECOND
    assert next_try(owed, Outcome(None, "down"), late - LONGEST_RETRY_SECONDS * SECOND, 0.5) is not None
    assert next_try(owed, Outcome(None, "down"), late, 0.5) is None
    assert next_try(Delivery("m", "w", Notice.CREATED, "{}", NOW, 1), Outcome(410, "gone"), NOW, 0.5) is None


@pytest.mark.parametrize(("status", "delivered"), [(200, True), (204, True), (302, False), (404, False), (None, False)])
def test_only_a_success_is_one(status: int | None, delivered: bool) -> None:
    assert Outcome(status).delivered is delivered


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://chat.example.com/services/T0/B0/abc", "https://chat.example.com/…"),
        ("https://chat.example.com:8443/abc?key=1", "https://chat.example.com:8443/…"),
        ("https://[2001:db8::1]/abc", "https://[2001:db8::1]/…"),
        ("https://chat.example.com?key=1", "https://chat.example.com/…"),
        ("https://chat.example.com/", "https://chat.example.com"),
        ("https://chat.example.com", "https://chat.example.com"),
    ],
)
def test_of_a_url_the_host_is_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown_url(shown) == shown
    hook = Webhook("webhook_1", shown)
    assert hook.host in {"chat.example.com", "2001:db8::1"}
    made = Target(url, b"s" * SECRET_BYTES)
    assert target(made.text(), shown) == made
    assert target(made.secret, url) == made  # made before URLs were sealed
