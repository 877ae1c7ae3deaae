"""The final form of a record: reads back as written, is always kept, never grows without bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audit.records import CUT_MARK, MAX_BODY_CHARS, MAX_CUT_ITEMS, parse
from appliance.core.events import NAMES, AuditEvent, EventType
from tests.appliance.audit.rig import render

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


def test_a_record_reads_back_as_it_was_written() -> None:
    full = AuditEvent(
        5,
        EventType.PROXY_OPENED,
        actor="alice@example.com",
        binding_ids=("b1", "b2"),
        groups=("viewers",),
        command=("sh", "-c", "é"),
        details=(("name", "x"),),
        status=200,
    )
    assert parse(render(full)) == full
    assert render(full).isascii()


@given(ANY_TEXT, ANY_TEXT, st.lists(ANY_TEXT, max_size=4))
def test_whatever_a_client_sends_can_be_kept(actor: str, path: str, command: list[str]) -> None:
    """NUL, lone surrogates and control characters included: a record that cannot be kept stops the work."""
    event = AuditEvent(5, EventType.PROXY_OPENED, actor_id=actor, path=path, command=tuple(command))
    assert parse(render(event)) == event
    assert render(event).isascii()
    assert "\n" not in render(event)  # it is a line of a sheaf
    assert "\0" not in render(event)


def test_a_record_that_is_too_long_is_cut_where_it_shows() -> None:
    event = AuditEvent(
        5,
        EventType.PROXY_OPENED,
        actor_id="p" * 256,
        path="/" + "x" * 60_000,
        command=("y" * 60_000,) * 100,
        details=(("k", "v" * 60_000),) * 100,
    )
    body = render(event)
    assert len(body) <= MAX_BODY_CHARS
    cut = parse(body)
    assert cut.path.endswith("...")
    assert cut.command[-1] == "..."
    assert cut.actor_id == event.actor_id


def test_what_takes_more_room_as_json_is_cut_until_it_fits() -> None:
    texts = dict.fromkeys([name for name, empty in AuditEvent._field_defaults.items() if empty == ""], "é" * 300)
    assert {"actor_id", "path", "name"} <= set(texts)
    lists = dict.fromkeys(["binding_ids", "groups", "command"], ("é" * 300,) * 20)
    event = AuditEvent(5, EventType.PROXY_OPENED, **texts, **lists, details=(("é" * 300, "é" * 300),) * 20)  # type: ignore[arg-type]
    body = render(event)
    assert len(body) <= MAX_BODY_CHARS
    cut = parse(body)
    assert cut.path == "é" * 16 + CUT_MARK
    assert cut.actor_id == "é" * 256 + CUT_MARK  # as much as a filter may ask for


@pytest.mark.parametrize("number", [3, 300, 1000])
def test_what_was_rendered_before_is_rendered_alike(number: int) -> None:
    """As many lists as nobody remembers, each of them twice; of a thousand bindings a record has room for some."""
    for turn in [*range(40), *range(40)]:
        bindings = tuple(f"binding_{turn:04}{it:016}" for it in range(number))
        found = parse(render(AuditEvent(5, EventType.PROXY_OPENED, binding_ids=bindings)))
        assert found.binding_ids == (bindings if number < 1000 else (*bindings[:MAX_CUT_ITEMS], CUT_MARK))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[]",
        "7",
        '{"time":1}',
        '{"time":1,"type":"NOPE"}',
        '{"time":1,"type":"CPR001I","x":1}',
        '{"time":"x","type":"CPR001I"}',
        '{"time":1,"type":"CPR001I","code":' + "[" * 100_000,
    ],
)
def test_anything_else_is_not_a_record(body: str) -> None:
    with pytest.raises(ValueError):
        parse(body)


def test_every_event_type_has_a_name_of_its_own() -> None:
    assert set(NAMES) == set(EventType)
    assert len(set(NAMES.values())) == len(EventType)
    assert all(kind[-1] in "IW" for kind in EventType)
