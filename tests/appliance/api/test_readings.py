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


def test_one_record_stands_for_whoever_goes_on_reading() -> None:
    readings, hour = Readings(), module.FOLLOWED
    assert not readings.goes_on("ann", QUERY, 100, 1)
    assert readings.goes_on("ann", QUERY | {"since": "later", "limit": "9"}, 200, 2)
    assert readings.goes_on("ann", QUERY, 100, hour)
    assert not readings.goes_on("bob", QUERY, 100, 2)
    assert not readings.goes_on("ann", QUERY | {"verb": "list"}, 200, 2)
    assert not readings.goes_on("ann", QUERY, 99, 3), "what lies before is not covered"
    assert readings.goes_on("ann", QUERY, 99, 4)
    assert not readings.goes_on("ann", QUERY, 99, 3 + hour)

    for number in range(module.MAX_FOLLOWING):
        readings.goes_on(str(number), QUERY, 99, 3 + hour)
    assert not readings.goes_on("ann", QUERY, 99, 4 + hour)
