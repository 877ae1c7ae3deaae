"""What --debug may show: everything that helps, and no secret."""

from __future__ import annotations

from ops.cli.masking import MASK, masked, shown_headers, shown_url

TOKEN = "flr_" + "x" * 30


def test_requests_and_answers_are_shown_without_their_secrets() -> None:
    asked = {"grant_type": "authorization_code", "code": "flo_1", "code_verifier": "v", "redirect_uri": "http://x"}
    assert masked(asked, ask=True) == {
        "grant_type": "authorization_code",
        "code": MASK,
        "code_verifier": MASK,
        "redirect_uri": "http://x",
    }
    answered = {
        "access_token": "a",
        "token_type": "Bearer",
        "items": [{"name": "n", "token": "t"}],
        "bundle": {"x": "y"},
    }
    assert masked(answered) == {
        "access_token": MASK,
        "token_type": "Bearer",
        "items": [{"name": "n", "token": MASK}],
        "bundle": MASK,
    }
    assert masked({"code": "NOT_FOUND", "detail": f"no {TOKEN} here"}) == {
        "code": "NOT_FOUND",
        "detail": f"no {MASK} here",
    }


def test_urls_and_headers_too() -> None:
    assert shown_url("/x?code=1&state=2") == f"/x?code={MASK}&state=2"
    assert shown_headers({"authorization": f"Bearer {TOKEN}", "Cookie": "c", "Accept": "a"}) == (
        f"Accept: a; Authorization: Bearer {MASK}"
    )
