"""The use of bindings: noted for every request, written once an hour."""

from __future__ import annotations

from appliance.core.credentials import SECOND
from appliance.core.uses import GRAIN_SECONDS, MAX_HEARD, BindingUses

HOUR = GRAIN_SECONDS * SECOND
NOW = 1_000 * HOUR


def test_what_is_used_is_due_once_an_hour() -> None:
    uses, both, one = BindingUses(), ("b1", "b2"), ("b2",)
    uses.note(both, NOW)
    uses.note(one, NOW + 5)
    uses.note_one("b3", NOW + 6)
    uses.note((), NOW)
    assert uses.due() == {"b1": NOW, "b2": NOW + 5, "b3": NOW + 6}
    uses.note(both, NOW + 9)
    assert uses.due() == {"b1": NOW + 9, "b2": NOW + 9}, "it was not said to be written"
    uses.wrote({"b1": NOW + 9})
    uses.note(both, NOW + HOUR + 8)
    assert uses.due() == {"b2": NOW + HOUR + 8}
    uses.note(both, NOW + HOUR + 9)
    assert uses.due() == {"b1": NOW + HOUR + 9, "b2": NOW + HOUR + 9}
    assert uses.due() == {}


def test_what_it_remembers_is_bounded() -> None:
    uses = BindingUses()
    kept = [(f"b{number}",) for number in range(MAX_HEARD + 10)]
    for number, it in enumerate(kept):
        uses.note(it, NOW)
        uses.note_one(f"c{number}", NOW)
    uses.note(kept[0], NOW + 1)
    due = uses.due()
    assert (len(due), due["b0"]) == (2 * MAX_HEARD, NOW + 1)
