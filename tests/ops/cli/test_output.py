"""Answers in their five forms: what a terminal is shown, what scripts are given, and that neither can be attacked."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
import yaml

from ops.cli.output import clean, times
from ops.cli.output.kinds import Form, Kind
from ops.cli.output.tables import Column, Sheet, age, ahead, table

NOW = 1_900_000_000.0
PLAIN = Sheet(NOW)

SHIPS = Kind(
    "ship",
    "ships",
    (
        Column("NAME", "name"),
        Column("STATE", "state", tone=True),
        Column("CARGO", "cargo", yields=True),
        Column("AGE", "built", age),
        Column("ID", "id", wide=True),
    ),
)
FLEET: list[dict[str, Any]] = [
    {"id": "ship_1", "name": "ada", "state": "active", "cargo": ["tea", "salt"], "built": times.written(NOW - 7_000)},
    {"id": "ship_2", "name": "日本", "state": "denied", "cargo": {"a": "b"}, "built": None},
]
HOSTILE: dict[str, Any] = {
    "id": "x",
    "name": "a\x1b[2J\r\n\u202egnp\x07\x7f\x9b31m",
    "state": "\ud800",
    "cargo": "\U000e0001",
    "built": "",
}


def test_a_table_of_each_width() -> None:
    assert SHIPS.shown(FLEET, Form.TABLE, PLAIN) == (
        "NAME  STATE   CARGO     AGE\nada   active  tea,salt  116m\n日本  denied  a=b       -\n"
    )
    assert SHIPS.shown(FLEET, Form.WIDE, PLAIN).splitlines()[1] == "ada   active  tea,salt  116m  ship_1"
    long = [{**FLEET[0], "cargo": "x" * 90}]
    narrow = SHIPS.shown(long, Form.TABLE, Sheet(NOW, 40)).splitlines()
    assert narrow[1] == "ada   active  xxxxxxxxxxxxxxxxxxx…  116m"
    assert max(map(len, narrow)) <= 40
    assert "x" * 90 in SHIPS.shown(long, Form.TABLE, PLAIN), "a script is given whole words"
    assert SHIPS.shown([], Form.TABLE, PLAIN) == ""


def test_colours_say_nothing_that_the_words_do_not() -> None:
    coloured = SHIPS.shown(FLEET, Form.TABLE, Sheet(NOW, None, colour=True))

    assert "\x1b[32mactive\x1b[0m" in coloured
    assert "\x1b[31mdenied\x1b[0m" in coloured
    for code in ("\x1b[1m", "\x1b[0m", "\x1b[31m", "\x1b[32m"):
        coloured = coloured.replace(code, "")
    assert coloured == SHIPS.shown(FLEET, Form.TABLE, PLAIN)


def test_scripts_get_what_the_api_said() -> None:
    told = lambda _item: {"state": "for people"}

    assert json.loads(SHIPS.shown(FLEET, Form.JSON, PLAIN, told)) == {"items": FLEET}
    assert yaml.safe_load(SHIPS.shown(FLEET, Form.YAML, PLAIN, told)) == {"items": FLEET}
    assert SHIPS.shown(FLEET, Form.NAME, PLAIN, told) == "ada\n日本\n"
    assert SHIPS.whole(FLEET[0], Form.TABLE, PLAIN, told) == (
        "Name:   ada\n"
        "State:  for people\n"
        "Cargo:  tea,salt\n"
        f"Age:    {times.written(NOW - 7_000)} (116m ago)\n"
        "Id:     ship_1\n"
    )


@pytest.mark.parametrize("form", list(Form))
def test_nothing_of_others_moves_a_terminal(form: Form) -> None:
    for text in (SHIPS.shown([HOSTILE], form, PLAIN), SHIPS.whole(HOSTILE, form, PLAIN)):
        bad = {it for it in text if unicodedata.category(it)[0] == "C" and it != "\n"}
        assert not bad
        text.encode()
    if form in {Form.JSON, Form.YAML}:
        read = json.loads if form is Form.JSON else yaml.safe_load
        assert read(SHIPS.whole({**HOSTILE, "state": ""}, form, PLAIN))["name"] == HOSTILE["name"]


def test_wide_and_combining_characters_are_counted_as_terminals_do() -> None:
    assert clean.columns("日本") == 4
    assert clean.columns("e\u0301") == 1
    assert clean.cut("日本語", 5) == "日本…"
    assert clean.cut("abcdef", 6) == "abcdef"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (86400 * 2, "2d"), (86400 * 800, "2y")],
)
def test_spans_read_well(seconds: float, text: str) -> None:
    assert times.span(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2D", 172_800),
        ("PT8H", 28_800),
        ("P1DT1S", 86_401),
        ("1w", 604_800),
    ],
)
def test_spans_are_read(text: str, seconds: int) -> None:
    assert times.read_span(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1h", "1x", "PT", "P", "1.5h", "10 m", "٣h", "9" * 12])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a length of time"):
        times.read_span(text)


def test_moments_are_given_in_three_ways() -> None:
    assert times.moment_or_span("2030-01-31T12:00:00+02:00", NOW, ahead=True) == "2030-01-31T12:00:00+02:00"
    assert times.moment_or_span("2030-01-31", NOW, ahead=True) == "2030-01-31T00:00:00Z"
    assert times.moment_or_span("2h", NOW, ahead=True) == times.written(NOW + 7200)
    assert times.moment_or_span("2h", NOW, ahead=False) == times.written(NOW - 7200)
    with pytest.raises(ValueError, match="not a time"):
        times.moment_or_span("2030-13-31", NOW, ahead=True)
    assert ahead(times.written(NOW + 60), NOW) == "in 60s"
    assert ahead(times.written(NOW - 60), NOW) == "60s ago"
    assert ahead("nonsense", NOW) == "-"


def test_a_table_that_goes_on_repeats_no_titles() -> None:
    assert table(SHIPS.columns[:1], FLEET[:1], PLAIN, titles=False) == ["ada"]
