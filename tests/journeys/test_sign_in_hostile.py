"""What must not work: each way to cheat a sign-in, tried on the running appliance, refused and on record."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.journeys.gatehouse import LOOPBACK, Gatehouse, asked, code_grant
from tests.journeys.processes import eventually
from tests.support.identity import CLIENT_ID
from tests.support.surfer import Seen, Surfer

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

FAILED, REFUSED, ENDED = "CUA012W", "CUA015W", "CUA014I"


@pytest.fixture(autouse=True)
def behaving(house: Gatehouse) -> Iterator[None]:
    """Whatever a test has the provider do, the next one finds it as it should be."""
    yield
    house.provider.behaves()


def refused_as(house: Gatehouse, seen: Seen, code: str) -> None:
    """Refused with its code, without a session, and on record."""
    assert seen.code == code, (seen.code, seen.status, seen.body[-400:])
    assert "fairlead-session=fl" not in str(seen.headers)
    assert "frame-ancestors 'none'" in seen.headers["Content-Security-Policy"]
    correlation = seen.headers["X-Correlation-Id"]
    assert house.recorded(FAILED, correlation_id=correlation, code=code)


# State, nonce, code: once, and in the browser that began


def test_a_state_is_good_once(house: Gatehouse) -> None:
    surfer = house.surfer()
    back = house.to_callback(surfer, house.person()).location
    jar = dict(surfer.jars[back.split("/")[2]])
    assert surfer.go(back).headers["Location"] == "/fairlead/home"
    again = Surfer(surfer.authorities, surfer.address, {back.split("/")[2]: jar})  # with all that the browser held then
    refused_as(house, again.go(back), "SIGN_IN_EXPIRED")


def test_another_browser_does_not_finish_it_and_neither_does_the_first_then(house: Gatehouse) -> None:
    victim, thief = house.surfer(), house.surfer()
    back = house.to_callback(victim, house.person()).location
    refused_as(house, thief.go(back), "SIGN_IN_ELSEWHERE")
    refused_as(house, victim.go(back), "SIGN_IN_EXPIRED")
    # The other way round: someone is to finish the thief's own sign-in, and to work in the thief's account.
    thief.go(f"{house.url}/fairlead/sign-in/corp")
    mine = house.to_callback(thief, house.person()).location
    victim.go(f"{house.url}/fairlead/sign-in/corp")
    refused_as(house, victim.go(mine), "SIGN_IN_ELSEWHERE")


def test_what_nobody_began_is_not_finished(house: Gatehouse) -> None:
    for query in ("", "?code=x", "?state=flt_made-up&code=x", "?state=" + "x" * 9000):
        refused_as(house, house.surfer().go(f"{house.callback}{query}"), "SIGN_IN_EXPIRED")
    assert house.surfer().go(f"{house.url}/fairlead/callback/nobody?state=x").code == "PROVIDER_NOT_FOUND"
    assert house.surfer().go(f"{house.callback}?state=a&state=b").code == "BAD_REQUEST"


def test_a_code_of_one_sign_in_does_not_finish_another(house: Gatehouse) -> None:
    """The stolen code is put into a sign-in of the thief's own: PKCE and nonce are another browser's."""
    victim, thief = house.surfer(), house.surfer()
    stolen = house.to_callback(victim, house.person()).query
    own = house.to_callback(thief, house.person()).query
    swapped = urlencode(own | {"code": stolen["code"]})
    refused_as(house, thief.go(f"{house.callback}?{swapped}"), "PROVIDER_REFUSED")


def test_an_answer_of_another_provider_is_refused(house: Gatehouse) -> None:
    for issuer in ("https://evil.example.com", None):
        surfer = house.surfer()
        query = house.to_callback(surfer, house.person()).query
        given = {name: value for name, value in query.items() if name != "iss"}
        seen = surfer.go(f"{house.callback}?{urlencode(given | ({'iss': issuer} if issuer else {}))}")
        refused_as(house, seen, "PROVIDER_REFUSED")


def test_a_person_who_says_no_at_the_provider(house: Gatehouse) -> None:
    surfer = house.surfer()
    query = house.to_callback(surfer, house.person()).query
    del query["code"]
    seen = surfer.go(f"{house.callback}?{urlencode(query | {'error': 'access_denied'})}")
    refused_as(house, seen, "PROVIDER_REFUSED")
    assert "access_denied" in seen.body


# What the provider says


def lying(house: Gatehouse, token: str | None = None, *, status: int = 200, body: str | None = None) -> Seen:
    """A sign-in at whose end the provider's token endpoint answers this."""
    surfer = house.surfer()
    back = house.to_callback(surfer, house.person()).location
    answer = body if body is not None else json.dumps({"access_token": "x", "token_type": "Bearer", "id_token": token})
    house.provider.behaves(lies={"/token": {"status": status, "body": answer}})
    seen = surfer.go(back)
    house.provider.behaves()
    return seen


