"""What providers claim, as each of them writes it, and whom that makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.core.claims import MAX_GROUPS, Claimed, read
from appliance.core.problems import Code, Problem
from appliance.core.providers import Provider, Reading

ISSUER = "https://id.example.com"
PLAIN = Provider("provider_1", "id", "Id", ISSUER, "fairlead")
ANN = {"sub": "1", "email": "ann@example.com", "email_verified": True}


def who(claims: dict[str, Any], **reading: Any) -> Claimed | Code:
    found = read({**ANN, **claims}, replace(PLAIN, reading=Reading(**reading)))
    return found.code if isinstance(found, Problem) else found


def named(name: str, *groups: str, email: str = "ann@example.com") -> Claimed:
    return Claimed(ISSUER, "1", name, email, groups)


@pytest.mark.parametrize(
    ("claims", "reading", "expected"),
    [
        ({}, {}, named("ann@example.com")),
        ({"groups": ["b", "a", "b"]}, {}, named("ann@example.com", "a", "b")),
        ({"groups": "one"}, {}, named("ann@example.com", "one")),
        ({"groups": None}, {}, named("ann@example.com")),
        ({"groups": ["a"]}, {"groups": ()}, named("ann@example.com")),
        (
            {"groups": ["a"]},
            {"groups_prefix": "corp:", "name_prefix": "corp:"},
            named("corp:ann@example.com", "corp:a"),
        ),
        # Keycloak: a user name of its own, roles within an object
        (
            {"preferred_username": "ann", "realm_access": {"roles": ["x"]}},
            {"name": ("preferred_username",), "groups": ("realm_access", "roles")},
            named("ann", "x"),
        ),
        # Auth0: names that are URLs
        (
            {"https://example.com/groups": ["x"]},
            {"groups": ("https://example.com/groups",)},
            named("ann@example.com", "x"),
        ),
        # Entra ID: no e-mail that it vouches for
        ({"email_verified": None, "upn": "ann@corp"}, {"name": ("upn",)}, named("ann@corp", email="")),
        ({"email_verified": "true"}, {}, named("ann@example.com")),
        ({"email_verified": 1}, {}, Code.EMAIL_NOT_VERIFIED),
        ({"email_verified": False}, {}, Code.EMAIL_NOT_VERIFIED),
        ({"email": "ann@example.com\n"}, {}, Code.EMAIL_NOT_VERIFIED),
        ({"email": 7}, {}, Code.CLAIM_UNUSABLE),
        ({"name": ""}, {"name": ("name",)}, Code.CLAIM_UNUSABLE),
        ({"realm_access": []}, {"name": ("realm_access", "name")}, Code.CLAIM_UNUSABLE),
        ({"sub": ""}, {}, Code.CLAIM_UNUSABLE),
        ({"sub": 1}, {}, Code.CLAIM_UNUSABLE),
        ({"sub": "x" * 256}, {}, Code.CLAIM_UNUSABLE),
        ({"name": "system:admin"}, {"name": ("name",)}, Code.RESERVED_IDENTITY),
        ({"name": "admin"}, {"name": ("name",), "name_prefix": "system:"}, Code.RESERVED_IDENTITY),
        ({"groups": ["system:masters"]}, {}, Code.RESERVED_IDENTITY),
        ({"groups": ["a\n"]}, {}, Code.RESERVED_IDENTITY),
        ({"groups": {}}, {}, Code.CLAIM_UNUSABLE),
        ({"groups": [""]}, {}, Code.CLAIM_UNUSABLE),
        ({"groups": [str(it) for it in range(MAX_GROUPS + 1)]}, {}, Code.GROUP_OVERAGE),
        ({"_claim_names": {"groups": "src1"}}, {}, Code.GROUP_OVERAGE),
        ({"_claim_names": {"roles": "src1"}}, {}, named("ann@example.com")),
        ({"_claim_names": "odd"}, {}, Code.GROUP_OVERAGE),
        ({"hasgroups": "true"}, {}, Code.GROUP_OVERAGE),
        ({"hd": "example.com"}, {"required": ((("hd",), ("example.com",)),)}, named("ann@example.com")),
        ({"hd": "other.com"}, {"required": ((("hd",), ("example.com",)),)}, Code.SIGN_IN_NOT_ALLOWED),
        ({}, {"required": ((("hd",), ("example.com",)),)}, Code.SIGN_IN_NOT_ALLOWED),
        ({"groups": ["a"]}, {"required": ((("groups",), ("a", "b")),)}, named("ann@example.com", "a")),
        ({"ok": True}, {"required": ((("ok",), ("true",)),)}, named("ann@example.com")),
    ],
)
def test_a_person_is_read(claims: dict[str, Any], reading: dict[str, Any], expected: Claimed | Code) -> None:
    assert who(claims, **reading) == expected
