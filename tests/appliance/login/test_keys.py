"""Published keys: which are usable, and how they stay current while an issuer rotates, breaks and lies."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance.login.keys import (
    MAX_KEYS,
    REFRESH_SECONDS,
    BadKeys,
    KeysUnavailable,
    PublishedKeys,
    StaticKeys,
    parse,
)
from appliance.login.remembered import RETRY_SECONDS, STALE_SECONDS
from tests.appliance.login.issuer import EC_KEY, ED_KEY, NOW, RSA_KEY, Publishing, jwk, jwks

SECOND = 1_000_000
SECRET = {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode(), "alg": "HS256", "kid": "secret"}
WEAK = jwk(rsa.generate_private_key(65537, 1024), kid="weak")
ODD = jwk(ec.generate_private_key(ec.SECP256K1()), kid="odd")


def kids(document: bytes) -> list[str | None]:
    return [key.kid for key in parse(document)]


@pytest.mark.parametrize(
    "unusable",
    [
        SECRET,
        WEAK,
        ODD,
        jwk(RSA_KEY, use="enc"),
        jwk(RSA_KEY, key_ops=["encrypt"]),
        jwk(RSA_KEY, alg="HS256"),
        jwk(RSA_KEY, alg="ES256"),
        jwk(RSA_KEY, alg=["RS256"]),
        jwk(EC_KEY, d="AAAA"),
        jwk(EC_KEY, x="AAAA"),
        jwk(EC_KEY, kid=7),
        {"kty": "EC", "crv": "P-256"},
        {"kty": "AKP"},
        {},
        [],
        "key",
        None,
    ],
)
def test_what_cannot_be_used_is_passed_over(unusable: Any) -> None:
    assert kids(jwks(unusable, jwk(ED_KEY, kid="good"))) == ["good"]
    with pytest.raises(BadKeys):
        parse(jwks(unusable))


def test_a_key_is_for_the_algorithms_of_its_kind() -> None:
    keys = {
        key.kid: sorted(key.algorithms)
        for key in parse(
            jwks(jwk(RSA_KEY, kid="r"), jwk(RSA_KEY, kid="p", alg="PS256"), jwk(EC_KEY, kid="e"), jwk(ED_KEY, kid="d"))
        )
    }
    assert keys == {
        "r": ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"],
        "p": ["PS256"],
        "e": ["ES256"],
        "d": ["EdDSA"],
    }


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"keys": {}}',
        b'{"keys": []}',
        b"<html>",
        b"[" * 100_000,
        json.dumps({"keys": [jwk(EC_KEY)] * (MAX_KEYS + 1)}).encode(),
    ],
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(BadKeys):
        parse(document)


async def found(keys: PublishedKeys | StaticKeys, kid: str | None, after: float, algorithm: str = "ES256") -> int:
    return len(await keys.find(kid, algorithm, NOW + int(after * SECOND)))


async def test_a_rotated_key_is_found_at_once_and_strangers_cannot_make_us_ask() -> None:
    publishing = Publishing(jwks(jwk(EC_KEY, kid="one")))
    keys = PublishedKeys("id.example.com", publishing)
    assert (await found(keys, "one", 0), publishing.asked) == (1, 1)
    assert (await found(keys, "two", 1), publishing.asked) == (0, 1)  # asked a second ago
    publishing.document = jwks(jwk(EC_KEY, kid="two"))
    assert (await found(keys, "two", RETRY_SECONDS), publishing.asked) == (1, 2)
    assert (await found(keys, "one", RETRY_SECONDS + 1), publishing.asked) == (0, 2)  # withdrawn
    for second in range(100):
        await found(keys, f"made up {second}", RETRY_SECONDS + second / 100)
    assert publishing.asked == 2
    assert (await found(keys, "two", RETRY_SECONDS + REFRESH_SECONDS), publishing.asked) == (1, 3)


async def test_many_at_once_ask_once() -> None:
    publishing = Publishing(jwks(jwk(EC_KEY, kid="one")))
    keys = PublishedKeys("id.example.com", publishing)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(found, keys, "one", 0)
    assert publishing.asked == 1


@pytest.mark.parametrize("broken", [None, b"<html>Bad gateway</html>", jwks(SECRET)])
async def test_a_bad_day_of_the_issuer_is_survived_but_not_a_bad_week(broken: bytes | None) -> None:
    publishing = Publishing(jwks(jwk(EC_KEY, kid="one")))
    keys = PublishedKeys("id.example.com", publishing)
    assert await found(keys, "one", 0) == 1
    publishing.document = broken
    assert await found(keys, "one", STALE_SECONDS) == 1
    with pytest.raises(KeysUnavailable):
        await found(keys, "one", STALE_SECONDS + 1)
    publishing.document = jwks(jwk(EC_KEY, kid="one"))
    assert await found(keys, "one", STALE_SECONDS + 1 + RETRY_SECONDS) == 1


async def test_an_issuer_never_reached_gives_no_keys() -> None:
    publishing = Publishing(b"")
    keys = PublishedKeys("id.example.com", publishing)
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            await found(keys, "one", 0)
    assert publishing.asked == 1


async def test_an_issuer_that_never_answers_holds_nobody_up_for_long() -> None:
    async def never() -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    keys = PublishedKeys("id.example.com", never)
    began = trio.current_time()
    with pytest.raises(KeysUnavailable):
        await found(keys, "one", 0)
    assert trio.current_time() - began < 15


async def test_given_keys_need_nobody() -> None:
    keys = StaticKeys(jwks(jwk(EC_KEY, kid="one"), jwk(RSA_KEY)))
    assert await found(keys, "one", 0) == 1
    assert await found(keys, "two", 0) == 0
    assert await found(keys, None, 0, "RS256") == 1