def claims(house: Gatehouse, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    said = {
        "iss": house.provider.issuer,
        "aud": CLIENT_ID,
        "sub": "somebody",
        "iat": now,
        "exp": now + 300,
        "nonce": "of another sign-in",
        "email": "somebody@example.com",
        "email_verified": True,
    }
    return {name: value for name, value in (said | changes).items() if value is not None}


STRANGER = rsa.generate_private_key(65537, 2048)
MINUTES = 60
TOKENS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another nonce": ({}, {}, "it answers to another sign-in"),
    "no nonce": ({"nonce": None}, {}, "it answers to another sign-in"),
    "another audience": ({"aud": "other"}, {}, "it was issued for something else"),
    "for another as well": ({"aud": [CLIENT_ID, "other"]}, {}, "it was issued for something else"),
    "issued to another": ({"azp": "other"}, {}, "it was issued for something else"),
    "another issuer": ({"iss": "https://evil.example.com"}, {}, "it is from another issuer"),
    "expired ten minutes ago": ({"exp": -10 * MINUTES}, {}, "it has expired"),
    "issued in ten minutes": ({"iat": 10 * MINUTES}, {}, "it was issued in the future"),
    "an access token": ({}, {"typ": "at+jwt"}, "it is a token of another kind"),
    "another's key": ({}, {"key": STRANGER}, "its signature is wrong"),
    "an unpublished key": ({}, {"kid": "key-0"}, "a key that its issuer does not publish"),
    "an HMAC": ({}, {"key": "x" * 64, "algorithm": "HS256"}, "an algorithm that is not allowed"),
    "alg none": ({}, {"key": "", "algorithm": "none"}, "an algorithm that is not allowed"),
}


@pytest.mark.parametrize("name", TOKENS)
def test_an_id_token_that_is_not_for_us_now(house: Gatehouse, name: str) -> None:
    changes, how, why = TOKENS[name]
    now = int(time.time())
    timed = {key: now + value if key in {"exp", "iat"} else value for key, value in changes.items()}
    if how.get("algorithm") == "none":
        how = {"algorithm": "none", "key": None}
        token = _unsigned(claims(house, **timed))
    else:
        token = house.provider.signs(claims(house, **timed), **how)
    seen = lying(house, token)
    refused_as(house, seen, "ID_TOKEN_REFUSED")
    assert why in seen.body


def _unsigned(said: dict[str, Any]) -> str:
    import jwt

    return jwt.encode(said, "", "none")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, "[]"), (200, "<html>"), (200, "{" * 5000), (500, "{}"), (401, '{"error": "invalid_client"}'), (302, "{}")],
)
def test_an_answer_that_is_none(house: Gatehouse, status: int, body: str) -> None:
    refused_as(house, lying(house, status=status, body=body), "PROVIDER_UNAVAILABLE")


