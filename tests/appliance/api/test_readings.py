"""A page belongs to the query that led to it, asked by whoever asked that; nothing else does."""

from __future__ import annotations

from appliance.api import readings as module
from appliance.api.readings import Readings

QUERY = {"verb": "get", "limit": "2"}


def test_a_page_follows_the_query_that_led_to_it() -> None:
    readings = Readings()
    assert not readings.follows("ann", QUERY)
    readings.give("ann", QUERY, "9.1.1")
    assert not readings.follows("ann", QUERY)  # the same question anew

    following = QUERY | {"cursor": "9.1.1"}
    assert readings.follows("ann", following)
    assert readings.follows("ann", following)  # the answer may have been lost
    assert not readings.follows("bob", following)
    assert not readings.follows("ann", following | {"verb": "list"})
    assert not readings.follows("ann", {"cursor": "9.1.1"})
    assert not readings.follows("ann", QUERY | {"cursor": "9.1.2"})

    readings.give("ann", following, "8.1.1")
    assert readings.follows("ann", QUERY | {"cursor": "8.1.1"})
    readings.give("ann", following, None)
    assert not readings.follows("ann", QUERY)


def test_the_oldest_are_forgotten() -> None:
    readings = Readings()
    for number in range(module.MAX_REMEMBERED + 1):
        readings.give("ann", QUERY, str(number))
    assert not readings.follows("ann", QUERY | {"cursor": "0"})
    assert readings.follows("ann", QUERY | {"cursor": "1"})
