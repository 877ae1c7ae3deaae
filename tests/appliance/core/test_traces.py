"""Which `traceparent` is one."""

from __future__ import annotations

import pytest

from appliance.core.traces import trace_id, traceresponse

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("given", "usable"),
    [
        (f"00-{ID}-{SPAN}-01", True),
        (f"00-{ID}-{SPAN}-01-more", False),
        (f"cc-{ID}-{SPAN}-01", True),
        (f"cc-{ID}-{SPAN}-01-what-will-be", True),
        (f"ff-{ID}-{SPAN}-01", False),
        (f"00-{ID.upper()}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{ID}-{'0' * 16}-01", False),
        (f"00-{ID}-{SPAN}", False),
        (f" 00-{ID}-{SPAN}-01", False),
        ("", False),
    ],
)
def test_a_parent_is_read_to_the_letter(given: str, usable: bool) -> None:
    assert trace_id(given.encode()) == (ID.encode() if usable else None)


def test_an_answer_names_the_trace_and_our_span() -> None:
    assert trace_id(None) is None
    assert trace_id(traceresponse(ID.encode())) == ID.encode()