PEOPLE: dict[str, tuple[dict[str, Any], str]] = {
    "an e-mail that is not verified": ({"email_verified": False}, "EMAIL_NOT_VERIFIED"),
    "an e-mail nobody says is verified": ({"email_verified": None}, "EMAIL_NOT_VERIFIED"),
    "no e-mail": ({"email": None}, "CLAIM_UNUSABLE"),
    "an e-mail in two parts": ({"email": ["a@example.com", "b@example.com"]}, "CLAIM_UNUSABLE"),
    "a group of Kubernetes": ({"groups": ["system:masters"]}, "RESERVED_IDENTITY"),
    "a group with a line feed": ({"groups": ["a\nImpersonate-Group: b"]}, "RESERVED_IDENTITY"),
    "groups that are no list": ({"groups": {"a": 1}}, "CLAIM_UNUSABLE"),
    "groups that are no texts": ({"groups": [1, 2]}, "CLAIM_UNUSABLE"),
    "more groups than can be": ({"groups": [f"g{number}" for number in range(501)]}, "GROUP_OVERAGE"),
    "groups elsewhere": ({"groups": None, "_claim_names": {"groups": "src1"}}, "GROUP_OVERAGE"),
    "groups elsewhere, briefly": ({"groups": None, "hasgroups": True}, "GROUP_OVERAGE"),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_a_person_who_cannot_be_let_in(house: Gatehouse, name: str) -> None:
    changes, code = PEOPLE[name]
    subject = house.person(**changes)
    surfer = house.surfer()
    refused_as(house, surfer.go(house.to_callback(surfer, subject).location), code)
    assert not [it for it in house.call("GET", "people")["items"] if it["subject"] == subject]


def test_a_name_is_not_given_twice_and_an_email_claims_what_was_bound_to_it_once(house: Gatehouse) -> None:
    first = house.person()
    role = house.call("POST", "roles", {"name": f"r-{first}", "permissions": ["clusters:read"]})
    email = f"{first}@example.com"
    house.call(
        "POST",
        "bindings",
        {
            "subject": {"kind": "email", "id": email, "issuer": house.provider.issuer},
            "role_id": role["id"],
            "scope": {"kind": "everywhere"},
        },
    )
    tokens = house.command(first)
    assert house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[1]["permissions"] == ["clusters:read"]
    assert house.raw("GET", "/fairlead/v1/clusters", tokens["access_token"])[0] == 200
    assert house.raw("GET", "/fairlead/v1/people", tokens["access_token"])[1]["code"] == "FORBIDDEN"
    second, surfer = house.person(email=email), house.surfer()
    refused_as(house, surfer.go(house.to_callback(surfer, second).location), "USER_NAME_TAKEN")
    assert house.recorded("CUA021I", actor=email)


# A provider that has a bad day


def test_keys_rotate(house: Gatehouse) -> None:
    house.command(house.person())
    house.provider.rotate()

    def signs_in() -> bool:  # a key that is not known is asked for every 15 s at most
        surfer = house.surfer()
        return house.sign_in(surfer, house.person()).status == 200

    eventually(signs_in, 30.0, "a sign-in with the new key")


def test_the_provider_is_down_and_comes_back(house: Gatehouse) -> None:
    surfer, subject = house.surfer(), house.person()
    tokens = house.command(subject)
    back = house.to_callback(surfer, subject).location
    house.provider.behaves(down=True)
    refused_as(house, surfer.go(back), "PROVIDER_UNAVAILABLE")
    status, tokens = house.refresh(tokens)
    assert status == 200, "what it said is young enough to be believed"
    assert house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[0] == 200
    house.provider.behaves()
    assert house.sign_in(surfer, subject).status == 200


def test_a_provider_that_answers_slowly_holds_nobody_else_up(house: Gatehouse) -> None:
    surfer, subject = house.surfer(), house.person()
    tokens = house.command(subject)
    back = house.to_callback(surfer, subject).location
    house.provider.behaves(slow={"/token": 12})
    began = time.monotonic()
    refused_as(house, surfer.go(back), "PROVIDER_UNAVAILABLE")
    assert time.monotonic() - began < 12, "it is not waited for longer than ten seconds"
    assert house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[0] == 200


# Codes and tokens of ours


def test_a_code_is_good_once_and_ends_what_it_bought(house: Gatehouse) -> None:
    surfer, verifier = house.surfer(), secrets.token_urlsafe(48)
    house.sign_in(surfer, house.person())
    grant = code_grant(house.authorize(surfer, verifier).query["code"], verifier)
    tokens = house.token(grant)[1]
    assert house.token(grant)[1]["code"] == "GRANT_REPLAYED"
    assert house.raw("GET", "/fairlead/v1/me", tokens["access_token"])[1]["code"] == "SESSION_ENDED"
    assert house.refresh(tokens)[1]["error"] == "invalid_grant"
    assert house.recorded(REFUSED, code="GRANT_REPLAYED")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "x" * 64},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:49153/callback"},
        {"code": "flo_" + "x" * 43},
    ],
)
def test_a_code_is_for_who_asked_for_it(house: Gatehouse, changes: dict[str, str]) -> None:
    surfer, verifier = house.surfer(), secrets.token_urlsafe(48)
    house.sign_in(surfer, house.person())
    grant = code_grant(house.authorize(surfer, verifier).query["code"], verifier)
    assert house.token(grant | changes)[1]["code"] == "INVALID_GRANT"
    if "code" not in changes:
        assert house.token(grant)[1]["error"] == "invalid_grant", "spent by the wrong one is spent all the same"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"redirect_uri": "https://evil.example.com/callback"}, "BAD_REQUEST"),
        ({"redirect_uri": "http://localhost:4000/callback"}, "BAD_REQUEST"),
        ({"redirect_uri": "http://127.0.0.1:4000/callback/../x"}, "BAD_REQUEST"),
        ({"redirect_uri": "http://127.0.0.1:4000@evil.example.com/callback"}, "BAD_REQUEST"),
        ({"redirect_uri": "http://127.0.0.1:99999/callback"}, "BAD_REQUEST"),
        ({"code_challenge_method": "plain"}, "BAD_REQUEST"),
        ({"code_challenge": ""}, "BAD_REQUEST"),
        ({"response_type": "token"}, "BAD_REQUEST"),
        ({"state": ""}, "BAD_REQUEST"),
        ({"client_id": "other"}, "INVALID_CLIENT"),
    ],
)
def test_a_command_that_asks_for_something_else(house: Gatehouse, changes: dict[str, str], code: str) -> None:
    seen = house.surfer().go(f"{house.url}/fairlead/authorize?{urlencode(asked('v' * 64) | changes)}")
    assert (seen.code, seen.headers.get("Location")) == (code, None)


def test_a_form_is_believed_from_its_own_page_only(house: Gatehouse) -> None:
    surfer, other = house.surfer(), house.surfer()
    house.sign_in(surfer, house.person())
    house.sign_in(other, house.person())
    page = f"{house.url}/fairlead/authorize?{urlencode(asked('v' * 64))}"
    action, fields = surfer.go(page).form()
    theirs = other.go(page).form()[1]
    yes = {"answer": "yes"}
    for form, headers in (
        (fields | yes | {"proof": theirs["proof"]}, {}),
        (fields | yes | {"proof": ""}, {}),
        (fields | yes, {"Origin": "https://evil.example.com"}),
        (fields | yes, {"Origin": "null"}),
    ):
        seen = surfer.go(action, form, **headers)
        assert (seen.code, seen.headers.get("Location")) == ("FORM_EXPIRED", None)
    assert surfer.go(action, fields | yes).location.startswith(LOOPBACK)
    assert "error=access_denied" in surfer.go(action, fields | {"answer": "no"}).location


def test_a_refresh_token_that_is_used_twice_ends_the_family(house: Gatehouse) -> None:
    house.bind_group("twice")
    first = house.command(house.person("twice"))
    issued = house.raw("POST", "/fairlead/v1/me/credentials", first["access_token"], {"cluster": "toy"})[1]
    door = house.door(issued)
    assert door.ask("GET", "/api/v1/namespaces/demo/pods").status == 200
    status, second = house.refresh(first)
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert house.raw("GET", "/fairlead/v1/me", second["access_token"])[0] == 200
    assert house.refresh(first)[1]["code"] == "GRANT_REPLAYED", "somebody else has it"
    assert house.refresh(second)[1]["code"] == "INVALID_GRANT"
    assert house.raw("GET", "/fairlead/v1/me", second["access_token"])[1]["code"] == "SESSION_ENDED"
    assert door.ask("GET", "/api/v1/namespaces/demo/pods").code == "CREDENTIAL_REVOKED"
    assert house.recorded(ENDED, details="used twice")
    assert house.recorded(REFUSED, code="GRANT_REPLAYED")


def test_a_refresh_whose_answer_was_lost_is_answered_again_the_same(house: Gatehouse) -> None:
    first = house.command(house.person())
    lost = house.refresh(first)
    again = house.refresh(first)
    assert (lost[0], again[0]) == (200, 200)
    assert lost[1]["expires_in"] - again[1].pop("expires_in") in {0, 1, 2}
    assert again[1].items() < lost[1].items()
    third = house.refresh(again[1])
    assert third[0] == 200
    assert house.refresh(first)[1]["code"] == "GRANT_REPLAYED", "what came of it was used"
    assert house.raw("GET", "/fairlead/v1/me", third[1]["access_token"])[0] == 401


def test_a_guessed_user_code(house: Gatehouse) -> None:
    surfer = house.surfer()
    house.sign_in(surfer, house.person())
    assert surfer.go(f"{house.url}/fairlead/device?code=BCDF-GHJK").code == "USER_CODE_UNKNOWN"
    for _ in range(100):  # 25 on a quick machine; on a slow one tries come back meanwhile
        seen = surfer.go(f"{house.url}/fairlead/device?code=BCDF-GHJK")
        if seen.status == 429:
            break
    assert (seen.status, seen.code) == (429, "RATE_LIMITED")
    assert int(seen.headers["Retry-After"]) >= 1


def test_who_guesses_is_slowed_wherever_they_guess_from(house: Gatehouse) -> None:
    surfer, other, subject = house.surfer(), house.surfer(), house.person()
    house.sign_in(surfer, subject)
    last_step = house.to_callback(other, subject).location  # made before: on a slow machine a try comes back meanwhile
    for _ in range(100):
        surfer.address = house.surfer().address
        seen = surfer.go(f"{house.url}/fairlead/device?code=BCDF-GHJK")
        if seen.status == 429:
            break
    assert (seen.status, seen.code) == (429, "RATE_LIMITED")
    assert other.go(last_step).code == "RATE_LIMITED", "the account is"
    colleague = house.surfer()
    colleague.address = other.address
    assert house.sign_in(colleague, house.person()).status == 200, "and nobody else"
    assert house.recorded("CUA046W", details=subject)
